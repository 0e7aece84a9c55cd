//! The compiled catalog: line items with their matcher, creatives with their templates, exchange profiles. Immutable;
//! dense indexes live only inside one catalog, everything that must survive a rebuild is keyed by stable id.

use super::creative::Assigned;
use super::safety::CompiledSafety;
use crate::budget::{ExchangeTerms, Funding, Terms, hold_for};
use crate::model::account::Account;
use crate::model::category::CategoryMap;
use crate::model::creative::{CompiledMarkup, Creative};
use crate::model::exchange::{ExchangeProfile, HoldLives};
use crate::model::ids::{AdvertiserId, CampaignId, CreativeId, ExchangeId, LineItemId};
use crate::model::line_item::{Advertiser, Campaign, LineItem};
use crate::model::money::{Cpm, Nanos, PPM};
use crate::model::rates::Rate;
use crate::model::targeting::Fit;
use crate::model::taxonomy::{Taxonomy, TaxonomyError};
use crate::pricing::{CompiledMultipliers, Pricer};
use crate::targeting::week::{ZoneError, ZoneIx, Zones};
use crate::targeting::{CompileError, LineItemIx, MatchInput, Matcher};
use std::collections::HashMap;

/// A creative with its compiled markup.
#[derive(Clone, Debug)]
pub struct CatalogCreative {
    /// As configured.
    pub creative: Creative,
    /// Compiled markup.
    pub markup: CompiledMarkup,
    /// Its categories in the other taxonomies in which they can be said.
    pub translated: Vec<(u16, Vec<String>)>,
}

/// A line item with what the bid path needs of its parents.
#[derive(Clone, Debug)]
pub struct CatalogLineItem {
    /// As configured.
    pub item: LineItem,
    /// Position of its campaign in [`Catalog::campaigns`].
    pub campaign: usize,
    /// Position of its advertiser in [`Catalog::advertisers`].
    pub advertiser: usize,
    /// It, its campaign and its advertiser are active.
    pub active: bool,
    /// Price and cap.
    pub pricer: Pricer,
    /// Factors.
    pub multipliers: CompiledMultipliers,
    /// No offer is above this, in the advertiser's currency.
    pub upper_bid: Cpm,
    /// Its creatives in the order of assignment.
    pub creatives: Vec<Assigned>,
    /// What the approved creatives fill, sorted, without repetition.
    pub fits: Vec<Fit>,
    /// Position of the advertiser's time zone in the catalog's list of zones.
    pub zone: ZoneIx,
}

/// See the module.
#[derive(Debug)]
pub struct Catalog {
    /// Grows with every rebuild.
    pub version: u64,
    exchanges: Vec<ExchangeProfile>,
    exchange_by_name: HashMap<String, usize>,
    advertisers: Vec<Advertiser>,
    campaigns: Vec<Campaign>,
    line_items: Vec<CatalogLineItem>,
    line_item_by_id: HashMap<LineItemId, LineItemIx>,
    creatives: Vec<CatalogCreative>,
    creative_by_id: HashMap<CreativeId, usize>,
    taxonomy: Taxonomy,
    matcher: Matcher,
    zones: Zones,
    safety: CompiledSafety,
}

