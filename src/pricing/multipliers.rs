//! Differential prices: factors by audience, exchange, country, device, channel, size, deal, hour, position, how often the
//! person has seen the campaign, and what they are worth as a customer. The largest matching factor within a dimension, the
//! product across dimensions, 0 excludes, the product clamped to 0.05–20.

use crate::model::auction::Size;
use crate::model::behaviour::Tier;
use crate::model::country::Country;
use crate::model::ids::{ExchangeId, SegmentId};
use crate::model::line_item::{ChannelKind, Multipliers, SeenRange};
use crate::model::money::PPM;
use crate::model::no_bid::NoBidReason;
use crate::model::targeting::HourMask;
use crate::model::taxonomy::{Taxonomy, any_within};

/// Smallest product, in ppm.
const MIN_PRODUCT: i64 = PPM / 20;
/// Largest product, in ppm.
const MAX_PRODUCT: i64 = 20 * PPM;

/// The dimensions, in the order of [`Factors::by_dimension`].
pub const DIMENSIONS: [&str; 11] = [
    "audience",
    "exchange",
    "country",
    "device_type",
    "channel",
    "size",
    "deal",
    "hour",
    "position",
    "frequency",
    "value_tier",
];

/// The reason of an exclusion by each of [`DIMENSIONS`].
const EXCLUSIONS: [NoBidReason; DIMENSIONS.len()] = [
    NoBidReason::Audience,
    NoBidReason::Exchange,
    NoBidReason::Geo,
    NoBidReason::Device,
    NoBidReason::Inventory,
    NoBidReason::Size,
    NoBidReason::Deal,
    NoBidReason::Daypart,
    NoBidReason::Placement,
    NoBidReason::Frequency,
    NoBidReason::Audience,
];

/// Multipliers ready for the bid path: tables only where there are any, as most line items have none.
#[derive(Clone, Debug, Default)]
pub struct CompiledMultipliers {
    tables: Option<Box<Tables>>,
    upper_ppm: i64,
}

#[derive(Clone, Debug)]
struct Tables {
    /// (first entry, one past the last, ppm) of a tree node's interval, see [`Taxonomy::interval`].
    segments: Vec<(u32, u32, i64)>,
    exchanges: Vec<(ExchangeId, i64)>,
    countries: Vec<(Country, i64)>,
    device_types: Vec<(i64, i64)>,
    channels: Vec<(ChannelKind, i64)>,
    sizes: Vec<(Size, i64)>,
    deals: Vec<(String, i64)>,
    hours: Vec<(HourMask, i64)>,
    positions: Vec<(i64, i64)>,
    frequencies: Vec<(SeenRange, i64)>,
    /// As `segments`: of the segments that the tier's customers are in.
    value_tiers: Vec<(u32, u32, i64)>,
}

/// What multipliers look at.
#[derive(Clone, Copy, Debug)]
pub struct PriceFacts<'r> {
    /// Entry numbers of the user's segments in the taxonomy, ascending.
    pub segment_entries: &'r [u32],
    /// The exchange.
    pub exchange: ExchangeId,
    /// Where the device is.
    pub country: Option<Country>,
    /// `device.devicetype`.
    pub device_type: Option<i64>,
    /// Kind of inventory.
    pub channel: Option<ChannelKind>,
    /// Size of the creative; `None` where it has none.
    pub size: Option<Size>,
    /// The deal that is bid on.
    pub deal: Option<&'r str>,
    /// Hour of the week in the advertiser's zone.
    pub hour_of_week: usize,
    /// `pos` of the impression; `None` = not said.
    pub position: Option<i64>,
    /// How often the person has seen the campaign; `None` = nobody can tell.
    pub frequency: Option<u32>,
}

/// The factors that applied.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Factors {
    /// In ppm, in the order of [`DIMENSIONS`]; 1_000_000 where nothing matched.
    pub by_dimension: [i64; DIMENSIONS.len()],
    /// The clamped product in ppm; 0 = excluded.
    pub product_ppm: i64,
}

