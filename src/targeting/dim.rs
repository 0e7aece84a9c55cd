//! The dimensions of targeting as the index knows them, in the order in which a request's values are resolved.

use crate::model::list::ListKind;

/// A dimension that is matched by values. Format and daypart are not among them: a format rule is decided when it is
/// compiled, a daypart depends on the clock alone.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
#[repr(usize)]
pub(super) enum Dim {
    Exchange,
    Country,
    DeviceType,
    Os,
    Browser,
    Connection,
    Language,
    Region,
    Metro,
    City,
    Zip,
    Address,
    Carrier,
    Domain,
    Bundle,
    Publisher,
    Category,
    Keyword,
    Segment,
    // From here on the values belong to the impression.
    Fit,
    Deal,
}

impl Dim {
    /// Where the values of a list count.
    pub(super) fn of_list(kind: ListKind) -> Dim {
        match kind {
            ListKind::Domain => Dim::Domain,
            ListKind::Bundle => Dim::Bundle,
            ListKind::Publisher => Dim::Publisher,
            ListKind::Region => Dim::Region,
            ListKind::Metro => Dim::Metro,
            ListKind::City => Dim::City,
            ListKind::Zip => Dim::Zip,
            ListKind::Keyword => Dim::Keyword,
            ListKind::Deal => Dim::Deal,
            ListKind::Address => Dim::Address,
        }
    }

    /// How many there are.
    pub(super) const COUNT: usize = Dim::Deal as usize + 1;

    /// The first dimension whose values belong to the impression and not to the request.
    pub(super) const FIRST_OF_IMP: Dim = Dim::Fit;

    /// The dimensions of the request that have few values, of which a request has at most one (with those that it
    /// implies): they come first in the enum and are held as bit sets.
    pub(super) const BROAD: [Dim; 7] =
        [Dim::Exchange, Dim::Country, Dim::DeviceType, Dim::Os, Dim::Browser, Dim::Connection, Dim::Language];

    /// Roughly the share of requests that carry one given targeted value, in millionths: what it costs to find a
    /// line item through that value. Only the order of magnitude matters; it never decides whether something matches.
    pub(super) fn expected_share_ppm(self) -> u64 {
        match self {
            Dim::Deal => 0,
            Dim::Zip | Dim::Address => 200,
            Dim::City | Dim::Domain | Dim::Bundle => 1_000,
            Dim::Publisher | Dim::Keyword => 2_000,
            Dim::Segment => 3_000,
            Dim::Metro => 10_000,
            Dim::Region | Dim::Category => 20_000,
            Dim::Carrier => 50_000,
            Dim::Country | Dim::Language => 150_000,
            Dim::Exchange | Dim::Os | Dim::Browser | Dim::Connection | Dim::DeviceType => 300_000,
            // What is to be filled is known per impression only: never the way in.
            Dim::Fit => 1_000_000,
        }
    }
}
