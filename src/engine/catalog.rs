//! The compiled catalog: line items with their matcher, creatives with their templates, exchange profiles. Immutable;
//! made by `compile`, and anew at every change of the account;
//! dense indexes live only inside one catalog, everything that must survive a rebuild is keyed by stable id.

use super::creative::Assigned;
use super::external::ExternalNames;
use super::levels::{Levels, Moving};
use super::outlook::Prospect;
use super::safety::CompiledSafety;
use crate::audience::Plan;
use crate::budget::frequency::Rules;
use crate::budget::{ExchangeTerms, Funding, Terms, hold_for};
use crate::model::behaviour::Pixel;
use crate::model::category::CategoryMap;
use crate::model::creative::{CompiledMarkup, Creative};
use crate::model::exchange::{ExchangeProfile, HoldLives};
use crate::model::ids::{
    AdvertiserId, CampaignId, ConversionId, CreativeId, ExchangeId, LineItemId, PixelId,
};
use crate::model::line_item::{Advertiser, Campaign, LineItem, Predicts, Strategy};
use crate::model::list::Conversion;
use crate::model::money::{Cpm, Currency, Nanos, PPM};
use crate::model::no_bid::NoBidReason;
use crate::model::rates::Rate;
use crate::model::safety::Safety;
use crate::model::targeting::Fit;
use crate::model::taxonomy::{Segment, Taxonomy, TaxonomyError};
use crate::pricing::{CompiledMultipliers, Pricer};
use crate::targeting::week::{ZoneError, ZoneIx, Zones};
use crate::targeting::{CompileError, LineItemIx, MatchInput, Matcher};
use std::collections::HashMap;
use std::sync::Arc;

/// A creative with its compiled markup.
#[derive(Clone, Debug)]
pub struct CatalogCreative {
    /// As configured.
    pub creative: Creative,
    /// Compiled markup, shared with the catalog before where the creative is the same.
    pub markup: Arc<CompiledMarkup>,
    /// Its categories in the other taxonomies in which they can be said.
    pub translated: Vec<(u16, Vec<String>)>,
    /// How often one person may be shown it.
    pub frequency: Option<Rules>,
}

/// A line item with what the bid path needs of its parents.
///
/// What an offer asks of it comes first, on two lines of the cache of more than thirty.
#[derive(Clone, Debug)]
#[repr(C, align(64))]
pub struct CatalogLineItem {
    /// Price and cap.
    pub pricer: Pricer,
    /// Its creatives in the order of assignment.
    pub creatives: Vec<Assigned>,
    /// Position of the advertiser's time zone in the catalog's list of zones.
    pub zone: ZoneIx,
    /// As configured.
    pub id: LineItemId,
    /// Factors.
    pub multipliers: CompiledMultipliers,
    /// How often one person may be shown it, or anything of its campaign or its advertiser.
    pub frequency: Box<[Rules]>,
    /// Position of its campaign in [`Catalog::campaigns`].
    pub campaign: usize,
    /// Position of its advertiser in [`Catalog::advertisers`].
    pub advertiser: usize,
    /// What a conversion brings where none has told: the value of the first of its definitions that has one.
    pub conversion_value: Nanos,
    /// As configured.
    pub campaign_id: CampaignId,
    /// It, its campaign and its advertiser are active.
    pub active: bool,
    /// Its targeting has rules of media, of sizes or of placements, which its creatives have to meet.
    pub shaped: bool,
    /// No offer is above this, in the advertiser's currency.
    pub upper_bid: Cpm,
    /// What the approved creatives fill, sorted, without repetition.
    pub fits: Vec<Fit>,
    /// As configured.
    pub item: LineItem,
}

/// Bytes of a line of the cache.
const LINE: usize = 64;
const _: () = assert!(std::mem::offset_of!(CatalogLineItem, multipliers) == LINE);
const _: () = assert!(std::mem::offset_of!(CatalogLineItem, shaped) < 2 * LINE);

/// What is asked of every candidate, on one line of the cache: a line item with its targeting and creatives fills many of
/// them, and most candidates are never looked at closer.
#[derive(Debug)]
#[repr(align(64))]
pub(super) struct Head {
    /// Line item and campaign are in flight from here, in milliseconds since the Unix epoch…
    from_ms: i64,
    /// … until just before here.
    until_ms: i64,
    /// No value times multipliers is above this.
    pub(super) upper_value: Cpm,
    /// No bid is.
    pub(super) max_bid: Cpm,
    /// What pacing says at this moment.
    pub(super) level: Moving,
    /// Of the bounds.
    pub(super) currency: Currency,
    /// Whose it is.
    pub(super) campaign: CampaignId,
    /// As [`CatalogLineItem::active`].
    active: bool,
    /// It bids on deals only.
    pub(super) has_deals: bool,
    /// Its value rests on what is predicted.
    pub(super) predicts: bool,
}

