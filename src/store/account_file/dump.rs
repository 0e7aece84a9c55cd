//! Model → JSON: the inverse of the readers. Everything that has a value is written, defaults too, so that a later
//! change of a default changes no account.

use super::targeting::hours_of;
use super::values::Named;
use super::wire::*;
use super::{behaviour, frequency, goal, lists, price_codec};

pub(super) use super::creative::dump::creative;
use crate::model::account::Account;
use crate::model::exchange::{ExchangeAuth, ExchangeProfile};
use crate::model::ids::{ExchangeId, SegmentId};
use crate::model::line_item::{
    Advertiser, Budget, Campaign, CreativeAssignment, Flight, LineItem, Multipliers,
};
use crate::model::list::ListKind;
use crate::model::money::Cpm;
use crate::model::rates::Rates;
use crate::model::targeting::{Category, Daypart, HourMask, PlacementRules, Rule, SegmentRule, Targeting};
use crate::model::taxonomy::Segment;
use std::collections::HashMap;
use std::fmt::Display;

/// Why an account cannot be written: only a hand-made one can be so.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Inconsistent {
    /// A line item names an exchange that the account does not have.
    #[error("there is no exchange {0}")]
    Exchange(ExchangeId),
    /// Something names a segment that the account does not have.
    #[error("there is no segment {0}")]
    Segment(SegmentId),
    /// A flight begins or ends outside the years that a date can have.
    #[error("{0} ms is no moment that can be written as a date")]
    Moment(i64),
    /// A time that the file counts in days is none of whole days.
    #[error("{0} s are no whole days")]
    Days(u32),
}

/// Names by id, for references.
pub(super) struct Names<'a> {
    exchanges: HashMap<ExchangeId, &'a str>,
    segments: HashMap<SegmentId, &'a str>,
}

impl<'a> Names<'a> {
    /// Of these exchanges and segments.
    pub(super) fn of(
        exchanges: impl Iterator<Item = &'a ExchangeProfile>,
        segments: impl Iterator<Item = &'a Segment>,
    ) -> Names<'a> {
        Names {
            exchanges: exchanges.map(|exchange| (exchange.id, exchange.name.as_str())).collect(),
            segments: segments.map(|segment| (segment.id, segment.key.as_str())).collect(),
        }
    }

    pub(super) fn exchange(&self, id: &ExchangeId) -> Result<String, Inconsistent> {
        self.exchanges.get(id).map(|name| (*name).to_owned()).ok_or(Inconsistent::Exchange(*id))
    }

    pub(super) fn segment(&self, id: &SegmentId) -> Result<String, Inconsistent> {
        self.segments.get(id).map(|key| (*key).to_owned()).ok_or(Inconsistent::Segment(*id))
    }
}

/// The whole account.
pub(super) fn account(account: &Account) -> Result<AccountWire, Inconsistent> {
    let names = Names::of(account.exchanges.iter(), account.segments.iter());
    let segments = account.segments.iter().map(|wire| segment(wire, &names)).collect::<Result<_, _>>()?;
    let campaigns = account.campaigns.iter().map(campaign).collect::<Result<_, _>>()?;
    let line_items =
        account.line_items.iter().map(|item| line_item(item, &names)).collect::<Result<_, _>>()?;
    Ok(AccountWire {
        safety: super::safety::write(&account.safety),
        rates: rates(&account.rates)?,
        exchanges: account.exchanges.iter().map(exchange).collect(),
        segments,
        advertisers: account.advertisers.iter().map(advertiser).collect(),
        campaigns,
        creatives: (account.creatives.iter().map(|one| creative(one, &names))).collect::<Result<_, _>>()?,
        line_items,
        lists: account.lists.iter().map(|list| lists::write_list(list)).collect(),
        deals: (account.deals.iter())
            .map(|deal| Ok(lists::write_deal(deal, names.exchange(&deal.exchange)?)))
            .collect::<Result<_, Inconsistent>>()?,
        conversions: account.conversions.iter().map(lists::write_conversion).collect(),
        pixels: account.pixels.iter().map(behaviour::write_pixel).collect(),
    })
}

/// A value in quotes.
pub(super) fn quoted(value: impl Display) -> Option<Quoted> {
    Some(Quoted(value.to_string()))
}

/// Millionths as a decimal; a price has the same unit.
fn factor(ppm: i64) -> Quoted {
    Quoted(Cpm(ppm).to_string())
}

pub(super) fn status(active: bool) -> Option<String> {
    Some(if active { "active" } else { "paused" }.to_owned())
}

pub(super) fn name_of<T: Named>(value: T) -> String {
    value.name().to_owned()
}

