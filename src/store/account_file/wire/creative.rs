//! Creatives of every format.

use super::super::creative::native::{DATA_TYPES, IMAGE_KINDS, MAX_TEXT_CHARS};
use super::super::creative::stream::{MAX_BITRATE, MAX_DURATION_S};
use super::super::schema::{
    Described, Form, Spec, domain, exchange, formed, list, mime, name, one_of, one_of_or_number,
    one_of_texts, refers, side, size, text, url, whole, word,
};
use super::FrequencyWire;
use super::{Absent, NameOrNumber, Quoted};
use crate::model::creative::{Approval, StreamEvent};
use crate::model::targeting::MediaType;
use serde::{Deserialize, Serialize};

/// What every code of a growing list of AdCOM is.
const CODES: std::ops::RangeInclusive<i64> = 1..=65_535;

wire! {
    ApprovalWire {
        /// The exchange, by its name.
        exchange: Option<String> = exchange().required(),
        /// What it has decided.
        approval: Option<String> = one_of::<Approval>().required(),
    }
    DsaWire {
        /// On whose behalf the ad is shown.
        behalf: Option<String> = text().at_least(1).such_as("Acme Ltd").required(),
        /// Who paid.
        paid: Option<String> = text().at_least(1).such_as("Acme Ltd").required(),
        /// Whether the ad shows both itself.
        renders: Option<bool> = bool::spec().default(false),
        /// Whose parameters follow; it must be there when they are.
        domain: Option<String> = domain(),
        /// The parameters of users that were used, by their numbers.
        parameters: Vec<i64> = list(whole(CODES)),
    }
    CreativeWire {
        /// Its number.
        id: Option<Quoted>,
        /// The advertiser.
        advertiser: Option<Quoted> = refers("advertisers.id").required(),
        /// For people.
        name: Option<String> = name().required(),
        /// What it is; says which of the other members it has.
        format: Option<String> = one_of::<MediaType>().default("banner"),
        /// Width and height in pixels.
        size: Option<String> = size(),
        /// HTML with the macros that are filled in; `{{CLICK_URL}}` is where clicks go.
        markup: Option<String> =
            text().such_as("<a href=\"{{CLICK_URL}}\"><img src=\"https://cdn.acme.example/b.png\"></a>"),
        /// Where a click leads.
        click_url: Option<String> = url().such_as("https://acme.example/spring").required(),
        /// Hosts that clicks may lead to, with that of `click_url` among them. Default that host alone.
        landing_domains: Vec<String> = list(formed("^[A-Za-z0-9_.-]+$", &["acme.example"])),
        /// The advertiser's domains, as exchanges are told.
        adomain: Vec<String> = list(domain()).some().required(),
        /// Content categories, of the taxonomy `cattax`.
        iab_categories: Vec<String> = list(text().at_least(1).such_as("IAB2-3")),
        /// The taxonomy of the categories, as AdCOM numbers them.
        cattax: Option<i64> = whole(CODES).default(1),
        /// How often one person is shown it.
        frequency: FrequencyWire,
        /// Creative attributes, as AdCOM numbers them.
        attributes: Vec<i64> = list(whole(CODES)),
        /// AdCOM's subtype: 1 text, 2 XHTML, 3 JavaScript, 4 iframe. Default by the markup.
        banner_type: Option<i64> = whole(1..=4),
        /// Directions in which the banner expands, as AdCOM numbers them, each once.
        expands: Vec<i64> = list(whole(1..=6)),
        /// Seconds that it plays.
        duration_s: Option<i64> = whole(1..=MAX_DURATION_S),
        /// The media files; they or `vast_tag`.
        files: Vec<FileWire>,
        /// The URL of another server's VAST; it or `files`.
        vast_tag: Option<String> = url().such_as("https://ads.acme.example/vast.xml"),
        /// Content types that the wrapped ad plays; with `vast_tag`.
        mimes: Vec<String> = list(mime("video/mp4")),
        /// 1 plays instead of the content, 2 lies over it.
        linearity: Option<i64> = whole(1..=2).default(1),
        /// Seconds after which it may be skipped, before its end; without it never.
        skip_after_s: Option<i64> = whole(0..=MAX_DURATION_S),
        /// Images shown beside it.
        companions: Vec<CompanionWire>,
        /// URLs that are called as it plays.
        trackers: Vec<TrackerWire>,
        /// Titles, of which one that fits is taken.
        titles: Vec<String> = list(shown("The spring sale")),
        /// Icons and main images.
        images: Vec<ImageWire>,
        /// Other texts of the ad.
        data: Vec<DataWire>,
        /// The video of the native ad.
        video: Option<StreamWire>,
        /// Where a click leads if the app of `click_url` is not there.
        fallback_url: Option<String> = url(),
        /// What the icon of the advertising choices leads to.
        privacy_url: Option<String> = url(),
        /// URLs that are called when the ad was shown.
        pixels: Vec<String> = list(url()),
        /// The API framework that it needs, as AdCOM numbers them; without it none.
        api: Option<i64> = whole(CODES),
        /// The language, ISO 639-1; without it any.
        language: Option<String> = formed("^[A-Za-z]{2}$", &["de"]),
        /// The app that is advertised.
        bundle: Option<String> = text().such_as("com.acme.shop"),
        /// Whether all of it loads by https. Default by its URLs.
        secure: Option<bool>,
        /// Who stands behind the ad, for the Digital Services Act.
        dsa: Option<DsaWire>,
        /// Whether it may be shown at all.
        approval: Option<String> = one_of::<Approval>().default("approved"),
        /// Where exchanges have decided otherwise, each once.
        approvals: Vec<ApprovalWire>,
    }
    StreamWire {
        /// Seconds that it plays.
        duration_s: Option<i64> = whole(1..=MAX_DURATION_S).required(),
        /// The media files; they or `vast_tag`.
        files: Vec<FileWire>,
        /// The URL of another server's VAST; it or `files`.
        vast_tag: Option<String> = url().such_as("https://ads.acme.example/vast.xml"),
        /// Content types that the wrapped ad plays; with `vast_tag`.
        mimes: Vec<String> = list(mime("video/mp4")),
        /// 1, as it plays in its own place.
        linearity: Option<i64> = whole(1..=2).default(1),
        /// Seconds after which it may be skipped, before its end; without it never.
        skip_after_s: Option<i64> = whole(0..=MAX_DURATION_S),
        /// Images shown beside it.
        companions: Vec<CompanionWire>,
        /// URLs that are called as it plays.
        trackers: Vec<TrackerWire>,
    }
    FileWire {
        /// Where it lies.
        url: Option<String> = url().such_as("https://cdn.acme.example/a.mp4").required(),
        /// Its content type.
        mime: Option<String> = mime("video/mp4").required(),
        /// Width and height in pixels; or `w` and `h`. Audio has none.
        size: Option<String> = size(),
        /// Width in pixels.
        w: Option<i64> = side(),
        /// Height in pixels.
        h: Option<i64> = side(),
        /// Kilobits a second.
        bitrate: Option<i64> = whole(1..=MAX_BITRATE),
        /// Whether it is streamed and not loaded as a whole.
        streaming: Option<bool> = bool::spec().default(false),
    }
    CompanionWire {
        /// Width and height in pixels; or `w` and `h`.
        size: Option<String> = size(),
        /// Width in pixels.
        w: Option<i64> = side(),
        /// Height in pixels.
        h: Option<i64> = side(),
        /// Where the image lies.
        url: Option<String> = url().required(),
        /// Its content type, an image.
        mime: Option<String> = mime("image/png").required(),
    }
    ImageWire {
        /// Its place in the ad, by name or as Native 1.2 numbers them.
        kind: Option<NameOrNumber> = one_of_or_number(IMAGE_KINDS, CODES).required(),
        /// Width and height in pixels; or `w` and `h`.
        size: Option<String> = size(),
        /// Width in pixels.
        w: Option<i64> = side(),
        /// Height in pixels.
        h: Option<i64> = side(),
        /// Where the image lies.
        url: Option<String> = url().required(),
        /// Its content type, an image.
        mime: Option<String> = mime("image/png").required(),
    }
    TrackerWire {
        /// When it is called.
        event: Option<String> = one_of_texts(StreamEvent::ALL.map(StreamEvent::name)).required(),
        /// What is called.
        url: Option<String> = url().required(),
    }
    DataWire {
        /// What the text is, by name or as Native 1.2 numbers them.
        r#type: Option<NameOrNumber> = one_of_or_number(DATA_TYPES, CODES).required(),
        /// The text.
        text: Option<String> = shown("Acme").required(),
    }
}

/// A text that is shown.
fn shown(example: &'static str) -> Spec {
    word(example).at_most(MAX_TEXT_CHARS)
}
