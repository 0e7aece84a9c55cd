//! A log of impressions, clicks and conversions from a seed, with the probability that each was drawn from: what
//! predictions are judged by where the truth must be known.
//!
//! Sites, places, campaigns and segments are drawn by Zipf's law, so that most of them are rare; the log-odds of a click are
//! the sum of an effect of each value, of effects of campaigns with devices, sites and segments, of how often the user saw
//! the campaign, and of a drift of the sites over days. Clicks come seconds after the impression, a few much later;
//! conversions come hours to days after the click, later for some campaigns. No user is drawn: only what a bid request
//! would say.

use super::dice::Dice;
use crate::model::auction::Size;
use crate::model::country::Country;
use crate::model::ids::{AdvertiserId, BidId, CampaignId, CreativeId, ExchangeId, LineItemId, SegmentId};
use crate::model::targeting::MediaType;

/// 2026-03-02, a Monday, at midnight.
const START_MS: i64 = 1_772_409_600_000;
const DAY_MS: f64 = 86_400_000.0;
/// The sizes that are offered.
const SIZES: [(u16, u16); 5] = [(300, 250), (320, 50), (728, 90), (160, 600), (970, 250)];
const COUNTRIES: [&str; 8] = ["US", "DE", "GB", "FR", "CA", "NL", "SE", "CH"];
const SYSTEMS: [&str; 5] = ["android", "ios", "windows", "macos", "linux"];
const BROWSERS: [&str; 5] = ["chrome", "safari", "edge", "firefox", "other"];
/// Segments of a user.
const SEGMENTS: usize = 4;

/// What is drawn.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct ClickLogOptions {
    /// The seed: the same one draws the same log.
    pub seed: u64,
    /// Impressions a day.
    pub rows_per_day: u64,
    /// Log-odds of a click where all effects are 0.
    pub base_logit: f64,
    /// Size of the drift of the sites, in log-odds.
    pub drift: f64,
    /// Sites, by Zipf's law.
    pub sites: usize,
    /// Campaigns, by Zipf's law.
    pub campaigns: usize,
}

impl Default for ClickLogOptions {
    fn default() -> ClickLogOptions {
        ClickLogOptions {
            seed: 1,
            rows_per_day: 200_000,
            base_logit: -4.0,
            drift: 0.1,
            sites: 1_000,
            campaigns: 100,
        }
    }
}

/// An impression with what became of it.
#[derive(Clone, PartialEq, Debug)]
pub struct LoggedImpression {
    /// The bid.
    pub bid: BidId,
    /// When it was shown.
    pub at_ms: i64,
    /// The exchange.
    pub exchange: ExchangeId,
    /// The site, from 0.
    pub site: u32,
    /// The place on it.
    pub slot: String,
    /// The size.
    pub size: Size,
    /// The medium.
    pub format: MediaType,
    /// `pos`.
    pub position: i64,
    /// The country.
    pub country: Country,
    /// The region.
    pub region: String,
    /// Hour of the week.
    pub hour_of_week: u8,
    /// `devicetype`.
    pub device_type: i64,
    /// Operating system.
    pub os: &'static str,
    /// Browser.
    pub browser: &'static str,
    /// `connectiontype`.
    pub connection: i64,
    /// Segments of the user, no two alike.
    pub segments: Vec<SegmentId>,
    /// Whose ad it is.
    pub advertiser: AdvertiserId,
    /// The campaign.
    pub campaign: CampaignId,
    /// The line item.
    pub line_item: LineItemId,
    /// The creative.
    pub creative: CreativeId,
    /// How often the user had seen the campaign.
    pub frequency: u32,
    /// The probability of the click.
    pub click_truth: f64,
    /// When it was clicked, after the impression; `None` = never.
    pub clicked_after_ms: Option<i64>,
    /// The probability of a conversion after a click.
    pub conversion_truth: f64,
    /// When it converted, after the click; `None` = never, or not clicked.
    pub converted_after_ms: Option<i64>,
}

impl LoggedImpression {
    /// As `field=value`, with the crosses that predictions make.
    pub fn fields(&self) -> Vec<String> {
        let (site, campaign, hour) = (self.site, self.campaign, self.hour_of_week % 24);
        let mut fields = vec![
            format!("exchange={}", self.exchange),
            format!("site=s{site}"),
            format!("slot={}", self.slot),
            format!("size={}x{}", self.size.w, self.size.h),
            format!("format={}", self.format),
            format!("position={}", self.position),
            format!("country={}", self.country.as_str()),
            format!("region={}", self.region),
            format!("hour=h{hour}"),
            format!("day=d{}", self.hour_of_week / 24),
            format!("device=t{}", self.device_type),
            format!("os={}", self.os),
            format!("browser={}", self.browser),
            format!("connection=c{}", self.connection),
            format!("advertiser=a{}", self.advertiser),
            format!("campaign=k{campaign}"),
            format!("creative=m{}", self.creative),
            format!("frequency={}", u32::BITS - self.frequency.leading_zeros()),
            format!("campaign_site=k{campaign}_s{site}"),
            format!("campaign_slot=k{campaign}_{}", self.slot),
            format!("campaign_hour=k{campaign}_h{hour}"),
            format!("campaign_device=k{campaign}_t{}", self.device_type),
            format!("campaign_country=k{campaign}_{}", self.country.as_str()),
            format!("advertiser_site=a{}_s{site}", self.advertiser),
        ];
        for segment in &self.segments {
            fields.push(format!("segment=g{segment}"));
        }
        if let Some(segment) = self.segments.first() {
            fields.push(format!("campaign_segment=k{campaign}_g{segment}"));
        }
        fields
    }
}

