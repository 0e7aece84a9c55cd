//! What the journal says, one record for each thing that happened to money. Encoded as protobuf, so that later versions
//! can add fields and read old journals.
//!
//! A record holds the outcome, not the request: replaying it decides nothing, so a journal means the same to every
//! version that can read it. Money is in nanos of the wallet's currency; *units* are nanos of the exchange's own, which
//! is what the house's limits for an exchange are counted in.

use crate::model::ids::{AdvertiserId, BidId, CampaignId, LeaseId, LineItemId};
use crate::model::line_item::Budget;
use crate::model::money::{Currency, Nanos};
use prost::Message;

/// One thing that happened.
#[derive(Clone, PartialEq, Message)]
pub struct Record {
    /// What.
    #[prost(oneof = "Event", tags = "1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16")]
    pub event: Option<Event>,
}

/// The kinds of records.
#[derive(Clone, PartialEq, prost::Oneof)]
pub enum Event {
    /// A process opened the books.
    #[prost(message, tag = "1")]
    Boot(Boot),
    /// A line item's funding was set or changed.
    #[prost(message, tag = "2")]
    Fund(Fund),
    /// Money moved from the five accounts into a lease; the first one opens it.
    #[prost(message, tag = "3")]
    Grant(Grant),
    /// Money moved from a lease back to the accounts.
    #[prost(message, tag = "4")]
    Return(Return),
    /// A bid was charged out of its lease.
    #[prost(message, tag = "5")]
    Post(Post),
    /// A bid was charged without a hold: to the accounts, or to the house.
    #[prost(message, tag = "6")]
    Late(Late),
    /// A bill came after its bid was forgotten; a memo, nothing is charged.
    #[prost(message, tag = "7")]
    Stale(Stale),
    /// Everything that a lease of an earlier boot still had in doubt went back.
    #[prost(message, tag = "8")]
    Release(Release),
    /// Bids of a core below a sequence are forgotten.
    #[prost(message, tag = "9")]
    Horizon(Horizon),
    /// An advertiser's budget day began.
    #[prost(message, tag = "10")]
    Day(Day),
    /// A correction: a refund, or a charge that an exchange claims afterwards.
    #[prost(message, tag = "11")]
    Adjust(Adjust),
    /// A kill switch was thrown, or released.
    #[prost(message, tag = "12")]
    Stop(Stop),
    /// An exchange that never billed may be trusted with so much more.
    #[prost(message, tag = "13")]
    Trial(Trial),
    /// An operator let an exchange go on after its house costs had stopped it.
    #[prost(message, tag = "14")]
    Pardon(Pardon),
    /// Holds may live longer than before.
    #[prost(message, tag = "15")]
    Reach(Reach),
    /// What was held for an exchange, and how well it billed; about once a minute.
    #[prost(message, tag = "16")]
    Traffic(Traffic),
}

/// See [`Event::Boot`].
#[derive(Clone, Copy, PartialEq, Message)]
pub struct Boot {
    /// The boot epoch.
    #[prost(uint32, tag = "1")]
    pub epoch: u32,
    /// Civil time in milliseconds since the Unix epoch.
    #[prost(int64, tag = "2")]
    pub unix_ms: i64,
}

/// See [`Event::Fund`]. An absent amount is no limit at that level.
#[derive(Clone, PartialEq, Message)]
pub struct Fund {
    /// Line item.
    #[prost(uint32, tag = "1")]
    pub line_item: u32,
    /// Its campaign; never changes.
    #[prost(uint32, tag = "2")]
    pub campaign: u32,
    /// Its advertiser; never changes.
    #[prost(uint32, tag = "3")]
    pub advertiser: u32,
    /// Budget of the wallet.
    #[prost(int64, tag = "4")]
    pub wallet: i64,
    /// Lifetime budget of the campaign.
    #[prost(int64, optional, tag = "5")]
    pub campaign_lifetime: Option<i64>,
    /// Daily budget of the campaign.
    #[prost(int64, optional, tag = "6")]
    pub campaign_daily: Option<i64>,
    /// Lifetime budget of the line item.
    #[prost(int64, optional, tag = "7")]
    pub line_item_lifetime: Option<i64>,
    /// Daily budget of the line item.
    #[prost(int64, optional, tag = "8")]
    pub line_item_daily: Option<i64>,
    /// IANA time zone of the advertiser.
    #[prost(string, tag = "9")]
    pub time_zone: String,
    /// ISO 4217 code of the wallet; never changes once money moved.
    #[prost(string, tag = "10")]
    pub currency: String,
    /// Version of the edit; a lower one than known is ignored.
    #[prost(uint64, tag = "11")]
    pub version: u64,
}

