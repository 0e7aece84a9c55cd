//! Native ads: what fills a request's assets → the JSON of OpenRTB Native 1.2 section 5, as the text of `bid.adm`.
//!
//! The answer is JSON inside a JSON string, so that every text is escaped twice. Invariant: read back twice, each text
//! is what it was; the impression is always tracked. Allocates nothing. Deliberately absent: choosing what fills an
//! asset, which the engine has done.

use super::macros::{self, MarkupContext};
use super::text::{Sink, push_nested};
use super::url::NoticeKind;
use crate::model::bid::{FilledAsset, NativeFill};
use crate::model::creative::{NativeAd, NativeImage};

/// Writes the ad to `out`, which is the inside of a JSON string.
pub(super) fn render(fill: &NativeFill<'_>, ad: &NativeAd, context: &MarkupContext<'_>, out: &mut impl Sink) {
    if fill.wrapped {
        out.push(r#"{"native":"#);
    }
    out.push(r#"{"ver":"1.2","assets":["#);
    for (index, (id, asset)) in fill.assets.iter().enumerate() {
        out.push(if index == 0 { r#"{"id":"# } else { r#",{"id":"# });
        number(*id, out);
        push_asset(asset, context, out);
        out.push("}");
    }
    out.push("],");
    push_link(ad, context, out);
    push_trackers(fill, ad, context, out);
    if let Some(url) = ad.privacy_url.as_deref().filter(|_| fill.privacy) {
        out.push(r#","privacy":"#);
        string(url, out);
    }
    out.push("}");
    if fill.wrapped {
        out.push("}");
    }
}

fn push_asset(asset: &FilledAsset<'_>, context: &MarkupContext<'_>, out: &mut impl Sink) {
    match asset {
        FilledAsset::Title(text) => {
            out.push(r#","title":{"text":"#);
            string(text, out);
        }
        FilledAsset::Image(NativeImage { kind, size, url, .. }) => {
            out.push(r#","img":{"type":"#);
            number(*kind, out);
            out.push(r#","url":"#);
            string(url, out);
            out.push(r#","w":"#);
            number(size.w.into(), out);
            out.push(r#","h":"#);
            number(size.h.into(), out);
        }
        FilledAsset::Data(kind, text) => {
            out.push(r#","data":{"type":"#);
            number(*kind, out);
            out.push(r#","value":"#);
            string(text, out);
        }
        FilledAsset::Video(vast) => {
            out.push(r#","video":{"vasttag":""#);
            macros::render(&vast.template, context, &mut Nested(out));
            out.push("\"");
        }
    }
    out.push("}");
}

/// A click goes through our click URL, which counts it.
fn push_link(ad: &NativeAd, context: &MarkupContext<'_>, out: &mut impl Sink) {
    out.push(r#""link":{"url":""#);
    own_url(context.url(NoticeKind::Click), out);
    out.push("\"");
    if let Some(fallback) = &ad.fallback_url {
        out.push(r#","fallback":"#);
        string(fallback, out);
    }
    out.push("}");
}

/// Our pixel and the advertiser's, as `eventtrackers` of images at the impression (event 1, method 1) where those were
/// offered, else as the older `imptrackers`.
fn push_trackers(fill: &NativeFill<'_>, ad: &NativeAd, context: &MarkupContext<'_>, out: &mut impl Sink) {
    let (list, before, after) = match fill.event_trackers {
        true => (r#","eventtrackers":["#, r#"{"event":1,"method":1,"url":"#, "}"),
        false => (r#","imptrackers":["#, "", ""),
    };
    out.push(list);
    out.push(before);
    out.push("\"");
    own_url(context.url(NoticeKind::Impression), out);
    out.push("\"");
    out.push(after);
    for pixel in &ad.pixels {
        out.push(",");
        out.push(before);
        string(pixel, out);
        out.push(after);
    }
    out.push("]");
}

/// A notice URL holds nothing that JSON escapes, however deep it stands.
fn own_url(pieces: [&str; 6], out: &mut impl Sink) {
    pieces.into_iter().for_each(|piece| out.push_inert(piece));
}

fn number(number: i64, out: &mut impl Sink) {
    out.push_inert(itoa::Buffer::new().format(number));
}

fn string(text: &str, out: &mut impl Sink) {
    out.push("\"");
    push_nested(text, out);
    out.push("\"");
}

/// The inside of a JSON string of the inner document.
struct Nested<'o, S: Sink>(&'o mut S);

impl<S: Sink> Sink for Nested<'_, S> {
    fn push(&mut self, text: &str) {
        push_nested(text, self.0);
    }

    fn push_inert(&mut self, text: &str) {
        self.0.push_inert(text);
    }

    fn push_prepared(&mut self, _text: &str, json: &str) {
        self.0.push(json);
    }
}