const _: () = assert!(size_of::<Head>() == 64);

/// No value of a line item times its multipliers is above this, before pacing: it is worth most where what is paid for is
/// certain. What a conversion brings has no bound but that of all prices.
fn upper_value(item: &LineItem, multipliers: &CompiledMultipliers) -> Cpm {
    match item.strategy {
        Strategy::TargetRoas => Cpm::MAX,
        _ => item.bid.scale_ppm(multipliers.upper_ppm()),
    }
}

/// No offer is above this, which is the line item's cap where κ may raise the value.
pub(super) fn upper_bid(item: &LineItem, multipliers: &CompiledMultipliers) -> Cpm {
    match item.strategy.predicts() {
        Predicts::Nothing => upper_value(item, multipliers).min(item.max_bid),
        Predicts::Clicks | Predicts::Conversions => item.max_bid,
    }
}

impl Head {
    /// Of a line item and its campaign, at the level where pacing left it.
    pub(super) fn of(line: &CatalogLineItem, campaign: &Campaign, level: Moving) -> Head {
        let flights = [line.item.flight, campaign.flight];
        Head {
            from_ms: flights.iter().filter_map(|flight| flight.start_ms).max().unwrap_or(i64::MIN),
            until_ms: flights.iter().filter_map(|flight| flight.end_ms).min().unwrap_or(i64::MAX),
            upper_value: upper_value(&line.item, &line.multipliers),
            max_bid: line.item.max_bid,
            level,
            currency: line.pricer.currency,
            campaign: campaign.id,
            active: line.active,
            has_deals: line.item.targeting.wants_deals(),
            predicts: line.item.strategy.predicts() != Predicts::Nothing,
        }
    }

    /// Has the memory fetch it.
    pub(super) fn announce(&self) {
        std::hint::black_box(self.active);
    }

    /// Active and in flight when the ad is shown; the daypart is part of matching, money is asked for when the offer is
    /// best.
    pub(super) fn eligible(&self, shown_ms: i64) -> Result<(), NoBidReason> {
        if !self.active {
            Err(NoBidReason::Inactive)
        } else if (self.from_ms..self.until_ms).contains(&shown_ms) {
            Ok(())
        } else {
            Err(NoBidReason::Flight)
        }
    }
}

/// See the module.
#[derive(Debug)]
pub struct Catalog {
    /// Grows with every rebuild.
    pub version: u64,
    /// Something has a frequency cap.
    pub(super) caps: bool,
    pub(super) exchanges: Vec<ExchangeProfile>,
    pub(super) exchange_by_name: HashMap<String, usize>,
    /// Profiles of catalogs before that are no more, so that notices of their open bids are understood.
    pub(super) departed: Vec<ExchangeProfile>,
    pub(super) advertisers: Vec<Advertiser>,
    pub(super) campaigns: Vec<Campaign>,
    pub(super) line_items: Vec<CatalogLineItem>,
    /// Of each line item.
    pub(super) heads: Vec<Head>,
    /// Of each line item, where the value of any rests on predictions.
    pub(super) prospects: Vec<Prospect>,
    pub(super) line_item_by_id: HashMap<LineItemId, LineItemIx>,
    pub(super) creatives: Vec<CatalogCreative>,
    pub(super) creative_by_id: HashMap<CreativeId, usize>,
    pub(super) taxonomy: Arc<Taxonomy>,
    pub(super) behaviour: Arc<Plan>,
    pub(super) external: Arc<ExternalNames>,
    pub(super) matcher: Arc<Matcher>,
    pub(super) zones: Zones,
    pub(super) safety: CompiledSafety,
    pub(super) ground: Ground,
}

/// What of an account is not kept as it was configured elsewhere in the catalog: to be compared with the next one.
#[derive(Debug)]
pub(super) struct Ground {
    pub(super) segments: Vec<Segment>,
    pub(super) safety: Safety,
    pub(super) category_maps: Vec<CategoryMap>,
    /// By id.
    pub(super) pixels: Vec<Pixel>,
    /// By id.
    pub(super) conversions: Vec<Conversion>,
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
    /// The position in [`Catalog::exchanges`] of the profile behind a name in the bid URL.
    pub fn exchange_position(&self, name: &str) -> Option<usize> {
        self.exchange_by_name.get(name).copied()
    }

