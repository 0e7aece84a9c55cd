//! One bid: what every bid must have, and the order in which the rest is looked at.

use super::{Against, lists, macros, markup, native, price, rules, stream};
use crate::cli::check::finding::Findings;
use crate::cli::check::read::{Path, field, flag, int, objects, positive, shown, text, texts};
use crate::model::money::Currency;
use serde_json::Value;

/// The objects that offer media, by `mtype`.
pub(super) const MEDIA: [(i64, &str); 4] = [(1, "banner"), (2, "video"), (3, "audio"), (4, "native")];

/// A bid with everything that it is judged by.
pub(super) struct Bid<'a> {
    pub(super) value: &'a Value,
    pub(super) path: &'a Path<'a>,
    pub(super) seat: Option<String>,
    pub(super) cur: Option<Currency>,
    pub(super) against: Against<'a>,
    pub(super) imp_id: Option<String>,
    pub(super) imp: Option<&'a Value>,
    pub(super) deal_id: Option<String>,
    pub(super) deal: Option<&'a Value>,
    /// What the bid is for: the medium that it names, else the only one that is offered.
    pub(super) medium: Option<&'static str>,
}

type Check = fn(&Bid<'_>, &mut Findings);

const CHECKS: &[Check] = &[
    |bid, findings| bid.impression(findings),
    price::check,
    |bid, findings| bid.deal_terms(findings),
    |bid, findings| bid.identity(findings),
    |bid, findings| bid.media_type(findings),
    lists::check,
    markup::check,
    stream::check,
    native::check,
    macros::check,
    |bid, findings| bid.notices(findings),
];

impl<'a> Bid<'a> {
    pub(super) fn new(
        value: &'a Value,
        path: &'a Path<'a>,
        seat: &Value,
        cur: Option<Currency>,
        against: Against<'a>,
    ) -> Bid<'a> {
        let (imp_id, deal_id) = (text(field(value, "impid")), text(field(value, "dealid")));
        let find = |list: Option<&'a Value>, id: &Option<String>| {
            objects(list)
                .map(|(_, entry)| entry)
                .find(|entry| id.is_some() && text(field(entry, "id")) == *id)
        };
        let imp = against.request.and_then(|request| find(field(request, "imp"), &imp_id));
        let deals = imp.and_then(|imp| field(imp, "pmp")).and_then(|pmp| field(pmp, "deals"));
        let deal = find(deals, &deal_id);
        let seat = text(field(seat, "seat"));
        let mut bid = Bid { value, path, seat, cur, against, imp_id, imp, deal_id, deal, medium: None };
        let named = MEDIA.iter().find(|(mtype, _)| bid.int("mtype") == Some(*mtype));
        bid.medium = named.map(|(_, name)| *name).or_else(|| match bid.offered().as_slice() {
            [only] => Some(*only),
            _ => None,
        });
        bid
    }

    pub(super) fn check(&self, findings: &mut Findings) {
        CHECKS.iter().for_each(|check| check(self, findings));
    }

    pub(super) fn field(&self, name: &str) -> Option<&'a Value> {
        field(self.value, name)
    }

    pub(super) fn text(&self, name: &str) -> Option<String> {
        text(self.field(name))
    }

    pub(super) fn int(&self, name: &str) -> Option<i64> {
        int(self.field(name))
    }

    /// Markup, where it is text.
    pub(super) fn markup(&self) -> Option<&'a str> {
        self.field("adm").and_then(Value::as_str).filter(|markup| !markup.trim().is_empty())
    }

    /// The media that the impression offers.
    pub(super) fn offered(&self) -> Vec<&'static str> {
        let given = |name: &&str| self.imp.is_some_and(|imp| field(imp, name).is_some_and(Value::is_object));
        MEDIA.iter().map(|(_, name)| *name).filter(given).collect()
    }

    /// What the impression says of the medium that the bid is for.
    pub(super) fn offer(&self) -> Option<&'a Value> {
        field(self.imp?, self.medium?)
    }

    /// The dynamic pod that the bid is for, and its seconds.
    pub(super) fn dynamic_pod(&self) -> Option<(&'a Value, u32)> {
        let offer = self.offer()?;
        Some((offer, positive(field(offer, "poddur"))?))
    }

    /// The seconds that the ad takes: as the bid says, else as its document does.
    pub(super) fn seconds(&self) -> Option<u32> {
        positive(self.field("dur")).or_else(|| stream::seconds(self.markup()?))
    }

    fn impression(&self, findings: &mut Findings) {
        let path = self.path.key("impid");
        match &self.imp_id {
            None => findings.add(&rules::IMPID_MISSING, &path, "is missing"),
            Some(id) if self.imp.is_none() && self.against.request.is_some() => {
                findings.add(&rules::IMPID_UNKNOWN, &path, format!("is {id:?}, which no impression has"));
            }
            Some(_) => {}
        }
    }

    fn deal_terms(&self, findings: &mut Findings) {
        let Some(imp) = self.imp else { return };
        let path = self.path.key("dealid");
        let private = field(imp, "pmp").and_then(|pmp| flag(field(pmp, "private_auction"))) == Some(true);
        let Some(id) = &self.deal_id else {
            return findings.add_if(private, &rules::OPEN_IN_PRIVATE, &path, || "is missing");
        };
        let Some(deal) = self.deal else {
            return findings.add(&rules::DEAL_UNKNOWN, &path, format!("is {id:?}, which is not listed"));
        };
        let seats = texts(field(deal, "wseat"));
        let listed = self.seat.as_ref().is_some_and(|seat| seats.contains(seat));
        findings.add_if(!seats.is_empty() && !listed, &rules::DEAL_SEAT, &path, || {
            format!("is {id:?}, which is for {}", seats.join(", "))
        });
        let domains = texts(field(deal, "wadomain"));
        let ours = texts(self.field("adomain"));
        let all = ours.iter().all(|domain| domains.iter().any(|allowed| lists::is_under(domain, allowed)));
        findings.add_if(!domains.is_empty() && !all, &rules::DEAL_ADVERTISER, &path, || {
            format!("is {id:?}, which is for {}", domains.join(", "))
        });
    }

    /// What exchanges review by.
    fn identity(&self, findings: &mut Findings) {
        let domains = texts(self.field("adomain"));
        let path = self.path.key("adomain");
        findings.add_if(domains.is_empty(), &rules::DOMAIN_MISSING, &path, || "is missing");
        let odd = |domain: &&String| !domain.contains('.') || domain.contains(['/', ':', '@', ' ', '?']);
        if let Some(domain) = domains.iter().find(odd) {
            findings.add(&rules::DOMAIN_ODD, &path, format!("has {domain:?}, which is no domain"));
        }
        for (name, rule) in [("crid", &rules::CRID_MISSING), ("cid", &rules::CID_MISSING)] {
            findings.add_if(self.text(name).is_none(), rule, &self.path.key(name), || "is missing");
        }
        if let Some(exp) = self.field("exp").filter(|exp| positive(Some(exp)).is_none()) {
            findings.add(&rules::EXP_ODD, &self.path.key("exp"), format!("is {}", shown(exp)));
        }
        let both = self.field("language").is_some() && self.field("langb").is_some();
        findings.add_if(both, &rules::LANGUAGES_BOTH, &self.path.key("langb"), || "stands beside language");
    }

    fn media_type(&self, findings: &mut Findings) {
        let path = self.path.key("mtype");
        let offered = self.offered();
        match self.field("mtype") {
            None if offered.len() > 1 => {
                let what = format!("is missing; {} are offered", offered.join(", "));
                findings.add(&rules::MTYPE_MISSING, &path, what);
            }
            None => findings.add(&rules::MTYPE_UNSAID, &path, "is missing"),
            Some(given) => {
                let there = self.medium.is_some_and(|medium| offered.contains(&medium));
                findings.add_if(self.imp.is_some() && !there, &rules::MTYPE_NOT_OFFERED, &path, || {
                    format!("is {}; offered is {}", shown(given), offered.join(", "))
                });
            }
        }
    }

    /// URLs that are fetched by the exchange or by who reviews.
    fn notices(&self, findings: &mut Findings) {
        let secure = self.imp.is_some_and(|imp| flag(field(imp, "secure")) == Some(true));
        for name in ["nurl", "burl", "lurl"] {
            let Some(url) = self.field(name) else { continue };
            let path = self.path.key(name);
            let plain = url.as_str().unwrap_or_default();
            findings.add_if(!is_url(plain), &rules::URL_ODD, &path, || {
                format!("is {}, which is no URL", shown(url))
            });
            let open = plain.to_ascii_lowercase().starts_with("http://");
            findings.add_if(secure && open, &rules::INSECURE_NOTICE, &path, || "begins with http://");
        }
        if let Some(burl) = self.text("burl") {
            let asks = burl.contains("${AUCTION_PRICE") || burl.contains("AUCTION_PRICE");
            let path = self.path.key("burl");
            findings.add_if(!asks, &rules::PRICE_NOT_ASKED, &path, || "does not ask for the price");
        }
        if let Some(iurl) = self.text("iurl").filter(|iurl| !is_url(iurl)) {
            findings.add(&rules::IMAGE_URL_ODD, &self.path.key("iurl"), format!("is {iurl:?}"));
        }
    }
}

/// Whether a text is an absolute URL of http or https, as far as one can tell without fetching it. Macros stand inside.
fn is_url(text: &str) -> bool {
    let scheme = ["https://", "http://"]
        .into_iter()
        .find(|scheme| text.get(..scheme.len()).is_some_and(|head| head.eq_ignore_ascii_case(scheme)));
    let Some(scheme) = scheme else { return false };
    let host = text[scheme.len()..].split(['/', '?', '#']).next().unwrap_or_default();
    !host.is_empty()
        && !text.contains(|c: char| c.is_whitespace() || c.is_control() || "\"<>\\^`".contains(c))
}
