//! What an exchange and an auditor must know of the account that is served: the profile of the exchange, what each
//! campaign's advertiser pays, how much may be bid and spent.
//!
//! It is read from an account file, `account.json` of a data directory or what `outbid export` writes. Deliberately
//! absent: everything that only a decision needs.

use super::money::{Terms, UNIT, decimal};
use anyhow::{Context, ensure};
use serde::Deserialize;
use serde_json::Value;
use std::collections::{BTreeMap, HashMap};

/// What a price in a notice counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PriceUnit {
    /// Units of money for a thousand impressions.
    Cpm,
    /// Millionths of that.
    CpmMicros,
    /// Millionths for one impression.
    CpiMicros,
}

/// The notice that books the spend.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BillingEvent {
    /// The win notice.
    Nurl,
    /// The billing notice.
    Burl,
    /// The pixel in the markup.
    Impression,
}

/// What is agreed on with the exchange that is played.
#[derive(Clone, Debug)]
pub(crate) struct Contract {
    /// Our seat.
    pub(crate) seat: String,
    /// Kind of the price codec; only `plain` can be played.
    pub(crate) codec: String,
    pub(crate) unit: PriceUnit,
    pub(crate) billing: BillingEvent,
    /// `burl` is fired by browsers, so that a price in it counts only with a signature.
    pub(crate) burl_in_browser: bool,
    /// A bill without a price is charged at the bid; otherwise it is refused.
    pub(crate) missing_is_bid: bool,
    /// `at` of requests that have none.
    pub(crate) default_at: i64,
    /// `tmax` of requests that have none, and the most that any counts for; milliseconds.
    pub(crate) default_tmax_ms: u64,
    pub(crate) max_tmax_ms: u64,
    /// The highest price that is ever bid, CPM micros of the exchange's currency.
    pub(crate) max_cpm: Option<i64>,
    pub(crate) currency: String,
    pub(crate) max_adm_bytes: usize,
    pub(crate) max_url_bytes: usize,
    /// Bids outside deals that an impression may get.
    pub(crate) open_bids: usize,
    /// Every notice with a good token is told what became of it.
    pub(crate) says_class: bool,
}

impl Contract {
    /// Whether a price in the billing notice is not believed, and the bid's own stands.
    pub(crate) fn bills_at_bid(&self) -> bool {
        self.codec == "plain"
            && match self.billing {
                BillingEvent::Impression => true,
                BillingEvent::Burl => self.burl_in_browser,
                BillingEvent::Nurl => false,
            }
    }
}

/// Budgets in nanos; `None` is no such budget.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Budget {
    pub(crate) lifetime: Option<i64>,
    pub(crate) daily: Option<i64>,
}

/// Who pays.
#[derive(Clone, Debug)]
pub(crate) struct Advertiser {
    pub(crate) currency: String,
    /// Nanos.
    pub(crate) wallet: i64,
    data_fee: i64,
    platform_ppm: i64,
}

/// What is bought for.
#[derive(Clone, Debug)]
pub(crate) struct Campaign {
    pub(crate) advertiser: u32,
    pub(crate) budget: Budget,
}

/// What bids.
#[derive(Clone, Debug)]
pub(crate) struct LineItem {
    pub(crate) campaign: u32,
    pub(crate) budget: Budget,
}

/// The account.
#[derive(Clone, Debug)]
pub(crate) struct Account {
    pub(crate) contract: Contract,
    pub(crate) advertisers: BTreeMap<u32, Advertiser>,
    pub(crate) campaigns: BTreeMap<u32, Campaign>,
    pub(crate) line_items: BTreeMap<u32, LineItem>,
    /// The highest price that any line item of a campaign may bid with a creative, CPM micros of its advertiser's
    /// currency; without an entry there is no such limit.
    caps: HashMap<(u32, u32), i64>,
    /// Nano-units of the base currency that one unit is worth.
    rates: HashMap<String, i64>,
}

