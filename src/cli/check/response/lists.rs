//! What the request blocks and allows: advertisers, apps, categories, languages, attributes, APIs, undeclared ads.

use super::bid::Bid;
use super::rules;
use crate::cli::check::finding::Findings;
use crate::cli::check::read::{at, field, int, ints, texts};
use serde_json::Value;

pub(super) fn check(bid: &Bid<'_>, findings: &mut Findings) {
    taxonomy_said(bid, findings);
    if let Some(request) = bid.against.request {
        advertisers(bid, request, findings);
        categories(bid, request, findings);
        languages(bid, request, findings);
        transparency(bid, request, findings);
    }
    if let Some(offer) = bid.offer() {
        attributes(bid, offer, findings);
    }
}

/// Whether `domain` is `parent` or below it.
pub(super) fn is_under(domain: &str, parent: &str) -> bool {
    let plain = |text: &str| text.trim().trim_end_matches('.').to_ascii_lowercase();
    let (domain, parent) = (plain(domain), plain(parent));
    !parent.is_empty()
        && domain.strip_suffix(&parent).is_some_and(|head| head.is_empty() || head.ends_with('.'))
}

fn advertisers(bid: &Bid<'_>, request: &Value, findings: &mut Findings) {
    let blocked = texts(field(request, "badv"));
    for domain in texts(bid.field("adomain")) {
        if let Some(by) = blocked.iter().find(|entry| is_under(&domain, entry)) {
            let what = format!("has {domain:?}, which badv blocks by {by:?}");
            findings.add(&rules::ADVERTISER_BLOCKED, &bid.path.key("adomain"), what);
        }
    }
    let apps = texts(field(request, "bapp"));
    if let Some(app) =
        bid.text("bundle").filter(|app| apps.iter().any(|b| b.trim().eq_ignore_ascii_case(app)))
    {
        findings.add(&rules::APP_BLOCKED, &bid.path.key("bundle"), format!("is {app:?}, which bapp blocks"));
    }
}

/// The taxonomy that categories are in: IAB Content 1.0 where none is named.
fn cattax(value: &Value) -> i64 {
    int(field(value, "cattax")).unwrap_or(1)
}

fn taxonomy_said(bid: &Bid<'_>, findings: &mut Findings) {
    let categories = texts(bid.field("cat"));
    let odd = categories.iter().find(|code| !code.trim().to_ascii_uppercase().starts_with("IAB"));
    if let Some(odd) = odd.filter(|_| cattax(bid.value) == 1) {
        let what = format!("has {odd:?}, which is no category of IAB Content 1.0");
        findings.add(&rules::TAXONOMY_UNSAID, &bid.path.key("cat"), what);
    }
}

/// Lists in another taxonomy than the bid's cannot be compared here, and are not.
fn categories(bid: &Bid<'_>, request: &Value, findings: &mut Findings) {
    let taxonomy = cattax(bid.value);
    if taxonomy != cattax(request) {
        return;
    }
    let under = |category: &str, node: &str| {
        let (category, node) = (category.trim().to_ascii_uppercase(), node.trim().to_ascii_uppercase());
        let rest = category.strip_prefix(&node).filter(|_| !node.is_empty());
        // In IAB Content 1.0 a parent's code is the head of its children's.
        rest.is_some_and(|rest| rest.is_empty() || (taxonomy == 1 && rest.starts_with('-')))
    };
    let (ours, path) = (texts(bid.field("cat")), bid.path.key("cat"));
    let (blocked, allowed) = (texts(field(request, "bcat")), texts(field(request, "acat")));
    for category in &ours {
        if let Some(by) = blocked.iter().find(|node| under(category, node)) {
            let what = format!("has {category:?}, which bcat blocks by {by:?}");
            findings.add(&rules::CATEGORY_BLOCKED, &path, what);
        }
    }
    let stranger = ours.iter().find(|category| !allowed.iter().any(|node| under(category, node)));
    if allowed.is_empty() || (stranger.is_none() && !ours.is_empty()) {
        return;
    }
    let what = stranger.map_or("is missing".to_owned(), |code| format!("has {code:?}, which is not in acat"));
    findings.add(&rules::CATEGORY_NOT_ALLOWED, &path, what);
}

/// A creative without a language fits every list.
fn languages(bid: &Bid<'_>, request: &Value, findings: &mut Findings) {
    let primary = |tag: &str| tag.trim().split(['-', '_']).next().unwrap_or_default().to_ascii_lowercase();
    let allowed = [texts(field(request, "wlang")), texts(field(request, "wlangb"))].concat();
    let name = if bid.field("language").is_some() { "language" } else { "langb" };
    let Some(ours) = bid.text(name).filter(|_| !allowed.is_empty()) else { return };
    let fits = ours.eq_ignore_ascii_case("xx") || allowed.iter().any(|tag| primary(tag) == primary(&ours));
    findings.add_if(!fits, &rules::LANGUAGE_NOT_ALLOWED, &bid.path.key(name), || {
        format!("is {ours:?}; allowed is {}", allowed.join(", "))
    });
}

fn transparency(bid: &Bid<'_>, request: &Value, findings: &mut Findings) {
    let required = int(at(request, &["regs", "ext", "dsa", "dsarequired"]));
    let declared = at(bid.value, &["ext", "dsa"]).is_some_and(Value::is_object);
    let missing = matches!(required, Some(2 | 3)) && !declared;
    findings.add_if(missing, &rules::TRANSPARENCY_MISSING, &bid.path.key("ext"), || "has no dsa");
}

fn attributes(bid: &Bid<'_>, offer: &Value, findings: &mut Findings) {
    let blocked = ints(field(offer, "battr"));
    if let Some(attribute) = ints(bid.field("attr")).into_iter().find(|ours| blocked.contains(ours)) {
        let what = format!("has {attribute}, which battr blocks");
        findings.add(&rules::ATTRIBUTE_BLOCKED, &bid.path.key("attr"), what);
    }
    let supported = ints(field(offer, "api"));
    for name in ["apis", "api"] {
        if let Some(api) = ints(bid.field(name)).into_iter().find(|ours| !supported.contains(ours)) {
            let what = format!("has {api}, which the impression does not list");
            findings.add(&rules::API_UNSUPPORTED, &bid.path.key(name), what);
        }
    }
}
