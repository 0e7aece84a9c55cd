//! Creatives and their compiled markup templates.

use super::auction::Size;
use super::ids::{AdvertiserId, CreativeId};

/// A creative as configured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Creative {
    /// Stable id; `bid.crid` is its text.
    pub id: CreativeId,
    /// Owner.
    pub advertiser: AdvertiserId,
    /// For people.
    pub name: String,
    /// Size in pixels.
    pub size: Size,
    /// The markup with macros as written; see `exchange::macros` for their names.
    pub markup: String,
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
    /// Banner ad type: 1 XHTML text, 2 XHTML banner, 3 JavaScript, 4 iframe.
    pub banner_type: i64,
    /// `bid.api` that the markup needs, if any.
    pub api: Option<i64>,
    /// `bid.language`, ISO-639-1; `None` = no language.
    pub language: Option<String>,
    /// `bid.bundle` for app-install creatives.
    pub bundle: Option<String>,
    /// Every URL of the markup is https.
    pub secure: bool,
    /// Approved for serving.
    pub approved: bool,
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
}

/// How a value must be encoded in its place.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub enum Encoding {
    /// HTML text.
    HtmlText,
    /// A quoted HTML attribute.
    HtmlAttribute,
    /// A component of a URL inside a quoted HTML attribute: percent-encoded.
    UrlComponent,
    /// Inside a JavaScript string literal.
    JsString,
}