pub(super) fn rates(rates: &Rates) -> Result<RatesWire, Inconsistent> {
    let others = rates.iter().filter(|(currency, _)| *currency != rates.base()).map(|(currency, rate)| {
        RateWire { currency: Some(currency.to_string()), rate: quoted(crate::model::money::Nanos(rate.0)) }
    });
    Ok(RatesWire {
        base: Some(rates.base().to_string()),
        as_of: rates.age().map(|age| moment(age.as_of_ms)).transpose()?,
        max_age_h: rates.age().map(|age| i64::from(age.max_s) / 3_600),
        others: others.collect(),
    })
}

pub(super) fn exchange(profile: &ExchangeProfile) -> ExchangeWire {
    let holds = &profile.holds;
    ExchangeWire {
        id: quoted(profile.id),
        name: Some(profile.name.clone()),
        auth: auth(&profile.auth),
        seat: Some(profile.seat.clone()),
        currency: Some(profile.currency.to_string()),
        price_codec: Some(price_codec::dump(&profile.price_codec)),
        price_unit: Some(name_of(profile.price_unit)),
        billing_event: Some(name_of(profile.billing_event)),
        burl_in_browser: Some(profile.burl_in_browser),
        missing_price: Some(name_of(profile.missing_price)),
        default_at: Some(profile.default_at),
        default_tmax_ms: Some(profile.default_tmax_ms.into()),
        max_tmax_ms: Some(profile.max_tmax_ms.into()),
        network_margin_ms: Some(profile.network_margin_ms.into()),
        holds: HoldsWire {
            web_banner_s: Some(holds.web_banner_s.into()),
            app_banner_s: Some(holds.app_banner_s.into()),
            app_interstitial_s: Some(holds.app_interstitial_s.into()),
            video_s: Some(holds.video_s.into()),
            grace_s: Some(holds.grace_s.into()),
            max_s: Some(holds.max_s.into()),
        },
        max_multiplier: Some(factor(profile.max_multiplier_ppm)),
        max_cpm: quoted(profile.max_cpm),
        max_qps: profile.max_qps.map(i64::from),
        max_open_holds: profile.max_open_holds.and_then(quoted),
        house: HouseWire {
            first_trust: profile.house.first_trust.and_then(quoted),
            trusted: Some(profile.house.first_trust.is_none()),
            day_max: profile.house.day_max.and_then(quoted),
            deaf_check: Some(profile.house.deaf_check),
        },
        max_adm_bytes: Some(profile.max_adm_bytes.into()),
        max_url_bytes: Some(profile.max_url_bytes.into()),
        send_nbr: Some(profile.send_nbr),
        send_lurl: Some(profile.send_lurl),
        seller_system: profile.seller_system.clone(),
        open_bids: Some(profile.open_bids as i64),
        eid_sources: profile.eid_sources.clone(),
        match_user_id: Some(profile.match_user_id),
        gdpr_default: Some(name_of(profile.gdpr_default)),
        sync_url: profile.sync_url.clone(),
        sync_domains: profile.sync_domains.clone(),
    }
}

