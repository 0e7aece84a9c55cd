//! Privacy signals → [`Permissions`]: what may be done with what is known of the user. The most restrictive signal
//! wins (design: openrtb.md section 4).
//!
//! [`judge`] looks at [`Signals`], which an auction or the query of a pixel gives; [`gate`] does so for an auction. Under
//! COPPA, `lmt`, `dnt` and Global Privacy Control nothing of the user is used. Where the GDPR applies, by signal, by
//! GPP section 2 or by place, the TC string says what may be ([`tcf`]). The sections of the United States that
//! `gpp_sid` lists ([`gpp`]) and the US privacy string ([`us_privacy`]) take away further. What should be there and is
//! not, or cannot be read, counts as a refusal. Contextual bids go on, unless a rule asks for purpose 2.
//!
//! Invariants:
//! - The proofs [`UseIds`], [`UseSegments`] and their like are made here only, so that a look-up without permission does not
//!   compile.
//! - A further signal never adds a permission.
//! - No signal grants the use of sensitive segments: that needs the member's own explicit consent, which first-party data
//!   records.
//! - Nothing is allocated, and work is bounded by the length of the strings.
//!
//! Deliberately absent: which laws bind an operator, the vendor list itself, and the sections of Canada.

mod bits;
pub mod gpp;
mod judge;
mod permissions;
mod rules;
mod signals;
pub mod tcf;
pub mod us_privacy;

pub use crate::model::restriction::Restriction;
pub use judge::judge;
pub use permissions::{Measure, Permissions, StoreOnDevice, UseIds, UseSegments, WriteProfile};
pub use rules::{Basis, Policy, Rules};
pub use signals::Signals;

use crate::model::auction::Opportunity;

/// Reads the signals of the request that `opportunity` belongs to; every impression of a request gets the same
/// answer. See [`judge`].
pub fn gate(opportunity: &Opportunity<'_>, rules: &Rules) -> Permissions {
    judge(&Signals::of(opportunity.auction), rules)
}
