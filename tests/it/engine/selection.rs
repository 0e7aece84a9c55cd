//! The engine chooses what the plain model chooses, at its price, and never spends what is not there.

use super::model::{Case, Place, Purse};
use super::run::{Found, Server};
use super::world::{Dice, World};
use outbid::budget::{Hold, Terms, hold_for};
use outbid::engine::{Deadline, Decision};
use outbid::model::auction::{Auction, Imp};
use outbid::model::bid::Bid;
use outbid::model::no_bid::NoBidReason;
use proptest::prelude::*;

/// What a run met, so that a run which proves nothing fails.
#[derive(Debug, Default)]
struct Tally {
    requests: usize,
    bids: usize,
    deal_bids: usize,
    contested: usize,
    refused: usize,
}

/// Holds a few requests in a row to the model; some answers are kept, so that money runs out.
fn compare(seed: u64, line_items: usize, requests: usize, tally: &mut Tally) {
    let mut dice = Dice::new(seed);
    let world = World::random(&mut dice, line_items);
    let mut server = Server::new(&world);
    let mut purse = Purse::default();
    for nth in 0..requests {
        let (exchange, body, keep) = (dice.within(1..4) as u16, dice.request(nth), dice.chance(2));
        server.now.mono_ns += 1_000_000_000;
        server.now.unix_ms += 1_000;
        let unix_ms = server.now.unix_ms;
        let mut found = Found::default();
        let shown =
            server.observe(&world, exchange, &body, &mut found, &Deadline::never(), |auction, decided| {
                let case = Case { world: &world, profile: world.profile(exchange), auction, unix_ms };
                let mut held = agree(&case, &decided, &mut purse, tally);
                let candidates = auction.imps.iter().enumerate().map(|(at, imp)| (at, case.matching(imp)));
                let matching: Vec<(usize, Vec<u32>)> = candidates.collect();
                if let Ok(decision) = decided {
                    held.retain(|_| !keep);
                    if keep {
                        decision.holds.into_iter().for_each(Hold::keep);
                    }
                }
                (held, matching)
            });
        let (released, matching) = shown;
        for (at, matching) in matching {
            if let Some(found) = found.0.get(&at) {
                assert_eq!(found.iter().map(|ix| ix.0).collect::<Vec<_>>(), matching);
            }
        }
        released.into_iter().for_each(|(line_item, amount)| purse.hold(&world, line_item, -amount));
        server.held();
        within_budgets(&server);
        tally.requests += 1;
    }
}

