//! Creatives: model → JSON.

use super::super::dump::{Inconsistent, Names, quoted};
use super::super::frequency;
use super::super::values::Named;
use super::super::wire::{
    ApprovalWire, CompanionWire, CreativeWire, DataWire, DsaWire, FileWire, ImageWire, StreamWire,
    TrackerWire,
};
use super::native::{data_type, image_kind};
use crate::model::auction::Size;
use crate::model::creative::{
    Approval, BannerAd, Content, Creative, MediaFile, NativeAd, StreamAd, StreamSource, Transparency,
};
use crate::model::ids::ExchangeId;

/// One creative.
pub(in super::super) fn creative(
    creative: &Creative,
    names: &Names<'_>,
) -> Result<CreativeWire, Inconsistent> {
    let exception = |(exchange, approval): &(ExchangeId, Approval)| {
        let exchange = Some(names.exchange(exchange)?);
        Ok(ApprovalWire { exchange, approval: Some(approval.name().to_owned()) })
    };
    let approvals = creative.approvals.exceptions.iter().map(exception).collect::<Result<_, _>>()?;
    let content = match &creative.content {
        Content::Banner(ad) => banner(ad),
        Content::Video(ad) | Content::Audio(ad) => flat(stream(ad)),
        Content::Native(ad) => native(ad),
    };
    Ok(CreativeWire {
        id: quoted(creative.id),
        advertiser: quoted(creative.advertiser),
        name: Some(creative.name.clone()),
        format: Some(creative.media_type().to_string()),
        click_url: Some(creative.click_url.clone()),
        landing_domains: creative.landing_domains.clone(),
        adomain: creative.adomain.clone(),
        iab_categories: creative.categories.clone(),
        cattax: Some(creative.cattax.into()),
        attributes: creative.attributes.clone(),
        frequency: frequency::write(&creative.frequency),
        api: creative.api,
        language: creative.language.clone(),
        bundle: creative.bundle.clone(),
        secure: Some(creative.secure),
        dsa: creative.transparency.as_ref().map(dsa),
        approval: Some(creative.approvals.everywhere.name().to_owned()),
        approvals,
        ..content
    })
}

fn banner(ad: &BannerAd) -> CreativeWire {
    CreativeWire {
        size: Some(ad.size.to_string()),
        markup: Some(ad.markup.clone()),
        banner_type: Some(ad.banner_type),
        expands: ad.expands.clone(),
        ..CreativeWire::default()
    }
}

fn stream(ad: &StreamAd) -> StreamWire {
    let (files, vast_tag, mimes) = match &ad.source {
        StreamSource::Files(files) => (files.iter().map(file).collect(), None, Vec::new()),
        StreamSource::Wrapped { tag, mimes } => (Vec::new(), Some(tag.clone()), mimes.clone()),
    };
    let companions = ad.companions.iter().map(|companion| CompanionWire {
        size: Some(companion.size.to_string()),
        url: Some(companion.url.clone()),
        mime: Some(companion.mime.clone()),
        ..CompanionWire::default()
    });
    let trackers = ad
        .trackers
        .iter()
        .map(|(event, url)| TrackerWire { event: Some(event.name().to_owned()), url: Some(url.clone()) });
    StreamWire {
        duration_s: Some(ad.duration_s.into()),
        files,
        vast_tag,
        mimes,
        linearity: Some(ad.linearity),
        skip_after_s: ad.skip_after_s.map(i64::from),
        companions: companions.collect(),
        trackers: trackers.collect(),
    }
}

fn file(file: &MediaFile) -> FileWire {
    FileWire {
        url: Some(file.url.clone()),
        mime: Some(file.mime.clone()),
        size: (file.size != Size::default()).then(|| file.size.to_string()),
        bitrate: file.bitrate.map(i64::from),
        streaming: Some(file.streaming),
        ..FileWire::default()
    }
}

/// The fields of video and audio stand beside the others, those of a native ad's video in an object.
fn flat(stream: StreamWire) -> CreativeWire {
    CreativeWire {
        duration_s: stream.duration_s,
        files: stream.files,
        vast_tag: stream.vast_tag,
        mimes: stream.mimes,
        linearity: stream.linearity,
        skip_after_s: stream.skip_after_s,
        companions: stream.companions,
        trackers: stream.trackers,
        ..CreativeWire::default()
    }
}

fn native(ad: &NativeAd) -> CreativeWire {
    let images = ad.images.iter().map(|image| ImageWire {
        kind: Some(image_kind(image.kind)),
        size: Some(image.size.to_string()),
        url: Some(image.url.clone()),
        mime: Some(image.mime.clone()),
        ..ImageWire::default()
    });
    let data = ad
        .data
        .iter()
        .map(|(kind, text)| DataWire { r#type: Some(data_type(*kind)), text: Some(text.clone()) });
    CreativeWire {
        titles: ad.titles.clone(),
        images: images.collect(),
        data: data.collect(),
        video: ad.video.as_ref().map(stream),
        fallback_url: ad.fallback_url.clone(),
        privacy_url: ad.privacy_url.clone(),
        pixels: ad.pixels.clone(),
        ..CreativeWire::default()
    }
}

fn dsa(declared: &Transparency) -> DsaWire {
    DsaWire {
        behalf: Some(declared.behalf.clone()),
        paid: Some(declared.paid.clone()),
        renders: Some(declared.renders),
        domain: Some(declared.domain.clone()).filter(|domain| !domain.is_empty()),
        parameters: declared.parameters.clone(),
    }
}
