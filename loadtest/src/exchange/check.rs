//! Whether an answer is what the request asked for: OpenRTB 2.6 sections 4.2 and 3.2, and what was agreed on with the
//! exchange. Every rule has a name; a finding counts under it.
//!
//! Deliberately absent: what only a person or a player could judge (VAST documents, assets of native ads), and floors by
//! the second.

use super::account::Account;
use super::answer::{Answer, Bid};
use super::asked::{Asked, Floor, Imp, Medium};
use super::findings::Findings;
use super::money::UNIT;
use std::collections::HashSet;

/// An answer beside its request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Judge<'j> {
    pub(crate) account: &'j Account,
    pub(crate) asked: &'j Asked,
    /// The id that the request was sent with.
    pub(crate) request_id: &'j str,
    pub(crate) answer: &'j Answer<'j>,
}

impl Judge<'_> {
    /// Notes everything that is wrong.
    pub(crate) fn judge(&self, findings: &mut Findings) {
        let Judge { account, asked, answer, request_id } = *self;
        let currency = answer.currency();
        let is_other_id = answer.id != request_id;
        self.note(findings, "id", is_other_id, &|| format!("the answer's id is {:?}", answer.id));
        self.note(findings, "bidid", answer.bidid.is_empty(), &|| "the answer has no bidid".to_owned());
        let own = account.contract.currency.as_str();
        let is_allowed = match &asked.cur[..] {
            [] => currency == own,
            cur => cur.iter().any(|cur| cur == currency),
        };
        self.note(findings, "cur", !is_allowed, &|| {
            format!("{currency} is not of {:?}, or {own}", asked.cur)
        });
        let has_none = answer.seats.iter().all(|seat| seat.bids.is_empty());
        self.note(findings, "no-bids", has_none, &|| "an answer with status 200 has no bids".to_owned());
        self.note(findings, "nbr", answer.nbr.is_some(), &|| format!("nbr {:?} beside bids", answer.nbr));
        let mut ids = HashSet::new();
        for seat in &answer.seats {
            let name = seat.seat.as_ref();
            let is_wanted = asked.wseat.is_empty() || asked.wseat.iter().any(|seat| seat == name);
            let is_barred = asked.bseat.iter().any(|seat| seat == name);
            let is_ours = name == account.contract.seat;
            let is_wrong = !is_ours || !is_wanted || is_barred;
            self.note(findings, "seat", is_wrong, &|| format!("seat {name:?} bids"));
            for imp in &asked.imps {
                self.note(findings, "imp-twice", self.is_answered_twice(imp, &seat.bids), &|| {
                    format!("impression {:?} is answered more often than it is offered", imp.id)
                });
            }
            for bid in &seat.bids {
                let is_odd = bid.id.is_empty() || !ids.insert(bid.id.as_ref());
                self.note(findings, "bid-id", is_odd, &|| {
                    format!("bid id {:?} is empty or there twice", bid.id)
                });
                let imp = asked.imps.iter().find(|imp| imp.id == bid.impid);
                self.note(findings, "impid", imp.is_none(), &|| {
                    format!("bid {} is for {:?}, which is not asked for", bid.id, bid.impid)
                });
                if let Some(imp) = imp {
                    OneBid { judge: self, imp, bid, seat: name, currency }.judge(findings);
                }
            }
        }
    }

    fn note(&self, findings: &mut Findings, rule: &'static str, is_wrong: bool, what: &dyn Fn() -> String) {
        if is_wrong {
            findings.note(rule, || format!("request {}: {}", self.request_id, what()));
        }
    }

    /// Bids of a seat outside deals are limited; a deal gets one.
    fn is_answered_twice(&self, imp: &Imp, bids: &[Bid<'_>]) -> bool {
        let own = || bids.iter().filter(|bid| bid.impid == imp.id.as_str());
        let open = own().filter(|bid| bid.dealid.is_empty()).count();
        let deals: Vec<&str> = own().map(|bid| bid.dealid.as_ref()).filter(|deal| !deal.is_empty()).collect();
        let different: HashSet<&&str> = deals.iter().collect();
        !imp.takes_many && (open > self.account.contract.open_bids || different.len() < deals.len())
    }
}

