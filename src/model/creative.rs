//! Creatives and their compiled markup templates.

use super::auction::Size;
use super::frequency::Frequency;
use super::ids::{AdvertiserId, CreativeId, ExchangeId};
use super::targeting::{Fit, MediaType};

/// A creative as configured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Creative {
    /// Stable id; `bid.crid` is its text.
    pub id: CreativeId,
    /// Owner.
    pub advertiser: AdvertiserId,
    /// For people.
    pub name: String,
    /// What is shown, by medium.
    pub content: Content,
    /// Where a click goes: http or https, host within `landing_domains`.
    pub click_url: String,
    /// Hosts that a click may land on.
    pub landing_domains: Vec<String>,
    /// `bid.adomain`: lower case, at least one.
    pub adomain: Vec<String>,
    /// `bid.cat`, in taxonomy `cattax`.
    pub categories: Vec<String>,
    /// `bid.cattax`.
    pub cattax: u16,
    /// `bid.attr`: creative attributes.
    pub attributes: Vec<i64>,
    /// `bid.api` that the markup needs, if any.
    pub api: Option<i64>,
    /// `bid.language`, ISO-639-1; `None` = no language.
    pub language: Option<String>,
    /// `bid.bundle` for app-install creatives.
    pub bundle: Option<String>,
    /// Every URL of the content is https.
    pub secure: bool,
    /// Where it may be served.
    pub approvals: Approvals,
    /// How often one person may be shown it.
    pub frequency: Frequency,
    /// `bid.ext.dsa`; without it the creative is not shown where it is required.
    pub transparency: Option<Transparency>,
}

/// What was decided about a creative: everywhere, and by exchanges that decide for themselves.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Approvals {
    /// Where no exchange is named.
    pub everywhere: Approval,
    /// At these exchanges instead, each named once.
    pub exceptions: Vec<(ExchangeId, Approval)>,
}

/// Whether a creative may be served.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Approval {
    /// It may.
    #[default]
    Approved,
    /// Not yet.
    Pending,
    /// It may not.
    Rejected,
}

impl Approvals {
    /// Whether it may be served at an exchange.
    pub fn at(&self, exchange: ExchangeId) -> bool {
        let own = self.exceptions.iter().find(|(named, _)| *named == exchange);
        own.map_or(self.everywhere, |(_, approval)| *approval) == Approval::Approved
    }

    /// Whether it may be served at some exchange.
    pub fn any(&self) -> bool {
        let mut all = self.exceptions.iter().map(|(_, approval)| approval).chain([&self.everywhere]);
        all.any(|approval| *approval == Approval::Approved)
    }
}

/// What an ad declares of who is behind it (community extension "DSA Transparency", after the EU's Digital Services Act).
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Transparency {
    /// `behalf`: on whose behalf the ad is shown.
    pub behalf: String,
    /// `paid`: who pays for it.
    pub paid: String,
    /// `adrender`: the ad shows this by itself.
    pub renders: bool,
    /// `transparency[0].domain`: who applied `parameters`; empty = no such entry is sent.
    pub domain: String,
    /// `transparency[0].dsaparams`: 1 profiling, 2 basic ad serving, 3 precise position.
    pub parameters: Vec<i64>,
}

impl Creative {
    /// The medium that it can fill.
    pub fn media_type(&self) -> MediaType {
        match self.content {
            Content::Banner(_) => MediaType::Banner,
            Content::Video(_) => MediaType::Video,
            Content::Audio(_) => MediaType::Audio,
            Content::Native(_) => MediaType::Native,
        }
    }

    /// What of an impression it can fill.
    pub fn fit(&self) -> Fit {
        match &self.content {
            Content::Banner(banner) => Fit::Banner(banner.size),
            Content::Video(_) => Fit::Video,
            Content::Audio(_) => Fit::Audio,
            Content::Native(_) => Fit::Native,
        }
    }

    /// Its content as a banner.
    pub fn banner(&self) -> Option<&BannerAd> {
        match &self.content {
            Content::Banner(banner) => Some(banner),
            _ => None,
        }
    }