/// Checks one decision against the model and books its holds; returns them.
fn agree(
    case: &Case<'_>,
    decided: &Result<Decision<'_, Hold>, NoBidReason>,
    purse: &mut Purse,
    tally: &mut Tally,
) -> Vec<(u32, i128)> {
    let (bids, holds): (&[Bid<'_>], &[Hold]) = match decided {
        Ok(decision) => (&decision.bids, &decision.holds),
        Err(_) => (&[], &[]),
    };
    assert_eq!(bids.len(), holds.len());
    assert_eq!(decided.is_ok(), !bids.is_empty());
    let mut bids = bids.iter().zip(holds).peekable();
    let mut held = Vec::new();
    let currency = case.currency();
    for (at, imp) in case.auction.imps.iter().enumerate() {
        let places: Vec<Place> = currency.map_or_else(Vec::new, |currency| case.places(imp, currency));
        let mut taken: Vec<u32> = Vec::new();
        for place in &places {
            let valid: Vec<_> =
                place.offers.iter().filter(|offer| !taken.contains(&offer.campaign)).collect();
            let offers: Vec<_> = valid.iter().filter(|offer| purse.allows(case.world, offer)).collect();
            tally.refused += valid.len() - offers.len();
            let Some(best) = offers.iter().map(|offer| offer.worth).max() else { continue };
            let (bid, hold) = bids.next().unwrap_or_else(|| panic!("no bid for {place:?}"));
            let chosen = offers.iter().find(|offer| offer.line_item == bid.claims.line_item.0);
            let chosen = chosen.unwrap_or_else(|| panic!("{bid:?} is not among {place:?}"));
            assert_eq!((bid.imp_index, bid.deal_id), (at, place.deal.as_deref()));
            assert_eq!(chosen.worth, best, "{bid:?} is not the best of {place:?}");
            assert_eq!(i128::from(bid.price.0), chosen.price);
            assert_eq!((Some(bid.currency), bid.campaign.0), (currency, chosen.campaign));
            assert_eq!(i128::from(hold.amount().0), chosen.hold);
            sound(case, imp, bid, hold);
            purse.hold(case.world, chosen.line_item, chosen.hold);
            held.push((chosen.line_item, chosen.hold));
            taken.push(chosen.campaign);
            tally.bids += 1;
            tally.deal_bids += usize::from(place.deal.is_some());
            tally.contested += usize::from(offers.len() > 1);
        }
    }
    assert_eq!(bids.next().map(|(bid, _)| bid.claims.line_item), None, "a bid too many");
    held
}

/// What must hold for any bid, whatever the model says.
fn sound(case: &Case<'_>, imp: &Imp<'_>, bid: &Bid<'_>, hold: &Hold) {
    assert!(bid.price.0 > 0);
    assert_eq!(bid.imp_id, imp.id);
    let rates = &case.world.account.rates;
    let line = case.world.account.line_items.iter().find(|l| l.id == bid.claims.line_item).unwrap();
    let campaign = case.world.account.campaigns.iter().find(|c| c.id == line.campaign).unwrap();
    let owner = case.world.account.advertisers.iter().find(|a| a.id == campaign.advertiser).unwrap();
    // In floats and with a margin, so that it shares no rounding with the engine.
    let value = |currency| rates.get(currency).unwrap().0 as f64;
    let worth = |micros: i64, currency| micros as f64 * value(currency);
    let price = worth(bid.price.0, bid.currency);
    assert!(price <= worth(line.max_bid.0, owner.currency) * 1.000001 + value(bid.currency));
    assert!(price <= worth(case.profile.max_cpm.0, case.profile.currency) * 1.000001 + value(bid.currency));
    let deal = bid.deal_id.map(|id| imp.deals.iter().find(|deal| deal.id == id).unwrap());
    let (floor, currency) = match deal {
        Some(deal) if deal.bid_floor.is_some_and(|f| f.0 > 0) => {
            (deal.bid_floor.unwrap(), deal.bid_floor_cur)
        }
        _ => (imp.bid_floor, imp.bid_floor_cur),
    };
    if floor.0 > 0 {
        assert!(price >= worth(floor.0, currency.unwrap()) * 0.999999999);
    }
    assert_eq!(hold_for(bid.price, &Terms::of(&bid.claims)), Some(hold.amount()));
    assert_eq!(bid.claims.price, bid.price);
    let allowed: &Auction<'_> = case.auction;
    assert!(if allowed.cur_given {
        allowed.cur.contains(&bid.currency)
    } else {
        bid.currency.as_str() == "USD"
    });
}

fn within_budgets(server: &Server) {
    for (key, balance) in server.ledger.balances() {
        assert!(balance.available().is_none_or(|room| room >= 0), "{key:?} shows {balance:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn the_engine_chooses_what_the_plain_model_chooses(seed: u64, line_items in 0..40_usize) {
        compare(seed, line_items, 6, &mut Tally::default());
    }
}

#[test]
fn the_comparison_meets_bids_deals_rivals_and_empty_purses() {
    let mut tally = Tally::default();
    for seed in 0..100 {
        compare(seed, 40, 8, &mut tally);
    }
    let Tally { requests, bids, deal_bids, contested, refused } = tally;
    assert!(
        bids > requests / 3 && deal_bids > 20 && contested > bids / 5 && refused > 50,
        "the comparison says little: {bids} bids on {requests} requests, {deal_bids} on deals, {contested} \
         contested, {refused} offers without money"
    );
}
