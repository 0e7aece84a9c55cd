//! Whether video or audio fits what is offered (OpenRTB 2.6 sections 3.2.7 and 3.2.8), and which of its VAST documents
//! is given.

use crate::model::creative::{MediaFile, StreamAd, StreamSource, VastTemplate};
use crate::model::media::Stream;
use crate::model::no_bid::NoBidReason;

/// AdCOM "Creative Attributes": it can be skipped by a button of its own.
pub(super) const SKIPPABLE: i64 = 16;
/// AdCOM "Delivery Methods": 1 streaming, 2 progressive, 3 download.
const STREAMING: i64 = 1;
/// What players have known for longest among those in use, where a request does not say what they know.
const VAST_3: [i64; 2] = [3, 6];

/// How a stream is given.
#[derive(Clone, Copy, Debug)]
pub(super) struct Given<'r> {
    pub(super) vast: &'r VastTemplate,
    /// The file that fits; `None` where another server has it.
    pub(super) file: Option<&'r MediaFile>,
    /// It brings a skip button that the player was not asked for.
    pub(super) skips: bool,
}

/// The document and the file that fit, or the first reason in rank order why none does.
pub(super) fn give<'r>(
    offered: &Stream<'_>,
    ad: &'r StreamAd,
    documents: &'r [VastTemplate],
) -> Result<Given<'r>, NoBidReason> {
    if offered.linearity.is_some_and(|wanted| wanted != ad.linearity) {
        return Err(NoBidReason::Format);
    }
    if !takes(offered, ad.duration_s) {
        return Err(NoBidReason::Duration);
    }
    // A button of the ad's own where the player says that none may be: exchanges know it by attribute 16.
    let skips = ad.skip_after_s.is_some() && offered.skip != Some(true);
    if skips && offered.battr.contains(&SKIPPABLE) {
        return Err(NoBidReason::BlockedAttribute);
    }
    let vast = document(offered.protocols, documents).ok_or(NoBidReason::Unsupported)?;
    let file = match &ad.source {
        StreamSource::Files(files) => {
            Some(files.iter().find(|file| plays(offered, file)).ok_or(NoBidReason::Unsupported)?)
        }
        StreamSource::Wrapped { mimes, .. } => {
            let known = mimes.iter().any(|mime| lists(offered.mimes, mime));
            known.then_some(None).ok_or(NoBidReason::Unsupported)?
        }
    };
    Ok(Given { vast, file, skips })
}

/// Whether an ad of this length may play: one of `rqddurs`, else within `minduration` and `maxduration`; a dynamic pod
/// has no room for more than itself.
pub(super) fn takes(offered: &Stream<'_>, duration_s: u32) -> bool {
    let longest = match (offered.max_duration_s, offered.max_extended_s) {
        (None, _) | (_, Some(..=-1)) => u32::MAX,
        (Some(max), extended) => max.saturating_add(u32::try_from(extended.unwrap_or(0)).unwrap_or(u32::MAX)),
    };
    let fits = if offered.exact_durations_s.is_empty() {
        (offered.min_duration_s..=longest).contains(&duration_s)
    } else {
        offered.exact_durations_s.contains(&duration_s)
    };
    fits && offered.pod.duration_s.is_none_or(|pod| duration_s <= pod)
}

/// The newest document that the player knows.
pub(super) fn document<'r>(protocols: &[i64], documents: &'r [VastTemplate]) -> Option<&'r VastTemplate> {
    if protocols.is_empty() {
        return documents.iter().find(|d| VAST_3.contains(&d.protocol)).or(documents.first());
    }
    documents.iter().find(|document| protocols.contains(&document.protocol))
}

fn plays(offered: &Stream<'_>, file: &MediaFile) -> bool {
    let bitrate = file.bitrate.is_none_or(|kbps| {
        offered.min_bitrate.is_none_or(|min| kbps >= min) && offered.max_bitrate.is_none_or(|max| kbps <= max)
    });
    let delivered = offered.delivery.is_empty()
        || offered.delivery.iter().any(|how| (*how == STREAMING) == file.streaming);
    let boxed = offered.boxing || offered.w.zip(offered.h).is_none_or(|(w, h)| same_shape(file, w, h));
    bitrate && delivered && boxed && lists(offered.mimes, &file.mime)
}

/// Within a hundredth, because encoders round to even pixels.
fn same_shape(file: &MediaFile, w: u16, h: u16) -> bool {
    let (ours, theirs) = (u64::from(file.size.w) * u64::from(h), u64::from(file.size.h) * u64::from(w));
    ours.abs_diff(theirs) * 100 <= theirs
}

/// Whether a list of content types has this one; parameters and case do not count.
pub(super) fn lists(mimes: &[&str], mime: &str) -> bool {
    mimes.iter().any(|listed| {
        let listed = listed.as_bytes().trim_ascii_start();
        let Some((head, rest)) = listed.split_at_checked(mime.len()) else { return false };
        let rest = rest.trim_ascii_start();
        head.eq_ignore_ascii_case(mime.as_bytes()) && (rest.is_empty() || rest[0] == b';')
    })
}