/// Reads the text of an account file, for the exchange of this name.
pub(crate) fn parse(text: &str, exchange: &str) -> anyhow::Result<Account> {
    let wire: Wire = serde_json::from_str(text)?;
    let found = wire.exchanges.iter().find(|one| one.name == exchange);
    let contract = found.with_context(|| format!("there is no exchange {exchange:?}"))?.contract()?;
    let mut account = Account {
        contract,
        advertisers: BTreeMap::new(),
        campaigns: BTreeMap::new(),
        line_items: BTreeMap::new(),
        caps: HashMap::new(),
        rates: wire.rates.table()?,
    };
    for one in &wire.advertisers {
        let advertiser = Advertiser {
            currency: one.currency.as_deref().unwrap_or(wire.rates.base()).to_owned(),
            wallet: one.wallet.number("wallet", 9)?.unwrap_or(0),
            data_fee: one.data_fee.number("data_fee", 6)?.unwrap_or(0),
            platform_ppm: one.platform_share.number("platform_share", 6)?.unwrap_or(0),
        };
        account.advertisers.insert(one.id.id()?, advertiser);
    }
    for one in &wire.campaigns {
        let campaign = Campaign { advertiser: one.advertiser.id()?, budget: one.budget.read()? };
        account.campaigns.insert(one.id.id()?, campaign);
    }
    account.line_items(&wire.line_items)?;
    Ok(account)
}

impl Account {
    fn line_items(&mut self, lines: &[LineWire]) -> anyhow::Result<()> {
        let mut unlimited = Vec::new();
        for line in lines {
            let campaign = line.campaign.id()?;
            let item = LineItem { campaign, budget: line.budget.read()? };
            self.line_items.insert(line.id.id()?, item);
            let most = line.bid.most()?;
            for creative in &line.creatives {
                let key = (campaign, creative.creative.id()?);
                match most {
                    Some(most) => {
                        let cap = self.caps.entry(key).or_insert(most);
                        *cap = most.max(*cap);
                    }
                    None => unlimited.push(key),
                }
            }
        }
        for key in unlimited {
            self.caps.remove(&key);
        }
        Ok(())
    }

    /// What bids of a campaign in a currency are charged by; `None` for a campaign or a currency that is not known.
    pub(crate) fn terms(&self, campaign: u32, currency: &str) -> Option<Terms> {
        let advertiser = self.advertisers.get(&self.campaigns.get(&campaign)?.advertiser)?;
        let rate = self.rate(currency, &advertiser.currency)?;
        Some(Terms { rate, data_fee: advertiser.data_fee, platform_ppm: advertiser.platform_ppm })
    }

    /// Nano-units of `to` for one unit of `from`, rounded down.
    pub(crate) fn rate(&self, from: &str, to: &str) -> Option<i64> {
        if from == to {
            return Some(UNIT);
        }
        let (from, to) = (*self.rates.get(from)?, *self.rates.get(to)?);
        i64::try_from(i128::from(from) * i128::from(UNIT) / i128::from(to)).ok().filter(|rate| *rate > 0)
    }

    /// The most that a bid of this campaign and creative may be, CPM micros of `currency`; `None`: no limit is known.
    pub(crate) fn cap(&self, campaign: u32, creative: u32, currency: &str) -> Option<i64> {
        let cap = *self.caps.get(&(campaign, creative))?;
        let wallet = &self.advertisers.get(&self.campaigns.get(&campaign)?.advertiser)?.currency;
        let rate = self.rate(wallet, currency)?;
        i64::try_from((i128::from(cap) * i128::from(rate) + i128::from(UNIT - 1)) / i128::from(UNIT)).ok()
    }
}

#[derive(Deserialize)]
struct Wire {
    #[serde(default)]
    rates: RatesWire,
    exchanges: Vec<ExchangeWire>,
    advertisers: Vec<AdvertiserWire>,
    #[serde(default)]
    campaigns: Vec<CampaignWire>,
    #[serde(default)]
    line_items: Vec<LineWire>,
}

#[derive(Deserialize, Default)]
struct RatesWire {
    base: Option<String>,
    #[serde(default)]
    others: Vec<RateWire>,
}

#[derive(Deserialize)]
struct RateWire {
    currency: String,
    rate: Number,
}

impl RatesWire {
    fn table(&self) -> anyhow::Result<HashMap<String, i64>> {
        let mut table = HashMap::from([(self.base().to_owned(), UNIT)]);
        for other in &self.others {
            let rate = other.rate.number("a rate", 9)?.unwrap_or(0);
            ensure!(rate > 0, "the rate of {} must be above 0", other.currency);
            table.insert(other.currency.to_ascii_uppercase(), rate);
        }
        Ok(table)
    }

    fn base(&self) -> &str {
        self.base.as_deref().unwrap_or("USD")
    }
}

