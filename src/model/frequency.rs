//! How often one person may be shown something.

/// Most caps on one advertiser, campaign, line item or creative.
pub const MAX_CAPS: usize = 4;
/// Most impressions that a cap with a window may allow: the times of that many are kept.
pub const MAX_WINDOWED: u16 = 100;
/// Longest window and longest gap: 90 days.
pub const MAX_WITHIN_S: u32 = 90 * 86_400;

/// At most so many impressions in any stretch of time of this length.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Cap {
    /// Impressions, at least 1; at most [`MAX_WINDOWED`] where there is a window.
    pub max: u16,
    /// Seconds, 1 to [`MAX_WITHIN_S`]; `None` = for ever. The window slides: a day is any 24 hours, not a calendar's.
    pub within_s: Option<u32>,
}

/// What to do where nobody can tell who the user is: no identifier, or none that may be used.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum UnknownUsers {
    /// No bid: what cannot be counted cannot be capped.
    #[default]
    Skip,
    /// Bid without a cap.
    Serve,
}

/// The caps of one advertiser, campaign, line item or creative: every one of them must hold.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Frequency {
    /// At most [`MAX_CAPS`].
    pub caps: Vec<Cap>,
    /// Seconds that must pass between two impressions; 0 = none.
    pub min_gap_s: u32,
    /// Who is bid on uncounted.
    pub unknown_users: UnknownUsers,
}

impl Frequency {
    /// Whether it asks for anything.
    pub fn is_empty(&self) -> bool {
        self.caps.is_empty() && self.min_gap_s == 0
    }
}