    /// Its content as video or audio.
    pub fn stream(&self) -> Option<&StreamAd> {
        match &self.content {
            Content::Video(stream) | Content::Audio(stream) => Some(stream),
            _ => None,
        }
    }

    /// Its content as native.
    pub fn native(&self) -> Option<&NativeAd> {
        match &self.content {
            Content::Native(native) => Some(native),
            _ => None,
        }
    }
}

/// What a creative shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    /// HTML in a box.
    Banner(BannerAd),
    /// Video, answered as VAST.
    Video(StreamAd),
    /// Audio, answered as VAST.
    Audio(StreamAd),
    /// Assets that the publisher lays out, answered as Native 1.2.
    Native(NativeAd),
}

/// HTML markup in a box of a fixed size.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct BannerAd {
    /// Size in pixels.
    pub size: Size,
    /// The markup with macros as written; see `exchange::macros` for their names.
    pub markup: String,
    /// Banner ad type: 1 XHTML text, 2 XHTML banner, 3 JavaScript, 4 iframe.
    pub banner_type: i64,
    /// Directions in which it expands (AdCOM "Expandable Directions"); empty = it stays as it is.
    pub expands: Vec<i64>,
}

/// Video or audio: files of one ad in several qualities, or another server's VAST to be wrapped.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct StreamAd {
    /// Seconds that it takes.
    pub duration_s: u32,
    /// Where it comes from.
    pub source: StreamSource,
    /// It plays in the content's place (1) or over it (2); 2 is for video alone.
    pub linearity: i64,
    /// It brings a skip button of its own, this many seconds after the start.
    pub skip_after_s: Option<u32>,
    /// Banners beside it.
    pub companions: Vec<Companion>,
    /// URLs that are fetched at events beside the bidder's own.
    pub trackers: Vec<(StreamEvent, String)>,
}

/// Where video or audio comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StreamSource {
    /// Files, at least one: VAST `InLine`.
    Files(Vec<MediaFile>),
    /// The URL of another VAST document: VAST `Wrapper`. What it plays is said by `mimes`.
    Wrapped {
        /// `VASTAdTagURI`.
        tag: String,
        /// Content types that the wrapped ad has.
        mimes: Vec<String>,
    },
}

impl Default for StreamSource {
    fn default() -> Self {
        StreamSource::Files(Vec::new())
    }
}

/// VAST `MediaFile`.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct MediaFile {
    /// Where it lies.
    pub url: String,
    /// Its content type, lower case.
    pub mime: String,
    /// Size in pixels; 0 × 0 for audio.
    pub size: Size,
    /// Kilobits a second.
    pub bitrate: Option<u32>,
    /// It is streamed and not downloaded while it plays.
    pub streaming: bool,
}

/// VAST `Companion`: an image that leads to the click URL.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Companion {
    /// Size in pixels.
    pub size: Size,
    /// Where the image lies.
    pub url: String,
    /// Its content type, lower case.
    pub mime: String,
}

/// What players report (VAST 4.3 section 3.14), beside impression, click and error.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum StreamEvent {
    /// `Impression`.
    Impression,
    /// `start`.
    Start,
    /// `firstQuartile`.
    FirstQuartile,
    /// `midpoint`.
    Midpoint,
    /// `thirdQuartile`.
    ThirdQuartile,
    /// `complete`.
    Complete,
    /// `skip`.
    Skip,
    /// `ClickTracking`.
    Click,
    /// `Error`.
    Error,
}

impl StreamEvent {
    /// Every event.
    pub const ALL: [StreamEvent; 9] = [
        StreamEvent::Impression,
        StreamEvent::Start,
        StreamEvent::FirstQuartile,
        StreamEvent::Midpoint,
        StreamEvent::ThirdQuartile,
        StreamEvent::Complete,
        StreamEvent::Skip,
        StreamEvent::Click,
        StreamEvent::Error,
    ];

