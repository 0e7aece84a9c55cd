//! An account file that changes under a running server: what was promised before stays so, what is new is served.

use super::{Reply, Server, Setup, good_request, notice_url, until};
use outbid::budget::{AccountKey, Balance};
use outbid::cli::demo::world::CATCH_ALL;
use outbid::model::account::Account;
use outbid::model::ids::{AdvertiserId, LineItemId};
use outbid::model::line_item::{Budget, LineItem};
use outbid::model::money::{Cpm, Currency, Nanos};
use outbid::model::rates::Rate;
use outbid::serve::{self, AccountSource, Reason, Refused};
use outbid::store::account_file::{self, AccountErrors};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::SeqCst};
use tempfile::TempDir;

/// What the line item for everybody else bids, as an exchange writes it.
const PRICE: &str = "2.1";
const WALLET: AccountKey = AccountKey::Wallet(AdvertiserId(1));
/// Beyond any budget of the demo.
const PLENTY: Nanos = Nanos(1_000_000_000_000);

/// A server whose account lies in a file.
struct Living {
    server: Server,
    account: Account,
    file: PathBuf,
    _dir: TempDir,
}

impl Living {
    fn start() -> Living {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("account.json");
        let (setup, path) = (Setup::demo(), file.clone());
        let account = setup.account.clone();
        let server = setup.start();
        let rates = Arc::new(account.rates.clone());
        let source: AccountSource = Box::new(move || match account_file::read(&path) {
            Ok(loaded) => Ok(loaded.account),
            Err(AccountErrors::Invalid { errors, .. }) => {
                let reason = |it: account_file::Finding| reason(it.pointer, it.code.as_str(), it.message);
                Err(Refused { errors: errors.into_iter().map(reason).collect() })
            }
            Err(error) => Err(reason(String::new(), "malformed", error.to_string()).into()),
        });
        serve::publisher(&server.shared, source, rates, false).unwrap();
        let living = Living { server, account, file, _dir: dir };
        living.write();
        living
    }

    fn write(&self) {
        account_file::write(&self.account, &self.file).unwrap();
    }

    fn reload(&self) -> Reply {
        self.server.admin("POST", "/v1/account/reload", "")
    }

    /// Changes the account, which must be taken up.
    fn edit(&mut self, change: impl FnOnce(&mut Account)) -> Value {
        change(&mut self.account);
        self.write();
        let reply = self.reload();
        assert_eq!(reply.status, 200, "{}", reply.text());
        reply.json()
    }

    /// Changes a copy of the account, which must be refused; what was served is served on.
    fn refused(&mut self, change: impl FnOnce(&mut Account)) -> Value {
        let before = self.account.clone();
        change(&mut self.account);
        self.write();
        self.account = before;
        let served = self.server.shared.snapshots().load();
        let reply = self.reload();
        assert_eq!((reply.status, reply.header("content-type")), (422, Some("application/problem+json")));
        assert!(Arc::ptr_eq(&served, &self.server.shared.snapshots().load()), "nothing was published");
        assert!(self.bids());
        reply.json()["errors"].clone()
    }

    fn version(&self) -> u64 {
        self.server.shared.snapshots().load().catalog.version
    }

    fn bids(&self) -> bool {
        self.server.bid("demo", &good_request("r")).status == 200
    }

    fn bid(&self) -> Value {
        self.server.only_bid("demo", &good_request("r"))
    }

    fn bill(&self, bid: &Value) -> Reply {
        self.server.track("GET", &notice_url(bid, "burl", PRICE))
    }

    fn balance(&self, key: AccountKey) -> Balance {
        self.server.shared.ledger().balance(key)
    }
}

fn reason(pointer: String, code: &'static str, message: String) -> Reason {
    Reason { pointer, code, message }
}

fn accepted(reply: &Reply) {
    assert_eq!((reply.status, reply.header("x-outbid-notice")), (204, Some("accepted")), "{reply:?}");
}

fn line_item(account: &mut Account, id: LineItemId) -> &mut LineItem {
    account.line_items.iter_mut().find(|item| item.id == id).unwrap()
}

fn remove(account: &mut Account, id: LineItemId) -> LineItem {
    let at = account.line_items.iter().position(|item| item.id == id).unwrap();
    account.line_items.remove(at)
}

