//! The exchange against a naive server that keeps its ledger in a map: what it plays, and what the audit makes of a
//! ledger that was tampered with.

use super::account::tests::FILE;
use super::audit::books::{BillId, Books, bounds};
use super::audit::file::{Billed, File};
use super::audit::ledger::{Before, Entry, House, Row, Shown};
use super::audit::records::Records;
use super::audit::verdict::{self, Difference};
use super::money::Charge;
use super::profile::tests::profile;
use super::*;
use std::collections::BTreeMap;

const DAY: &str = "2026-01-02";
const REQUEST: &str = r#"{"at":AT,"cur":["USD"],"imp":[
    {"id":"1","bidfloor":0.2,"secure":1,"banner":{"format":[{"w":300,"h":250}]}},
    {"id":"2","bidfloor":0.2,"banner":{"format":[{"w":300,"h":250}]},"qty":{"multiplier":2.5}}]}"#;

/// Campaign, its line item and a creative.
const CAMPAIGNS: [(u32, u32, u32); 2] = [(1, 2, 7), (3, 3, 9)];

/// A tight lifetime, so that the house bears something.
fn account() -> Account {
    account::parse(&FILE.replace("\"60.00\"", "\"0.20\"").replace("\"6.00\"", "\"4.00\""), "load").unwrap()
}

/// A server that does what money.md says, in the plainest way.
struct Model {
    account: Account,
    dice: Dice,
    entries: Vec<Entry>,
    /// Notices that come to nothing, of a thousand, each way of it.
    trouble: u64,
    notices: Vec<String>,
}