impl Factors {
    /// The reason of a factor of 0, the first in rank order where there are several; `None` = nothing excludes.
    pub fn excluded_by(&self) -> Option<NoBidReason> {
        let zeros = self.by_dimension.iter().zip(EXCLUSIONS).filter(|(ppm, _)| **ppm == 0);
        zeros.map(|(_, reason)| reason).min()
    }
}

impl CompiledMultipliers {
    /// Resolves tree nodes to their intervals; nodes that the taxonomy does not know never match. `customers` are the
    /// segments of the advertiser's customers with their tiers; a tier that has none never matches.
    pub fn compile(
        source: &Multipliers,
        taxonomy: &Taxonomy,
        customers: &[(Tier, SegmentId)],
    ) -> CompiledMultipliers {
        if *source == Multipliers::default() {
            return CompiledMultipliers { tables: None, upper_ppm: PPM };
        }
        let interval = |(node, ppm): &(_, i64)| taxonomy.interval(*node).map(|(from, to)| (from, to, *ppm));
        let of_tier = |(tier, ppm): &(Tier, i64)| {
            let (tier, ppm) = (*tier, *ppm);
            let segments = customers.iter().filter(move |(of, _)| *of == tier);
            segments.filter_map(move |(_, segment)| interval(&(*segment, ppm)))
        };
        let tables = Tables {
            segments: source.segments.iter().filter_map(interval).collect(),
            exchanges: source.exchanges.clone(),
            countries: source.countries.clone(),
            device_types: source.device_types.clone(),
            channels: source.channels.clone(),
            sizes: source.sizes.clone(),
            deals: source.deals.clone(),
            hours: source.hours.clone(),
            positions: source.positions.clone(),
            frequencies: source.frequencies.clone(),
            value_tiers: source.value_tiers.iter().flat_map(of_tier).collect(),
        };
        let upper_ppm = tables.largest_product();
        CompiledMultipliers { tables: Some(Box::new(tables)), upper_ppm }
    }

    /// Has the memory fetch the tables.
    pub fn announce(&self) {
        if let Some(tables) = &self.tables {
            std::hint::black_box((tables.segments.len(), tables.channels.len(), tables.frequencies.len()));
        }
    }

    /// No request gets a larger product than this, in ppm.
    pub fn upper_ppm(&self) -> i64 {
        self.upper_ppm
    }

    /// Whether creatives of this size are excluded by a factor of 0, whatever the request.
    pub fn excludes_size(&self, size: Size) -> bool {
        self.tables.as_ref().is_some_and(|tables| largest_equal(&tables.sizes, Some(&size)) == 0)
    }

    /// The factors for one impression and creative.
    pub fn factors(&self, facts: &PriceFacts<'_>) -> Factors {
        const NOTHING: Factors = Factors { by_dimension: [PPM; DIMENSIONS.len()], product_ppm: PPM };
        self.tables.as_ref().map_or(NOTHING, |tables| tables.factors(facts))
    }
}

impl Tables {
    fn largest_product(&self) -> i64 {
        let largest = |ppm: Option<i64>| ppm.unwrap_or(PPM).max(PPM);
        let by_dimension = [
            largest(self.segments.iter().map(|m| m.2).max()),
            largest(self.exchanges.iter().map(|m| m.1).max()),
            largest(self.countries.iter().map(|m| m.1).max()),
            largest(self.device_types.iter().map(|m| m.1).max()),
            largest(self.channels.iter().map(|m| m.1).max()),
            largest(self.sizes.iter().map(|m| m.1).max()),
            largest(self.deals.iter().map(|m| m.1).max()),
            largest(self.hours.iter().map(|m| m.1).max()),
            largest(self.positions.iter().map(|m| m.1).max()),
            largest(self.frequencies.iter().map(|m| m.1).max()),
            largest(self.value_tiers.iter().map(|m| m.2).max()),
        ];
        product(&by_dimension)
    }