#[test]
fn a_wallet_that_is_cut_under_open_bids_pays_for_them_and_for_nothing_more() {
    let mut living = Living::start();
    let open: Vec<Value> = (0..5).map(|_| living.bid()).collect();
    let done = living.edit(|account| account.advertisers[0].wallet = Nanos(1_000));
    let items = &done["line_items"];
    assert_eq!((&items["changed"], &items["added"], &items["removed"]), (&0.into(), &0.into(), &0.into()));
    assert!((0..20).all(|_| !living.bids()), "the cut holds when the reload is answered");
    let held = living.balance(WALLET);
    assert_eq!((held.posted, held.budget), (Nanos(0), Some(Nanos(1_000))));
    open.iter().for_each(|bid| accepted(&living.bill(bid)));
    let paid = living.balance(WALLET);
    assert_eq!((paid.posted, paid.leased), (held.leased, Nanos(0)), "as much as was held, and no more");
    assert_eq!(living.server.shared.ledger().house().overdelivery, Nanos(0));
    assert!((0..20).all(|_| !living.bids()));
    // A raise serves again; what is left of it is what is above what was paid.
    let hold = paid.posted.0 / 5;
    living.edit(|account| account.advertisers[0].wallet = Nanos(paid.posted.0 + 2 * hold));
    let more: Vec<Value> = (0..100)
        .filter_map(|_| {
            std::thread::sleep(std::time::Duration::from_millis(10));
            let reply = living.server.bid("demo", &good_request("r"));
            (reply.status == 200).then(|| reply.json()["seatbid"][0]["bid"][0].clone())
        })
        .collect();
    assert_eq!(more.len(), 2);
    more.iter().for_each(|bid| accepted(&living.bill(bid)));
    let all = living.balance(WALLET);
    assert_eq!((Some(all.posted), all.leased), (all.budget, Nanos(0)));
}

#[test]
fn budgets_of_campaigns_and_line_items_are_cut_and_raised_at_every_level() {
    let mut living = Living::start();
    let none = Budget { lifetime: Some(Nanos(1)), daily: None };
    let much = Budget { lifetime: Some(PLENTY), daily: Some(PLENTY) };
    let day = Budget { lifetime: None, daily: Some(Nanos(1)) };
    for budget in [none, much, day, much] {
        for at in ["campaign", "line item"] {
            living.edit(|account| match at {
                "campaign" => account.campaigns[1].budget = budget,
                _ => line_item(account, CATCH_ALL).budget = budget,
            });
            match budget == much {
                true => until(at, || living.bids()),
                false => assert!((0..10).all(|_| !living.bids()), "{at} {budget:?}"),
            }
            living.edit(|account| match at {
                "campaign" => account.campaigns[1].budget = much,
                _ => line_item(account, CATCH_ALL).budget = much,
            });
            until(at, || living.bids());
        }
    }
}

#[test]
fn a_line_item_that_leaves_gives_its_money_back_and_works_again_when_it_returns() {
    let mut living = Living::start();
    let (billed, open) = (living.bid(), living.bid());
    accepted(&living.bill(&billed));
    let others: BTreeSet<_> = living.server.shared.ledger().audit().iter().map(|it| it.lease).collect();
    let mut gone = None;
    let done = living.edit(|account| gone = Some(remove(account, CATCH_ALL)));
    assert_eq!(done["line_items"]["removed"], 1);
    assert!((0..20).all(|_| !living.bids()));
    let total = AccountKey::LineItemTotal(CATCH_ALL);
    let paid = living.balance(total).posted;
    assert_eq!(living.balance(total).leased, paid, "only the open bid's hold is left");
    let after: BTreeSet<_> = living.server.shared.ledger().audit().iter().map(|it| it.lease).collect();
    assert!(after.is_subset(&others) && others.len() <= after.len() + 1, "nobody else's lease is another");

    accepted(&living.bill(&open));
    assert_eq!((living.balance(total).posted.0, living.balance(total).leased), (2 * paid.0, Nanos(0)));
    let done = living.edit(|account| account.line_items.push(gone.unwrap()));
    assert_eq!(done["line_items"]["added"], 1);
    let again = living.bid();
    accepted(&living.bill(&again));
    assert_eq!(living.balance(total).posted.0, 3 * paid.0);
    // What came twice before is a duplicate still, and what was counted is counted on.
    for bid in [&billed, &open] {
        assert_eq!(living.bill(bid).header("x-outbid-notice"), Some("duplicate"));
    }
    let shown = living.server.admin("GET", "/v1/balances", "").json();
    let lines = shown["line_items"].as_array().unwrap();
    let line = lines.iter().find(|line| line["id"] == CATCH_ALL.to_string()).unwrap();
    assert_eq!(line["billed"], 3);
}