/// A bid beside its impression.
struct OneBid<'j> {
    judge: &'j Judge<'j>,
    imp: &'j Imp,
    bid: &'j Bid<'j>,
    seat: &'j str,
    currency: &'j str,
}

impl OneBid<'_> {
    fn judge(&self, findings: &mut Findings) {
        self.price(findings);
        self.deal(findings);
        self.creative(findings);
        match self.medium(findings) {
            Some(medium) => self.of_medium(medium, findings),
            None => self.note(findings, "mtype", &|| format!("mtype {:?} is not offered", self.bid.mtype)),
        }
        self.markup(findings);
    }

    fn note(&self, findings: &mut Findings, rule: &'static str, what: &dyn Fn() -> String) {
        findings.note(rule, || format!("request {}, bid {}: {}", self.judge.request_id, self.bid.id, what()));
    }

    fn price(&self, findings: &mut Findings) {
        let account = self.judge.account;
        let Some(price) = self.bid.price.filter(|price| *price > 0) else {
            return self.note(findings, "price", &|| format!("{:?} is no price above 0", self.bid.price));
        };
        let (campaign, creative) = (self.bid.cid.parse(), self.bid.crid.parse());
        let Ok(campaign) = campaign else {
            return self.note(findings, "cid", &|| format!("cid {:?} is no campaign", self.bid.cid));
        };
        if account.terms(campaign, self.currency).is_none() {
            self.note(findings, "cid", &|| format!("campaign {campaign} is not in the account"));
        }
        let own = creative.ok().and_then(|creative| account.cap(campaign, creative, self.currency));
        let caps = [own, account.contract.max_cpm.filter(|_| self.currency == account.contract.currency)];
        if let Some(cap) = caps.into_iter().flatten().min().filter(|cap| price > *cap) {
            self.note(findings, "cap", &|| format!("{price} micros are above the cap of {cap}"));
        }
    }

    fn deal(&self, findings: &mut Findings) {
        let (bid, imp) = (self.bid, self.imp);
        if bid.dealid.is_empty() {
            if imp.private_auction {
                self.note(findings, "private-auction", &|| "an open bid into a private auction".to_owned());
            }
            return;
        }
        let Some(deal) = imp.deals.iter().find(|deal| deal.id == bid.dealid) else {
            return self.note(findings, "deal", &|| format!("deal {:?} is not offered", bid.dealid));
        };
        let is_ours = deal.wseat.is_empty() || deal.wseat.iter().any(|seat| seat == self.seat);
        let is_for = |domain: &str| bid.adomain.iter().any(|own| is_below(own, domain, '.'));
        let is_wanted = deal.wadomain.is_empty() || deal.wadomain.iter().any(|domain| is_for(domain));
        if !is_ours || !is_wanted {
            self.note(findings, "deal", &|| format!("deal {:?} is for others", bid.dealid));
        }
        if let (Some(3), Some(price), Some(floor)) = (deal.at, bid.price, &deal.floor)
            && floor.currency == self.currency
            && price != floor.price
        {
            self.note(findings, "deal-price", &|| format!("{price} is not the agreed {}", floor.price));
        }
    }

    /// What kind of ad it is: what it says, or the only one that is offered.
    fn medium(&self, findings: &mut Findings) -> Option<Medium> {
        let offered: Vec<Medium> = self.imp.media().collect();
        let Some(mtype) = self.bid.mtype else {
            if let [only] = offered[..] {
                return Some(only);
            }
            self.note(findings, "mtype", &|| "no mtype where several media are offered".to_owned());
            return offered.first().copied();
        };
        Medium::of(mtype).filter(|medium| offered.contains(medium))
    }

    fn of_medium(&self, medium: Medium, findings: &mut Findings) {
        let (bid, imp) = (self.bid, self.imp);
        let deal = imp.deals.iter().find(|deal| !bid.dealid.is_empty() && deal.id == bid.dealid);
        let floor = match deal {
            Some(deal) => deal.floor.as_ref(),
            None => imp.floor_of(medium),
        };
        if let (Some(price), Some(floor)) = (bid.price, floor.and_then(|floor| self.floor(floor)))
            && price < floor
        {
            self.note(findings, "floor", &|| format!("{price} micros are below the floor of {floor}"));
        }
        if let Some(attr) = bid.attr.iter().find(|attr| imp.battr(medium).contains(attr)) {
            self.note(findings, "battr", &|| format!("attribute {attr} is blocked"));
        }
        if let (Medium::Banner, Some(banner)) = (medium, &imp.banner) {
            let side = |side: Option<i64>| u32::try_from(side.unwrap_or(0)).unwrap_or(0);
            let size = (side(bid.w), side(bid.h));
            let fits = banner.sizes.is_empty() || banner.sizes.contains(&size) || banner.flexible;
            if !fits || size.0 == 0 || size.1 == 0 {
                self.note(findings, "size", &|| format!("{size:?} is not one of {:?}", banner.sizes));
            }
        }
    }

    /// A floor in micros of the bid's currency, rounded up; `None` without a rate.
    fn floor(&self, floor: &Floor) -> Option<i64> {
        if floor.currency == self.currency {
            return Some(floor.price);
        }
        let rate = self.judge.account.rate(&floor.currency, self.currency)?;
        // The rate of a pair is rounded down, so this is at most what exact rates would give.
        i64::try_from(i128::from(floor.price) * i128::from(rate) / i128::from(UNIT)).ok()
    }

    fn creative(&self, findings: &mut Findings) {
        let (bid, asked) = (self.bid, self.judge.asked);
        if bid.adomain.is_empty() || bid.crid.is_empty() {
            self.note(findings, "adomain", &|| "no adomain or no crid, by which ads are reviewed".to_owned());
        }
        for domain in &bid.adomain {
            if let Some(badv) = asked.badv.iter().find(|badv| is_below(domain, badv, '.')) {
                self.note(findings, "badv", &|| format!("{domain} is blocked by {badv}"));
            }
        }
        if bid.cattax.unwrap_or(1) == asked.cattax {
            for cat in &bid.cat {
                if let Some(bcat) = asked.bcat.iter().find(|bcat| is_subcategory(cat, bcat)) {
                    self.note(findings, "bcat", &|| format!("category {cat} is blocked by {bcat}"));
                }
            }
        }
        if bid.exp.is_some_and(|exp| exp <= 0) {
            self.note(findings, "exp", &|| format!("exp {:?} is not above 0", bid.exp));
        }
    }

    fn markup(&self, findings: &mut Findings) {
        let (bid, contract) = (self.bid, &self.judge.account.contract);
        let Some(texts) = bid.adm.texts() else {
            return self.note(findings, "adm", &|| "adm is no text".to_owned());
        };
        let bytes: usize = texts.iter().map(|text| text.len()).sum();
        if bytes == 0 {
            self.note(findings, "adm", &|| "there is no ad in adm".to_owned());
        }
        if bytes > contract.max_adm_bytes {
            self.note(findings, "adm-bytes", &|| {
                format!("{bytes} bytes are above {}", contract.max_adm_bytes)
            });
        }
        if let Some(left) = texts.iter().find_map(|text| own_macro(text)) {
            self.note(findings, "adm-macro", &|| format!("{left} was not filled in"));
        }
        let urls = [&bid.nurl, &bid.burl, &bid.lurl];
        for url in urls.iter().filter(|url| !url.is_empty()) {
            if super::links::split(url).is_none() || url.len() > contract.max_url_bytes {
                self.note(findings, "notice-url", &|| format!("{url} is no URL, or too long"));
            }
        }
        if self.imp.secure {
            let texts = texts.iter().map(|text| text.as_ref());
            if let Some(plain) = texts.chain(urls.iter().map(|url| url.as_ref())).find_map(insecure) {
                self.note(findings, "secure", &|| format!("secure is 1, and there is {plain}"));
            }
        }
    }
}

