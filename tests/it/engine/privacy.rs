//! What may not be known of a user is not used: audience line items stay silent, contextual ones go on.

use super::request::plain;
use super::run::Server;
use super::world::{World, campaign, line_item};
use crate::privacy::encode::{Tc, gpp, us};
use outbid::audience::Membership;
use outbid::model::ids::{SegmentId, UserKey};
use outbid::model::line_item::Multipliers;
use outbid::model::no_bid::NoBidReason;
use outbid::model::targeting::SegmentRule;
use outbid::privacy::{Policy, Restriction};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Line item 1 is contextual at 2.00, line item 2 wants segment 4 and pays 5.00. `u0` is in 4; `u1` is in the sensitive
/// 3 without consent, `u2` with.
fn world() -> World {
    let account = World::small(|account| {
        account.campaigns.push(campaign(2, 1));
        account.line_items.push(line_item(2, 2, 5_000_000));
        account.line_items[1].targeting.segments =
            SegmentRule { any_of: vec![SegmentId(4)], ..Default::default() };
        account.line_items[0].max_bid = outbid::model::money::Cpm(100_000_000);
        account.line_items[0].multipliers =
            Multipliers { segments: vec![(SegmentId(4), 3_000_000)], ..Multipliers::default() };
    });
    let consented = Membership { explicit_consent: true, ..Membership::of(SegmentId(3)) };
    let members = BTreeMap::from([
        ("u0", vec![Membership::of(SegmentId(4))]),
        ("u1", vec![Membership::of(SegmentId(3))]),
        ("u2", vec![consented]),
    ]);
    World::of(account.account, members)
}

fn bids(world: &World, change: impl FnOnce(&mut Value)) -> Vec<(u32, i64)> {
    let told = Server::new(world).bids(world, &plain(change)).unwrap();
    told.iter().map(|bid| (bid.line_item, bid.micros)).collect()
}

#[test]
fn each_signal_silences_the_audience_and_leaves_the_context() {
    let world = world();
    // Known and permitted: 2.00 × 3 beats 5.00.
    assert_eq!(bids(&world, |_| {}), [(1, 6_000_000)]);
    let check = |name: &str, change: &dyn Fn(&mut Value)| {
        assert_eq!(bids(&world, change), [(1, 2_000_000)], "{name}");
        let mut server = Server::new(&world);
        let user =
            server.decide(&world, 1, &plain(change), |_, decided| decided.unwrap().bids[0].claims.user);
        assert_eq!(user, UserKey(0), "{name}: the token carries the user");
        let explanation = server.explain(&world, 1, &plain(change));
        assert!(explanation.restriction.is_some() && explanation.segments.is_empty(), "{name}");
        let audience = explanation.imps[0].verdicts.iter().find(|v| v.line_item.0 == 2).unwrap();
        assert_eq!(audience.reason, Some(NoBidReason::Consent), "{name}");
    };
    check("coppa", &|r| r["regs"] = json!({"coppa": 1}));
    check("lmt", &|r| r["device"]["lmt"] = json!(1));
    check("dnt", &|r| r["device"]["dnt"] = json!(true));
    check("gpc", &|r| r["regs"] = json!({"ext": {"gpc": "1"}}));
    check("gdpr, 2.6", &|r| r["regs"] = json!({"gdpr": 1}));
    check("gdpr, 2.5", &|r| r["regs"] = json!({"ext": {"gdpr": 1}}));
    check("gdpr in one place of two", &|r| r["regs"] = json!({"gdpr": 0, "ext": {"gdpr": 1}}));
    check("gpp", &|r| r["regs"] = json!({"gpp": "DBABMA~1YNN"}));
    check("gpp_sid", &|r| r["regs"] = json!({"gpp_sid": [7]}));
    check("us_privacy, 2.6", &|r| r["regs"] = json!({"us_privacy": "1YYN"}));
    check("us_privacy, 2.5", &|r| r["regs"] = json!({"ext": {"us_privacy": "1YYN"}}));
    check("a place under the GDPR", &|r| r["device"]["geo"]["country"] = json!("DEU"));
    check("an unknown place", &|r| r["device"]["geo"] = json!({}));
    check("gdpr = 1 with a consent string", &|r| {
        r["regs"] = json!({"gdpr": 1});
        r["user"]["consent"] = json!("CPc");
    });
    check("out of home", &|r| {
        r.as_object_mut().unwrap().remove("site");
        r["dooh"] = json!({"id": "screen"});
    });
}

#[test]
fn an_unknown_user_is_shown_the_context() {
    let world = world();
    assert_eq!(bids(&world, |r| r["user"]["buyeruid"] = json!("nobody")), [(1, 2_000_000)]);
    assert_eq!(bids(&world, |r| r["user"] = json!({})), [(1, 2_000_000)]);
}