    fn factors(&self, facts: &PriceFacts<'_>) -> Factors {
        let has_entry = |(from, to, _): &&(u32, u32, i64)| any_within(facts.segment_entries, (*from, *to));
        let is_seen =
            |(range, _): &&(SeenRange, i64)| facts.frequency.is_some_and(|times| range.contains(times));
        let by_entry =
            |table: &[(u32, u32, i64)]| table.iter().filter(has_entry).map(|m| m.2).max().unwrap_or(PPM);
        let by_dimension = [
            by_entry(&self.segments),
            largest_equal(&self.exchanges, Some(&facts.exchange)),
            largest_equal(&self.countries, facts.country.as_ref()),
            largest_equal(&self.device_types, facts.device_type.as_ref()),
            largest_equal(&self.channels, facts.channel.as_ref()),
            largest_equal(&self.sizes, facts.size.as_ref()),
            self.deals.iter().filter(|m| facts.deal == Some(&m.0)).map(|m| m.1).max().unwrap_or(PPM),
            self.hours.iter().filter(|m| m.0.contains(facts.hour_of_week)).map(|m| m.1).max().unwrap_or(PPM),
            largest_equal(&self.positions, facts.position.as_ref()),
            self.frequencies.iter().filter(is_seen).map(|m| m.1).max().unwrap_or(PPM),
            by_entry(&self.value_tiers),
        ];
        Factors { by_dimension, product_ppm: product(&by_dimension) }
    }
}

fn largest_equal<T: PartialEq>(table: &[(T, i64)], value: Option<&T>) -> i64 {
    let Some(value) = value else { return PPM };
    table.iter().filter(|(key, _)| key == value).map(|(_, ppm)| *ppm).max().unwrap_or(PPM)
}