/// See [`Event::Grant`].
#[derive(Clone, Copy, PartialEq, Message)]
pub struct Grant {
    /// The lease: boot epoch in the upper half, a count in the lower.
    #[prost(uint64, tag = "1")]
    pub lease: u64,
    /// The core that may spend it.
    #[prost(uint32, tag = "2")]
    pub core: u32,
    /// The line item.
    #[prost(uint32, tag = "3")]
    pub line_item: u32,
    /// The budget day.
    #[prost(uint32, tag = "4")]
    pub day: u32,
    /// How much.
    #[prost(int64, tag = "5")]
    pub amount: i64,
}

/// See [`Event::Return`].
#[derive(Clone, Copy, PartialEq, Message)]
pub struct Return {
    /// The lease.
    #[prost(uint64, tag = "1")]
    pub lease: u64,
    /// How much.
    #[prost(int64, tag = "2")]
    pub amount: i64,
}

/// The bid that a record is about.
#[derive(Clone, Copy, PartialEq, Message)]
pub struct Bid {
    /// Boot epoch of the bid.
    #[prost(uint32, tag = "1")]
    pub epoch: u32,
    /// Its core.
    #[prost(uint32, tag = "2")]
    pub core: u32,
    /// Its sequence.
    #[prost(uint64, tag = "3")]
    pub sequence: u64,
    /// When it was made, seconds since the Unix epoch.
    #[prost(uint32, tag = "4")]
    pub issued_s: u32,
}

/// Who sent a bill, when, and whom its charge goes to. The media cost is the charge less the two other parts.
#[derive(Clone, Copy, PartialEq, Eq, Message)]
pub struct Source {
    /// The exchange.
    #[prost(uint32, tag = "1")]
    pub exchange: u32,
    /// When the bill came, seconds since the Unix epoch.
    #[prost(uint32, tag = "2")]
    pub at_s: u32,
    /// The data fee in the charge.
    #[prost(int64, tag = "3")]
    pub data: i64,
    /// The platform's share in the charge.
    #[prost(int64, tag = "4")]
    pub platform: i64,
    /// The charge in units.
    #[prost(int64, tag = "5")]
    pub units: i64,
    /// What the house bears, in units.
    #[prost(int64, tag = "6")]
    pub house_units: i64,
}

/// What the event log says of a bill beside what money needs: with it a bill's event can be made from the journal alone.
#[derive(Clone, Copy, PartialEq, Eq, Message)]
pub struct Shown {
    /// The line item.
    #[prost(uint32, tag = "1")]
    pub line_item: u32,
    /// The creative.
    #[prost(uint32, tag = "2")]
    pub creative: u32,
    /// Keyed hash of the identifier under which the user was known; 0 where none was used.
    #[prost(fixed64, tag = "3")]
    pub user: u64,
    /// The price that was asked, in millionths of the bid's currency per thousand impressions.
    #[prost(int64, tag = "4")]
    pub price: i64,
    /// Milliseconds of the second in which the bill came.
    #[prost(uint32, tag = "5")]
    pub at_ms: u32,
    /// The lowest price that would have won, as the bill tells it, in the same unit as `price`.
    #[prost(int64, optional, tag = "6")]
    pub min_to_win: Option<i64>,
}