#[test]
fn a_new_line_item_bids_from_the_first_request_after_the_answer() {
    let mut living = Living::start();
    for n in 0..5 {
        let done = living.edit(|account| {
            let first = line_item(account, CATCH_ALL).clone();
            let id = LineItemId(5_000 + n);
            let bid = Cpm(3_000_000 + i64::from(n) * 100_000);
            account.line_items.push(LineItem { id, bid, max_bid: bid, ..first });
        });
        assert_eq!((&done["line_items"]["added"], &done["published"]["catalog"]), (&1.into(), &true.into()));
        let price = living.bid()["price"].as_f64().unwrap();
        assert_eq!(price, 3.0 + f64::from(n) / 10.0, "its leases are there when it is published");
    }
}

#[test]
fn a_broken_file_is_refused_with_every_error_and_everything_goes_on() {
    let mut living = Living::start();
    let errors = living.refused(|account| {
        line_item(account, CATCH_ALL).max_bid = Cpm(1);
        account.advertisers[0].time_zone = "Atlantis/City".to_owned();
    });
    let pointers: Vec<&str> =
        errors.as_array().unwrap().iter().map(|error| error["pointer"].as_str().unwrap()).collect();
    assert!(pointers.len() >= 2 && pointers.contains(&"/advertisers/0/time_zone"), "{errors}");
    std::fs::write(&living.file, "{ \"no account\": ").unwrap();
    let reply = living.reload();
    assert_eq!((reply.status, &reply.json()["errors"][0]["code"]), (422, &"malformed".into()));
    std::fs::remove_file(&living.file).unwrap();
    assert_eq!(living.reload().status, 422);
    assert!(living.bids());
    assert_eq!(living.version(), 1);
    let count = |outcome: &str| {
        living.server.metric(&format!("outbid_account_reloads_total{{outcome=\"{outcome}\"}}"))
    };
    assert_eq!((count("refused"), count("published")), (3, 0));
    assert_eq!(living.server.metric("outbid_account_last_reload_success"), 0);
    living.write();
    assert_eq!(living.reload().status, 200);
    assert_eq!((count("unchanged"), living.server.metric("outbid_account_last_reload_success")), (1, 1));
}

#[test]
fn an_edit_that_money_cannot_follow_is_refused_whole() {
    let mut living = Living::start();
    let wallet = living.balance(WALLET).budget;
    let errors = living.refused(|account| {
        account.advertisers[0].wallet = PLENTY;
        line_item(account, CATCH_ALL).campaign = account.campaigns[0].id;
    });
    assert!(errors[0]["message"].as_str().unwrap().contains("cannot move to campaign 1"), "{errors}");
    assert_eq!(living.balance(WALLET).budget, wallet);
    let errors = living.refused(|account| {
        account.exchanges[1].currency = Currency::parse("EUR").unwrap();
    });
    assert_eq!(errors[0]["pointer"], "/exchanges/1/currency", "{errors}");
}

#[test]
fn rates_alone_leave_the_catalog_as_it_is() {
    let mut living = Living::start();
    let before = living.server.shared.snapshots().load();
    let eur = Currency::parse("EUR").unwrap();
    let done = living.edit(|account| assert!(account.rates.set(eur, Rate(1_200_000_000))));
    assert_eq!(done["published"], json!({ "catalog": false, "rates": true }));
    let after = living.server.shared.snapshots().load();
    assert!(
        Arc::ptr_eq(&before.catalog, &after.catalog) && after.rates.get(eur) == Some(Rate(1_200_000_000))
    );
    let done = living.edit(|account| line_item(account, CATCH_ALL).bid = Cpm(2_200_000));
    assert_eq!(done["published"], json!({ "catalog": true, "rates": false }));
    let last = living.server.shared.snapshots().load();
    assert!(Arc::ptr_eq(&last.rates, &after.rates), "a catalog leaves the rates as they are");
    assert_eq!(living.bid()["price"].as_f64(), Some(2.2));
    assert_eq!((done["version"].as_u64(), living.version()), (Some(2), 2));
}

