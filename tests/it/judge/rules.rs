//! The rules for one bid.

use super::media::{self, MEDIA};
use super::read::{currency, field, flag, list, number, numbers, text};
use super::{JudgeContext, effective_floor};
use outbid::exchange::token::{self, TokenClass};
use serde_json::Value;

/// Collects what a condition says is wrong.
pub(super) struct Verdict<'v>(&'v mut Vec<String>);

impl Verdict<'_> {
    pub(super) fn fail_if(&mut self, condition: bool, what: impl Into<String>) {
        if condition {
            self.0.push(what.into());
        }
    }
}

/// Judges one bid; violations begin with the name of the field or list that they are about.
pub(super) fn judge_bid(
    request: &Value,
    response: &Value,
    bid: &Value,
    context: &JudgeContext<'_>,
    violations: &mut Vec<String>,
) {
    let mut verdict = Verdict(violations);
    let imps = field(request, "imp").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let impid = field(bid, "impid").and_then(Value::as_str).map(str::to_owned);
    let imp = imps.iter().find(|imp| impid.is_some() && text(field(imp, "id")) == impid);
    let Some(imp) = imp else {
        verdict.fail_if(true, "impid: is no impression of the request");
        return;
    };
    judge_price(imp, response, bid, context, &mut verdict);
    judge_deal(imp, bid, context, &mut verdict);
    judge_medium(imp, bid, context, &mut verdict);
    judge_lists(request, bid, &mut verdict);
    judge_identity(bid, &mut verdict);
    judge_markup(imp, bid, context, &mut verdict);
    judge_notices(imp, bid, context, &mut verdict);
}

/// The deal that a bid names, if the impression offers it.
fn deal_of<'v>(imp: &'v Value, bid: &Value) -> Option<&'v Value> {
    let id = text(field(bid, "dealid"))?;
    let deals = field(field(imp, "pmp")?, "deals")?.as_array()?;
    deals.iter().find(|deal| text(field(deal, "id")).as_ref() == Some(&id))
}

/// The object of video or audio that a bid is for, and the seconds that it takes.
fn stream_of<'v>(imp: &'v Value, bid: &Value) -> Option<(&'v Value, u32)> {
    let mtype = field(bid, "mtype")?.as_i64()?;
    let (_, name) =
        MEDIA.iter().find(|(number, name)| *number == mtype && ["video", "audio"].contains(name))?;
    Some((field(imp, name)?, u32::try_from(field(bid, "dur")?.as_i64()?).ok()?))
}

fn judge_price(
    imp: &Value,
    response: &Value,
    bid: &Value,
    context: &JudgeContext<'_>,
    verdict: &mut Verdict<'_>,
) {
    let price = field(bid, "price").and_then(Value::as_f64).unwrap_or(f64::NAN);
    let usable = price.is_finite() && price > 0.0;
    verdict.fail_if(!usable, "price: is not a number above zero");
    let cur = currency(field(response, "cur"));
    let deal = deal_of(imp, bid);
    let (floor, floor_cur) = effective_floor(imp, deal, stream_of(imp, bid));
    if !usable || floor == 0.0 {
        return;
    }
    let rate = |code: &str| context.rates.get(code).copied().unwrap_or(f64::NAN);
    let floor = floor * rate(&floor_cur) / rate(&cur);
    // Far below a micro: only what floating point itself takes away.
    let slack = floor * 1e-12;
    // An unknown rate makes the floor no number, which nothing reaches.
    let reached = price >= floor - slack;
    verdict.fail_if(!reached, format!("bidfloor: {price} is under {floor} {cur}"));
    let fixed = deal.is_some_and(|deal| number(field(deal, "at")) == Some(3.0));
    let rounding = if floor_cur == cur { slack } else { 1e-6 + slack };
    verdict.fail_if(
        fixed && (price - floor).abs() > rounding,
        format!("at: the deal's price is fixed at {floor}, not {price}"),
    );
}

fn judge_deal(imp: &Value, bid: &Value, context: &JudgeContext<'_>, verdict: &mut Verdict<'_>) {
    let private = field(imp, "pmp").and_then(|pmp| flag(field(pmp, "private_auction"))) == Some(true);
    let named = field(bid, "dealid").is_some();
    verdict.fail_if(private && !named, "private_auction: open bids are not allowed");
    let Some(deal) = deal_of(imp, bid) else {
        verdict.fail_if(named, "dealid: is not offered");
        return;
    };
    let seats = list(field(deal, "wseat"));
    let listed = seats.iter().any(|seat| seat == context.our_seat);
    verdict.fail_if(!seats.is_empty() && !listed, "deal.wseat: the seat is not in it");
    let domains = list(field(deal, "wadomain"));
    let ours = list(field(bid, "adomain"));
    let all_listed = ours.iter().all(|domain| domains.iter().any(|d| is_under(domain, d)));
    verdict.fail_if(!domains.is_empty() && !all_listed, "wadomain: the advertiser is not in it");
}

