//! An account → [`Catalog`]. What has not changed since the catalog before is taken over from it: the markup of
//! creatives, the segment trees, and the targeting index where no line item's targeting is another one. Line items
//! themselves are compiled anew, which is cheaper than to look for what of them could stay.

use super::catalog::{Catalog, CatalogCreative, CatalogError, CatalogLineItem, Ground, Head, upper_bid};
use super::creative::Assigned;
use super::external::ExternalNames;
use super::levels::Moving;
use super::outlook::Prospect;
use super::safety::CompiledSafety;
use crate::audience::Plan;
use crate::budget::frequency::Rules;
use crate::model::account::Account;
use crate::model::behaviour::{Source, Tier};
use crate::model::category::CategoryMap;
use crate::model::creative::{CompiledMarkup, Creative};
use crate::model::ids::{AdvertiserId, CampaignId, ConversionId, CreativeId, SegmentId};
use crate::model::line_item::{Advertiser, Campaign, CreativeAssignment, LineItem, Predicts};
use crate::model::list::Conversion;
use crate::model::money::Nanos;
use crate::model::targeting::{Fit, Targeting};
use crate::model::taxonomy::{Segment, Taxonomy};
use crate::pricing::{CompiledMultipliers, Pricer};
use crate::targeting::week::Zones;
use crate::targeting::{CompileError, LineItemIx, MatchInput, Matcher};
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

/// Makes a creative's templates or says what is wrong with it. Markup syntax is known to `exchange`, which lies beside
/// the engine, not below it.
pub type CompileMarkup = dyn Fn(&Creative) -> Result<CompiledMarkup, String>;

impl Catalog {
    /// Compiles an account.
    pub fn compile(
        account: Account,
        version: u64,
        compile_markup: &CompileMarkup,
    ) -> Result<Catalog, CatalogError> {
        Catalog::build(account, version, compile_markup, None)
    }

    /// Compiles what an account has become, as the next version of this catalog.
    pub fn rebuild(&self, account: Account, compile_markup: &CompileMarkup) -> Result<Catalog, CatalogError> {
        Catalog::build(account, self.version + 1, compile_markup, Some(self))
    }

    fn build(
        account: Account,
        version: u64,
        compile_markup: &CompileMarkup,
        before: Option<&Catalog>,
    ) -> Result<Catalog, CatalogError> {
        let Account { rates: _, exchanges, advertisers, campaigns, .. } = account;
        let ground = Ground {
            segments: account.segments,
            safety: account.safety,
            category_maps: account.category_maps,
            pixels: by_id(account.pixels, |pixel| pixel.id),
            conversions: by_id(account.conversions, |conversion| conversion.id),
        };
        let (taxonomy, behaviour, external) = match before
            .filter(|before| before.ground.segments == ground.segments)
        {
            Some(before) => {
                (Arc::clone(&before.taxonomy), Arc::clone(&before.behaviour), Arc::clone(&before.external))
            }
            None => {
                let taxonomy = Arc::new(Taxonomy::build(&ground.segments)?);
                let behaviour = Arc::new(Plan::compile(&ground.segments, &taxonomy));
                let external = Arc::new(ExternalNames::compile(&ground.segments, &taxonomy));
                (taxonomy, behaviour, external)
            }
        };
        let creatives = compile_creatives(account.creatives, &ground.category_maps, compile_markup, before)?;
        let parents = Parents {
            campaigns: index(campaigns.iter().map(|c| c.id)),
            advertisers: index(advertisers.iter().map(|a| a.id)),
            creatives: index(creatives.iter().map(|c| c.creative.id)),
        };
        let by_frequency = |item: &&LineItem| !item.multipliers.frequencies.is_empty();
        let counted: HashSet<CampaignId> =
            account.line_items.iter().filter(by_frequency).map(|item| item.campaign).collect();
        let customers = customers(&ground.segments);
        let mut zones = Zones::default();
        let mut line_items = Vec::with_capacity(account.line_items.len());
        for item in account.line_items {
            let above = parents.of(&item, &campaigns)?;
            let zone = zones.add(&advertisers[above.1].time_zone)?;
            let assigned = parents.creatives_of(&item, &creatives, &taxonomy)?;
            let fits = approved_fits(&assigned, &creatives);
            let counts = counted.contains(&item.campaign);
            let frequency = frequency(&item, &campaigns[above.0], &advertisers[above.1], counts);
            let active = item.active && campaigns[above.0].active && advertisers[above.1].active;
            let customers = customers.get(&advertisers[above.1].id).map_or(&[][..], Vec::as_slice);
            let multipliers = CompiledMultipliers::compile(&item.multipliers, &taxonomy, customers);
            let currency = advertisers[above.1].currency;
            line_items.push(CatalogLineItem {
                id: item.id,
                campaign_id: item.campaign,
                shaped: is_shaped(&item.targeting),
                active,
                frequency,
                pricer: Pricer::of(&item, currency),
                upper_bid: upper_bid(&item, &multipliers),
                conversion_value: conversion_value(&item, &ground.conversions),
                fits,
                creatives: assigned,
                multipliers,
                campaign: above.0,
                advertiser: above.1,
                zone,
                item,
            });
        }
        let caps = line_items.iter().any(|line| !line.frequency.is_empty())
            || creatives.iter().any(|entry| entry.frequency.is_some());
        let level_before = |line: &CatalogLineItem| {
            let ix = before?.line_item_ix(line.id)?;
            before.map(|before| before.levels().get(ix))
        };
        let head = |line: &CatalogLineItem| {
            Head::of(line, &campaigns[line.campaign], Moving::from(level_before(line)))
        };
        let prospects = prospects(&line_items, &advertisers, &creatives);
        Ok(Catalog {
            version,
            prospects,
            caps,
            matcher: matcher(&line_items, &taxonomy, before)?,
            exchange_by_name: exchanges.iter().enumerate().map(|(i, e)| (e.name.clone(), i)).collect(),
            departed: before.map(|before| before.departed_from(&exchanges)).unwrap_or_default(),
            exchanges,
            heads: line_items.iter().map(head).collect(),
            advertisers,
            campaigns,
            line_item_by_id: (0u32..).zip(&line_items).map(|(i, l)| (l.item.id, LineItemIx(i))).collect(),
            line_items,
            creatives,
            creative_by_id: parents.creatives,
            taxonomy,
            behaviour,
            external,
            zones,
            safety: CompiledSafety::compile(&ground.safety),
            ground,
        })
    }
}