/// What an effect belongs to.
#[derive(Clone, Copy)]
enum Effect {
    Site = 1,
    Slot,
    Size,
    Position,
    Country,
    Hour,
    Device,
    Os,
    Browser,
    Segment,
    Campaign,
    Creative,
    CampaignDevice,
    CampaignSite,
    CampaignSegment,
    Phase,
    Conversion,
    Patience,
}

/// Draws impressions one after the other, without end.
#[derive(Clone, Debug)]
pub struct ClickLog {
    options: ClickLogOptions,
    dice: Dice,
    at_ms: f64,
    drawn: u64,
    sites: Zipf,
    campaigns: Zipf,
    segments: Zipf,
}

impl ClickLog {
    /// The log of these options.
    pub fn new(options: ClickLogOptions) -> ClickLog {
        ClickLog {
            options,
            dice: Dice::new(options.seed, 0xc11c),
            at_ms: START_MS as f64,
            drawn: 0,
            sites: Zipf::new(options.sites, 1.0),
            campaigns: Zipf::new(options.campaigns, 0.8),
            segments: Zipf::new(200, 0.9),
        }
    }

    /// A standard normal effect that belongs to this value for ever.
    fn effect(&self, of: Effect, value: u64) -> f64 {
        let mut dice = Dice::new(self.options.seed.wrapping_mul(0x9e37_79b9) ^ value, of as u64);
        normal(&mut dice)
    }

    fn uniform(&mut self) -> f64 {
        uniform(&mut self.dice)
    }

    /// Moves on to the next impression: more come in the evening than at night.
    fn pass_time(&mut self) {
        let phase = (self.at_ms - START_MS as f64) / DAY_MS * std::f64::consts::TAU;
        let busy = 1.0 - 0.6 * (phase + 0.5).cos();
        let mean_ms = DAY_MS / self.options.rows_per_day as f64 / busy;
        self.at_ms += -(1.0 - self.uniform()).ln() * mean_ms;
    }

    fn click_logit(&self, row: &LoggedImpression) -> f64 {
        let (site, campaign) = (u64::from(row.site), u64::from(row.campaign.0));
        let device = row.device_type as u64;
        let day = (self.at_ms - START_MS as f64) / DAY_MS;
        let phase = self.effect(Effect::Phase, site) * 3.0;
        let own = [
            (0.4, Effect::Site, site),
            (0.3, Effect::Slot, hash(&row.slot)),
            (0.2, Effect::Size, u64::from(row.size.w)),
            (0.3, Effect::Position, row.position as u64),
            (0.2, Effect::Country, hash(row.country.as_str())),
            (0.15, Effect::Hour, u64::from(row.hour_of_week % 24)),
            (0.3, Effect::Device, device),
            (0.15, Effect::Os, hash(row.os)),
            (0.15, Effect::Browser, hash(row.browser)),
            (0.5, Effect::Campaign, campaign),
            (0.25, Effect::Creative, u64::from(row.creative.0)),
            (0.2, Effect::CampaignDevice, campaign << 8 | device),
            (0.1, Effect::CampaignSite, campaign << 24 | site),
        ];
        let own: f64 = own.iter().map(|(size, of, value)| size * self.effect(*of, *value)).sum();
        let segments = row.segments.iter().enumerate().map(|(at, segment)| {
            let segment = u64::from(segment.0);
            let crossed =
                if at == 0 { self.effect(Effect::CampaignSegment, campaign << 16 | segment) } else { 0.0 };
            0.2 * self.effect(Effect::Segment, segment) + 0.1 * crossed
        });
        let tired = -0.15 * f64::from(1 + row.frequency).log2();
        let drift = self.options.drift * (day * std::f64::consts::TAU / 5.0 + phase).sin();
        self.options.base_logit + own + segments.sum::<f64>() + tired + drift
    }

