//! Segments, advertisers, campaigns and line items: JSON → model.

use super::behaviour;
use super::frequency;
use super::goal;
use super::known::{Known, KnownAdvertiser, KnownCampaign, Uniques, reference, reference_here};
use super::report::{Code, Report};
use super::targeting;
use super::wire::{
    AdvertiserWire, AssignmentWire, BudgetWire, CampaignWire, FlightWire, LineItemWire, PacingWire, Quoted,
    SegmentWire,
};
use crate::model::ids::{AdvertiserId, CampaignId, ConversionId, CreativeId, DealId, LineItemId, SegmentId};
use crate::model::line_item::{
    Advertiser, Budget, Campaign, CreativeAssignment, Flight, LineItem, Multipliers, Pacing, Predicts,
};
use crate::model::list::ListUse;
use crate::model::money::{Cpm, Nanos, PPM};
use crate::model::rates::Rates;
use crate::model::taxonomy::{Segment, Taxonomy, TaxonomyError};
use serde_json::value::RawValue;
use std::ops::RangeInclusive;
use std::sync::Arc;

/// How often a creative is shown beside the others of its line item.
pub(super) const WEIGHT: RangeInclusive<i64> = 1..=1_000_000;

/// The largest segment id: trees are tables by id.
const MAX_SEGMENT_ID: u32 = (1 << 24) - 1;

/// Reads all segments and checks that they are trees.
pub(super) fn segments(report: &mut Report, known: &mut Known, wires: Vec<SegmentWire>) -> Vec<Segment> {
    let mut uniques = Uniques::new("segments");
    report.within("segments", |report| {
        for (index, wire) in wires.iter().enumerate() {
            report.within(index, |report| {
                let id = report.id("id", wire.id.as_ref(), MAX_SEGMENT_ID);
                uniques.id(report, id, index);
                let Some(key) = report.required("key", wire.key.as_ref()) else { return };
                if key.is_empty() || key.len() > 255 || !key.bytes().all(|b| b.is_ascii_graphic()) {
                    report.error_at(
                        "key",
                        Code::Malformed,
                        format!("{key:?}: give 1 to 255 printable ASCII characters"),
                    );
                }
                uniques.key(report, "key", key.clone(), index);
                known.segments.insert(key.clone(), SegmentId(id.unwrap_or_default()));
            });
        }
    });
    let errors_before = report.errors.len();
    let segments = report.each("segments", wires, |report, wire| {
        let parent =
            wire.parent.and_then(|key| report.within("parent", |report| known.segment(report, &key)));
        let key = wire.key.unwrap_or_default();
        let id = known.segments.get(&key).copied().unwrap_or_default();
        Segment {
            id,
            name: wire.name.unwrap_or_else(|| key.clone()),
            key,
            parent,
            sensitive: wire.sensitive.unwrap_or(false),
            source: behaviour::source(report, known, (wire.rule, wire.interest, wire.customers)),
            values: behaviour::values(report, wire.values.0),
            external: behaviour::external(report, known, id, wire.external),
        }
    });
    // A node that is missing or double has been reported already, and would be found again here.
    if errors_before == report.errors.len() {
        match Taxonomy::build(&segments) {
            Ok(tree) => behaviour::refuse_sensitive(report, &tree, &segments),
            Err(TaxonomyError::Cycle(id)) => refuse_circle(report, &segments, id),
            Err(_) => {}
        }
    }
    segments
}

fn refuse_circle(report: &mut Report, segments: &[Segment], id: SegmentId) {
    let index = segments.iter().position(|segment| segment.id == id).unwrap_or_default();
    report.within("segments", |report| {
        report.within(index, |report| {
            let message = "the parents lead round in a circle; make one of them a root";
            report.error_at("parent", Code::Conflict, message);
        });
    });
}