/// Whether `domain` is `parent` or below it.
fn is_under(domain: &str, parent: &str) -> bool {
    let (domain, parent) = (domain.to_ascii_lowercase(), parent.trim().to_ascii_lowercase());
    domain.strip_suffix(parent.as_str()).is_some_and(|head| head.is_empty() || head.ends_with('.'))
}

/// The medium that a bid says it is must be offered, and the bid keep to its terms.
fn judge_medium(imp: &Value, bid: &Value, context: &JudgeContext<'_>, verdict: &mut Verdict<'_>) {
    let mtype = field(bid, "mtype").and_then(Value::as_i64);
    let Some((_, name)) = MEDIA.iter().find(|(number, _)| Some(*number) == mtype) else {
        return verdict.fail_if(true, format!("mtype: {mtype:?} is no medium"));
    };
    let Some(offer) = field(imp, name) else {
        return verdict.fail_if(true, format!("mtype: {name} is not offered"));
    };
    let blocked = numbers(field(offer, "battr"));
    let attributes = numbers(field(bid, "attr"));
    verdict.fail_if(attributes.iter().any(|a| blocked.contains(a)), "battr: an attribute is blocked");
    let supported = numbers(field(offer, "api"));
    let needed = numbers(field(bid, "apis")).into_iter().chain(numbers(field(bid, "api")));
    verdict.fail_if(needed.into_iter().any(|api| !supported.contains(&api)), "api: is not supported");
    match *name {
        "banner" => judge_banner(offer, bid, context, verdict),
        "native" => media::judge_native(offer, bid, verdict),
        name => media::judge_stream(name, offer, bid, verdict),
    }
    let streams = ["video", "audio"].contains(name);
    for only in ["protocol", "dur", "slotinpod"] {
        verdict.fail_if(!streams && field(bid, only).is_some(), format!("{only}: is for video and audio"));
    }
}

/// Whether a size in pixels is of the ratio that a format offers, and the bid names this ratio, as it must (section
/// 4.2.3).
fn fills_ratio(format: &Value, (w, h): (i64, i64), bid: &Value) -> bool {
    let of = |value: &Value, name: &str| number(field(value, name)).map(|number| number as i64);
    let ratio = |value: &Value| Some((of(value, "wratio")?, of(value, "hratio")?));
    ratio(format).is_some_and(|(across, down)| {
        ratio(bid) == Some((across, down))
            && w * down == h * across
            && of(format, "wmin").is_none_or(|least| w >= least)
    })
}

fn judge_banner(banner: &Value, bid: &Value, context: &JudgeContext<'_>, verdict: &mut Verdict<'_>) {
    let size = |value: &Value| Some((number(field(value, "w"))? as i64, number(field(value, "h"))? as i64));
    let formats = field(banner, "format").and_then(Value::as_array).filter(|formats| !formats.is_empty());
    let listed = formats.map(Vec::as_slice).unwrap_or_default();
    let offered: Vec<(i64, i64)> = match formats {
        Some(_) => listed.iter().filter_map(size).collect(),
        None => size(banner).into_iter().collect(),
    };
    let ours = size(bid);
    let in_pixels = ours.is_some_and(|size| offered.contains(&size));
    let in_ratio = ours.is_some_and(|size| listed.iter().any(|format| fills_ratio(format, size, bid)));
    verdict.fail_if(!in_pixels && !in_ratio, format!("size: {ours:?} is not offered"));
    let named = ["wratio", "hratio"].iter().any(|name| field(bid, name).is_some());
    verdict.fail_if(named && !in_ratio, "wratio: is not offered");
    let kind = text(field(bid, "crid")).and_then(|crid| context.banner_types.get(&crid));
    let types = numbers(field(banner, "btype"));
    verdict.fail_if(kind.is_some_and(|kind| types.contains(kind)), "btype: the type is blocked");
}

