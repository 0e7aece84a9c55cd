//! Single values: each reader takes the field's key, reports what is wrong there and gives `None`, so that the caller
//! goes on to the next field.

use super::report::{Code, Report};
use super::wire::Quoted;
use crate::model::auction::Size;
use crate::model::behaviour::{Action, Tier};
use crate::model::creative::Approval;
use crate::model::frequency::UnknownUsers;
use crate::model::line_item::ChannelKind;
use crate::model::line_item::{PacingMode, PacingPeriod, Strategy};
use crate::model::list::{Counting, ListKind};
use crate::model::money::{Cpm, Currency, Nanos};
use crate::model::suggest::closest;
use crate::model::targeting::{MediaType, StreamStart};
use crate::model::url::HttpUrl;
use std::ops::RangeInclusive;

/// Longest side of anything, in pixels.
pub(super) const MAX_SIDE: u16 = 32_767;

/// What something with a status can be: active serves, the others do not.
pub(super) const STATUSES: [&str; 4] = ["draft", "active", "paused", "archived"];

/// The two ways to give a size.
#[derive(Default)]
pub(super) struct SizeWire {
    pub(super) size: Option<String>,
    pub(super) w: Option<i64>,
    pub(super) h: Option<i64>,
}

/// Names and values of a field with few of them, for reading and for writing.
pub(super) trait Named: Copy + PartialEq + 'static {
    /// The list.
    const ALL: &'static [(&'static str, Self)];

    /// How the value is written.
    fn name(self) -> &'static str {
        let found = Self::ALL.iter().find(|(_, value)| *value == self);
        found.map(|(name, _)| *name).expect("every value is in its list")
    }
}

impl Named for StreamStart {
    const ALL: &'static [(&'static str, StreamStart)] = &[
        ("pre_roll", StreamStart::PreRoll),
        ("mid_roll", StreamStart::MidRoll),
        ("post_roll", StreamStart::PostRoll),
    ];
}

impl Named for Approval {
    const ALL: &'static [(&'static str, Approval)] =
        &[("approved", Approval::Approved), ("pending", Approval::Pending), ("rejected", Approval::Rejected)];
}

impl Named for MediaType {
    const ALL: &'static [(&'static str, MediaType)] = &[
        ("banner", MediaType::Banner),
        ("video", MediaType::Video),
        ("audio", MediaType::Audio),
        ("native", MediaType::Native),
    ];
}

impl Named for ChannelKind {
    const ALL: &'static [(&'static str, ChannelKind)] =
        &[("site", ChannelKind::Site), ("app", ChannelKind::App), ("dooh", ChannelKind::Dooh)];
}

impl Named for ListKind {
    const ALL: &'static [(&'static str, ListKind)] = &[
        ("domain", ListKind::Domain),
        ("bundle", ListKind::Bundle),
        ("publisher", ListKind::Publisher),
        ("region", ListKind::Region),
        ("metro", ListKind::Metro),
        ("city", ListKind::City),
        ("zip", ListKind::Zip),
        ("keyword", ListKind::Keyword),
        ("deal", ListKind::Deal),
        ("address", ListKind::Address),
    ];
}

impl Named for Action {
    const ALL: &'static [(&'static str, Action)] = &[
        ("view", Action::View),
        ("search", Action::Search),
        ("cart", Action::Cart),
        ("purchase", Action::Purchase),
        ("conversion", Action::Conversion),
        ("custom", Action::Custom),
    ];
}

impl Named for Tier {
    const ALL: &'static [(&'static str, Tier)] = &[
        ("new", Tier::New),
        ("active", Tier::Active),
        ("loyal", Tier::Loyal),
        ("lapsing", Tier::Lapsing),
        ("lost", Tier::Lost),
    ];
}

impl Named for UnknownUsers {
    const ALL: &'static [(&'static str, UnknownUsers)] =
        &[("skip", UnknownUsers::Skip), ("serve", UnknownUsers::Serve)];
}