impl Model {
    /// An answer with a bid on both impressions; what a notice needs stands in its path.
    fn answer(&self, n: u64, request_id: &str) -> String {
        let mut dice = Dice::new(7, 2, n);
        let bids: Vec<String> = ["1", "2"]
            .iter()
            .map(|imp| {
                let (campaign, line_item, creative) = *dice.one_of(&CAMPAIGNS);
                let price = 200_000 + dice.below(1_800_000);
                let token = format!("{n:x}-{imp}-{campaign}-{line_item}-{price}");
                let url = |kind: &str| format!("https://t.example/{kind}/{token}?p=${{AUCTION_PRICE}}&m=${{AUCTION_MULTIPLIER}}");
                let [nurl, burl, lurl] = ["n", "b", "l"].map(url);
                format!(
                    r#"{{"id":"1-{imp}-{n:x}","impid":"{imp}","price":{}.{:06},"adm":"<img src=\"https://t.example/i/{token}.gif\"><a href=\"https://t.example/c/{token}\">",
                    "adomain":["a.example"],"cid":"{campaign}","crid":"{creative}","w":300,"h":250,"mtype":1,
                    "nurl":"{nurl}","burl":"{burl}","lurl":"{lurl}"}}"#,
                    price / 1_000_000,
                    price % 1_000_000
                )
            })
            .collect();
        let bids = bids.join(",");
        format!(
            r#"{{"id":"{request_id}","bidid":"b","cur":"USD","seatbid":[{{"seat":"outbid","bid":[{bids}]}}]}}"#
        )
    }

    /// Status and class of the answer to a notice; `None`: none came.
    fn notice(&mut self, path: &str) -> Option<(u16, &'static str)> {
        self.notices.push(path.to_owned());
        if self.dice.chance(self.trouble) {
            return None;
        }
        if self.dice.chance(self.trouble) {
            return Some((503, "unavailable"));
        }
        let answer = match path.split('/').nth(1) {
            Some("b") => (204, self.bill(path)),
            Some("i") => (200, "accepted"),
            Some("c") => (302, "accepted"),
            Some("n" | "l") => (204, "accepted"),
            _ => (404, ""),
        };
        // It was done, and its answer is lost.
        if self.dice.chance(self.trouble) { None } else { Some(answer) }
    }

    fn bill(&mut self, path: &str) -> &'static str {
        let (token, query) = path[3..].split_once('?').unwrap();
        let fields: Vec<&str> = token.split('-').collect();
        let [n, imp, campaign, line_item, bid_price] = fields[..] else { panic!("{path}") };
        let bid = format!("1-{imp}-{n}");
        if self.entries.iter().any(|entry| entry.bid == bid) {
            return "duplicate";
        }
        let value =
            |name: &str| query.split('&').find_map(|pair| pair.strip_prefix(name)).unwrap().to_owned();
        let micros = |text: &str| text.replace('.', "").parse::<i128>().unwrap();
        let (price, plays) = (value("p="), micros(&value("m=")));
        let own: i128 = bid_price.parse().unwrap();
        let price = if price.starts_with('$') { own } else { micros(&price) };
        let (campaign, line_item) = (campaign.parse().unwrap(), line_item.parse().unwrap());
        // Campaign 1 pays a quarter of a dollar and a tenth; campaign 3 has its wallet in euros.
        let (rate, fee, share) = if campaign == 1 { (10, 250_000, 10) } else { (8, 0, 0) };
        let round = |up: bool, n: i128, d: i128| if up { -(-n).div_euclid(d) } else { n.div_euclid(d) };
        let parts = |up: bool, price: i128| {
            let media = round(up, price * rate * plays, 10_000_000);
            let data = round(up, fee * plays, 1_000_000);
            [media, data, round(up, media * share, 100)].map(|part| part as i64)
        };
        let (asked, hold) = (parts(false, price), parts(true, own));
        let sum = |parts: [i64; 3]| parts.iter().sum::<i64>();
        let over = (sum(asked) - sum(hold)).max(0);
        let owed = if over > 0 { hold } else { asked };
        let spent: i64 =
            self.entries.iter().filter(|it| it.campaign == Some(campaign)).map(|it| it.charge).sum();
        let budget = self.account.campaigns[&campaign].budget.lifetime;
        let fits = budget.is_none_or(|budget| spent + sum(owed) <= budget);
        self.entries.push(Entry {
            lsn: self.entries.len() as u64 + 1,
            kind: if fits { "charge" } else { "late" }.to_owned(),
            bid,
            campaign: Some(campaign),
            line_item: Some(line_item),
            day: Some(DAY.to_owned()),
            parts: if fits { owed } else { [0; 3] },
            charge: if fits { sum(owed) } else { 0 },
            house: House { overdelivery: if fits { 0 } else { sum(owed) }, overprice: over, stale: 0 },
        });
        if fits { "accepted" } else { "house" }
    }

    /// The ledger's accounts after its records.
    fn shown(&self) -> Shown {
        let mut posted: BTreeMap<(&str, u32, Option<&str>), i64> = BTreeMap::new();
        let mut house: BTreeMap<u32, House> = BTreeMap::new();
        for entry in &self.entries {
            let (campaign, line_item) = (entry.campaign.unwrap(), entry.line_item.unwrap());
            let advertiser = self.account.campaigns[&campaign].advertiser;
            for key in [
                ("wallet", advertiser, None),
                ("campaign", campaign, None),
                ("campaign_day", campaign, Some(DAY)),
                ("line_item", line_item, None),
                ("line_item_day", line_item, Some(DAY)),
            ] {
                *posted.entry(key).or_default() += entry.charge;
            }
            let house = house.entry(advertiser).or_default();
            house.overdelivery += entry.house.overdelivery;
            house.overprice += entry.house.overprice;
        }
        let rows = posted.into_iter().map(|((kind, id, day), posted)| Row {
            kind: kind.to_owned(),
            id,
            day: day.map(str::to_owned),
            budget: None,
            posted,
            leased: 0,
        });
        Shown { lsn: self.entries.len() as u64, rows: rows.collect(), house }
    }
}