/// Block and allow lists of the request.
fn judge_lists(request: &Value, bid: &Value, verdict: &mut Verdict<'_>) {
    let domains = list(field(bid, "adomain"));
    verdict.fail_if(domains.is_empty() || domains.iter().any(String::is_empty), "adomain: is missing");
    let blocked = list(field(request, "badv"));
    let hit = domains.iter().any(|domain| blocked.iter().any(|b| !b.is_empty() && is_under(domain, b)));
    verdict.fail_if(hit, "badv: the advertiser is blocked");
    judge_categories(request, bid, verdict);
    let bundle = text(field(bid, "bundle"));
    let apps = list(field(request, "bapp"));
    verdict.fail_if(bundle.is_some_and(|bundle| apps.contains(&bundle)), "bapp: the app is blocked");
    let language = text(field(bid, "language")).or_else(|| text(field(bid, "langb")));
    let languages: Vec<String> = [list(field(request, "wlang")), list(field(request, "wlangb"))]
        .concat()
        .iter()
        .map(|l| primary(l))
        .collect();
    let accepted = language.is_none_or(|language| languages.contains(&primary(&language)));
    verdict.fail_if(!languages.is_empty() && !accepted, "wlang: the language is not in it");
    let dsa = request.pointer("/regs/ext/dsa/dsarequired");
    let wanted = matches!(number(dsa), Some(level) if level == 2.0 || level == 3.0);
    verdict.fail_if(wanted && bid.pointer("/ext/dsa").is_none(), "dsa: is required");
}

/// The language of a tag without script and place.
fn primary(tag: &str) -> String {
    tag.split(['-', '_']).next().unwrap_or_default().to_ascii_lowercase()
}

fn judge_categories(request: &Value, bid: &Value, verdict: &mut Verdict<'_>) {
    let taxonomy = |value: &Value| number(field(value, "cattax")).unwrap_or(1.0);
    let categories = list(field(bid, "cat"));
    let (blocked, allowed) = (list(field(request, "bcat")), list(field(request, "acat")));
    let comparable = taxonomy(request) == taxonomy(bid);
    // In IAB Content 1.0 a parent's code is the head of its children's: IAB25 blocks IAB25-3.
    let tree = taxonomy(request) == 1.0;
    let under = |category: &str, node: &str| {
        let rest = category.to_ascii_uppercase().strip_prefix(&node.to_ascii_uppercase()).map(str::to_owned);
        rest.is_some_and(|rest| rest.is_empty() || tree && rest.starts_with('-'))
    };
    let any_under = |category: &str, nodes: &[String]| nodes.iter().any(|node| under(category, node));
    let hit = categories.iter().any(|category| any_under(category, &blocked));
    verdict.fail_if(comparable && hit, "bcat: a category is blocked");
    let known = comparable && !categories.is_empty();
    let all = categories.iter().all(|category| any_under(category, &allowed));
    let accepted = allowed.is_empty() || known && all;
    verdict.fail_if(!accepted, "acat: a category is not in it");
}

fn judge_identity(bid: &Value, verdict: &mut Verdict<'_>) {
    for name in ["cid", "crid"] {
        let value = field(bid, name).and_then(Value::as_str);
        verdict.fail_if(value.is_none_or(str::is_empty), format!("{name}: is missing"));
    }
    let exp = field(bid, "exp").and_then(Value::as_i64);
    verdict.fail_if(exp.is_none_or(|seconds| seconds <= 0), "exp: is not above zero");
}

/// Undoes what a place in markup may do to a URL: character references, percent- and JavaScript escapes.
fn plain(markup: &str) -> String {
    let mut plain = markup.to_owned();
    for (c, hex) in [(':', "3a"), ('/', "2f"), ('.', "2e"), ('-', "2d"), ('_', "5f"), ('?', "3f")] {
        let upper = hex.to_ascii_uppercase();
        for form in [
            format!("%{upper}"),
            format!("%{hex}"),
            format!("\\u00{upper}"),
            format!("\\u00{hex}"),
            format!("&#x{upper};"),
            format!("&#x{hex};"),
        ] {
            plain = plain.replace(&form, &c.to_string());
        }
    }
    plain
}