/// See [`Event::Post`].
#[derive(Clone, Copy, PartialEq, Message)]
pub struct Post {
    /// The bid.
    #[prost(message, required, tag = "1")]
    pub bid: Bid,
    /// Its lease.
    #[prost(uint64, tag = "2")]
    pub lease: u64,
    /// The charge to the campaign.
    #[prost(int64, tag = "3")]
    pub charge: i64,
    /// What goes back to the accounts at once: the rest of the hold, for a lease of an earlier boot.
    #[prost(int64, tag = "4")]
    pub released: i64,
    /// What the house bears of the price.
    #[prost(int64, tag = "5")]
    pub overprice: i64,
    /// Where the charge goes, and the house's part in units.
    #[prost(message, required, tag = "6")]
    pub source: Source,
    /// For the event log; absent in records of earlier versions.
    #[prost(message, optional, tag = "7")]
    pub shown: Option<Shown>,
}

/// See [`Event::Late`].
#[derive(Clone, Copy, PartialEq, Message)]
pub struct Late {
    /// The bid.
    #[prost(message, required, tag = "1")]
    pub bid: Bid,
    /// Its line item.
    #[prost(uint32, tag = "2")]
    pub line_item: u32,
    /// The budget day of the bid.
    #[prost(uint32, tag = "3")]
    pub day: u32,
    /// The charge to the campaign.
    #[prost(int64, tag = "4")]
    pub charge: i64,
    /// What the house bears for want of room.
    #[prost(int64, tag = "5")]
    pub overdelivery: i64,
    /// What the house bears of the price.
    #[prost(int64, tag = "6")]
    pub overprice: i64,
    /// Where the charge goes, and the house's part in units.
    #[prost(message, required, tag = "7")]
    pub source: Source,
    /// For the event log; absent in records of earlier versions.
    #[prost(message, optional, tag = "8")]
    pub shown: Option<Shown>,
}

/// See [`Event::Stale`].
#[derive(Clone, Copy, PartialEq, Message)]
pub struct Stale {
    /// The bid.
    #[prost(message, required, tag = "1")]
    pub bid: Bid,
    /// What it asked for, at most its hold.
    #[prost(int64, tag = "2")]
    pub amount: i64,
    /// Its line item.
    #[prost(uint32, tag = "3")]
    pub line_item: u32,
    /// Who asked, and the amount in units.
    #[prost(message, required, tag = "4")]
    pub source: Source,
}

/// See [`Event::Release`].
#[derive(Clone, Copy, PartialEq, Message)]
pub struct Release {
    /// The lease.
    #[prost(uint64, tag = "1")]
    pub lease: u64,
}

/// See [`Event::Horizon`].
#[derive(Clone, Copy, PartialEq, Message)]
pub struct Horizon {
    /// Boot epoch.
    #[prost(uint32, tag = "1")]
    pub epoch: u32,
    /// Core.
    #[prost(uint32, tag = "2")]
    pub core: u32,
    /// The first sequence that is still known.
    #[prost(uint64, tag = "3")]
    pub sequence: u64,
}

/// See [`Event::Day`].
#[derive(Clone, PartialEq, Message)]
pub struct Day {
    /// Whose.
    #[prost(uint32, tag = "1")]
    pub advertiser: u32,
    /// Days since 1970-01-01.
    #[prost(uint32, tag = "2")]
    pub day: u32,
    /// The zone whose date it is: an edit of the advertiser's zone takes effect at a later midnight.
    #[prost(string, tag = "3")]
    pub time_zone: String,
}

/// See [`Event::Adjust`].
#[derive(Clone, Copy, PartialEq, Message)]
pub struct Adjust {
    /// The line item that it concerns.
    #[prost(uint32, tag = "1")]
    pub line_item: u32,
    /// Added to what wallet, campaign total and line item total were charged; negative for a refund. A day is never
    /// credited.
    #[prost(int64, tag = "2")]
    pub amount: i64,
    /// What the house bears of it for want of room.
    #[prost(int64, tag = "3")]
    pub overdelivery: i64,
}

/// See [`Event::Stop`].
#[derive(Clone, Copy, PartialEq, Message)]
pub struct Stop {
    /// What is stopped: 1 everything, 2 an exchange, 3 an advertiser, 4 a campaign.
    #[prost(uint32, tag = "1")]
    pub scope: u32,
    /// Which one; 0 for everything.
    #[prost(uint32, tag = "2")]
    pub id: u32,
    /// Thrown, or released.
    #[prost(bool, tag = "3")]
    pub stopped: bool,
}