/// A whole run, until every notice is answered.
fn play(line: &str, at: u32, requests: u64, trouble: u64) -> (Exchange, Model) {
    let asked = Asked::read(&REQUEST.replace("AT", &at.to_string())).unwrap();
    let options = Options { seed: 7, profile: profile(&format!("{line} --rivals 1.00")), validate: 1_000 };
    let mut exchange = Exchange::new(options, account(), vec![asked]);
    let mut model = Model {
        account: account(),
        dice: Dice::new(7, 1, 1),
        entries: Vec::new(),
        trouble,
        notices: Vec::new(),
    };
    let mut now = Duration::ZERO;
    let deliver = |exchange: &mut Exchange, model: &mut Model, now: Duration| {
        while let Some(notice) = exchange.take_due(now) {
            let outcome = match model.notice(&notice.path) {
                Some((status, class)) => Outcome::Answered { status, class },
                None => Outcome::Unanswered,
            };
            exchange.noticed(notice.id, outcome, now);
        }
    };
    for n in 0..requests {
        now += Duration::from_millis(1);
        let request_id = format!("r{n}");
        let body = model.answer(n, &request_id);
        let latency = Duration::from_millis(if n % 100 == 0 { 101 } else { 1 });
        let answer = Answered { status: 200, body: body.as_bytes(), is_protobuf: false, latency };
        exchange.answered(&Sent { body: 0, request_id: &request_id }, &answer, now);
        deliver(&mut exchange, &mut model, now);
    }
    exchange.hurry(now);
    while let Some(due) = exchange.next_due() {
        now = now.max(due);
        deliver(&mut exchange, &mut model, now);
    }
    assert_eq!(exchange.open_notices(), 0);
    (exchange, model)
}

fn bills(books: &Books) -> Vec<Billed> {
    File::of("load", &Before::default(), books).bills
}

/// The rules by which an audit finds something.
fn audit(account: &Account, bills: &[Billed], shown: &Shown, entries: &[Entry]) -> Vec<&'static str> {
    let before = Before::default();
    let bounds = bounds(bills.iter().map(|bill| (bill.campaign, bill.amount, bill.outcome)));
    let mut found: Vec<Difference> = verdict::whole(account, &before, (&bounds, &bounds), shown);
    let mut records = Records::new(account, &before, bills);
    entries.iter().for_each(|entry| records.add(entry));
    found.extend(records.finish(shown));
    let mut rules: Vec<&'static str> = found.iter().map(|difference| difference.rule).collect();
    rules.dedup();
    rules
}

#[test]
fn what_is_billed_is_what_a_server_that_does_right_has_charged() {
    for (line, at, trouble) in
        [("--notices ideal", 1, 0), ("", 2, 20), ("--notices rough", 1, 100), ("--notices rough", 2, 50)]
    {
        let (exchange, model) = play(line, at, 1_000, trouble);
        let found: Vec<_> = exchange.findings.iter().chain(exchange.books.faults.iter()).collect();
        assert!(found.is_empty(), "{line}: {found:?}");
        assert_eq!(exchange.books.unsettled(), 0, "{line}");
        let (bills, shown) = (bills(&exchange.books), model.shown());
        assert_eq!(audit(&account(), &bills, &shown, &model.entries), [""; 0], "{line}");
        let charged = shown.posted("campaign");
        assert!(charged[&1] > 190_000_000 && charged[&3] > 100_000_000, "{line}: {charged:?}");
        assert!(shown.house[&1].overdelivery > 0, "{line}: the house bore nothing");
        let counts = &exchange.counts;
        assert_eq!((counts.after_tmax, counts.answers, counts.bids), (10, 1_000, 2_000), "{line}");
        assert_eq!(counts.auctions, 1_980, "{line}: late answers are in no auction");
        assert!((200..1_800).contains(&counts.wins), "{line}: {} wins", counts.wins);
        for kind in KINDS.into_iter().filter(|kind| *kind != Kind::Event) {
            assert!(counts.class(kind, "accepted") > 0, "{line}: no {} notice", kind.name());
        }
    }
}

#[test]
fn the_same_seed_plays_the_same_run() {
    let notices = |trouble| play("--notices rough", 2, 300, trouble).1.notices;
    assert_eq!(notices(50), notices(50));
    assert_ne!(notices(50), notices(0));
}