    /// Its name in account files, notice URLs and metrics.
    pub fn name(self) -> &'static str {
        match self {
            StreamEvent::Impression => "impression",
            StreamEvent::Start => "start",
            StreamEvent::FirstQuartile => "first_quartile",
            StreamEvent::Midpoint => "midpoint",
            StreamEvent::ThirdQuartile => "third_quartile",
            StreamEvent::Complete => "complete",
            StreamEvent::Skip => "skip",
            StreamEvent::Click => "click",
            StreamEvent::Error => "error",
        }
    }

    /// The event of a name.
    pub fn named(name: &str) -> Option<StreamEvent> {
        StreamEvent::ALL.into_iter().find(|event| event.name() == name)
    }
}

/// Assets of a native ad. The answer takes those that a request asks for.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct NativeAd {
    /// Titles, the preferred first: the first that is short enough is taken.
    pub titles: Vec<String>,
    /// Images, the preferred first.
    pub images: Vec<NativeImage>,
    /// (type, text) of Native 1.2 section 7.4, the preferred first: the first that is short enough is taken.
    pub data: Vec<(i64, String)>,
    /// A video in the ad.
    pub video: Option<StreamAd>,
    /// Where a click leads if the app does not handle the click URL.
    pub fallback_url: Option<String>,
    /// Page on privacy, given where the request allows it.
    pub privacy_url: Option<String>,
    /// URLs of pixels that are fetched at the impression beside the bidder's own.
    pub pixels: Vec<String>,
}

/// An image of a native ad.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct NativeImage {
    /// 1 icon, 3 main (Native 1.2 section 7.5).
    pub kind: i64,
    /// Size in pixels.
    pub size: Size,
    /// Where it lies.
    pub url: String,
    /// Its content type, lower case.
    pub mime: String,
}

/// What answers are rendered from: made when a catalog is compiled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CompiledMarkup {
    /// HTML of a banner.
    Html(Template),
    /// VAST of video or audio, one document for each protocol that it can be given in, the newest first.
    Vast(Vec<VastTemplate>),
    /// A native ad with the VAST of its video; empty = it has none.
    Native(Vec<VastTemplate>),
}

/// A VAST document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VastTemplate {
    /// AdCOM "Creative Subtypes - Audio/Video": 2 VAST 2.0, 3 VAST 3.0, 5 and 6 their wrappers, 7 and 8 VAST 4.0, 11 to 16
    /// VAST 4.1 to 4.3.
    pub protocol: i64,
    /// The document with its macros.
    pub template: Template,
}

/// Markup compiled for rendering: literals and macros with the encoder that their place asks for.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Template {
    /// In order.
    pub parts: Vec<TemplatePart>,
    /// The literals among the parts once more, in order, as they stand inside a JSON string: escaping them at every
    /// bid would cost more than all the rest of an answer. May be empty, then they are escaped at the bid.
    pub json_literals: Vec<String>,
}

/// One piece of a [`Template`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TemplatePart {
    /// Copied as it is; exchange macros such as `${AUCTION_PRICE}` stay inside for the exchange.
    Literal(String),
    /// A value known at bid time.
    Macro(Macro, Encoding),
}

/// The bid-time values that markup may use.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub enum Macro {
    /// The click URL of this bid; a landing page may follow URL-encoded in `&u=` only when signed.
    ClickUrl,
    /// The impression pixel of this bid.
    ImpressionUrl,
    /// Decimal digits that differ from bid to bid.
    Cachebuster,
    /// The creative's id.
    CreativeId,
    /// The line item's id.
    LineItemId,
    /// The campaign's id.
    CampaignId,
    /// Width in pixels.
    Width,
    /// Height in pixels.
    Height,
    /// The site's domain or the app's bundle as the request said: hostile text.
    Inventory,
    /// The page URL as the request said: hostile text.
    PageUrl,
    /// The URL that counts an event of video or audio.
    EventUrl(StreamEvent),
    /// The bid's id.
    BidId,
}

/// How a value must be encoded in its place.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub enum Encoding {
    /// HTML text.
    HtmlText,
    /// A quoted HTML attribute, or text or a quoted attribute of XML; never inside CDATA.
    HtmlAttribute,
    /// A component of a URL inside a quoted HTML attribute: percent-encoded.
    UrlComponent,
    /// Inside a JavaScript string literal.
    JsString,
}
