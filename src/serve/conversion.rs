//! From an ad that somebody saw or clicked to what they did later at the advertiser's: the ad that a conversion is put down
//! to, so that prediction has labels and the cost of an action is known.
//!
//! Last touch: the last click within the definition's window, and without one the last impression. Touches are kept of
//! those whom the bid was allowed to know, and only for advertisers that count conversions at all.

use super::state::Shared;
use crate::audience::{Touch, Windows};
use crate::engine::Catalog;
use crate::model::event::{Converted, Credit, Event, What};
use crate::model::ids::UserKey;
use crate::model::list::{Conversion, Counting};
use crate::model::money::Nanos;
use crate::model::token::TokenClaims;

const HOUR_S: u32 = 3_600;

/// Notes that an ad was seen or clicked.
pub(super) fn touched(shared: &Shared, claims: &TokenClaims, click: bool) {
    let counts = || shared.snapshots.load().catalog.converting(claims.line_item).is_some();
    if claims.user == UserKey(0) || !counts() {
        return;
    }
    let at_s = u32::try_from(shared.clock.now().unix_s()).unwrap_or_default();
    let (bid, line_item, creative) = (claims.bid, claims.line_item, claims.creative);
    let touch = Touch { bid, line_item, creative, click, at_s };
    shared.people().write(|writer| writer.touched(claims.user, touch));
}

/// Records a conversion, put down to the ad that it follows from. Answers whether it counts: of a definition that counts
/// one a person, the second after the same ad does not.
pub(super) fn converted(
    shared: &Shared,
    catalog: &Catalog,
    definition: &Conversion,
    user: UserKey,
    value: Option<Nanos>,
    at_s: i64,
) -> bool {
    let windows = Windows {
        click_s: definition.click_window_h.saturating_mul(HOUR_S),
        view_s: definition.view_window_h.saturating_mul(HOUR_S),
    };
    let is_theirs = |touch: &Touch| catalog.advertiser_of(touch.line_item) == Some(definition.advertiser);
    let touch = shared.people().credit(user, windows, at_s, is_theirs);
    if definition.counting == Counting::One {
        let after = touch.map_or_else(|| user.to_string(), |touch| touch.bid.to_string());
        let once = format!("conversion {} after {after}", definition.id);
        let is_first = shared.people().write(|writer| {
            let is_first = writer.is_new_order(definition.advertiser, &once);
            writer.note_order(definition.advertiser, &once, at_s);
            is_first
        });
        if !is_first {
            return false;
        }
    }
    let credit = touch.map(|touch| Credit {
        bid: touch.bid,
        line_item: touch.line_item,
        creative: touch.creative,
        click: touch.click,
        after_s: u32::try_from(at_s - i64::from(touch.at_s)).unwrap_or_default(),
    });
    let value = value.or(definition.value);
    if let Some(credit) = credit.filter(|credit| catalog.is_goal(credit.line_item, definition.id)) {
        {
            let mut delivery = shared.delivery.entry(credit.line_item).or_default();
            delivery.conversions += 1;
            delivery.conversion_delay_s += u64::from(credit.after_s);
            delivery.revenue.0 = delivery.revenue.0.saturating_add(value.unwrap_or_default().0.max(0));
        }
        shared.funnels.convert(credit.line_item);
    }
    let (conversion, advertiser) = (definition.id, definition.advertiser);
    let what = What::Conversion(Converted { conversion, advertiser, user, value, credit });
    if let Some(log) = &shared.events {
        log.record(Event { at_ms: at_s * 1_000, what }, None);
    }
    true
}
