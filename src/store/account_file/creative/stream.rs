//! Video and audio: JSON → model, for creatives and for the video of a native ad.

use super::super::known::Unique;
use super::super::report::{Code, Report};
use super::super::values::SizeWire;
use super::super::wire::{CompanionWire, FileWire, StreamWire, TrackerWire};
use super::{is_plain, unique};
use crate::model::auction::Size;
use crate::model::creative::{Companion, MediaFile, StreamAd, StreamEvent, StreamSource};
use crate::model::targeting::MediaType;

/// Longest ad in seconds: VAST writes durations as a time of day.
pub(in super::super) const MAX_DURATION_S: i64 = 86_399;
/// Highest bit rate in kilobits a second.
pub(in super::super) const MAX_BITRATE: i64 = 1_000_000;

/// Reads the ad at the current place; `medium` is video or audio.
pub(super) fn read(report: &mut Report, medium: MediaType, wire: StreamWire) -> StreamAd {
    let duration = report.required("duration_s", wire.duration_s);
    let duration_s: Option<u32> = report.whole("duration_s", duration, 1..=MAX_DURATION_S);
    let linearity = report.whole("linearity", wire.linearity, 1..=2).unwrap_or(1);
    if linearity == 2 && medium == MediaType::Audio {
        report.error_at("linearity", Code::Conflict, "audio cannot lie over the content; leave it out");
    }
    let skip_after_s = skip(report, wire.skip_after_s, duration_s, linearity);
    let source = source(report, medium, linearity, wire.files, wire.vast_tag, wire.mimes);
    let mut seen = Unique::new();
    let companions =
        report.each("companions", wire.companions.into_iter().enumerate(), |report, (index, wire)| {
            let companion = companion(report, wire)?;
            unique(report, &mut seen, (companion.size, companion.url.clone()), index)?;
            Some(companion)
        });
    let mut seen = Unique::new();
    let trackers = report.each("trackers", wire.trackers.into_iter().enumerate(), |report, (index, wire)| {
        let tracker = tracker(report, wire)?;
        unique(report, &mut seen, tracker, index)
    });
    StreamAd {
        duration_s: duration_s.unwrap_or_default(),
        source,
        linearity,
        skip_after_s,
        companions: companions.into_iter().flatten().collect(),
        trackers: trackers.into_iter().flatten().collect(),
    }
}

fn skip(report: &mut Report, after: Option<i64>, duration_s: Option<u32>, linearity: i64) -> Option<u32> {
    let after: u32 = report.whole("skip_after_s", after, 0..=MAX_DURATION_S)?;
    if linearity == 2 {
        report.error_at("skip_after_s", Code::Conflict, "an overlay is closed, not skipped; leave it out");
    }
    if let Some(duration) = duration_s.filter(|duration| after >= *duration) {
        let message = format!("{after} is not before the end at {duration}; lower it or leave it out");
        report.error_at("skip_after_s", Code::Conflict, message);
    }
    Some(after)
}

/// Files or another server's tag, exactly one of them.
fn source(
    report: &mut Report,
    medium: MediaType,
    linearity: i64,
    files: Vec<FileWire>,
    tag: Option<String>,
    mimes: Vec<String>,
) -> StreamSource {
    let mut seen = Unique::new();
    let says_mimes = !mimes.is_empty();
    let mimes = report.each("mimes", mimes.into_iter().enumerate(), |report, (index, text)| {
        let mime = report.mime_here(&text)?;
        unique(report, &mut seen, mime, index)
    });
    let mimes: Vec<String> = mimes.into_iter().flatten().collect();
    let tag = report.url("vast_tag", tag);
    match (files.is_empty(), tag) {
        (true, Some(tag)) => {
            if !says_mimes {
                let message = "is missing; say what content types the wrapped ad plays";
                report.error_at("mimes", Code::Missing, message);
            }
            return StreamSource::Wrapped { tag, mimes };
        }
        (false, Some(_)) => {
            report.error_at("vast_tag", Code::Conflict, "stands beside files; give one or the other");
        }
        (true, None) => {
            let message = format!("is missing or empty, and there is no vast_tag: {medium} of nothing");
            report.error_at("files", Code::Missing, message);
        }
        (false, None) => {}
    }
    if says_mimes {
        report.error_at("mimes", Code::Conflict, "belongs to vast_tag; those of files stand with them");
    }
    let mut seen = Unique::new();
    let files = report.each("files", files.into_iter().enumerate(), |report, (index, wire)| {
        let file = file(report, medium, linearity, wire);
        if !file.url.is_empty() {
            unique(report, &mut seen, file.url.clone(), index);
        }
        file
    });
    StreamSource::Files(files)
}

