//! Who buys and for how much: segments, advertisers, campaigns, line items; lists, deals and conversions.

use super::super::behaviour::EXTERNALS;
use super::super::buying::WEIGHT;
use super::super::frequency::{CAP_MAX, PER_COUNT, Unit};
use super::super::lists::{CLICK_WINDOW_H, MAX_ITEMS, MAX_WINDOW_H, VIEW_WINDOW_H};
use super::super::schema::{
    Described, Form, Spec, amount, country, currency, exchange, factor, formed, list, moment, name, one_of,
    one_of_texts, price, refers, region, segment, text, time_zone, whole, word,
};
use super::super::values::STATUSES;
use super::{
    Absent, ExternalWire, HoursWire, MultipliersWire, Quoted, SegmentCustomersWire, SegmentInterestWire,
    SegmentRuleWire, TargetingWire, Texts,
};
use crate::model::frequency::{MAX_CAPS, MAX_WITHIN_S, UnknownUsers};
use crate::model::line_item::{PacingMode, PacingPeriod, Strategy};
use crate::model::list::{Counting, ListKind};
use serde::{Deserialize, Serialize};

wire! {
    ListWire {
        /// Its number.
        id: Option<Quoted>,
        /// For people.
        name: Option<String> = name().required(),
        /// What stands on it; it stays.
        r#type: Option<String> = one_of::<ListKind>().required(),
        /// The values; of a list that is there they change by uploads.
        items: Vec<String> = list(text()).entries(MAX_ITEMS),
    }
    DealWire {
        /// Its number.
        id: Option<Quoted>,
        /// For people.
        name: Option<String> = name().required(),
        /// Whether it is used.
        status: Option<String> = one_of_texts(STATUSES),
        /// The exchange, by its name; it stays.
        exchange: Option<String> = exchange().required(),
        /// What the exchange calls the deal, once for each exchange.
        deal_id: Option<String> = word("PMP-4711").required(),
        /// The agreed price per thousand, in the exchange's currency.
        price: Option<Quoted> = price(),
        /// Whether the number of impressions was agreed on.
        guaranteed: Option<bool> = bool::spec().default(false),
    }
    ConversionWire {
        /// Its number.
        id: Option<Quoted>,
        /// The advertiser; it stays.
        advertiser: Option<Quoted> = refers("advertisers.id").required(),
        /// For people.
        name: Option<String> = name().required(),
        /// Whether it is counted.
        status: Option<String> = one_of_texts(STATUSES),
        /// Hours after a click in which it is the ad's success.
        click_window_h: Option<i64> = whole(1..=MAX_WINDOW_H).default(CLICK_WINDOW_H),
        /// Hours after a view in which it is; 0 is never.
        view_window_h: Option<i64> = whole(0..=MAX_WINDOW_H).default(VIEW_WINDOW_H),
        /// Whether a user counts once or every time.
        counting: Option<String> = one_of::<Counting>().default("every"),
        /// What one is worth; without it what the event says.
        value: Option<Quoted> = amount(),
    }
    SegmentWire {
        /// Its number.
        id: Option<Quoted>,
        /// What others call it by, once in an account; printable ASCII; it stays.
        key: Option<String> = formed("^[!-~]{1,255}$", &["crm.buyers"]).required(),
        /// For people. Default the key.
        name: Option<String> = name(),
        /// The segment above it, by its key.
        parent: Option<String> = segment(),
        /// Whether it says something about health, faith and the like, so that consent is needed. Holds for all below it.
        sensitive: Option<bool> = bool::spec().default(false),
        /// What else is said of it, by names of at most 64 characters: `"price_level": "premium"`.
        values: Texts,
        /// What `user.data` of bid requests says that means this segment, once in an account.
        external: Vec<ExternalWire> = list(ExternalWire::spec()).entries(EXTERNALS),
        /// Who did this is in it.
        rule: Option<SegmentRuleWire>,
        /// Who is interested in its category is in it.
        interest: Option<SegmentInterestWire>,
        /// Customers of a tier are in it.
        customers: Option<SegmentCustomersWire>,
    }
    AdvertiserWire {
        /// Its number.
        id: Option<Quoted>,
        /// For people.
        name: Option<String> = name().required(),
        /// Whether anything of it serves.
        status: Option<String> = one_of_texts(STATUSES),
        /// The currency of all its amounts, one that has a rate; it stays. Default that of the rates.
        currency: Option<String> = currency(),
        /// Where its days begin; it stays.
        time_zone: Option<String> = time_zone().default("UTC"),
        /// What it can spend in all: the sum of its transactions.
        wallet: Option<Quoted> = amount(),
        /// What the data costs per thousand impressions.
        data_fee: Option<Quoted> = price().such_as("0.10").default("0.00"),
        /// The platform's part of what is spent, from 0 to 1, at most 6 decimals.
        platform_share: Option<Quoted> = factor().such_as("0.15").default("0.00"),
        /// How often one person is shown anything of it.
        frequency: FrequencyWire,
    }
    FrequencyWire {
        /// At most so many impressions in such a time; every one of them holds.
        caps: Vec<CapWire> = list(CapWire::spec()).entries(MAX_CAPS),
        /// Seconds between two impressions of the same person.
        min_gap_s: Option<i64> = whole(0..=i64::from(MAX_WITHIN_S)).default(0),
        /// What is done about people whom nobody can tell apart: they are left out, or bid on without a cap.
        unknown_users: Option<String> = one_of::<UnknownUsers>().default("skip"),
    }
    CapWire {
        /// Impressions, at most 100 where there is a time.
        max: Option<i64> = whole(CAP_MAX).required(),
        /// In any stretch of time of this length, however days begin; without it for ever.
        per: PerWire,
    }
    PerWire {
        /// What is counted in.
        unit: Option<String> = one_of::<Unit>(),
        /// How many of them, in all at most 90 days.
        count: Option<i64> = whole(PER_COUNT).default(1),
    }
    PacingWire {
        /// As soon as there is something to buy, as traffic comes, or up to a fifth ahead of it.
        mode: Option<String> = one_of::<PacingMode>().default("asap"),
        /// Each day's budget over the day, or the lifetime's over the flight.
        period: Option<String> = one_of::<PacingPeriod>().default("daily"),
    }
    BudgetWire {
        /// The most that is spent in all; without it no limit.
        lifetime: Option<Quoted> = amount().such_as("5000.00"),
        /// The most that is spent on one day of the advertiser's time zone; without it no limit.
        daily: Option<Quoted> = amount(),
    }
    FlightWire {
        /// Nothing serves before it.
        start_at: Option<String> = moment(),
        /// Nothing serves from then on; after `start_at`.
        end_at: Option<String> = moment().such_as("2099-12-31T00:00:00Z"),
    }
    CampaignWire {
        /// Its number.
        id: Option<Quoted>,
        /// The advertiser; it stays.
        advertiser: Option<Quoted> = refers("advertisers.id").required(),
        /// For people.
        name: Option<String> = name().required(),
        /// Whether anything of it serves.
        status: Option<String> = one_of_texts(STATUSES),
        /// What its line items may spend together.
        budget: BudgetWire,
        /// How often one person is shown anything of it.
        frequency: FrequencyWire,
        /// When it serves.
        flight: FlightWire,
    }
    LineItemWire {
        /// Its number.
        id: Option<Quoted>,
        /// The campaign; it stays.
        campaign: Option<Quoted> = refers("campaigns.id").required(),
        /// For people.
        name: Option<String> = name().required(),
        /// Whether it serves.
        status: Option<String> = one_of_texts(STATUSES),
        /// What is bid.
        bid: BidWire = BidWire::spec().required(),
        /// What it may spend.
        budget: BudgetWire,
        /// How it spreads its budget over the time that it is for.
        pacing: PacingWire,
        /// How often one person is shown it.
        frequency: FrequencyWire,
        /// When it serves.
        flight: FlightWire,
        /// What it bids on; all dimensions must agree.
        targeting: TargetingWire,
        /// What raises and lowers the bid; factors that apply are multiplied.
        multipliers: MultipliersWire,
        /// What it shows, each creative once and of the same advertiser.
        creatives: Vec<AssignmentWire>,
        /// Deals that it bids on, and on nothing else; none is everything.
        deal_ids: Vec<Quoted> = list(refers("deals.id")),
        /// What it works for, each once and of the same advertiser.
        conversion_ids: Vec<Quoted> = list(refers("conversions.id")),
    }
    BidWire {
        /// How the bid is found.
        strategy: Option<String> = one_of::<Strategy>().default("fixed_cpm"),
        /// More than 0. Of `fixed_cpm`, `max_cpm` and `reach` the price per thousand impressions, at most 6 decimals; of
        /// `max_cpc` and `target_cpc` what is paid for a click, at most 1000; of `target_cpa` for a conversion, at most
        /// 100000; of `target_roas` no money but the revenue for each unit spent, from 0.01 to 1000. `max_clicks` and
        /// `max_conversions` have none.
        amount: Option<Quoted> = price(),
        /// The most that is bid per thousand impressions. Where the amount is a price: what multipliers may raise it to, not
        /// less than it, default the amount; everywhere else it must be given.
        max: Option<Quoted> = price().such_as("5.00"),
        /// The least that is bid per thousand impressions: where less would be bid, the impression is left. Not more than
        /// `max`; without it no minimum.
        min: Option<Quoted> = price().such_as("0.10"),
        /// Whether less is bid where less is likely to win as well. Default true; `fixed_cpm`, whose price is never changed,
        /// has none.
        shading: Option<bool>,
    }
    AssignmentWire {
        /// The creative.
        creative: Option<Quoted> = refers("creatives.id").required(),
        /// How often it is shown beside the others.
        weight: Option<i64> = whole(WEIGHT).default(1),
        /// For whom, where and when it is meant; empty is always.
        when: ConditionWire,
    }
    ConditionWire {
        /// Segments by key, of which the user is in one.
        segments: Vec<String> = list(segment()),
        /// Countries, one of which it is.
        countries: Vec<String> = list(country()),
        /// Regions, one of which it is.
        regions: Vec<String> = list(region()),
        /// Hours of the week, in the advertiser's time zone.
        hours: Vec<HoursWire>,
    }
}