/// Whether `name` is `of` or lies below it; case does not count.
fn is_below(name: &str, of: &str, separator: char) -> bool {
    let (name, of) = (name.to_ascii_lowercase(), of.to_ascii_lowercase());
    name == of || name.strip_suffix(&of).is_some_and(|rest| rest.ends_with(separator))
}

/// Whether a category of IAB Content 1.0 is `of` or one of its children: `IAB7-1` of `IAB7`, not `IAB71`.
fn is_subcategory(category: &str, of: &str) -> bool {
    category == of || category.strip_prefix(of).is_some_and(|rest| rest.starts_with('-'))
}

/// A macro of our own, `{{NAME}}`, that is still there.
fn own_macro(text: &str) -> Option<&str> {
    text.match_indices("{{").find_map(|(at, _)| {
        let name = text[at + 2..].split("}}").next().filter(|name| at + 4 + name.len() <= text.len())?;
        let is_name = |c: char| c.is_ascii_uppercase() || c == '_' || c == ':';
        (!name.is_empty() && name.chars().all(is_name)).then(|| &text[at..at + name.len() + 4])
    })
}

/// A link without TLS. The names of XML's namespaces look like one and load nothing.
fn insecure(text: &str) -> Option<&str> {
    text.match_indices("http://").find_map(|(at, _)| {
        let attribute = text[..at].rsplit([' ', '<']).next().unwrap_or_default();
        let link = text[at..].split(['"', '\'', ' ', '<', '>', '\\']).next().unwrap_or_default();
        (!attribute.starts_with("xmlns")).then_some(link)
    })
}