/// Reads all advertisers and remembers their ids and zones.
pub(super) fn advertisers(
    report: &mut Report,
    known: &mut Known,
    rates: &Rates,
    wires: Vec<AdvertiserWire>,
) -> Vec<Advertiser> {
    let mut uniques = Uniques::new("advertisers");
    report.each("advertisers", wires.into_iter().enumerate(), |report, (index, wire)| {
        let id = report.id("id", wire.id.as_ref(), u32::MAX);
        uniques.id(report, id, index);
        let name = report.name("name", wire.name).unwrap_or_default();
        uniques.name(report, name.clone(), index);
        let currency = report.currency("currency", wire.currency.as_deref()).unwrap_or(rates.base());
        if rates.get(currency).is_none() {
            report.error_at(
                "currency",
                Code::UnknownReference,
                format!("{currency} has no rate; add it to /rates/others"),
            );
        }
        let time_zone =
            report.time_zone("time_zone", wire.time_zone.as_deref()).unwrap_or_else(|| "UTC".to_owned());
        let wallet = report.required("wallet", wire.wallet);
        let id = AdvertiserId(id.unwrap_or_default());
        let advertiser = Advertiser {
            id,
            name,
            currency,
            time_zone,
            wallet: report.amount("wallet", wallet.as_ref()).unwrap_or(Nanos(0)),
            data_fee: report.price("data_fee", wire.data_fee.as_ref()).unwrap_or(Cpm(0)),
            platform_ppm: report.factor("platform_share", wire.platform_share.as_ref(), 1).unwrap_or(0),
            frequency: report.within("frequency", |report| frequency::read(report, wire.frequency)),
            active: report.status(wire.status.as_deref()),
        };
        known.advertisers.insert(id, KnownAdvertiser::of(&advertiser));
        advertiser
    })
}

/// Reads all campaigns and remembers their ids and owners.
pub(super) fn campaigns(report: &mut Report, known: &mut Known, wires: Vec<CampaignWire>) -> Vec<Campaign> {
    let mut uniques = Uniques::new("campaigns");
    report.each("campaigns", wires.into_iter().enumerate(), |report, (index, wire)| {
        let id = report.id("id", wire.id.as_ref(), u32::MAX);
        uniques.id(report, id, index);
        let owner =
            reference(report, "advertiser", wire.advertiser.as_ref(), &known.advertisers, AdvertiserId);
        let owner = owner.map(|(id, _)| id);
        let advertiser = owner.unwrap_or_default();
        let name = report.name("name", wire.name).unwrap_or_default();
        uniques.name(report, (advertiser, name.clone()), index);
        let id = CampaignId(id.unwrap_or_default());
        let campaign = Campaign {
            id,
            advertiser,
            name,
            budget: report.within("budget", |report| budget(report, &wire.budget)),
            frequency: report.within("frequency", |report| frequency::read(report, wire.frequency)),
            flight: report.within("flight", |report| flight(report, &wire.flight)),
            active: report.status(wire.status.as_deref()),
        };
        known.campaigns.insert(id, KnownCampaign::of(&campaign, owner));
        campaign
    })
}

/// Reads all line items; last, because they refer to everything else.
pub(super) fn line_items(report: &mut Report, known: &Known, entries: Vec<&RawValue>) -> Vec<LineItem> {
    let mut uniques = Uniques::new("line_items");
    report.each("line_items", entries.into_iter().enumerate(), |report, (index, entry)| {
        let wire: LineItemWire = report.json(entry);
        let id = report.id("id", wire.id.as_ref(), u32::MAX);
        uniques.id(report, id, index);
        let campaign = reference(report, "campaign", wire.campaign.as_ref(), &known.campaigns, CampaignId);
        let above = campaign.map(|(_, above)| *above);
        let owner = above.and_then(|above| above.owner);
        let payer = owner.and_then(|owner| known.advertisers.get(&owner));
        let home_zone = payer.map_or("UTC", |payer| payer.time_zone.as_str());
        let campaign = campaign.map(|(id, _)| id).unwrap_or_default();
        let name = report.name("name", wire.name).unwrap_or_default();
        uniques.name(report, (campaign, name.clone()), index);
        let active = report.status(wire.status.as_deref());
        let price = report.within("bid", |report| goal::price(report, &wire.bid));
        let multipliers =
            report.within("multipliers", |r| targeting::multipliers(r, known, wire.multipliers));
        if price.strategy.predicts() == Predicts::Nothing
            && price.bid == price.max_bid
            && raises(&multipliers)
        {
            report
                .warn_at("multipliers", "a factor above 1 has no effect, because bid.max is the bid itself");
        }
        if active && wire.creatives.is_empty() {
            report.warn_at("creatives", "has no creative and cannot serve; assign one");
        }
        let mut targeting =
            report.within("targeting", |r| targeting::read(r, known, home_zone, wire.targeting));
        let deals = report.list("deal_ids", wire.deal_ids, |report, id| {
            reference_here(report, "deal", &id, &known.deals, DealId).map(|(_, list)| Arc::clone(list))
        });
        targeting.lists.extend(deals.into_iter().map(|list| ListUse { list, excluded: false }));
        let names_conversions = !wire.conversion_ids.is_empty();
        let item = LineItem {
            id: LineItemId(id.unwrap_or_default()),
            campaign,
            name,
            budget: report.within("budget", |report| budget(report, &wire.budget)),
            flight: report.within("flight", |report| flight(report, &wire.flight)),
            active,
            strategy: price.strategy,
            bid: price.bid,
            max_bid: price.max_bid,
            min_bid: price.min_bid,
            shading: price.shading,
            pacing: report.within("pacing", |report| pacing(report, &wire.pacing)),
            frequency: report.within("frequency", |report| frequency::read(report, wire.frequency)),
            multipliers,
            targeting,
            creatives: assignments(report, known, owner, wire.creatives),
            conversions: conversions(report, known, owner, wire.conversion_ids),
        };
        goal::check(report, &item, names_conversions);
        if let (Some(above), Some(payer)) = (above, payer) {
            goal::look_above(report, &item, &above, payer);
        }
        item
    })
}

