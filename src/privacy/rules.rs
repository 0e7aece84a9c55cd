//! What an operator and an exchange's profile set.

use crate::model::exchange::GdprDefault;

/// The legal basis that we registered for a purpose in the Global Vendor List.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Basis {
    /// Consent, and nothing else.
    #[default]
    Consent,
    /// Legitimate interest, and nothing else.
    LegitimateInterest,
    /// Consent, unless a publisher's restriction asks for legitimate interest.
    FlexibleConsent,
    /// Legitimate interest, unless a publisher's restriction asks for consent.
    FlexibleLegitimateInterest,
}

/// What holds for all exchanges, from the configuration. The default grants the least.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Our id in the Global Vendor List; without one no consent string grants anything.
    pub vendor_id: Option<u16>,
    /// Our basis for purpose 2, limited data to select advertising.
    pub select_ads: Basis,
    /// Our basis for purpose 7, measuring advertising.
    pub measure_ads: Basis,
    /// Consent strings created at this time or later, in tenths of a second since the Unix epoch, must carry the
    /// vendors that were disclosed, ours among them (TCF 2.3).
    pub disclosed_vendors_from_ds: u64,
    /// What a GPP string means that comes without a list of the sections that apply: true = nothing, false = the
    /// context alone is used.
    pub ignore_unscoped_gpp: bool,
    /// Under the GDPR, not even the context is bid on without purpose 2. Off: a bid that uses nothing of the user
    /// needs no purpose (openrtb.md 4.1).
    pub context_needs_purpose_2: bool,
}

impl Policy {
    /// 2026-02-28T00:00:00Z, from when on exchanges treat strings without disclosed vendors as invalid.
    pub const TCF_2_3_FROM_DS: u64 = 17_722_368_000;
}

impl Default for Policy {
    fn default() -> Policy {
        Policy {
            vendor_id: None,
            select_ads: Basis::Consent,
            measure_ads: Basis::Consent,
            disclosed_vendors_from_ds: Policy::TCF_2_3_FROM_DS,
            ignore_unscoped_gpp: false,
            context_needs_purpose_2: false,
        }
    }
}

/// The rules for the requests of one exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rules {
    /// What a place in the EEA/UK/CH, or an unknown one, means when no signal is there.
    pub gdpr_default: GdprDefault,
    /// What holds everywhere.
    pub policy: Policy,
}