    /// The profile behind a name in the bid URL.
    pub fn exchange(&self, name: &str) -> Option<&ExchangeProfile> {
        self.exchange_position(name).map(|position| &self.exchanges[position])
    }

    /// The profile behind an id in a token, also of an exchange that has left the account since the process began.
    pub fn exchange_by_id(&self, id: ExchangeId) -> Option<&ExchangeProfile> {
        self.exchanges.iter().chain(&self.departed).find(|profile| profile.id == id)
    }

    /// Every profile.
    pub fn exchanges(&self) -> &[ExchangeProfile] {
        &self.exchanges
    }

    /// Every advertiser.
    pub fn advertisers(&self) -> &[Advertiser] {
        &self.advertisers
    }

    /// What events of behaviour move.
    pub fn behaviour(&self) -> &Arc<Plan> {
        &self.behaviour
    }

    /// Where events are reported.
    pub fn pixel(&self, id: PixelId) -> Option<&Pixel> {
        let place = self.ground.pixels.binary_search_by_key(&id, |pixel| pixel.id).ok()?;
        Some(&self.ground.pixels[place])
    }

    /// A definition of a conversion.
    pub fn conversion(&self, id: ConversionId) -> Option<&Conversion> {
        let place = self.ground.conversions.binary_search_by_key(&id, |conversion| conversion.id).ok()?;
        Some(&self.ground.conversions[place])
    }

    /// The advertiser of a line item, where it has definitions of conversions that count.
    pub fn converting(&self, line_item: LineItemId) -> Option<AdvertiserId> {
        let advertiser = self.advertiser_of(line_item)?;
        let counts = |one: &Conversion| one.active && one.advertiser == advertiser;
        self.ground.conversions.iter().any(counts).then_some(advertiser)
    }

    /// Whether a conversion is a success of a line item: one that it names, or any where it names none.
    pub fn is_goal(&self, line_item: LineItemId, conversion: ConversionId) -> bool {
        let wanted = self.line_item_ix(line_item).map(|ix| &self.line_item(ix).item.conversions);
        wanted.is_some_and(|wanted| wanted.is_empty() || wanted.contains(&conversion))
    }

    /// Whose a line item is.
    pub fn advertiser_of(&self, line_item: LineItemId) -> Option<AdvertiserId> {
        let line = self.line_item(self.line_item_ix(line_item)?);
        Some(self.advertisers[line.advertiser].id)
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

    /// What is asked of it first.
    pub(super) fn head(&self, ix: LineItemIx) -> &Head {
        &self.heads[ix.0 as usize]
    }

    /// What an outlook asks of one whose value rests on it.
    pub(super) fn prospect(&self, ix: LineItemIx) -> &Prospect {
        &self.prospects[ix.0 as usize]
    }

    /// The dense index of a line item.
    pub fn line_item_ix(&self, id: LineItemId) -> Option<LineItemIx> {
        self.line_item_by_id.get(&id).copied()
    }

    /// What pacing says of each line item.
    pub fn levels(&self) -> Levels<'_> {
        Levels(&self.heads)
    }

    /// Every creative.
    pub fn creatives(&self) -> &[CatalogCreative] {
        &self.creatives
    }

    /// One creative by its stable id.
    pub fn creative_by_id(&self, id: CreativeId) -> Option<&CatalogCreative> {
        self.creative_by_id.get(&id).map(|i| &self.creatives[*i])
    }

    /// The frequency caps that an impression counts for.
    pub fn capped_by(
        &self,
        line_item: LineItemId,
        creative: CreativeId,
    ) -> impl Iterator<Item = &Rules> + Clone {
        let line = self.line_item_ix(line_item).map(|ix| self.line_item(ix));
        let creative = self.creative_by_id(creative).and_then(|entry| entry.frequency.as_ref());
        line.map_or(&[][..], |line| &line.frequency).iter().chain(creative)
    }

    /// How categories of one taxonomy are said in another.
    pub fn category_maps(&self) -> &[CategoryMap] {
        &self.ground.category_maps
    }

    /// The classification trees.
    pub fn taxonomy(&self) -> &Taxonomy {
        &self.taxonomy
    }

    /// The targeting index.
    pub fn matcher(&self) -> &Matcher {
        &self.matcher
    }

    /// Whether any rule looks at the addresses of devices.
    pub fn reads_addresses(&self) -> bool {
        self.matcher.reads_addresses() || self.safety.reads_addresses()
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
        self.line_items.iter().map(|line| self.funding_of(line))
    }

