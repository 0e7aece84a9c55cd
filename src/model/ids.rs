//! Typed identifiers. The numeric ones are stable: they key accounts, counters and tokens and survive every rebuild
//! of a catalog; dense indexes exist only inside one catalog and have their own type there.

use std::fmt;

macro_rules! id {
    ($(#[$doc:meta])* $name:ident($inner:ty)) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Debug)]
        pub struct $name(pub $inner);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0, f)
            }
        }
    };
}

id! {
    /// An advertiser: owner of the wallet.
    AdvertiserId(u32)
}
id! {
    /// A campaign (other platforms: insertion order).
    CampaignId(u32)
}
id! {
    /// A line item: targeting, bid and budget.
    LineItemId(u32)
}
id! {
    /// A creative.
    CreativeId(u32)
}
id! {
    /// An audience segment or a node of a classification tree, in the append-only dictionary of the audience store.
    SegmentId(u32)
}
id! {
    /// A list of domains, apps, places or the like.
    ListId(u32)
}
id! {
    /// A deal that was agreed on with an exchange; not the text by which the exchange calls it.
    DealId(u32)
}
id! {
    /// The definition of a conversion.
    ConversionId(u32)
}
id! {
    /// Where an advertiser's pages and servers report events.
    PixelId(u32)
}
id! {
    /// An exchange, as tokens name it; people name it by the text in the bid URL.
    ExchangeId(u16)
}
id! {
    /// A lease: the right of one core to spend an amount for one line item.
    LeaseId(u64)
}
id! {
    /// The keyed stable hash of one identifier of a user. The raw identifier is never kept.
    UserKey(u64)
}

/// A bid's identity: (durable boot epoch, core, sequence). Unique for ever, injected in tests.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Debug)]
pub struct BidId {
    /// Boot epoch: strictly greater at every start.
    pub epoch: u32,
    /// Serving core.
    pub core: u16,
    /// Sequence of the bid on that core since the boot.
    pub sequence: u64,
}

impl fmt::Display for BidId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:x}-{:x}-{:x}", self.epoch, self.core, self.sequence)
    }
}