#[test]
fn a_sensitive_membership_without_consent_is_refused_and_explained() {
    let mut account = world().account;
    account.line_items[1].targeting.segments.any_of = vec![SegmentId(3)];
    let world = World::of(account, world().members);
    let with = |user: &'static str| move |r: &mut Value| r["user"]["buyeruid"] = json!(user);
    assert_eq!(bids(&world, with("u2")), [(2, 5_000_000)]);
    assert_eq!(bids(&world, with("u1")), [(1, 2_000_000)]);
    let explanation = Server::new(&world).explain(&world, 1, &plain(with("u1")));
    assert_eq!((explanation.refused.as_slice(), explanation.segments.len()), (&[SegmentId(3)][..], 0));
    let verdict = explanation.imps[0].verdicts.iter().find(|v| v.line_item.0 == 2).unwrap();
    assert_eq!(verdict.reason, Some(NoBidReason::Consent));
    assert!(verdict.detail.contains("without explicit consent"), "{}", verdict.detail);
}

#[test]
fn what_one_request_knew_is_forgotten_by_the_next() {
    let world = world();
    let mut server = Server::new(&world);
    assert_eq!(server.bids(&world, &plain(|_| {})).unwrap()[0].micros, 6_000_000);
    let private = plain(|r| r["device"]["lmt"] = json!(1));
    assert_eq!(server.bids(&world, &private).unwrap()[0].micros, 2_000_000);
    let unknown = plain(|r| r["user"] = json!({}));
    assert_eq!(server.bids(&world, &unknown).unwrap()[0].micros, 2_000_000);
}

const VENDOR: u16 = 755;

/// Like [`world`], with an id in the vendor list.
fn world_of_a_vendor(policy: Policy) -> World {
    let mut world = world();
    world.settings.privacy = Policy { vendor_id: Some(VENDOR), ..policy };
    world
}

/// A request from Germany under the GDPR with such a consent string.
fn with_consent(tc: &Tc) -> impl Fn(&mut Value) {
    let text = tc.text();
    move |r| {
        r["device"]["geo"]["country"] = json!("DEU");
        r["regs"] = json!({"gdpr": 1});
        r["user"]["consent"] = json!(text);
    }
}

#[test]
fn who_consents_is_known_and_each_purpose_counts_for_itself() {
    let world = world_of_a_vendor(Policy::default());
    let user_of = |change: &dyn Fn(&mut Value)| {
        Server::new(&world)
            .decide(&world, 1, &plain(change), |_, decided| decided.unwrap().bids[0].claims.user)
    };
    let all = Tc::all_for(VENDOR);
    assert_eq!(bids(&world, with_consent(&all)), [(1, 6_000_000)]);
    // Without personalised ads the user may still be recognised, for caps; the segments stay closed.
    let no_ads = Tc { consented: vec![1, 2, 3, 7], ..all.clone() };
    assert_eq!(bids(&world, with_consent(&no_ads)), [(1, 2_000_000)]);
    assert_eq!(user_of(&with_consent(&no_ads)), world.id_key.cookie("u0"));
    let no_storage = Tc { consented: (2..=11).collect(), ..all.clone() };
    assert_eq!(bids(&world, with_consent(&no_storage)), [(1, 2_000_000)]);
    assert_eq!(user_of(&with_consent(&no_storage)), UserKey(0));
    let explained = Server::new(&world).explain(&world, 1, &plain(with_consent(&no_ads)));
    assert_eq!(explained.restriction, Some(Restriction::TcfPurpose));
}

#[test]
fn a_house_that_demands_a_purpose_for_the_context_bids_on_nothing_without_it() {
    let world = world_of_a_vendor(Policy { context_needs_purpose_2: true, ..Policy::default() });
    let refused = |tc: &Tc| Server::new(&world).bids(&world, &plain(with_consent(tc))).unwrap_err();
    let all = Tc::all_for(VENDOR);
    assert_eq!(bids(&world, with_consent(&all)), [(1, 6_000_000)]);
    assert_eq!(refused(&Tc { consented: vec![1, 3, 4], ..all }), NoBidReason::Consent);
    assert_eq!(bids(&world, |_| {}), [(1, 6_000_000)]);
}

#[test]
fn a_refusal_of_what_is_sensitive_beats_the_consent_on_record() {
    let mut account = world().account;
    account.line_items[1].targeting.segments.any_of = vec![SegmentId(3)];
    let world = World::of(account, world().members);
    let national = |field: usize, value: u8| {
        let mut fields = [0; 27];
        fields[field] = value;
        let text = gpp(&[(7, us(1, &fields, None))]);
        move |r: &mut Value| {
            r["user"]["buyeruid"] = json!("u2");
            r["regs"] = json!({"gpp": text, "gpp_sid": [7]});
        }
    };
    assert_eq!(bids(&world, national(11, 0)), [(2, 5_000_000)]);
    assert_eq!(bids(&world, national(11, 2)), [(2, 5_000_000)]);
    assert_eq!(bids(&world, national(11, 1)), [(1, 2_000_000)]);
    let explanation = Server::new(&world).explain(&world, 1, &plain(national(11, 1)));
    assert_eq!((explanation.refused.as_slice(), explanation.restriction), (&[SegmentId(3)][..], None));
    assert!(explanation.segments.is_empty());
}