/// See [`Event::Trial`].
#[derive(Clone, Copy, PartialEq, Message)]
pub struct Trial {
    /// The exchange.
    #[prost(uint32, tag = "1")]
    pub exchange: u32,
    /// Holds that it may now be sent, in units, beyond what earlier trials allowed.
    #[prost(int64, tag = "2")]
    pub units: i64,
}

/// See [`Event::Pardon`].
#[derive(Clone, Copy, PartialEq, Message)]
pub struct Pardon {
    /// The exchange.
    #[prost(uint32, tag = "1")]
    pub exchange: u32,
}

/// See [`Event::Reach`].
#[derive(Clone, Copy, PartialEq, Message)]
pub struct Reach {
    /// The longest life of any hold, in seconds of the ear clock. What a crash leaves in doubt waits for it.
    #[prost(uint32, tag = "1")]
    pub hold_s: u32,
}

/// See [`Event::Traffic`].
#[derive(Clone, Copy, PartialEq, Eq, Message)]
pub struct Traffic {
    /// The exchange.
    #[prost(uint32, tag = "1")]
    pub exchange: u32,
    /// When, seconds since the Unix epoch.
    #[prost(uint32, tag = "2")]
    pub at_s: u32,
    /// Held since the last such record, in units.
    #[prost(int64, tag = "3")]
    pub units: i64,
    /// Bids up to its last bill, within the window of the rate.
    #[prost(uint64, tag = "4")]
    pub bids: u64,
    /// The bills of those.
    #[prost(uint64, tag = "5")]
    pub bills: u64,
    /// Bids since its last bill whose bills should have come.
    #[prost(uint64, tag = "6")]
    pub silent: u64,
}

/// Why bytes are no record.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// Not protobuf, or a field has another type.
    #[error("a record cannot be read: {0}")]
    Malformed(#[from] prost::DecodeError),
    /// A kind that this version does not know.
    #[error(
        "a record is of a kind that this version does not know; use the version that wrote it or a newer one"
    )]
    Unknown,
    /// A currency that is no ISO 4217 code.
    #[error("a record names the currency {0:?}, which is no ISO 4217 code")]
    Currency(String),
}

impl Event {
    /// The bytes for the journal, written over `out`.
    pub fn write_to(self, out: &mut Vec<u8>) {
        out.clear();
        // A vector grows, so encoding into it cannot fail.
        let _infallible = Record { event: Some(self) }.encode(out);
    }

    /// Reads what [`Event::write_to`] wrote.
    pub fn read(bytes: &[u8]) -> Result<Event, RecordError> {
        Record::decode(bytes)?.event.ok_or(RecordError::Unknown)
    }
}

impl Bid {
    /// The identity with the moment of the bid.
    pub fn new(id: BidId, issued_s: u32) -> Bid {
        Bid { epoch: id.epoch, core: u32::from(id.core), sequence: id.sequence, issued_s }
    }

    /// The identity.
    pub fn id(self) -> BidId {
        BidId { epoch: self.epoch, core: self.core as u16, sequence: self.sequence }
    }
}

/// Where a line item's money comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Funding {
    /// The line item.
    pub line_item: LineItemId,
    /// Its budget.
    pub line_item_budget: Budget,
    /// Its campaign.
    pub campaign: CampaignId,
    /// The campaign's budget.
    pub campaign_budget: Budget,
    /// Its advertiser.
    pub advertiser: AdvertiserId,
    /// The money in the wallet.
    pub wallet: Nanos,
    /// The advertiser's time zone.
    pub time_zone: String,
    /// The currency of the wallet.
    pub currency: Currency,
    /// Version of the edit; a lower one than known is ignored.
    pub version: u64,
}

impl Funding {
    /// Whether both say the same, whatever their versions are.
    pub fn says_as(&self, other: &Funding) -> bool {
        let Funding { line_item, campaign, advertiser, wallet, currency, .. } = other;
        (self.line_item, self.campaign, self.advertiser) == (*line_item, *campaign, *advertiser)
            && (self.wallet, self.currency) == (*wallet, *currency)
            && (self.line_item_budget, self.campaign_budget)
                == (other.line_item_budget, other.campaign_budget)
            && self.time_zone == other.time_zone
    }
}