/// See [`CatalogLineItem::shaped`].
fn is_shaped(Targeting { formats, sizes, placement, .. }: &Targeting) -> bool {
    !formats.is_empty() || !sizes.is_empty() || placement.is_some()
}

fn by_id<T, K: Ord>(mut all: Vec<T>, id: impl Fn(&T) -> K) -> Vec<T> {
    all.sort_by_key(id);
    all
}

fn compile_creatives(
    creatives: Vec<Creative>,
    maps: &[CategoryMap],
    compile_markup: &CompileMarkup,
    before: Option<&Catalog>,
) -> Result<Vec<CatalogCreative>, CatalogError> {
    let compile = |creative: Creative| {
        let known = before.and_then(|before| before.creative_by_id(creative.id));
        let markup = match known.filter(|known| known.creative == creative) {
            Some(known) => Arc::clone(&known.markup),
            None => {
                let compiled = compile_markup(&creative);
                Arc::new(compiled.map_err(|problem| CatalogError::Markup { creative: creative.id, problem })?)
            }
        };
        let translated = translations(&creative, maps);
        let frequency = Rules::new(creative.id, &creative.frequency);
        Ok(CatalogCreative { creative, markup, translated, frequency })
    };
    creatives.into_iter().map(compile).collect()
}

/// See [`Catalog::prospects`].
fn prospects(
    line_items: &[CatalogLineItem],
    advertisers: &[Advertiser],
    creatives: &[CatalogCreative],
) -> Vec<Prospect> {
    if line_items.iter().all(|line| line.item.strategy.predicts() == Predicts::Nothing) {
        return Vec::new();
    }
    let prospect = |line: &CatalogLineItem| {
        let first = line.creatives.first().map(|assigned| creatives[assigned.position].creative.id);
        Prospect::of(line, advertisers[line.advertiser].id, first.unwrap_or_default())
    };
    line_items.iter().map(prospect).collect()
}

/// The segments of each advertiser's customers, with their tiers.
fn customers(segments: &[Segment]) -> HashMap<AdvertiserId, Vec<(Tier, SegmentId)>> {
    let mut customers: HashMap<AdvertiserId, Vec<(Tier, SegmentId)>> = HashMap::new();
    for segment in segments {
        if let Source::Customers(of) = &segment.source {
            customers.entry(of.advertiser).or_default().push((of.tier, segment.id));
        }
    }
    customers
}