#[derive(Deserialize)]
struct ExchangeWire {
    name: String,
    #[serde(default)]
    auth: Value,
    #[serde(default)]
    seat: String,
    currency: Option<String>,
    price_codec: Value,
    price_unit: Option<String>,
    billing_event: Option<String>,
    #[serde(default)]
    burl_in_browser: bool,
    missing_price: Option<String>,
    default_at: Option<i64>,
    default_tmax_ms: Option<u64>,
    max_tmax_ms: Option<u64>,
    #[serde(default)]
    max_cpm: Number,
    max_adm_bytes: Option<usize>,
    max_url_bytes: Option<usize>,
    open_bids: Option<usize>,
}

impl ExchangeWire {
    fn contract(&self) -> anyhow::Result<Contract> {
        let kind = |value: &Value| value.as_str().or(value["type"].as_str()).unwrap_or_default().to_owned();
        let codec = kind(&self.price_codec);
        ensure!(
            codec == "plain",
            "prices of {} are encrypted by {codec:?}; only plain ones are played",
            self.name
        );
        let unit = match self.price_unit.as_deref() {
            Some("cpm") | None => PriceUnit::Cpm,
            Some("cpm_micros") => PriceUnit::CpmMicros,
            Some("cpi_micros") => PriceUnit::CpiMicros,
            Some(other) => anyhow::bail!("price_unit {other:?} is not known"),
        };
        let billing = match self.billing_event.as_deref() {
            Some("burl") | None => BillingEvent::Burl,
            Some("nurl") => BillingEvent::Nurl,
            Some("impression") => BillingEvent::Impression,
            Some(other) => anyhow::bail!("billing_event {other:?} is not known"),
        };
        Ok(Contract {
            seat: self.seat.clone(),
            codec,
            unit,
            billing,
            burl_in_browser: self.burl_in_browser,
            missing_is_bid: self.missing_price.as_deref().unwrap_or("bid") == "bid",
            default_at: self.default_at.unwrap_or(2),
            default_tmax_ms: self.default_tmax_ms.unwrap_or(100),
            max_tmax_ms: self.max_tmax_ms.unwrap_or(1_000),
            max_cpm: self.max_cpm.number("max_cpm", 6)?,
            currency: self.currency.clone().unwrap_or_else(|| "USD".to_owned()),
            max_adm_bytes: self.max_adm_bytes.unwrap_or(65_536),
            max_url_bytes: self.max_url_bytes.unwrap_or(usize::MAX),
            open_bids: self.open_bids.unwrap_or(1),
            says_class: kind(&self.auth) == "loopback_only",
        })
    }
}

#[derive(Deserialize)]
struct AdvertiserWire {
    id: Number,
    currency: Option<String>,
    #[serde(default)]
    wallet: Number,
    #[serde(default)]
    data_fee: Number,
    #[serde(default)]
    platform_share: Number,
}

#[derive(Deserialize)]
struct CampaignWire {
    id: Number,
    advertiser: Number,
    #[serde(default)]
    budget: BudgetWire,
}

#[derive(Deserialize)]
struct LineWire {
    id: Number,
    campaign: Number,
    #[serde(default)]
    bid: BidWire,
    #[serde(default)]
    budget: BudgetWire,
    #[serde(default)]
    creatives: Vec<CreativeWire>,
}

#[derive(Deserialize, Default)]
struct BidWire {
    strategy: Option<String>,
    #[serde(default)]
    amount: Number,
    #[serde(default)]
    max: Number,
}

impl BidWire {
    /// Where the amount is a price it is the limit, unless there is a higher one.
    fn most(&self) -> anyhow::Result<Option<i64>> {
        if let Some(max) = self.max.number("bid.max", 6)? {
            return Ok(Some(max));
        }
        match self.strategy.as_deref() {
            None | Some("fixed_cpm" | "max_cpm" | "reach") => self.amount.number("bid.amount", 6),
            Some(_) => Ok(None),
        }
    }
}

#[derive(Deserialize)]
struct CreativeWire {
    creative: Number,
}

#[derive(Deserialize, Default)]
struct BudgetWire {
    #[serde(default)]
    lifetime: Number,
    #[serde(default)]
    daily: Number,
}

impl BudgetWire {
    fn read(&self) -> anyhow::Result<Budget> {
        Ok(Budget { lifetime: self.lifetime.number("lifetime", 9)?, daily: self.daily.number("daily", 9)? })
    }
}

/// A number, with quotes or without.
#[derive(Deserialize, Default)]
#[serde(transparent)]
struct Number(Option<Value>);