impl Named for Strategy {
    const ALL: &'static [(&'static str, Strategy)] = &[
        ("fixed_cpm", Strategy::FixedCpm),
        ("max_cpm", Strategy::MaxCpm),
        ("max_cpc", Strategy::MaxCpc),
        ("target_cpc", Strategy::TargetCpc),
        ("target_cpa", Strategy::TargetCpa),
        ("target_roas", Strategy::TargetRoas),
        ("max_clicks", Strategy::MaxClicks),
        ("max_conversions", Strategy::MaxConversions),
        ("reach", Strategy::Reach),
    ];
}

impl Named for PacingMode {
    const ALL: &'static [(&'static str, PacingMode)] =
        &[("asap", PacingMode::Asap), ("even", PacingMode::Even), ("ahead", PacingMode::Ahead)];
}

impl Named for PacingPeriod {
    const ALL: &'static [(&'static str, PacingPeriod)] =
        &[("daily", PacingPeriod::Daily), ("flight", PacingPeriod::Flight)];
}

impl Named for Counting {
    const ALL: &'static [(&'static str, Counting)] = &[("one", Counting::One), ("every", Counting::Every)];
}

impl Report {
    /// A field that must be there.
    pub(super) fn required<T>(&mut self, key: &'static str, value: Option<T>) -> Option<T> {
        if value.is_none() {
            self.error_at(key, Code::Missing, "is missing; add it");
        }
        value
    }

    /// A value by its name, at the current place.
    pub(super) fn named_here<T: Named>(&mut self, text: &str) -> Option<T> {
        let found = T::ALL.iter().find(|(name, _)| *name == text).map(|(_, value)| *value);
        if found.is_none() {
            self.unknown_name(text, T::ALL.iter().map(|(name, _)| *name));
        }
        found
    }

    /// An error at the current place: `text` is none of `names`.
    pub(super) fn unknown_name(&mut self, text: &str, names: impl Iterator<Item = &'static str> + Clone) {
        let all = names.clone().collect::<Vec<_>>().join(", ");
        let hint = closest(text, names).map(|near| format!(" (did you mean {near:?}?)"));
        let message = format!("{text:?} is not known; use one of {all}{}", hint.unwrap_or_default());
        self.error(Code::Malformed, message);
    }

    /// A value by its name, if the field is there.
    pub(super) fn named<T: Named>(&mut self, key: &'static str, text: Option<&str>) -> Option<T> {
        self.within(key, |report| report.named_here(text?))
    }

    /// A whole number within bounds, if the field is there.
    pub(super) fn whole<T>(
        &mut self,
        key: &'static str,
        value: Option<i64>,
        bounds: RangeInclusive<i64>,
    ) -> Option<T>
    where
        T: TryFrom<i64>,
    {
        self.within(key, |report| report.whole_here(value?, bounds))
    }

    /// A whole number within bounds, at the current place.
    pub(super) fn whole_here<T>(&mut self, value: i64, bounds: RangeInclusive<i64>) -> Option<T>
    where
        T: TryFrom<i64>,
    {
        let fits = T::try_from(value).ok().filter(|_| bounds.contains(&value));
        if fits.is_none() {
            let (min, max) = (bounds.start(), bounds.end());
            self.error(
                Code::OutOfRange,
                format!("{value} is out of range; give a number from {min} to {max}"),
            );
        }
        fits
    }

    /// An id: a whole number in quotes, at most `max`.
    pub(super) fn id(&mut self, key: &'static str, text: Option<&Quoted>, max: u32) -> Option<u32> {
        let text = self.required(key, text)?;
        self.within(key, |report| report.id_here(text, max))
    }