fn auth(auth: &ExchangeAuth) -> AuthWire {
    let of_type = |kind: &str| AuthWire { r#type: Some(kind.to_owned()), ..AuthWire::default() };
    match auth {
        ExchangeAuth::LoopbackOnly => of_type("loopback_only"),
        ExchangeAuth::Header { name, secret } => {
            AuthWire { name: Some(name.clone()), secret: Some(secret.clone()), ..of_type("header") }
        }
        ExchangeAuth::PathSecret(secret) => AuthWire { secret: Some(secret.clone()), ..of_type("path") },
        ExchangeAuth::Addresses(networks) => {
            let addresses = networks.iter().map(|net| format!("{}/{}", net.addr, net.prefix)).collect();
            AuthWire { addresses, ..of_type("addresses") }
        }
    }
}

pub(super) fn segment(segment: &Segment, names: &Names<'_>) -> Result<SegmentWire, Inconsistent> {
    let (rule, interest, customers) = behaviour::write_source(&segment.source, names)?;
    Ok(SegmentWire {
        id: quoted(segment.id),
        key: Some(segment.key.clone()),
        name: Some(segment.name.clone()),
        parent: segment.parent.map(|parent| names.segment(&parent)).transpose()?,
        sensitive: Some(segment.sensitive),
        values: Texts(segment.values.clone()),
        external: segment.external.iter().map(behaviour::write_external).collect(),
        rule,
        interest,
        customers,
    })
}

pub(super) fn advertiser(advertiser: &Advertiser) -> AdvertiserWire {
    AdvertiserWire {
        id: quoted(advertiser.id),
        name: Some(advertiser.name.clone()),
        status: status(advertiser.active),
        currency: Some(advertiser.currency.to_string()),
        time_zone: Some(advertiser.time_zone.clone()),
        wallet: quoted(advertiser.wallet),
        data_fee: quoted(advertiser.data_fee),
        platform_share: Some(factor(advertiser.platform_ppm)),
        frequency: frequency::write(&advertiser.frequency),
    }
}

fn budget(budget: Budget) -> BudgetWire {
    BudgetWire { lifetime: budget.lifetime.and_then(quoted), daily: budget.daily.and_then(quoted) }
}

fn moment(ms: i64) -> Result<String, Inconsistent> {
    let moment = jiff::Timestamp::from_millisecond(ms).map_err(|_| Inconsistent::Moment(ms))?;
    Ok(moment.to_string())
}

fn flight(flight: Flight) -> Result<FlightWire, Inconsistent> {
    let moment = |ms: Option<i64>| ms.map(moment).transpose();
    Ok(FlightWire { start_at: moment(flight.start_ms)?, end_at: moment(flight.end_ms)? })
}

pub(super) fn campaign(campaign: &Campaign) -> Result<CampaignWire, Inconsistent> {
    Ok(CampaignWire {
        id: quoted(campaign.id),
        advertiser: quoted(campaign.advertiser),
        name: Some(campaign.name.clone()),
        status: status(campaign.active),
        budget: budget(campaign.budget),
        frequency: frequency::write(&campaign.frequency),
        flight: flight(campaign.flight)?,
    })
}

pub(super) fn line_item(item: &LineItem, names: &Names<'_>) -> Result<LineItemWire, Inconsistent> {
    let assignment = |assignment: &CreativeAssignment| {
        let CreativeAssignment { creative, weight, when } = assignment;
        let segments = when.segments.iter().map(|id| names.segment(id)).collect::<Result<_, _>>()?;
        Ok(AssignmentWire {
            creative: quoted(*creative),
            weight: Some((*weight).into()),
            when: ConditionWire {
                segments,
                countries: when.countries.iter().map(ToString::to_string).collect(),
                regions: when.regions.clone(),
                hours: when.hours.map(hours_of).unwrap_or_default(),
            },
        })
    };
    Ok(LineItemWire {
        id: quoted(item.id),
        campaign: quoted(item.campaign),
        name: Some(item.name.clone()),
        status: status(item.active),
        bid: goal::write(item),
        budget: budget(item.budget),
        pacing: PacingWire {
            mode: Some(name_of(item.pacing.mode)),
            period: Some(name_of(item.pacing.period)),
        },
        frequency: frequency::write(&item.frequency),
        flight: flight(item.flight)?,
        targeting: targeting(&item.targeting, names)?,
        multipliers: multipliers(&item.multipliers, names)?,
        creatives: item.creatives.iter().map(assignment).collect::<Result<_, _>>()?,
        deal_ids: (item.targeting.lists.iter().filter(|used| used.list.exchange.is_some()))
            .filter_map(|used| quoted(used.list.id))
            .collect(),
        conversion_ids: item.conversions.iter().filter_map(quoted).collect(),
    })
}

fn rule<T, W>(rule: &Rule<T>, write: impl Fn(&T) -> W) -> RuleWire<W> {
    RuleWire {
        include: rule.include.iter().map(&write).collect(),
        exclude: rule.exclude.iter().map(&write).collect(),
    }
}

fn text<T: ToString>(from: &Rule<T>) -> RuleWire<String> {
    rule(from, T::to_string)
}

/// Ids of lists of a kind; the deals, which are lists to targeting, have a member of their own.
fn lists_of(targeting: &Targeting, kind: ListKind, excluded: bool) -> Vec<Quoted> {
    let own = targeting.lists_of(kind, excluded).filter(|list| list.exchange.is_none());
    own.filter_map(|list| quoted(list.id)).collect()
}

fn targeting(targeting: &Targeting, names: &Names<'_>) -> Result<TargetingWire, Inconsistent> {
    let listed = |rule: &Rule<String>, kind| ListedWire {
        include: rule.include.clone(),
        exclude: rule.exclude.clone(),
        include_lists: lists_of(targeting, kind, false),
        exclude_lists: lists_of(targeting, kind, true),
    };
    let exchanges = |list: &[ExchangeId]| list.iter().map(|id| names.exchange(id)).collect::<Result<_, _>>();
    Ok(TargetingWire {
        exchanges: RuleWire {
            include: exchanges(&targeting.exchanges.include)?,
            exclude: exchanges(&targeting.exchanges.exclude)?,
        },
        deals: listed(&targeting.deals, ListKind::Deal),
        formats: rule(&targeting.formats, |media| name_of(*media)),
        sizes: text(&targeting.sizes),
        countries: text(&targeting.countries),
        regions: listed(&targeting.regions, ListKind::Region),
        metros: listed(&targeting.metros, ListKind::Metro),
        cities: listed(&targeting.cities, ListKind::City),
        zips: listed(&targeting.zips, ListKind::Zip),
        device_types: rule(&targeting.device_types, |n| *n),
        os: text(&targeting.os),
        browsers: text(&targeting.browsers),
        connections: rule(&targeting.connections, |n| *n),
        addresses: AddressesWire {
            include_lists: lists_of(targeting, ListKind::Address, false),
            exclude_lists: lists_of(targeting, ListKind::Address, true),
        },
        carriers: text(&targeting.carriers),
        languages: text(&targeting.languages),
        domains: listed(&targeting.domains, ListKind::Domain),
        bundles: listed(&targeting.bundles, ListKind::Bundle),
        publishers: listed(&targeting.publishers, ListKind::Publisher),
        categories: rule(&targeting.categories, category),
        keywords: listed(&targeting.keywords, ListKind::Keyword),
        audience: audience(&targeting.segments, names)?,
        dayparts: targeting.daypart.as_ref().map(dayparts),
        placement: targeting.placement.as_deref().map(placement),
    })
}

fn placement(rules: &PlacementRules) -> PlacementWire {
    PlacementWire {
        positions: rule(&rules.positions, |n| *n),
        video_placements: rule(&rules.video_placements, |n| *n),
        starts: rule(&rules.starts, |start| name_of(*start)),
        playback_methods: rule(&rules.playback_methods, |n| *n),
        feeds: rule(&rules.feeds, |n| *n),
        native_contexts: rule(&rules.native_contexts, |n| *n),
        interstitial: rules.interstitial,
        rewarded: rules.rewarded,
        client_trackers: Some(rules.client_trackers),
        max_refreshes: rules.max_refreshes.map(i64::from),
        min_refresh_s: rules.min_refresh_s.map(i64::from),
    }
}

fn category(category: &Category) -> CategoryWire {
    CategoryWire { cattax: Some(category.cattax.into()), id: Some(category.id.clone()) }
}

fn audience(rule: &SegmentRule, names: &Names<'_>) -> Result<AudienceWire, Inconsistent> {
    let keys = |list: &[SegmentId]| list.iter().map(|id| names.segment(id)).collect::<Result<_, _>>();
    Ok(AudienceWire {
        all_of: keys(&rule.all_of)?,
        any_of: keys(&rule.any_of)?,
        none_of: keys(&rule.none_of)?,
    })
}

/// No hour at all is written as everything excluded, because an empty include list is no restriction.
fn dayparts(daypart: &Daypart) -> DaypartsWire {
    let (include, exclude) = match daypart.hours {
        HourMask::NONE => (Vec::new(), hours_of(HourMask::ALL)),
        hours => (hours_of(hours), Vec::new()),
    };
    DaypartsWire { time_zone: Some(daypart.time_zone.clone()), include, exclude }
}

fn multipliers(multipliers: &Multipliers, names: &Names<'_>) -> Result<MultipliersWire, Inconsistent> {
    Ok(MultipliersWire {
        segments: try_factors(&multipliers.segments, |id| names.segment(id))?,
        value_tiers: factors(&multipliers.value_tiers, |tier| name_of(*tier)),
        exchanges: try_factors(&multipliers.exchanges, |id| names.exchange(id))?,
        countries: factors(&multipliers.countries, ToString::to_string),
        device_types: factors(&multipliers.device_types, |n| *n),
        channels: factors(&multipliers.channels, |channel| name_of(*channel)),
        sizes: factors(&multipliers.sizes, ToString::to_string),
        deals: factors(&multipliers.deals, Clone::clone),
        hours: factors(&multipliers.hours, |mask| hours_of(*mask)),
        positions: factors(&multipliers.positions, |n| *n),
        frequencies: factors(&multipliers.frequencies, |seen| SeenWire {
            from: Some(seen.from.into()),
            to: seen.to.map(Into::into),
        }),
    })
}

fn factors<T, W>(from: &[(T, i64)], write: impl Fn(&T) -> W) -> Vec<FactorWire<W>> {
    from.iter().map(|(value, ppm)| FactorWire { value: write(value), factor: factor(*ppm) }).collect()
}

fn try_factors<T>(
    from: &[(T, i64)],
    write: impl Fn(&T) -> Result<String, Inconsistent>,
) -> Result<Vec<FactorWire<String>>, Inconsistent> {
    from.iter().map(|(value, ppm)| Ok(FactorWire { value: write(value)?, factor: factor(*ppm) })).collect()
}