/// See [`CatalogLineItem::conversion_value`]; `conversions` are sorted by id.
fn conversion_value(item: &LineItem, conversions: &[Conversion]) -> Nanos {
    let value = |id: &ConversionId| {
        let at = conversions.binary_search_by_key(id, |conversion| conversion.id).ok()?;
        conversions[at].value
    };
    item.conversions.iter().find_map(value).unwrap_or_default()
}

/// The caps that an impression of a line item counts for, whatever its creative.
/// In a campaign with prices by how often it was seen (`counts`), that is counted also where nothing is capped.
fn frequency(item: &LineItem, campaign: &Campaign, advertiser: &Advertiser, counts: bool) -> Box<[Rules]> {
    let of_campaign = Rules::new(campaign.id, &campaign.frequency);
    let rules = [
        Rules::new(advertiser.id, &advertiser.frequency),
        of_campaign.or_else(|| counts.then(|| Rules::counted(campaign.id))),
        Rules::new(item.id, &item.frequency),
    ];
    rules.into_iter().flatten().collect()
}

/// The index of before where it would become the same.
fn matcher(
    line_items: &[CatalogLineItem],
    taxonomy: &Arc<Taxonomy>,
    before: Option<&Catalog>,
) -> Result<Arc<Matcher>, CompileError> {
    let same_trees = before.filter(|before| Arc::ptr_eq(&before.taxonomy, taxonomy));
    let inputs = || line_items.iter().map(CatalogLineItem::match_input);
    if let Some(before) = same_trees
        && inputs().eq(before.line_items.iter().map(CatalogLineItem::match_input))
    {
        return Ok(Arc::clone(&before.matcher));
    }
    let inputs: Vec<MatchInput<'_>> = inputs().collect();
    Matcher::compile(&inputs, taxonomy).map(Arc::new)
}

/// Of two mappings to one taxonomy the first that has all categories stands.
fn translations(creative: &Creative, maps: &[CategoryMap]) -> Vec<(u16, Vec<String>)> {
    let ours = creative.cattax;
    let mut translated: Vec<(u16, Vec<String>)> = Vec::new();
    for map in maps {
        let other = if map.from == ours { map.to } else { map.from };
        if let Some(categories) = map.translate(ours, other, &creative.categories)
            && translated.iter().all(|(known, _)| *known != other)
        {
            translated.push((other, categories));
        }
    }
    translated
}

fn approved_fits(assigned: &[Assigned], creatives: &[CatalogCreative]) -> Vec<Fit> {
    let approved = assigned.iter().map(|a| &creatives[a.position].creative).filter(|c| c.approvals.any());
    let mut fits: Vec<Fit> = approved.map(Creative::fit).collect();
    fits.sort();
    fits.dedup();
    fits
}

fn index<K: std::hash::Hash + Eq>(ids: impl Iterator<Item = K>) -> HashMap<K, usize> {
    ids.enumerate().map(|(position, id)| (id, position)).collect()
}

/// Positions by stable id while an account is compiled.
struct Parents {
    campaigns: HashMap<CampaignId, usize>,
    advertisers: HashMap<AdvertiserId, usize>,
    creatives: HashMap<CreativeId, usize>,
}

impl Parents {
    fn of(&self, item: &LineItem, campaigns: &[Campaign]) -> Result<(usize, usize), CatalogError> {
        let missing = |to: String| CatalogError::Dangling { from: format!("line item {}", item.id), to };
        let campaign = *self
            .campaigns
            .get(&item.campaign)
            .ok_or_else(|| missing(format!("campaign {}", item.campaign)))?;
        let owner = campaigns[campaign].advertiser;
        let advertiser =
            *self.advertisers.get(&owner).ok_or_else(|| missing(format!("advertiser {owner}")))?;
        Ok((campaign, advertiser))
    }

    fn creatives_of(
        &self,
        item: &LineItem,
        creatives: &[CatalogCreative],
        tree: &Taxonomy,
    ) -> Result<Vec<Assigned>, CatalogError> {
        let resolve = |assignment: &CreativeAssignment| {
            let position = self.creatives.get(&assignment.creative).copied();
            let assigned = |position: usize| {
                Assigned::compile(position, creatives[position].creative.fit(), assignment, tree)
            };
            position.map(assigned).ok_or_else(|| CatalogError::Dangling {
                from: format!("line item {}", item.id),
                to: format!("creative {}", assignment.creative),
            })
        };
        item.creatives.iter().map(resolve).collect()
    }
}