    /// The same for one line item.
    pub(super) fn funding_of(&self, line: &CatalogLineItem) -> (Funding, Nanos) {
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
            version: self.version,
        };
        (funding, largest_hold)
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

impl CatalogCreative {
    /// Has the memory fetch what is asked of a creative: what it is, what it says of itself, how its markup begins.
    pub(super) fn announce(&self) {
        let creative = &self.creative;
        let has = [creative.api.is_some(), creative.language.is_some(), creative.bundle.is_some()];
        let lengths = [creative.attributes.len(), creative.approvals.exceptions.len()];
        std::hint::black_box((creative.media_type(), creative.secure, creative.cattax, has, lengths));
        let category = creative.categories.first().and_then(|text| text.as_bytes().first());
        let domain = creative.adomain.first().and_then(|text| text.as_bytes().first());
        let kind = std::mem::discriminant(&*self.markup);
        std::hint::black_box((creative.transparency.is_some(), category, domain, kind));
    }
}

impl CatalogLineItem {
    /// Has the memory fetch what an offer asks of it.
    pub(super) fn announce(&self) {
        std::hint::black_box((self.pricer.bid, self.active));
    }

    /// The same of what that leads to.
    pub(super) fn announce_parts(&self) {
        std::hint::black_box(self.creatives.first().map(|assigned| assigned.position));
        self.multipliers.announce();
    }

    /// What the targeting index sees of it. An inactive line item fills nothing, so the index never visits it.
    pub fn match_input(&self) -> MatchInput<'_> {
        let fits = if self.active { &self.fits[..] } else { &[] };
        MatchInput { targeting: &self.item.targeting, fits }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::line_item::Multipliers;
    use crate::model::targeting::Targeting;
    use crate::pricing::{Predicted, value};
    use proptest::prelude::{prop_assert, proptest};

    const STRATEGIES: [Strategy; 9] = [
        Strategy::FixedCpm,
        Strategy::MaxCpm,
        Strategy::MaxCpc,
        Strategy::TargetCpc,
        Strategy::TargetCpa,
        Strategy::TargetRoas,
        Strategy::MaxClicks,
        Strategy::MaxConversions,
        Strategy::Reach,
    ];

    fn line_item(strategy: Strategy, bid: Cpm, max_bid: Cpm, factor_ppm: i64) -> LineItem {
        let device_types = vec![(2, factor_ppm)];
        LineItem {
            id: LineItemId(1),
            campaign: CampaignId(1),
            name: String::new(),
            budget: Default::default(),
            flight: Default::default(),
            active: true,
            strategy,
            bid,
            max_bid,
            min_bid: Cpm(0),
            shading: false,
            pacing: Default::default(),
            frequency: Default::default(),
            multipliers: Multipliers { device_types, ..Multipliers::default() },
            targeting: Targeting::default(),
            creatives: Vec::new(),
            conversions: Vec::new(),
        }
    }

    proptest! {
        #[test]
        fn no_offer_is_above_the_bounds_it_is_looked_up_by(
            nth in 0usize..9, bid in 1i64..=10_000_000_000_000_000, max_bid in 1i64..=1_000_000_000_000,
            click_ppb in 0u32..=1_000_000_000, conversion_ppb in 0u32..=1_000_000_000, revenue in 0..i64::MAX,
            factor_ppm in 1i64..=20_000_000, kappa_ppm in 100i64..=100_000_000,
        ) {
            let strategy = STRATEGIES[nth];
            let item = line_item(strategy, Cpm(bid), Cpm(max_bid), factor_ppm);
            let multipliers = CompiledMultipliers::compile(&item.multipliers, &Taxonomy::default(), &[]);
            let predicted = Predicted { click_ppb, conversion_ppb, revenue: Nanos(revenue) };
            let worth = value(strategy, item.bid, &predicted).scale_ppm(factor_ppm.max(PPM / 20));
            let is_raised = strategy.predicts() != Predicts::Nothing;
            let kappa_ppm = if is_raised { kappa_ppm } else { kappa_ppm.min(PPM) };
            let offer = worth.scale_ppm(kappa_ppm).min(item.max_bid);
            let upper = upper_value(&item, &multipliers).scale_ppm(kappa_ppm).min(item.max_bid);
            prop_assert!(offer <= upper, "{offer} {upper}");
            prop_assert!(offer <= upper_bid(&item, &multipliers));
        }
    }
}
