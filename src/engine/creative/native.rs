//! Which assets of a native ad fill a request (OpenRTB Native 1.2 section 4): all required ones or none at all.

use super::stream;
use crate::model::bid::{FilledAsset, NativeFill};
use crate::model::creative::{NativeAd, NativeImage, StreamSource, VastTemplate};
use crate::model::media::{EventTracker, Native, NativeAsset, NativeAssetKind};
use bumpalo::Bump;
use bumpalo::collections::Vec as ArenaVec;

/// The tracker that the bidder's pixel needs: the impression (1) as an image (1).
const IMPRESSION_BY_IMAGE: EventTracker = EventTracker { event: 1, method: 1 };

/// Whether every required asset can be filled, and any at all.
pub(super) fn fits(offered: &Native<'_>, ad: &NativeAd, video: &[VastTemplate]) -> bool {
    let mut filled =
        offered.assets.iter().map(|asset| (asset.required, asset_for(asset, ad, video).is_some()));
    filled.clone().all(|(required, filled)| filled || !required) && filled.any(|(_, filled)| filled)
}

/// Everything that can be filled, in the order of the request.
pub(super) fn fill<'r>(
    offered: &Native<'_>,
    ad: &'r NativeAd,
    video: &'r [VastTemplate],
    arena: &'r Bump,
) -> NativeFill<'r> {
    let mut assets = ArenaVec::with_capacity_in(offered.assets.len(), arena);
    assets.extend(offered.assets.iter().filter_map(|asset| Some((asset.id, asset_for(asset, ad, video)?))));
    NativeFill {
        wrapped: offered.wrapped,
        assets: assets.into_bump_slice(),
        event_trackers: offered.trackers.contains(&IMPRESSION_BY_IMAGE),
        privacy: offered.privacy,
    }
}

fn asset_for<'r>(
    asset: &NativeAsset<'_>,
    ad: &'r NativeAd,
    video: &'r [VastTemplate],
) -> Option<FilledAsset<'r>> {
    let short = |text: &str, len: u32| text.chars().count() as u64 <= u64::from(len);
    match asset.kind {
        NativeAssetKind::Title { len } => {
            ad.titles.iter().find(|title| short(title, len)).map(|title| FilledAsset::Title(title))
        }
        NativeAssetKind::Data { kind, len } => {
            let right =
                |(ours, text): &&(i64, String)| *ours == kind && len.is_none_or(|len| short(text, len));
            ad.data.iter().find(right).map(|(kind, text)| FilledAsset::Data(*kind, text))
        }
        NativeAssetKind::Image { kind, w, h, w_min, h_min, mimes } => {
            let right = |image: &&NativeImage| {
                kind.is_none_or(|kind| image.kind == kind)
                    && side(image.size.w, w, w_min)
                    && side(image.size.h, h, h_min)
                    && (mimes.is_empty() || stream::lists(mimes, &image.mime))
            };
            ad.images.iter().find(right).map(FilledAsset::Image)
        }
        NativeAssetKind::Video { mimes, min_duration_s, max_duration_s, protocols } => {
            let ours = ad.video.as_ref()?;
            let length =
                ours.duration_s >= min_duration_s && max_duration_s.is_none_or(|max| ours.duration_s <= max);
            let known = match &ours.source {
                StreamSource::Files(files) => files.iter().any(|file| stream::lists(mimes, &file.mime)),
                StreamSource::Wrapped { mimes: ours, .. } => {
                    ours.iter().any(|mime| stream::lists(mimes, mime))
                }
            };
            let vast = stream::document(protocols, video).filter(|_| length && known)?;
            Some(FilledAsset::Video(vast))
        }
        NativeAssetKind::Unknown => None,
    }
}

/// A length alone is exact; with or as a least length the image may be larger (Native 1.2 section 4.4).
fn side(ours: u16, exact: Option<u16>, least: Option<u16>) -> bool {
    match (exact, least) {
        (_, Some(least)) => ours >= least,
        (Some(exact), None) => ours == exact,
        (None, None) => true,
    }
}