    fn draw(&mut self) -> LoggedImpression {
        self.pass_time();
        let at_ms = self.at_ms as i64;
        let site = self.sites.draw(&mut self.dice) as u32;
        let campaign = self.campaigns.draw(&mut self.dice) as u32;
        let (w, h) = SIZES[self.dice.below(5) as usize];
        let country = COUNTRIES[(self.dice.below(8).min(self.dice.below(8))) as usize];
        let device_type = [4, 4, 2, 2, 5, 3][self.dice.below(6) as usize];
        let mut segments: Vec<SegmentId> =
            (0..SEGMENTS).map(|_| SegmentId(self.segments.draw(&mut self.dice) as u32)).collect();
        segments.sort();
        segments.dedup();
        let creative = campaign * 3 + self.dice.below(3) as u32;
        let mut row = LoggedImpression {
            bid: BidId { epoch: 1, core: 0, sequence: self.drawn },
            at_ms,
            exchange: ExchangeId(1 + (site % 3) as u16),
            site,
            slot: format!("s{site}-{}", self.dice.below(3)),
            size: Size { w, h },
            format: MediaType::Banner,
            position: [1, 3, 5][self.dice.below(3) as usize],
            country: Country::parse(country).expect("a code of the table"),
            region: format!("{country}-{}", self.dice.below(6)),
            hour_of_week: ((at_ms - START_MS) / 3_600_000 % 168) as u8,
            device_type,
            os: SYSTEMS[self.dice.below(5) as usize],
            browser: BROWSERS[self.dice.below(5).min(self.dice.below(5)) as usize],
            connection: 2 + self.dice.below(4) as i64,
            segments,
            advertiser: AdvertiserId(1 + campaign / 4),
            campaign: CampaignId(1 + campaign),
            line_item: LineItemId(1 + creative / 2),
            creative: CreativeId(1 + creative),
            frequency: (self.dice.wait(4) / 2) as u32,
            click_truth: 0.0,
            clicked_after_ms: None,
            conversion_truth: 0.0,
            converted_after_ms: None,
        };
        row.click_truth = sigmoid(self.click_logit(&row));
        self.drawn += 1;
        self.outcome(&mut row);
        row
    }

    fn outcome(&mut self, row: &mut LoggedImpression) {
        let campaign = u64::from(row.campaign.0);
        let of_campaign = 0.6 * self.effect(Effect::Conversion, campaign);
        let of_device = 0.4 * self.effect(Effect::Conversion, 1 << 40 | row.device_type as u64);
        row.conversion_truth = sigmoid(-2.5 + of_campaign + of_device);
        // All draws are made for each row, so that one row's outcome moves no other row.
        let draws: [f64; 5] = std::array::from_fn(|_| self.uniform());
        if draws[0] >= row.click_truth {
            return;
        }
        // Three of a hundred come back to an ad much later.
        let mean_ms = if draws[1] < 0.03 { 3_600_000.0 } else { 20_000.0 };
        row.clicked_after_ms = Some(exponential(draws[2], mean_ms));
        if draws[3] < row.conversion_truth {
            let mean_ms = mean_delay_ms(self.effect(Effect::Patience, campaign));
            row.converted_after_ms = Some(exponential(draws[4], mean_ms));
        }
    }

    /// Mean time from a click to a conversion of a campaign, in milliseconds.
    pub fn mean_delay_ms(&self, campaign: CampaignId) -> f64 {
        mean_delay_ms(self.effect(Effect::Patience, u64::from(campaign.0)))
    }
}

/// Around ten hours.
fn mean_delay_ms(patience: f64) -> f64 {
    10.0 * 3_600_000.0 * (0.7 * patience).exp()
}

impl Iterator for ClickLog {
    type Item = LoggedImpression;

    fn next(&mut self) -> Option<LoggedImpression> {
        Some(self.draw())
    }
}

/// Draws the numbers from 0 by Zipf's law: the k-th as often as 1/(k + 1)^exponent.
#[derive(Clone, Debug)]
struct Zipf {
    /// Rising to 1.
    cumulative: Vec<f64>,
}

impl Zipf {
    fn new(values: usize, exponent: f64) -> Zipf {
        let mut sum = 0.0;
        let grow = |rank: usize| {
            sum += (rank as f64).powf(-exponent);
            sum
        };
        let mut cumulative: Vec<f64> = (1..=values.max(1)).map(grow).collect();
        cumulative.iter_mut().for_each(|value| *value /= sum);
        Zipf { cumulative }
    }

    fn draw(&self, dice: &mut Dice) -> usize {
        let draw = uniform(dice);
        self.cumulative.partition_point(|value| *value <= draw).min(self.cumulative.len() - 1)
    }
}

fn uniform(dice: &mut Dice) -> f64 {
    (dice.next() >> 11) as f64 / (1_u64 << 53) as f64
}

/// Box and Muller.
fn normal(dice: &mut Dice) -> f64 {
    let (radius, angle) = (1.0 - uniform(dice), uniform(dice));
    (-2.0 * radius.ln()).sqrt() * (angle * std::f64::consts::TAU).cos()
}

fn exponential(draw: f64, mean_ms: f64) -> i64 {
    (-(1.0 - draw).ln() * mean_ms) as i64
}

fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

fn hash(text: &str) -> u64 {
    text.bytes()
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}