/// How the budget is spread; what there is no budget for cannot be.
fn pacing(report: &mut Report, wire: &PacingWire) -> Pacing {
    Pacing {
        mode: report.named("mode", wire.mode.as_deref()).unwrap_or_default(),
        period: report.named("period", wire.period.as_deref()).unwrap_or_default(),
    }
}

fn raises(multipliers: &Multipliers) -> bool {
    let Multipliers {
        segments,
        value_tiers,
        exchanges,
        countries,
        device_types,
        channels,
        sizes,
        deals,
        hours,
        positions,
        frequencies,
    } = multipliers;
    let factors = (segments.iter().map(|f| f.1))
        .chain(value_tiers.iter().map(|f| f.1))
        .chain(exchanges.iter().map(|f| f.1))
        .chain(countries.iter().map(|f| f.1))
        .chain(device_types.iter().map(|f| f.1))
        .chain(channels.iter().map(|f| f.1))
        .chain(sizes.iter().map(|f| f.1))
        .chain(deals.iter().map(|f| f.1))
        .chain(hours.iter().map(|f| f.1))
        .chain(positions.iter().map(|f| f.1))
        .chain(frequencies.iter().map(|f| f.1));
    factors.into_iter().any(|factor| factor > PPM)
}

fn budget(report: &mut Report, wire: &BudgetWire) -> Budget {
    Budget {
        lifetime: report.amount("lifetime", wire.lifetime.as_ref()),
        daily: report.amount("daily", wire.daily.as_ref()),
    }
}

fn flight(report: &mut Report, wire: &FlightWire) -> Flight {
    let flight = Flight {
        start_ms: report.moment("start_at", wire.start_at.as_deref()),
        end_ms: report.moment("end_at", wire.end_at.as_deref()),
    };
    if let (Some(start), Some(end)) = (flight.start_ms, flight.end_ms)
        && end <= start
    {
        report.error_at("end_at", Code::Conflict, "is not after start_at; a flight ends before this moment");
    }
    flight
}

/// Conversions of the line item's own advertiser, each once.
fn conversions(
    report: &mut Report,
    known: &Known,
    owner: Option<AdvertiserId>,
    ids: Vec<Quoted>,
) -> Vec<ConversionId> {
    let mut read: Vec<ConversionId> = Vec::with_capacity(ids.len());
    report.list("conversion_ids", ids, |report, id| {
        let (id, of) = reference_here(report, "conversion", &id, &known.conversions, ConversionId)?;
        if let (Some(owner), Some(of)) = (owner, of)
            && owner != *of
        {
            let message = format!("conversion {id} is of advertiser {of}, the line item of {owner}");
            report.error(Code::UnknownReference, message);
        }
        if read.contains(&id) {
            report.error(Code::Duplicate, "is named already; once is enough");
        }
        read.push(id);
        Some(())
    });
    read
}

fn assignments(
    report: &mut Report,
    known: &Known,
    owner: Option<AdvertiserId>,
    wires: Vec<AssignmentWire>,
) -> Vec<CreativeAssignment> {
    let mut seen = super::known::Unique::new();
    let read = report.each("creatives", wires.into_iter().enumerate(), |report, (index, wire)| {
        let weight = report.whole("weight", wire.weight, WEIGHT).unwrap_or(1);
        let (creative, creative_owner) =
            reference(report, "creative", wire.creative.as_ref(), &known.creatives, CreativeId)?;
        if let (Some(owner), Some(creative_owner)) = (owner, creative_owner)
            && owner != *creative_owner
        {
            let message =
                format!("creative {creative} is of advertiser {creative_owner}, the line item of {owner}");
            report.error_at("creative", Code::UnknownReference, message);
        }
        if let Some(before) = seen.note(creative, index) {
            report.error_at(
                "creative",
                Code::Duplicate,
                format!("is assigned already (entry {before}); give it a weight"),
            );
        }
        let when = report.within("when", |report| targeting::condition(report, known, wire.when));
        Some(CreativeAssignment { creative, weight, when })
    });
    read.into_iter().flatten().collect()
}