fn file(report: &mut Report, medium: MediaType, linearity: i64, wire: FileWire) -> MediaFile {
    let given = report.required("url", wire.url);
    let url = report.url("url", given).unwrap_or_default();
    let mime = mime(report, wire.mime);
    // `application/` is what playlists and packages of streams have.
    let fits = match (mime.split('/').next().unwrap_or_default(), medium) {
        ("application", _) => true,
        ("audio", medium) => medium == MediaType::Audio,
        ("video", medium) => medium != MediaType::Audio,
        // A still picture may be an overlay, or fill a screen for a while.
        ("image", medium) => medium != MediaType::Audio,
        _ => linearity == 2,
    };
    if !fits && !mime.is_empty() {
        report.error_at("mime", Code::Conflict, format!("{mime:?} is not {medium}; change one of them"));
    }
    let size = SizeWire { size: wire.size, w: wire.w, h: wire.h };
    let has_size = size.size.is_some() || size.w.is_some() || size.h.is_some();
    let size = match medium {
        MediaType::Audio => {
            if has_size {
                let key = if size.size.is_some() { "size" } else { "w" };
                report.error_at(key, Code::Conflict, "audio has no size; remove it");
            }
            Size::default()
        }
        _ => report.size_of(size).unwrap_or_default(),
    };
    MediaFile {
        url,
        mime,
        size,
        bitrate: report.whole("bitrate", wire.bitrate, 1..=MAX_BITRATE),
        streaming: wire.streaming.unwrap_or(false),
    }
}

/// A content type that must be there.
pub(super) fn mime(report: &mut Report, text: Option<String>) -> String {
    let text = report.required("mime", text);
    text.and_then(|text| report.within("mime", |report| report.mime_here(&text))).unwrap_or_default()
}

fn companion(report: &mut Report, wire: CompanionWire) -> Option<Companion> {
    let size = report.size_of(SizeWire { size: wire.size, w: wire.w, h: wire.h });
    let given = report.required("url", wire.url);
    let url = report.url("url", given);
    let mime = mime(report, wire.mime);
    if !mime.is_empty() && !mime.starts_with("image/") {
        let message = format!("{mime:?} is no image; a companion is one");
        report.error_at("mime", Code::Conflict, message);
    }
    Some(Companion { size: size?, url: url?, mime })
}

fn tracker(report: &mut Report, wire: TrackerWire) -> Option<(StreamEvent, String)> {
    let name = report.required("event", wire.event);
    let event = name.and_then(|name| {
        let event = StreamEvent::named(&name);
        if event.is_none() {
            let names = StreamEvent::ALL.iter().map(|event| event.name());
            report.within("event", |report| report.unknown_name(&name, names));
        }
        event
    });
    let given = report.required("url", wire.url);
    let url = report.url("url", given);
    Some((event?, url?))
}

/// What has the first http URL of an ad, if any has.
pub(super) fn first_plain_url(ad: &StreamAd) -> Option<&'static str> {
    let source = match &ad.source {
        StreamSource::Files(files) => {
            files.iter().any(|file| is_plain(&file.url)).then_some("one of the files")
        }
        StreamSource::Wrapped { tag, .. } => is_plain(tag).then_some("vast_tag"),
    };
    let companion = || ad.companions.iter().any(|it| is_plain(&it.url)).then_some("one of the companions");
    let tracker = || ad.trackers.iter().any(|(_, url)| is_plain(url)).then_some("one of the trackers");
    source.or_else(companion).or_else(tracker)
}