#[test]
fn what_did_not_change_is_taken_over_and_what_is_old_is_freed() {
    let mut living = Living::start();
    let first = living.server.shared.snapshots().load().catalog.clone();
    living.edit(|account| line_item(account, CATCH_ALL).bid = Cpm(2_200_000));
    let second = living.server.shared.snapshots().load().catalog.clone();
    let creative = |catalog: &outbid::engine::Catalog| catalog.creatives()[0].markup.clone();
    assert!(Arc::ptr_eq(&creative(&first), &creative(&second)));
    assert!(std::ptr::eq(first.matcher(), second.matcher()), "nobody's targeting is another one");
    living.edit(|account| line_item(account, CATCH_ALL).active = false);
    assert!(!living.bids());
    let third = living.server.shared.snapshots().load().catalog.clone();
    assert!(!std::ptr::eq(second.matcher(), third.matcher()));
    let old = [first, second].map(|catalog| Arc::downgrade(&catalog));
    // No request comes: the cores let go by themselves.
    until("the old catalogs are freed", || old.iter().all(|catalog| catalog.upgrade().is_none()));
    assert!(Arc::strong_count(&third) >= 2);
}

#[test]
fn an_exchange_that_leaves_gets_no_bids_and_still_bills_the_open_ones() {
    let mut living = Living::start();
    let open = living.server.only_bid("demo2", &good_request("x"));
    let mut gone = None;
    living.edit(|account| gone = account.exchanges.pop());
    assert_eq!(living.server.bid("demo2", &good_request("x")).status, 404);
    accepted(&living.bill(&open));
    assert!(living.bids());
    living.edit(|account| account.exchanges.insert(0, gone.unwrap()));
    assert_eq!(living.server.bid("demo2", &good_request("x")).status, 200);
    assert!(living.bids());
}

#[test]
fn a_time_zone_that_moves_opens_no_second_day() {
    let mut living = Living::start();
    accepted(&living.bill(&living.bid()));
    let days = |living: &Living| {
        let all = living.server.shared.ledger().balances();
        all.into_iter()
            .filter(|(key, _)| matches!(key, AccountKey::LineItemDay(CATCH_ALL, _)))
            .collect::<Vec<_>>()
    };
    let before = days(&living);
    for zone in ["Pacific/Kiritimati", "Pacific/Pago_Pago", "America/New_York"] {
        living.edit(|account| account.advertisers[0].time_zone = zone.to_owned());
        assert!(living.bids(), "{zone}");
        let after = days(&living);
        assert_eq!(
            (after.len(), after[0].0, after[0].1.posted),
            (1, before[0].0, before[0].1.posted),
            "{zone}"
        );
    }
}

#[test]
fn reloads_under_load_cost_no_answer_and_reset_no_counter() {
    let mut living = Living::start();
    let request = good_request("l").to_string();
    let (stop, bids, dry) = (AtomicBool::new(false), AtomicU32::new(0), AtomicU32::new(0));
    let at = living.server.at.bid;
    let mut reloads = 0;
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                let mut client = super::Client::connect(at);
                while !stop.load(SeqCst) {
                    // On a machine that compiles beside, the ledger's thread may be late with a top-up: 204.
                    let count = match client.bid("demo", request.as_bytes()).unwrap().status {
                        200 => &bids,
                        204 => &dry,
                        status => panic!("{status}"),
                    };
                    count.fetch_add(1, SeqCst);
                }
            });
        }
        while reloads < 10 || bids.load(SeqCst) < 200 {
            reloads += 1;
            living
                .edit(|account| line_item(account, CATCH_ALL).bid = Cpm(2_000_000 + 10_000 * (reloads % 10)));
        }
        stop.store(true, SeqCst);
    });
    let (bids, dry) = (u64::from(bids.into_inner()), u64::from(dry.into_inner()));
    eprintln!("{bids} bids over {reloads} reloads, {dry} times a lease was dry");
    // Three clients that ask without a pause leave the ledger few turns on two processors.
    assert!(10 * dry <= bids, "{dry} of {bids} without a bid");
    assert_eq!(living.server.metric("outbid_bids_total{exchange=\"demo\"}"), bids);
    assert_eq!(living.server.metric("outbid_no_bids_total{reason=\"budget\"}"), dry);
}

#[test]
fn only_the_key_reloads_and_only_where_there_is_a_file() {
    let server = Setup::demo().start();
    assert_eq!(server.admin("POST", "/v1/account/reload", "").status, 409);
    assert_eq!(server.admin("GET", "/v1/account/reload", "").status, 405);
    assert_eq!(super::admin(server.at.admin, "x", "POST", "/v1/account/reload", "").status, 401);
}