#[cfg(test)]
mod tests {
    use super::super::account::tests::account;
    use super::*;

    const REQUEST: &str = r#"{"at":1,"cur":["USD"],"bcat":["IAB7"],"badv":["bad.example"],"imp":[
        {"id":"1","bidfloor":0.5,"secure":1,"banner":{"format":[{"w":300,"h":250}],"battr":[3]},
         "pmp":{"deals":[{"id":"d","bidfloor":1.5,"at":3},{"id":"e","wadomain":["other.example"]}]}},
        {"id":"2","bidfloor":0.5,"bidfloorcur":"EUR","banner":{"w":320,"h":50},"video":{},"pmp":{"private_auction":1}}]}"#;

    const BID: &str = r#"{"id":"1-0-a","impid":"1","price":1.500000,"adm":"<b>${AUCTION_PRICE}</b>","adomain":["a.example"],
        "cid":"1","crid":"7","w":300,"h":250,"mtype":1,"cat":["IAB1"],"exp":120,"burl":"https://t.example/b/T"}"#;

    fn found(answer: &str) -> Vec<&'static str> {
        let asked = Asked::read(REQUEST).unwrap();
        let answer = Answer::read(answer.as_bytes(), false).unwrap();
        let mut findings = Findings::default();
        let account = account();
        Judge { account: &account, asked: &asked, request_id: "r", answer: &answer }.judge(&mut findings);
        findings.iter().map(|(rule, ..)| rule).collect()
    }

    fn answer(bids: &[&str]) -> String {
        let bids = bids.join(",");
        format!(r#"{{"id":"r","bidid":"b","cur":"USD","seatbid":[{{"seat":"outbid","bid":[{bids}]}}]}}"#)
    }

    /// The rules that a good bid breaks when this part of it is replaced.
    fn check(from: &str, to: &str, expected: &[&str]) {
        assert!(BID.contains(from), "{from}");
        assert_eq!(found(&answer(&[&BID.replace(from, to)])), expected, "{from} → {to}");
    }

    #[test]
    fn a_good_answer_has_no_findings_and_each_fault_its_rule() {
        check("IAB1", "IAB1", &[]);
        check("1.500000", "0.499999", &["floor"]);
        check("1.500000", "0.5", &[]);
        check("1.500000", "0", &["floor", "price"]);
        check("1.500000", "\"1\"", &["price"]);
        check("1.500000", "3.000001", &["cap"]);
        check("\"w\":300", "\"w\":301", &["size"]);
        check("\"mtype\":1", "\"mtype\":2", &["mtype"]);
        check("\"a.example\"", "\"www.BAD.example\"", &["badv"]);
        check("\"a.example\"", "\"notbad.example\"", &[]);
        check("\"a.example\"", "", &["adomain"]);
        check("IAB1", "IAB7-3", &["bcat"]);
        check("IAB1", "IAB71", &[]);
        check("\"exp\":120", "\"attr\":[3]", &["battr"]);
        check("\"exp\":120", "\"exp\":0", &["exp"]);
        check("<b>", "", &[]);
        check("<b>${AUCTION_PRICE}</b>", "", &["adm"]);
        check("<b>", "<b>{{CLICK_URL}}", &["adm-macro"]);
        check("<b>", "<b>{{x}}{{", &[]);
        check("<b>", "<img src='http://x.example/'>", &["secure"]);
        check("<b>", "<VAST xmlns='http://x.example/'>", &[]);
        check("https://t", "http://t", &["secure"]);
        check("https://t.example/b/T", "t.example", &["notice-url"]);
        check("\"cid\":\"1\"", "\"cid\":\"9\"", &["cid"]);
        check("\"cid\":\"1\"", "\"cid\":\"x\"", &["cid"]);
        check("\"impid\":\"1\"", "\"impid\":\"3\"", &["impid"]);
        check("\"mtype\":1", "\"mtype\":1,\"dealid\":\"d\"", &[]);
        check("\"mtype\":1", "\"mtype\":1,\"dealid\":\"x\"", &["deal"]);
        check("\"mtype\":1", "\"mtype\":1,\"dealid\":\"e\"", &["deal"]);
        check("\"price\":1.500000", "\"price\":1.6,\"dealid\":\"d\"", &["deal-price"]);
        check("\"price\":1.500000", "\"price\":1.4,\"dealid\":\"d\"", &["deal-price", "floor"]);
    }

    #[test]
    fn a_floor_in_another_currency_is_converted() {
        let second =
            BID.replace("\"impid\":\"1\"", "\"impid\":\"2\"").replace("300", "320").replace("250", "50");
        // Half a euro is 0.625 dollars, and an open bid has no place in a private auction.
        let bid = |price: &str| answer(&[&second.replace("1.500000", price)]);
        assert_eq!(found(&bid("0.625")), ["private-auction"]);
        assert_eq!(found(&bid("0.624999")), ["floor", "private-auction"]);
        let unsaid = answer(&[&second.replace("\"mtype\":1,", "")]);
        assert_eq!(found(&unsaid), ["mtype", "private-auction"]);
    }

    #[test]
    fn the_answer_around_the_bids_is_judged_too() {
        let good = answer(&[BID]);
        let check = |from: &str, to: &str, expected: &[&str]| {
            assert_eq!(found(&good.replacen(from, to, 1)), expected, "{from} → {to}");
        };
        check("\"id\":\"r\"", "\"id\":\"s\"", &["id"]);
        check("\"bidid\":\"b\"", "\"bidid\":\"\"", &["bidid"]);
        check("\"USD\"", "\"JPY\"", &["cid", "cur"]);
        check("\"outbid\"", "\"other\"", &["seat"]);
        check("\"bidid\"", "\"nbr\":2,\"bidid\"", &["nbr"]);
        assert_eq!(found(r#"{"id":"r","bidid":"b"}"#), ["no-bids"]);
        let other = BID.replace("1-0-a", "1-0-b");
        assert_eq!(found(&answer(&[BID, &other])), ["imp-twice"]);
        let deal = other.replace("\"mtype\":1", "\"mtype\":1,\"dealid\":\"d\"");
        assert_eq!(found(&answer(&[BID, &deal])), [""; 0]);
        assert_eq!(found(&answer(&[BID, &deal.replace("1-0-b", "1-0-a")])), ["bid-id"]);
        assert_eq!(found(&answer(&[&deal, &deal.replace("1-0-b", "1-0-c")])), ["imp-twice"]);
    }
}
