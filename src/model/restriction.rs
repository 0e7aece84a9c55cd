//! Why the privacy gate lets nobody use the user's data, in the words of explain and of the metrics.

macro_rules! restrictions {
    ($($(#[doc = $doc:literal])+ $name:ident = $word:literal,)+) => {
        /// Why the user's data is not used: the first signal in the order of the checks.
        #[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
        #[repr(u8)]
        pub enum Restriction {
            $($(#[doc = $doc])+ $name,)+
        }

        impl Restriction {
            /// Every restriction, in the order of the checks.
            pub const ALL: [Restriction; [$($word),+].len()] = [$(Restriction::$name),+];

            /// The signal as explain and metrics name it.
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Restriction::$name => $word,)+
                }
            }
        }
    };
}

restrictions! {
    /// `regs.coppa = 1`.
    Coppa = "coppa",
    /// `device.lmt = 1`.
    LimitAdTracking = "lmt",
    /// `device.dnt = 1`.
    DoNotTrack = "dnt",
    /// `regs.ext.gpc = "1"`.
    GlobalPrivacyControl = "gpc",
    /// Digital out of home: there is no one user.
    OutOfHome = "out_of_home",
    /// The GDPR applies by signal, and there is no consent string.
    Gdpr = "gdpr",
    /// No signal and no consent string, and the place is in the EEA, the United Kingdom or Switzerland.
    PlaceUnderGdpr = "place_under_gdpr",
    /// No signal and no consent string, and the place is unknown.
    UnknownPlace = "unknown_place",
    /// The consent string cannot be read, or is none that TCF allows.
    TcfInvalid = "tcf_invalid",
    /// The consent string does not allow our vendor id, or there is none in the configuration.
    TcfNoVendor = "tcf_no_vendor",
    /// The consent string does not allow the purposes, or the publisher restricts them.
    TcfPurpose = "tcf_purpose",
    /// `regs.gpp` without `regs.gpp_sid`: which of its sections apply is anybody's guess.
    GppUnscoped = "gpp_unscoped",
    /// A section that `regs.gpp_sid` lists is missing, or it cannot be read.
    GppInvalid = "gpp_invalid",
    /// `regs.gpp_sid` lists a section that this version does not know.
    GppUnknown = "gpp_unknown",
    /// A section of the United States says that the user is a known child.
    GppChild = "gpp_child",
    /// A section of the United States carries an opt-out of sale, sharing or targeted advertising.
    GppOptOut = "gpp_opt_out",
    /// A section of the United States carries Global Privacy Control.
    GppGpc = "gpp_gpc",
    /// A US privacy string with an opt-out of sale.
    UsPrivacyOptOut = "us_privacy_opt_out",
}