fn judge_markup(imp: &Value, bid: &Value, context: &JudgeContext<'_>, verdict: &mut Verdict<'_>) {
    let markup = field(bid, "adm").and_then(Value::as_str).unwrap_or_default();
    verdict.fail_if(markup.trim().is_empty(), "adm: is missing");
    let markup = plain(markup);
    let ours = |(at, _): (usize, &str)| markup[at + 2..].starts_with(|c: char| c.is_ascii_uppercase());
    verdict.fail_if(markup.match_indices("{{").any(ours), "adm: a macro of ours is not replaced");
    // Who wraps another server's ad opens no page, and hears of a click as of an event.
    let clicks: &[&str] = if markup.contains("<Wrapper>") { &["e"] } else { &["c"] };
    for (paths, what) in [(clicks, Some("click url")), (&["i"], Some("impression pixel")), (&["e"], None)] {
        let bases = paths.iter().map(|path| format!("{}/{path}/", context.public_url));
        let tokens: Vec<&str> = bases
            .flat_map(|base| {
                let found = markup.match_indices(&base).map(|(at, _)| at + base.len());
                found.map(|at| token_at(&markup[at..])).collect::<Vec<_>>()
            })
            .collect();
        let missing = what.filter(|_| tokens.is_empty());
        verdict.fail_if(missing.is_some(), format!("adm: has no {}", missing.unwrap_or_default()));
        for token in tokens {
            judge_token(token, TokenClass::Public, bid, context, verdict);
        }
    }
    let insecure = markup.to_ascii_lowercase().match_indices("http://").any(|(at, _)| {
        // The names of XML vocabularies are not fetched.
        let name = markup[at + "http://".len()..].to_ascii_lowercase();
        let vast = name.strip_prefix("www.iab.com/vast").is_some_and(|rest| rest.starts_with(['"', '\\']));
        !vast && !name.starts_with("www.w3.org/")
    });
    verdict.fail_if(secure(imp) && insecure, "secure: the markup names http");
}

fn secure(imp: &Value) -> bool {
    flag(field(imp, "secure")) == Some(true)
}

/// The characters of a token at the head of `text`.
fn token_at(text: &str) -> &str {
    let end = text.find(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '-' | '_')));
    &text[..end.unwrap_or(text.len())]
}

/// A token must be ours, for this bid and of the right class.
fn judge_token(
    token: &str,
    class: TokenClass,
    bid: &Value,
    context: &JudgeContext<'_>,
    verdict: &mut Verdict<'_>,
) {
    let widths = if bid["dealid"].is_string() {
        &[token::TOKEN_CHARS, token::DEAL_TOKEN_CHARS][..]
    } else {
        &[token::TOKEN_CHARS][..]
    };
    verdict.fail_if(!widths.contains(&token.len()), format!("token: has {} characters", token.len()));
    let Some(keys) = context.keys else { return };
    let claims = match token::decode(token, class, keys) {
        Ok(claims) => claims,
        Err(error) => return verdict.fail_if(true, format!("token: {error}")),
    };
    let id = field(bid, "id").and_then(Value::as_str).unwrap_or_default();
    verdict.fail_if(claims.bid.to_string() != id, "token: is of another bid");
    let price = field(bid, "price").and_then(Value::as_f64).unwrap_or_default();
    verdict.fail_if((price * 1e6).round() as i64 != claims.price.0, "token: has another price");
}

fn judge_notices(imp: &Value, bid: &Value, context: &JudgeContext<'_>, verdict: &mut Verdict<'_>) {
    let notices = [
        ("nurl", "n", true, "${AUCTION_PRICE}"),
        ("burl", "b", context.burl, "${AUCTION_PRICE}"),
        ("lurl", "l", context.lurl, "${AUCTION_LOSS}"),
    ];
    for (name, path, wanted, needed) in notices {
        let url = field(bid, name).and_then(Value::as_str);
        verdict.fail_if(
            url.is_some() != wanted,
            format!("{name}: {}", if wanted { "is missing" } else { "was not agreed" }),
        );
        let Some(url) = url else { continue };
        let base = format!("{}/{path}/", context.public_url);
        let Some(rest) = url.strip_prefix(&base) else {
            verdict.fail_if(true, format!("{name}: does not begin with {base}"));
            continue;
        };
        judge_token(token_at(rest), TokenClass::Server, bid, context, verdict);
        let odd =
            |c: char| c.is_ascii_control() || c.is_whitespace() || !c.is_ascii() || "\"<>\\^`|".contains(c);
        verdict.fail_if(url.contains(odd), format!("{name}: is no url"));
        verdict.fail_if(!url.contains(needed), format!("{name}: has no {needed}"));
        let absolute = url.starts_with("https://") || url.starts_with("http://");
        verdict.fail_if(!absolute, format!("{name}: is not absolute"));
        verdict.fail_if(secure(imp) && !url.starts_with("https://"), format!("secure: {name} is http"));
    }
}