impl From<&Funding> for Fund {
    fn from(funding: &Funding) -> Fund {
        let amount = |nanos: Option<Nanos>| nanos.map(|n| n.0);
        Fund {
            line_item: funding.line_item.0,
            campaign: funding.campaign.0,
            advertiser: funding.advertiser.0,
            wallet: funding.wallet.0,
            campaign_lifetime: amount(funding.campaign_budget.lifetime),
            campaign_daily: amount(funding.campaign_budget.daily),
            line_item_lifetime: amount(funding.line_item_budget.lifetime),
            line_item_daily: amount(funding.line_item_budget.daily),
            time_zone: funding.time_zone.clone(),
            currency: funding.currency.to_string(),
            version: funding.version,
        }
    }
}

impl TryFrom<&Fund> for Funding {
    type Error = RecordError;

    fn try_from(fund: &Fund) -> Result<Funding, RecordError> {
        let budget = |lifetime: Option<i64>, daily: Option<i64>| Budget {
            lifetime: lifetime.map(Nanos),
            daily: daily.map(Nanos),
        };
        let currency = Currency::parse(&fund.currency);
        let currency = currency.ok_or_else(|| RecordError::Currency(fund.currency.clone()))?;
        Ok(Funding {
            line_item: LineItemId(fund.line_item),
            line_item_budget: budget(fund.line_item_lifetime, fund.line_item_daily),
            campaign: CampaignId(fund.campaign),
            campaign_budget: budget(fund.campaign_lifetime, fund.campaign_daily),
            advertiser: AdvertiserId(fund.advertiser),
            wallet: Nanos(fund.wallet),
            time_zone: fund.time_zone.clone(),
            currency,
            version: fund.version,
        })
    }
}

/// The lease's boot epoch.
pub fn epoch_of(lease: LeaseId) -> u32 {
    (lease.0 >> 32) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    fn post() -> Post {
        let id = BidId { epoch: 7, core: 3, sequence: 1 << 40 };
        let source =
            Source { exchange: 2, at_s: 1_790_000_100, data: 5, platform: 0, units: 90, house_units: 1 };
        let bid = Bid::new(id, 1_790_000_000);
        Post { bid, lease: 7 << 32 | 9, charge: 100, released: 20, overprice: 1, source, shown: None }
    }

    #[test]
    fn what_is_written_is_read_again() {
        let mut bytes = vec![1, 2, 3];
        Event::Post(post()).write_to(&mut bytes);
        assert_eq!(Event::read(&bytes).unwrap(), Event::Post(post()));
        assert_eq!(post().bid.id(), BidId { epoch: 7, core: 3, sequence: 1 << 40 });
        assert_eq!(epoch_of(LeaseId(post().lease)), 7);
    }

    #[test]
    fn funding_survives_with_and_without_limits() {
        let funding = Funding {
            line_item: LineItemId(1),
            line_item_budget: Budget { lifetime: None, daily: Some(Nanos(5)) },
            campaign: CampaignId(2),
            campaign_budget: Budget { lifetime: Some(Nanos(0)), daily: None },
            advertiser: AdvertiserId(3),
            wallet: Nanos(i64::MAX),
            time_zone: "Asia/Kathmandu".to_owned(),
            currency: Currency::USD,
            version: 9,
        };
        assert_eq!(Funding::try_from(&Fund::from(&funding)).unwrap(), funding);
        let odd = Fund { currency: "dollar".to_owned(), ..Fund::from(&funding) };
        assert!(matches!(Funding::try_from(&odd), Err(RecordError::Currency(code)) if code == "dollar"));
    }

    #[test]
    fn what_is_no_record_is_refused() {
        assert!(matches!(Event::read(&[]), Err(RecordError::Unknown)));
        assert!(matches!(Event::read(&[0xff]), Err(RecordError::Malformed(_))));
        // A kind of a later version: field 99, empty.
        assert!(matches!(Event::read(&[0x9a, 0x06, 0x00]), Err(RecordError::Unknown)));
    }
}
