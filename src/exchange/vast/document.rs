//! One VAST document: which elements, in which order, by version.

use super::version::Version;
use super::xml::Xml;
use crate::exchange::macros::MacroError;
use crate::model::creative::{
    Companion, Creative, Macro, MediaFile, StreamAd, StreamEvent, StreamSource, VastTemplate,
};

/// `AdSystem`.
const SYSTEM: &str = "outbid";
/// The namespace of VAST 4.
const NAMESPACE: &str = "http://www.iab.com/VAST";
/// The events of `TrackingEvents` by VAST's names; the last is not known to VAST 2.0 nor to overlays.
const TRACKED: [(StreamEvent, &str); 6] = [
    (StreamEvent::Start, "start"),
    (StreamEvent::FirstQuartile, "firstQuartile"),
    (StreamEvent::Midpoint, "midpoint"),
    (StreamEvent::ThirdQuartile, "thirdQuartile"),
    (StreamEvent::Complete, "complete"),
    (StreamEvent::Skip, "skip"),
];

/// Writes an ad in one version.
pub(super) fn write(
    creative: &Creative,
    ad: &StreamAd,
    is_audio: bool,
    version: Version,
) -> Result<VastTemplate, MacroError> {
    let wrapper = matches!(ad.source, StreamSource::Wrapped { .. });
    let mut document = Document { xml: Xml::document(), version, creative, ad, wrapper };
    document.vast(is_audio)?;
    Ok(VastTemplate { protocol: version.protocol(wrapper), template: document.xml.finish() })
}

struct Document<'a> {
    xml: Xml,
    version: Version,
    creative: &'a Creative,
    ad: &'a StreamAd,
    wrapper: bool,
}