#[test]
fn a_manner_sends_what_it_says() {
    let sent = |line: &str| {
        let (exchange, _) = play(line, 1, 600, 0);
        let counts = exchange.counts;
        let of = |kind: Kind| {
            ["accepted", "house", "duplicate"].map(|class| counts.class(kind, class)).iter().sum()
        };
        (counts.wins, KINDS.map(of))
    };
    let (wins, [won, billed, lost, shown, ..]): (u64, [u64; 6]) = sent("--notices ideal");
    assert_eq!((won, billed, shown, lost), (wins, wins, wins, 1_188 - wins));
    assert_eq!(sent("--notices none").1, [0; 6]);
    assert_eq!(sent("--notices ideal --bills-lost 1000").1[1], 0);
    assert_eq!(sent("--notices ideal --duplicated 1000").1[..3], [2 * wins, 2 * wins, 2 * lost]);
    assert_eq!(sent("--notices ideal --repriced 1000").1[1], 2 * wins);
    assert_eq!(sent("--notices ideal --contradicted 1000").1[2], 1_188);
    assert_eq!(sent("--notices ideal --losses-told 0 --shown 0 --clicked 0").1[2..], [0; 4]);
    assert_eq!(sent("--notices ideal --shown 1000 --clicked 1000").1[4], wins);
}

/// What a tampered ledger is found by, first of all rules.
#[test]
fn every_way_to_tamper_with_a_ledger_is_found() {
    let (exchange, model) = play("", 1, 500, 0);
    let (account, bills) = (account(), bills(&exchange.books));
    type Tamper<'t> = &'t dyn Fn(&mut Shown, &mut Vec<Entry>);
    let check = |name: &str, expected: &[&str], tamper: Tamper<'_>| {
        let (mut shown, mut entries) = (model.shown(), model.entries.clone());
        tamper(&mut shown, &mut entries);
        let found = audit(&account, &bills, &shown, &entries);
        assert!(!found.is_empty(), "{name} is not found");
        for rule in expected {
            assert!(found.contains(rule), "{name} is not found by {rule}, but by {found:?}");
        }
    };
    let charge = |entries: &[Entry]| entries.iter().position(|entry| entry.kind == "charge").unwrap();
    let house = |entries: &[Entry]| entries.iter().position(|entry| entry.house.overdelivery > 0).unwrap();
    check("one record less", &["missing", "accounts"], &|_, entries| {
        entries.remove(charge(entries));
    });
    check("one record more", &["not-billed"], &|_, entries| {
        let entry = Entry { bid: "1-9-9".to_owned(), ..entries[charge(entries)].clone() };
        entries.push(entry);
    });
    check("a record twice", &["twice", "accounts"], &|_, entries| {
        let entry = entries[charge(entries)].clone();
        entries.push(entry);
    });
    check("a record on another campaign", &["other-campaign", "accounts"], &|_, entries| {
        let at = charge(entries);
        let other = if entries[at].campaign == Some(1) { 3 } else { 1 };
        entries[at].campaign = Some(other);
    });
    check("a nano more in a record", &["amount", "parts"], &|_, entries| {
        let at = charge(entries);
        entries[at].charge += 1;
    });
    check("a nano more in a record and its parts", &["amount", "accounts"], &|_, entries| {
        let at = charge(entries);
        (entries[at].charge, entries[at].parts[0]) = (entries[at].charge + 1, entries[at].parts[0] + 1);
    });
    check("what the house bore, to the campaign", &["answered-otherwise", "accounts"], &|_, entries| {
        let at = house(entries);
        let entry = &mut entries[at];
        (entry.charge, entry.parts[0], entry.house.overdelivery) =
            (entry.house.overdelivery, entry.house.overdelivery, 0);
    });
    check("a nano more for the house", &["amount"], &|_, entries| {
        let at = house(entries);
        entries[at].house.overdelivery += 1;
    });
    for (name, rules, row) in [
        ("a campaign's account", &["campaign", "tree", "house"][..], "campaign"),
        ("a wallet", &["tree", "accounts"], "wallet"),
        ("a line item's account", &["tree", "accounts"], "line_item"),
        ("a day's account", &["accounts"], "campaign_day"),
    ] {
        for nano in [1, -1] {
            check(name, rules, &|shown, _| {
                shown.rows.iter_mut().find(|it| it.kind == row).unwrap().posted += nano;
            });
        }
    }
    check("money moved between two campaigns", &["campaign"], &|shown, _| {
        let mut rows = shown.rows.iter_mut().filter(|row| row.kind == "campaign");
        (rows.next().unwrap().posted, rows.next().unwrap().posted) = (1, 1);
    });
    check("the house's account", &["house"], &|shown, _| {
        shown.house.get_mut(&1).unwrap().overdelivery += 1;
    });
    check("the house's excess", &["house"], &|shown, _| {
        shown.house.get_mut(&2).unwrap().overprice += 1;
    });
    check("a memo that was not made", &["house"], &|shown, _| {
        shown.house.get_mut(&2).unwrap().stale += 1;
    });
    check("a budget of the ledger", &["budget"], &|shown, _| {
        let row = shown.rows.iter_mut().find(|row| row.kind == "campaign").unwrap();
        row.budget = Some(row.posted - 1);
    });
    check("more leased than there is", &["leases"], &|shown, _| {
        let row = shown.rows.iter_mut().find(|row| row.kind == "wallet").unwrap();
        (row.budget, row.leased) = (Some(row.posted), 1);
    });
}