/// Why an account cannot be compiled.
#[derive(Debug, thiserror::Error)]
pub enum CatalogError {
    /// The segments are no forest.
    #[error("segments: {0}")]
    Taxonomy(#[from] TaxonomyError),
    /// The targeting cannot be compiled.
    #[error("targeting: {0}")]
    Targeting(#[from] CompileError),
    /// An advertiser's time zone is unknown.
    #[error("advertisers: {0}")]
    Zone(#[from] ZoneError),
    /// A creative's markup cannot be compiled.
    #[error("creative {creative}: {problem}")]
    Markup {
        /// The creative.
        creative: CreativeId,
        /// What is wrong with it, and where.
        problem: String,
    },
    /// Something names a thing that does not exist.
    #[error("{from} names {to}, which does not exist")]
    Dangling {
        /// Who names it.
        from: String,
        /// What is missing.
        to: String,
    },
}

impl Catalog {
    /// Compiles an account. `compile_markup` makes a creative's templates or says what is wrong with it
    /// (markup syntax is known to `exchange`, which lies beside the engine, not below it).
    pub fn compile(
        account: Account,
        version: u64,
        compile_markup: &dyn Fn(&Creative) -> Result<CompiledMarkup, String>,
    ) -> Result<Catalog, CatalogError> {
        let taxonomy = Taxonomy::build(&account.segments)?;
        let mut creatives = Vec::with_capacity(account.creatives.len());
        for creative in account.creatives {
            let compiled = compile_markup(&creative);
            let markup =
                compiled.map_err(|problem| CatalogError::Markup { creative: creative.id, problem })?;
            let translated = translations(&creative, &account.category_maps);
            creatives.push(CatalogCreative { creative, markup, translated });
        }
        let parents = Parents {
            campaigns: index(account.campaigns.iter().map(|c| c.id)),
            advertisers: index(account.advertisers.iter().map(|a| a.id)),
            creatives: index(creatives.iter().map(|c| c.creative.id)),
        };
        let mut zones = Zones::default();
        let mut line_items = Vec::with_capacity(account.line_items.len());
        for item in account.line_items {
            let (campaign, advertiser) = parents.of(&item, &account.campaigns)?;
            let parents_of = (&account.campaigns[campaign], &account.advertisers[advertiser]);
            let zone = zones.add(&parents_of.1.time_zone)?;
            let assigned = parents.creatives_of(&item, &taxonomy)?;
            let multipliers = CompiledMultipliers::compile(&item.multipliers, &taxonomy);
            line_items.push(CatalogLineItem {
                active: item.active && parents_of.0.active && parents_of.1.active,
                pricer: Pricer { bid: item.bid, max_bid: item.max_bid, currency: parents_of.1.currency },
                upper_bid: item.bid.scale_ppm(multipliers.upper_ppm()).min(item.max_bid),
                fits: approved_fits(&assigned, &creatives),
                creatives: assigned,
                multipliers,
                campaign,
                advertiser,
                zone,
                item,
            });
        }
        let inputs: Vec<MatchInput<'_>> = line_items.iter().map(CatalogLineItem::match_input).collect();
        let matcher = Matcher::compile(&inputs, &taxonomy)?;
        Ok(Catalog {
            version,
            exchange_by_name: account
                .exchanges
                .iter()
                .enumerate()
                .map(|(i, e)| (e.name.clone(), i))
                .collect(),
            exchanges: account.exchanges,
            advertisers: account.advertisers,
            campaigns: account.campaigns,
            line_item_by_id: (0u32..).zip(&line_items).map(|(i, l)| (l.item.id, LineItemIx(i))).collect(),
            line_items,
            creatives,
            creative_by_id: parents.creatives,
            taxonomy,
            matcher,
            zones,
            safety: CompiledSafety::compile(&account.safety),
        })
    }

    /// The position in [`Catalog::exchanges`] of the profile behind a name in the bid URL.
    pub fn exchange_position(&self, name: &str) -> Option<usize> {
        self.exchange_by_name.get(name).copied()
    }

    /// The profile behind a name in the bid URL.
    pub fn exchange(&self, name: &str) -> Option<&ExchangeProfile> {
        self.exchange_position(name).map(|position| &self.exchanges[position])
    }

    /// The profile behind an id in a token.
    pub fn exchange_by_id(&self, id: ExchangeId) -> Option<&ExchangeProfile> {
        self.exchanges.iter().find(|profile| profile.id == id)
    }

    /// Every profile.
    pub fn exchanges(&self) -> &[ExchangeProfile] {
        &self.exchanges
    }

    /// Every advertiser.
    pub fn advertisers(&self) -> &[Advertiser] {
        &self.advertisers
    }

    /// Every campaign.
    pub fn campaigns(&self) -> &[Campaign] {
        &self.campaigns
    }

    /// Every line item, by dense index.
    pub fn line_items(&self) -> &[CatalogLineItem] {
        &self.line_items
    }

    /// One line item.
    pub fn line_item(&self, ix: LineItemIx) -> &CatalogLineItem {
        &self.line_items[ix.0 as usize]
    }

    /// The dense index of a line item.
    pub fn line_item_ix(&self, id: LineItemId) -> Option<LineItemIx> {
        self.line_item_by_id.get(&id).copied()
    }

    /// Every creative.
    pub fn creatives(&self) -> &[CatalogCreative] {
        &self.creatives
    }

    /// One creative by its stable id.
    pub fn creative_by_id(&self, id: CreativeId) -> Option<&CatalogCreative> {
        self.creative_by_id.get(&id).map(|i| &self.creatives[*i])
    }

    /// The classification trees.
    pub fn taxonomy(&self) -> &Taxonomy {
        &self.taxonomy
    }

    /// The targeting index.
    pub fn matcher(&self) -> &Matcher {
        &self.matcher
    }

    /// The advertisers' time zones; [`CatalogLineItem::zone`] is one of them.
    pub fn zones(&self) -> &Zones {
        &self.zones
    }

    /// What is refused for every line item.
    pub(super) fn safety(&self) -> &CompiledSafety {
        &self.safety
    }

    /// Where each line item's money comes from, with the largest hold of one impression, for the ledger.
    pub fn funding(&self) -> impl Iterator<Item = (Funding, Nanos)> + '_ {
        self.line_items.iter().map(|line| {
            let (campaign, advertiser) = (&self.campaigns[line.campaign], &self.advertisers[line.advertiser]);
            let terms = Terms {
                rate: Rate::ONE,
                data_fee: advertiser.data_fee,
                platform_ppm: advertiser.platform_ppm,
                multiplier_ppm: PPM,
            };
            let largest_hold = hold_for(line.upper_bid, &terms).unwrap_or(Nanos(1));
            let funding = Funding {
                line_item: line.item.id,
                line_item_budget: line.item.budget,
                campaign: campaign.id,
                campaign_budget: campaign.budget,
                advertiser: advertiser.id,
                wallet: advertiser.wallet,
                time_zone: advertiser.time_zone.clone(),
                currency: advertiser.currency,
                version: 0,
            };
            (funding, largest_hold)
        })
    }

    /// What the house agreed on with each exchange, for the ledger.
    pub fn exchange_terms(&self) -> impl Iterator<Item = ExchangeTerms> + '_ {
        self.exchanges().iter().map(|profile| {
            let HoldLives { web_banner_s, app_banner_s, app_interstitial_s, video_s, grace_s, max_s } =
                profile.holds;
            let lives = [web_banner_s, app_banner_s, app_interstitial_s, video_s];
            ExchangeTerms {
                id: profile.id,
                currency: profile.currency,
                first_trust: profile.house.first_trust,
                house_day_max: profile.house.day_max,
                deaf_check: profile.house.deaf_check,
                lives_s: lives.map(|life| life.saturating_add(grace_s)),
                max_hold_s: max_s,
            }
        })
    }
}

impl CatalogLineItem {
    /// What the targeting index sees of it. An inactive line item fills nothing, so the index never visits it.
    pub fn match_input(&self) -> MatchInput<'_> {
        let fits = if self.active { &self.fits[..] } else { &[] };
        MatchInput { targeting: &self.item.targeting, fits }
    }
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

    fn creatives_of(&self, item: &LineItem, tree: &Taxonomy) -> Result<Vec<Assigned>, CatalogError> {
        let resolve = |assignment: &crate::model::line_item::CreativeAssignment| {
            let position = self.creatives.get(&assignment.creative).copied();
            let assigned = |position| Assigned::compile(position, assignment.weight, &assignment.when, tree);
            position.map(assigned).ok_or_else(|| CatalogError::Dangling {
                from: format!("line item {}", item.id),
                to: format!("creative {}", assignment.creative),
            })
        };
        item.creatives.iter().map(resolve).collect()
    }
}
