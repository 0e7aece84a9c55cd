//! What a request says about privacy, wherever it stands: an auction or the query of a pixel.

use crate::model::auction::{Auction, Channel};
use crate::model::country::Country;

/// The signals of one request. Absent ones are as in `default()`: they say nothing, which is not a permission.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Signals<'a> {
    /// The request is for children (`regs.coppa`).
    pub coppa: bool,
    /// The device limits tracking (`device.lmt`).
    pub lmt: bool,
    /// The browser asks not to be tracked (`device.dnt`, the header `DNT`).
    pub dnt: bool,
    /// Global Privacy Control (`regs.ext.gpc`, the header `Sec-GPC`).
    pub gpc: bool,
    /// Whether the GDPR applies (`regs.gdpr`, the parameter `gdpr`); `None` = nobody says.
    pub gdpr: Option<bool>,
    /// The TC string (`user.consent`, the parameter `gdpr_consent`).
    pub consent: Option<&'a str>,
    /// The GPP string.
    pub gpp: Option<&'a str>,
    /// The sections of it that apply: −1 alone = none does, 0 = unknown.
    pub gpp_sid: &'a [i64],
    /// The US privacy string.
    pub us_privacy: Option<&'a str>,
    /// Where the user is; `None` = unknown.
    pub country: Option<Country>,
    /// A screen in public: there is no one user.
    pub out_of_home: bool,
}

impl<'a> Signals<'a> {
    /// The signals of an auction.
    pub fn of(auction: &Auction<'a>) -> Signals<'a> {
        let (device, regs) = (&auction.device, &auction.regs);
        Signals {
            coppa: regs.coppa == Some(true),
            lmt: device.lmt == Some(true),
            dnt: device.dnt == Some(true),
            gpc: regs.gpc,
            gdpr: regs.gdpr,
            consent: auction.user.consent,
            gpp: regs.gpp,
            gpp_sid: regs.gpp_sid,
            us_privacy: regs.us_privacy,
            country: device.geo.country.or(auction.user.geo.country),
            out_of_home: matches!(auction.channel, Channel::Dooh(_)),
        }
    }
}