    /// The same at the current place.
    pub(super) fn id_here(&mut self, text: &Quoted, max: u32) -> Option<u32> {
        let text = text.0.as_str();
        let is_plain = !text.is_empty()
            && text.bytes().all(|b| b.is_ascii_digit())
            && (text == "0" || !text.starts_with('0'));
        let id = text.parse::<u32>().ok().filter(|id| is_plain && *id <= max);
        if id.is_none() {
            self.error(Code::Malformed, format!("{text:?} is no id; give a whole number from 0 to {max}"));
        }
        id
    }

    /// An exact amount of money ≥ 0, if the field is there.
    pub(super) fn amount(&mut self, key: &'static str, text: Option<&Quoted>) -> Option<Nanos> {
        let text = text?.0.as_str();
        match Nanos::parse_decimal(text) {
            Some(amount) if amount.0 >= 0 => Some(amount),
            _ => {
                let what =
                    "an amount such as \"12.50\": not negative, at most 9 decimals, at most 9223372036";
                self.error_at(key, amiss(text, 9_223_372_036.0), format!("{text:?} is not {what}"));
                None
            }
        }
    }

    /// An exact price ≥ 0 per thousand impressions, if the field is there.
    pub(super) fn price(&mut self, key: &'static str, text: Option<&Quoted>) -> Option<Cpm> {
        let text = text?.0.as_str();
        let price = exact_millionths(text);
        if price.is_none() {
            let what =
                "a price per thousand such as \"2.50\": not negative, at most 6 decimals, at most 1000000";
            self.error_at(key, amiss(text, 1e6), format!("{text:?} is not {what}"));
        }
        price.map(Cpm)
    }

    /// A factor in millionths, from 0 to `max` whole ones.
    pub(super) fn factor(&mut self, key: &'static str, text: Option<&Quoted>, max: i64) -> Option<i64> {
        let text = text?.0.as_str();
        let factor = exact_millionths(text).filter(|ppm| *ppm <= max * 1_000_000);
        if factor.is_none() {
            let what = format!("a factor such as \"1.25\": from 0 to {max}, at most 6 decimals");
            self.error_at(key, Code::Malformed, format!("{text:?} is not {what}"));
        }
        factor
    }

    /// A currency, if the field is there.
    pub(super) fn currency(&mut self, key: &'static str, text: Option<&str>) -> Option<Currency> {
        let text = text?;
        let currency = Currency::parse(text);
        if currency.is_none() {
            self.error_at(
                key,
                Code::Malformed,
                format!("{text:?} is no currency; give three letters such as \"USD\""),
            );
        }
        currency
    }

    /// A size in pixels at the current place, given as `size` or as `w` and `h`.
    pub(super) fn size_of(&mut self, given: SizeWire) -> Option<Size> {
        const SIDE: RangeInclusive<i64> = 1..=MAX_SIDE as i64;
        match (given.size, given.w, given.h) {
            (Some(text), None, None) => self.within("size", |report| report.size_here(&text)),
            (Some(_), ..) => {
                self.error_at("size", Code::Conflict, "stands beside w or h; give one or the other");
                None
            }
            (None, None, None) => self.required("size", None),
            (None, w, h) => {
                let (w, h) = (self.required("w", w), self.required("h", h));
                let (w, h) = (self.whole("w", w, SIDE), self.whole("h", h, SIDE));
                Some(Size { w: w?, h: h? })
            }
        }
    }

    /// The URL of something that is fetched or opened, if the field is there. Gives it back as it was written.
    pub(super) fn url(&mut self, key: &'static str, text: Option<String>) -> Option<String> {
        let text = text?;
        self.within(key, |report| report.url_here(&text));
        Some(text)
    }

    /// A URL at the current place.
    pub(super) fn url_here(&mut self, text: &str) {
        if let Err(why) = HttpUrl::parse(text) {
            self.error(Code::Malformed, format!("{text:?}: {why}"));
        }
    }