impl Number {
    fn text(&self) -> Option<String> {
        match self.0.as_ref()? {
            Value::Null => None,
            Value::String(text) => Some(text.clone()),
            other => Some(other.to_string()),
        }
    }

    fn id(&self) -> anyhow::Result<u32> {
        let text = self.text().unwrap_or_default();
        text.parse().with_context(|| format!("{text:?} is no id"))
    }

    fn number(&self, what: &str, places: u32) -> anyhow::Result<Option<i64>> {
        let Some(text) = self.text() else { return Ok(None) };
        decimal(&text, places).map(Some).with_context(|| format!("{what} {text:?} is no decimal"))
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// Two advertisers, one that pays a fee and one in euros; campaign 1 and 2 of the first, 3 of the second.
    pub(crate) const FILE: &str = r#"{
        "rates": {"base": "USD", "others": [{"currency": "EUR", "rate": "1.25"}]},
        "exchanges": [{"id": "1", "name": "load", "auth": {"type": "loopback_only"}, "seat": "outbid",
            "currency": "USD", "price_codec": "plain", "price_unit": "cpm", "billing_event": "burl",
            "missing_price": "bid", "default_at": 1, "max_cpm": "50.00", "max_url_bytes": 2048}],
        "advertisers": [
            {"id": "1", "name": "a", "currency": "USD", "wallet": "100.00", "data_fee": "0.25", "platform_share": "0.10"},
            {"id": "2", "name": "b", "currency": "EUR", "wallet": 50}],
        "campaigns": [
            {"id": "1", "advertiser": "1", "budget": {"lifetime": "60.00", "daily": "6.00"}},
            {"id": "2", "advertiser": "1", "budget": {"lifetime": "40.00"}},
            {"id": "3", "advertiser": "2", "budget": {}}],
        "line_items": [
            {"id": "1", "campaign": "1", "bid": {"max": "2.00"}, "budget": {"daily": "3.00"}, "creatives": [{"creative": "7"}]},
            {"id": "2", "campaign": "1", "bid": {"max": "3.00"}, "creatives": [{"creative": "7"}, {"creative": "8"}]},
            {"id": "3", "campaign": "3", "bid": {"strategy": "max_clicks"}, "creatives": [{"creative": "9"}]},
            {"id": "4", "campaign": "3", "bid": {"max": "1.00"}, "creatives": [{"creative": "9"}, {"creative": "10"}]}]
    }"#;

    pub(crate) fn account() -> Account {
        parse(FILE, "load").unwrap()
    }

    #[test]
    fn an_account_file_says_who_pays_what() {
        let account = account();
        let own = Terms { rate: UNIT, data_fee: 250_000, platform_ppm: 100_000 };
        assert_eq!(account.terms(2, "USD"), Some(own));
        // A dollar is 0.80 euros.
        let euro = Terms { rate: 800_000_000, data_fee: 0, platform_ppm: 0 };
        assert_eq!(account.terms(3, "USD"), Some(euro));
        assert_eq!((account.terms(4, "USD"), account.terms(1, "JPY")), (None, None));
        assert_eq!(account.campaigns[&1].budget, Budget { lifetime: Some(60 * UNIT), daily: Some(6 * UNIT) });
        assert_eq!(account.advertisers[&2].wallet, 50 * UNIT);
        assert_eq!(account.line_items[&1].campaign, 1);
        assert!(account.contract.says_class && !account.contract.bills_at_bid());
    }

    #[test]
    fn the_cap_is_the_highest_of_the_line_items_that_show_the_creative() {
        let account = account();
        assert_eq!(account.cap(1, 7, "USD"), Some(3_000_000));
        // One of the two line items has no limit.
        assert_eq!(account.cap(3, 9, "USD"), None);
        assert_eq!(account.cap(3, 10, "USD"), Some(1_250_000));
        assert_eq!(account.cap(2, 7, "USD"), None);
    }

    #[test]
    fn what_cannot_be_played_is_refused() {
        let encrypted = FILE.replace(r#""plain""#, r#"{"type": "google_hmac_sha1"}"#);
        assert!(parse(&encrypted, "load").unwrap_err().to_string().contains("google_hmac_sha1"));
        assert!(parse(FILE, "other").unwrap_err().to_string().contains("other"));
        assert!(parse(&FILE.replace("\"60.00\"", "\"x\""), "load").is_err());
    }
}