impl Document<'_> {
    fn vast(&mut self, is_audio: bool) -> Result<(), MacroError> {
        let mut attributes = vec![("version", self.version.number().to_owned())];
        if self.version.is_modern() {
            attributes.push(("xmlns", NAMESPACE.to_owned()));
        }
        self.xml.open("VAST", &attributes);
        let mut attributes = vec![("id", self.creative.id.to_string())];
        if is_audio && self.version.knows_audio() {
            attributes.push(("adType", "audio".to_owned()));
        }
        self.xml.open("Ad", &attributes);
        if let StreamSource::Wrapped { tag, .. } = &self.ad.source {
            self.xml.open("Wrapper", &[]);
            self.wrapped(tag)?;
            self.xml.close("Wrapper");
        } else {
            self.xml.open("InLine", &[]);
            self.inline()?;
            self.xml.close("InLine");
        }
        self.xml.close("Ad");
        self.xml.close("VAST");
        Ok(())
    }

    fn inline(&mut self) -> Result<(), MacroError> {
        let title = &self.creative.name;
        self.xml.text("AdSystem", &[], SYSTEM);
        if self.version.is_modern() {
            self.errors_and_impressions()?;
            if self.version.knows_audio() {
                self.xml.value("AdServingId", &[], Macro::BidId);
            }
            self.xml.text("AdTitle", &[], title);
        } else {
            self.xml.text("AdTitle", &[], title);
            self.errors_and_impressions()?;
        }
        self.creatives()
    }

    fn wrapped(&mut self, tag: &str) -> Result<(), MacroError> {
        self.xml.text("AdSystem", &[], SYSTEM);
        if self.version.is_modern() {
            self.errors_and_impressions()?;
            self.creatives()?;
            self.xml.url("VASTAdTagURI", &[], tag)
        } else {
            self.xml.url("VASTAdTagURI", &[], tag)?;
            self.errors_and_impressions()?;
            self.creatives()
        }
    }

    /// Before 4.0 there is one `Error` and it is ours.
    fn errors_and_impressions(&mut self) -> Result<(), MacroError> {
        self.xml.value("Error", &[], Macro::EventUrl(StreamEvent::Error));
        if self.version.is_modern() {
            self.trackers(StreamEvent::Error, "Error", &[])?;
        }
        self.xml.value("Impression", &[], Macro::ImpressionUrl);
        self.trackers(StreamEvent::Impression, "Impression", &[])
    }

    /// The ad and its companions, which share a sequence number because they are shown together.
    fn creatives(&mut self) -> Result<(), MacroError> {
        self.xml.open("Creatives", &[]);
        self.open_creative();
        if self.ad.linearity == 2 {
            self.overlays()?;
        } else {
            self.linear()?;
        }
        self.xml.close("Creative");
        if !self.ad.companions.is_empty() {
            self.open_creative();
            self.xml.open("CompanionAds", &[]);
            self.ad.companions.iter().try_for_each(|companion| self.companion(companion))?;
            self.xml.close("CompanionAds");
            self.xml.close("Creative");
        }
        self.xml.close("Creatives");
        Ok(())
    }

    fn open_creative(&mut self) {
        let id = self.creative.id.to_string();
        self.xml.open("Creative", &[("id", id.clone()), ("sequence", "1".to_owned())]);
        if self.version.is_modern() && !self.wrapper {
            // No registry knows the ad. 4.0 wants the id twice, later versions allow that no more.
            let mut attributes = vec![("idRegistry", "unknown".to_owned())];
            if self.version == Version::V4 {
                attributes.push(("idValue", id.clone()));
            }
            self.xml.text("UniversalAdId", &attributes, &id);
        }
    }

    fn linear(&mut self) -> Result<(), MacroError> {
        let StreamSource::Files(files) = &self.ad.source else {
            self.xml.open("Linear", &[]);
            self.tracking_events()?;
            self.video_clicks()?;
            self.xml.close("Linear");
            return Ok(());
        };
        let skip = self.ad.skip_after_s.filter(|_| self.version.knows_skip());
        let skip: Vec<_> = skip.map(|after| ("skipoffset", time(after))).into_iter().collect();
        self.xml.open("Linear", &skip);
        let duration = time(self.ad.duration_s);
        if self.version.is_modern() {
            self.tracking_events()?;
            self.xml.text("Duration", &[], &duration);
            self.media_files(files)?;
            self.video_clicks()?;
        } else {
            self.xml.text("Duration", &[], &duration);
            self.tracking_events()?;
            self.video_clicks()?;
            self.media_files(files)?;
        }
        self.xml.close("Linear");
        Ok(())
    }

    fn tracking_events(&mut self) -> Result<(), MacroError> {
        self.xml.open("TrackingEvents", &[]);
        for (event, name) in TRACKED {
            if event == StreamEvent::Skip && (!self.version.knows_skip() || self.ad.linearity == 2) {
                continue;
            }
            let attributes = [("event", name.to_owned())];
            self.xml.value("Tracking", &attributes, Macro::EventUrl(event));
            self.trackers(event, "Tracking", &attributes)?;
        }
        self.xml.close("TrackingEvents");
        Ok(())
    }

    /// A click of our own ad opens the click URL, which counts it. A wrapped ad opens its own page, so that there the
    /// click is reported.
    fn video_clicks(&mut self) -> Result<(), MacroError> {
        self.xml.open("VideoClicks", &[]);
        let opens = !self.wrapper;
        if opens && !self.version.is_modern() {
            self.xml.value("ClickThrough", &[], Macro::ClickUrl);
        }
        if self.wrapper {
            self.xml.value("ClickTracking", &[], Macro::EventUrl(StreamEvent::Click));
        }
        self.trackers(StreamEvent::Click, "ClickTracking", &[])?;
        if opens && self.version.is_modern() {
            self.xml.value("ClickThrough", &[], Macro::ClickUrl);
        }
        self.xml.close("VideoClicks");
        Ok(())
    }

    fn media_files(&mut self, files: &[MediaFile]) -> Result<(), MacroError> {
        self.xml.open("MediaFiles", &[]);
        for file in files {
            let delivery = if file.streaming { "streaming" } else { "progressive" };
            let mut attributes = vec![
                ("delivery", delivery.to_owned()),
                ("type", file.mime.clone()),
                ("width", file.size.w.to_string()),
                ("height", file.size.h.to_string()),
            ];
            attributes.extend(file.bitrate.map(|bitrate| ("bitrate", bitrate.to_string())));
            self.xml.url("MediaFile", &attributes, &file.url)?;
        }
        self.xml.close("MediaFiles");
        Ok(())
    }

    /// Of an overlay every file is one choice of the player.
    fn overlays(&mut self) -> Result<(), MacroError> {
        self.xml.open("NonLinearAds", &[]);
        self.tracking_events()?;
        match &self.ad.source {
            StreamSource::Files(files) => files.iter().try_for_each(|file| self.overlay(file))?,
            StreamSource::Wrapped { .. } => self.overlay_clicks()?,
        }
        self.xml.close("NonLinearAds");
        Ok(())
    }

    fn overlay(&mut self, file: &MediaFile) -> Result<(), MacroError> {
        let attributes = [
            ("width", file.size.w.to_string()),
            ("height", file.size.h.to_string()),
            ("minSuggestedDuration", time(self.ad.duration_s)),
        ];
        self.xml.open("NonLinear", &attributes);
        self.xml.url("StaticResource", &[("creativeType", file.mime.clone())], &file.url)?;
        if self.version.is_modern() {
            self.xml.value("NonLinearClickThrough", &[], Macro::ClickUrl);
            self.trackers(StreamEvent::Click, "NonLinearClickTracking", &[])?;
        } else {
            if self.version.knows_skip() {
                self.trackers(StreamEvent::Click, "NonLinearClickTracking", &[])?;
            }
            self.xml.value("NonLinearClickThrough", &[], Macro::ClickUrl);
        }
        self.xml.close("NonLinear");
        Ok(())
    }

    /// The schema of a wrapper's `NonLinear` allows one URL in each. VAST 2.0 has no place for any.
    fn overlay_clicks(&mut self) -> Result<(), MacroError> {
        if !self.version.knows_skip() {
            return Ok(());
        }
        self.xml.open("NonLinear", &[]);
        self.xml.value("NonLinearClickTracking", &[], Macro::EventUrl(StreamEvent::Click));
        self.xml.close("NonLinear");
        for url in urls(self.ad, StreamEvent::Click) {
            self.xml.open("NonLinear", &[]);
            self.xml.url("NonLinearClickTracking", &[], url)?;
            self.xml.close("NonLinear");
        }
        Ok(())
    }

    fn companion(&mut self, companion: &Companion) -> Result<(), MacroError> {
        let size = [("width", companion.size.w.to_string()), ("height", companion.size.h.to_string())];
        self.xml.open("Companion", &size);
        self.xml.url("StaticResource", &[("creativeType", companion.mime.clone())], &companion.url)?;
        self.xml.value("CompanionClickThrough", &[], Macro::ClickUrl);
        self.xml.close("Companion");
        Ok(())
    }

    /// The advertiser's own URLs of an event.
    fn trackers(
        &mut self,
        event: StreamEvent,
        name: &'static str,
        attributes: super::xml::Attributes<'_>,
    ) -> Result<(), MacroError> {
        urls(self.ad, event).try_for_each(|url| self.xml.url(name, attributes, url))
    }
}

fn urls(ad: &StreamAd, event: StreamEvent) -> impl Iterator<Item = &str> {
    ad.trackers.iter().filter(move |(of, _)| *of == event).map(|(_, url)| url.as_str())
}

/// `HH:MM:SS`.
fn time(seconds: u32) -> String {
    format!("{:02}:{:02}:{:02}", seconds / 3_600, seconds / 60 % 60, seconds % 60)
}