/// The clamped product; a zero anywhere excludes.
fn product(by_dimension: &[i64; DIMENSIONS.len()]) -> i64 {
    if by_dimension.contains(&0) {
        return 0;
    }
    let others = || by_dimension.iter().filter(|factor| **factor != PPM);
    match others().count() {
        0 => return PPM,
        1 => return others().sum::<i64>().clamp(MIN_PRODUCT, MAX_PRODUCT),
        _ => {}
    }
    // Carried with ten more decimals, so that eleven roundings stay far below one ppm; a factor is at most 10⁸ ppm, so that
    // no product on the way is above 10³⁸, which fits.
    let scale = 10_000_000_000i128;
    let scaled = others().fold(scale, |product, f| product * i128::from(*f) / i128::from(PPM));
    (scaled * i128::from(PPM) / scale).clamp(i128::from(MIN_PRODUCT), i128::from(MAX_PRODUCT)) as i64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::taxonomy::Segment;

    fn facts(entries: &[u32]) -> PriceFacts<'_> {
        PriceFacts {
            segment_entries: entries,
            exchange: ExchangeId(1),
            country: Country::parse("US"),
            device_type: Some(4),
            channel: Some(ChannelKind::App),
            size: Some(Size { w: 300, h: 250 }),
            deal: None,
            hour_of_week: 9,
            position: None,
            frequency: None,
        }
    }

    fn node(id: u32, parent: Option<u32>) -> Segment {
        let (name, key) = (String::new(), format!("s{id}"));
        Segment {
            id: SegmentId(id),
            key,
            name,
            parent: parent.map(SegmentId),
            sensitive: false,
            ..Segment::default()
        }
    }

    #[test]
    fn dimensions_multiply_and_the_largest_within_one_counts() {
        let tree = Taxonomy::build(&[node(1, None), node(2, Some(1)), node(3, None)]).unwrap();
        let source = Multipliers {
            segments: vec![(SegmentId(1), 1_500_000), (SegmentId(3), 1_200_000)],
            device_types: vec![(4, 2_000_000)],
            deals: vec![("d".into(), 9_000_000)],
            ..Multipliers::default()
        };
        let compiled = CompiledMultipliers::compile(&source, &tree, &[]);
        let entry = |id| tree.interval(SegmentId(id)).unwrap().0;
        let mut both = [entry(2), entry(3)];
        both.sort();
        assert_eq!(compiled.factors(&facts(&both)).product_ppm, 3_000_000);
        assert_eq!(compiled.factors(&facts(&[])).product_ppm, 2_000_000);
        assert_eq!(compiled.upper_ppm(), MAX_PRODUCT);
    }

    #[test]
    fn a_customer_is_worth_what_their_tier_is() {
        let tree = Taxonomy::build(&[node(1, None), node(2, None), node(3, None)]).unwrap();
        let source = Multipliers {
            segments: vec![(SegmentId(3), 1_500_000)],
            value_tiers: vec![(Tier::Loyal, 2_000_000), (Tier::Lost, 0), (Tier::New, 3_000_000)],
            ..Multipliers::default()
        };
        // Nobody is in a segment of new customers.
        let customers = [(Tier::Loyal, SegmentId(1)), (Tier::Lost, SegmentId(2))];
        let compiled = CompiledMultipliers::compile(&source, &tree, &customers);
        let of = |ids: &[u32]| {
            let mut entries: Vec<u32> =
                ids.iter().map(|id| tree.interval(SegmentId(*id)).unwrap().0).collect();
            entries.sort();
            let found = compiled.factors(&facts(&entries));
            (found.product_ppm, found.excluded_by())
        };
        assert_eq!(compiled.upper_ppm(), 3_000_000);
        assert_eq!(of(&[]), (1_000_000, None));
        assert_eq!(of(&[1, 3]), (3_000_000, None), "the dimensions multiply");
        assert_eq!(of(&[2]), (0, Some(NoBidReason::Audience)));
    }

    #[test]
    fn positions_and_how_often_it_was_seen_count_where_they_are_known() {
        let range = |from, to| SeenRange { from, to };
        let source = Multipliers {
            positions: vec![(1, 1_500_000), (3, 0)],
            frequencies: vec![
                (range(0, Some(0)), 2_000_000),
                (range(1, Some(4)), 800_000),
                (range(4, None), 500_000),
            ],
            ..Multipliers::default()
        };
        let compiled = CompiledMultipliers::compile(&source, &Taxonomy::default(), &[]);
        let at = |position, frequency| {
            let found = compiled.factors(&PriceFacts { position, frequency, ..facts(&[]) });
            (found.product_ppm, found.excluded_by())
        };
        assert_eq!(compiled.upper_ppm(), 3_000_000);
        assert_eq!(at(None, None), (1_000_000, None));
        assert_eq!(at(Some(1), Some(0)), (3_000_000, None));
        assert_eq!(at(Some(2), Some(3)), (800_000, None));
        assert_eq!(at(None, Some(4)), (800_000, None), "the larger of two that match");
        assert_eq!(at(None, Some(u32::MAX)), (500_000, None));
        assert_eq!(at(Some(3), Some(0)), (0, Some(NoBidReason::Placement)));
    }

    #[test]
    fn the_largest_factors_of_all_dimensions_are_a_product_like_any() {
        let all = |ppm| [ppm; DIMENSIONS.len()];
        assert_eq!(product(&all(100 * PPM)), MAX_PRODUCT);
        assert_eq!(product(&all(PPM / 100)), MIN_PRODUCT);
        let mut mixed = all(100 * PPM);
        mixed[6..].fill(PPM / 100);
        assert_eq!(product(&mixed), MAX_PRODUCT, "100 is left");
        mixed[5] = PPM;
        assert_eq!(product(&mixed), PPM);
    }

    #[test]
    fn zero_excludes_and_the_product_is_clamped() {
        let tree = Taxonomy::default();
        let with = |ppm| {
            let countries = vec![(Country::parse("US").unwrap(), ppm)];
            CompiledMultipliers::compile(&Multipliers { countries, ..Multipliers::default() }, &tree, &[])
        };
        assert_eq!(with(0).factors(&facts(&[])).product_ppm, 0);
        assert_eq!(with(0).factors(&facts(&[])).excluded_by(), Some(NoBidReason::Geo));
        assert_eq!(with(1).factors(&facts(&[])).excluded_by(), None);
        assert_eq!(with(1).factors(&facts(&[])).product_ppm, MIN_PRODUCT);
    }
}