    /// A content type at the current place, in lower case.
    pub(super) fn mime_here(&mut self, text: &str) -> Option<String> {
        let mime = text.to_ascii_lowercase();
        let is_token = |part: &str| {
            !part.is_empty() && part.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$&-^_.+".contains(&b))
        };
        let is_mime = mime.split_once('/').is_some_and(|(kind, sub)| is_token(kind) && is_token(sub));
        if !is_mime {
            let what = "is no content type such as \"video/mp4\"; give type/subtype without parameters";
            self.error(Code::Malformed, format!("{text:?} {what}"));
        }
        is_mime.then_some(mime)
    }

    /// A size in pixels such as `300x250`, at the current place.
    pub(super) fn size_here(&mut self, text: &str) -> Option<Size> {
        let side = |text: &str| {
            let is_plain = text.bytes().all(|b| b.is_ascii_digit());
            text.parse::<u16>().ok().filter(|n| is_plain && (1..=MAX_SIDE).contains(n))
        };
        let size = text.split_once('x').and_then(|(w, h)| Some(Size { w: side(w)?, h: side(h)? }));
        if size.is_none() {
            let what = format!(
                "{text:?} is no size; give width and height such as \"300x250\", each from 1 to {MAX_SIDE}"
            );
            self.error(Code::Malformed, what);
        }
        size
    }

    /// A name for people: not empty, one line, at most 255 characters.
    pub(super) fn name(&mut self, key: &'static str, text: Option<String>) -> Option<String> {
        let text = self.required(key, text)?;
        if text.trim().is_empty() || text.chars().count() > 255 || text.chars().any(char::is_control) {
            self.error_at(key, Code::Malformed, "give a name of 1 to 255 characters in one line");
        }
        Some(text)
    }

    /// An IANA time zone by its canonical name, if the field is there.
    pub(super) fn time_zone(&mut self, key: &'static str, text: Option<&str>) -> Option<String> {
        let text = text?;
        let zone = jiff::tz::TimeZone::get(text).ok();
        let name = zone.as_ref().and_then(|zone| zone.iana_name()).map(str::to_owned);
        if name.is_none() {
            let message =
                format!("{text:?} is no time zone; give an IANA name such as \"Europe/Berlin\" or \"UTC\"");
            self.error_at(key, Code::Malformed, message);
        }
        name
    }

    /// Whether something with a status may serve; active where the field is absent.
    pub(super) fn status(&mut self, text: Option<&str>) -> bool {
        match text {
            None | Some("active") => true,
            Some(known) if STATUSES.contains(&known) => false,
            Some(other) => {
                let message = format!("{other:?} is not known; use one of {}", STATUSES.join(", "));
                self.error_at("status", Code::Malformed, message);
                false
            }
        }
    }

    /// A moment as RFC 3339, in milliseconds since the Unix epoch, if the field is there.
    pub(super) fn moment(&mut self, key: &'static str, text: Option<&str>) -> Option<i64> {
        let text = text?;
        let moment = text.parse::<jiff::Timestamp>().ok().map(|moment| moment.as_millisecond());
        if moment.is_none() {
            let what = "a moment with its offset such as \"2026-03-01T00:00:00+01:00\" or \"…Z\" (RFC 3339)";
            self.error_at(key, Code::Malformed, format!("{text:?} is not {what}"));
        }
        moment
    }
}

/// What is wrong with a decimal that was not taken: a number that is too large, or none that could be taken at all.
fn amiss(text: &str, most: f64) -> Code {
    let is_beyond = text.parse::<f64>().is_ok_and(|number| number > most);
    if is_beyond { Code::OutOfRange } else { Code::Malformed }
}

/// A decimal ≥ 0 in millionths, at most 10^12 of them; `None` when it is malformed or finer.
fn exact_millionths(text: &str) -> Option<i64> {
    let (down, up) = (Cpm::parse_decimal(text, false)?, Cpm::parse_decimal(text, true)?);
    (down == up).then_some(down.0)
}