/// P1 by the account's own budgets, whatever the ledger calls them.
#[test]
fn spending_above_a_budget_is_found_on_every_level() {
    let account = account();
    for (kind, id, day, budget) in [
        ("wallet", 1, None, 100_000_000_000),
        ("campaign", 1, None, 200_000_000),
        ("campaign_day", 1, Some(DAY), 4_000_000_000),
        ("line_item_day", 1, Some(DAY), 3_000_000_000),
    ] {
        let row = |posted| Row {
            kind: kind.to_owned(),
            id,
            day: day.map(str::to_owned),
            budget: None,
            posted,
            leased: 0,
        };
        let found = |posted| {
            let before = Before::default();
            let shown = Shown { rows: vec![row(posted)], ..Shown::default() };
            let none = BTreeMap::new();
            let found = verdict::whole(&account, &before, (&none, &none), &shown);
            found.iter().filter(|difference| difference.rule == "budget").count()
        };
        assert_eq!((found(budget), found(budget + 1)), (0, 1), "{kind}");
    }
}

/// While a run goes on, what is not answered may be charged or not.
#[test]
fn books_that_are_asked_for_in_between_lie_between_what_is_known_before_and_after() {
    let account = account();
    let mut books = Books::default();
    let amount = Charge { charge: 100, over: 7 };
    let send = |books: &mut Books, bid: &str| -> BillId {
        let id = books.open(bid, 1, amount, false);
        books.sends(id);
        id
    };
    let first = send(&mut books, "a");
    books.answered(first, 204, "accepted");
    let least = books.bounds();
    let second = send(&mut books, "b");
    let most = books.bounds();
    let found = |campaign: i64, overdelivery: i64, overprice: i64| {
        let rows = ["wallet", "campaign"].map(|kind| Row {
            kind: kind.to_owned(),
            id: 1,
            day: None,
            budget: None,
            posted: campaign,
            leased: 0,
        });
        let house = House { overdelivery, overprice, stale: 0 };
        let shown = Shown { lsn: 1, rows: rows.to_vec(), house: BTreeMap::from([(1, house)]) };
        let before = Before::default();
        let found = verdict::whole(&account, &before, (&least, &most), &shown);
        found.iter().filter(|difference| difference.rule != "tree").count()
    };
    for (campaign, overdelivery, overprice) in [(100, 0, 7), (200, 0, 14), (100, 100, 14)] {
        assert_eq!(found(campaign, overdelivery, overprice), 0);
    }
    assert!(found(99, 0, 7) > 0 && found(201, 0, 7) > 0 && found(200, 100, 14) > 0 && found(0, 100, 7) > 0);
    assert!(found(100, 0, 6) > 0 && found(100, 0, 15) > 0);
    books.answered(second, 204, "house");
    assert_eq!(books.bounds()[&1].either.least, 200);
}
