//! What an impression offers to fill: `banner`, `video`, `audio`, `native` (OpenRTB 2.6 sections 3.2.6 to 3.2.10).
//!
//! Absent is not zero: a field is `Option` wherever the specification gives no default. A list named "blocked" is
//! complete or its impression has a fault.

use super::money::Cpm;
use super::targeting::MediaType;

/// `banner` (section 3.2.6).
#[derive(Clone, Debug, Default)]
pub struct Banner<'a> {
    /// The sizes in pixels that are offered: those of `format[]`, or `w` × `h` where it has no usable entry.
    pub sizes: &'a [Size],
    /// The flexible entries of `format[]`: a ratio and a least width.
    pub flexible: &'a [FlexibleSize],
    /// `btype`: blocked banner ad types.
    pub btype: &'a [i64],
    /// `battr`: blocked creative attributes.
    pub battr: &'a [i64],
    /// `mimes`: supported content types; empty = absent.
    pub mimes: &'a [&'a str],
    /// `api`: supported frameworks; empty = none.
    pub api: &'a [i64],
    /// `pos`.
    pub pos: Option<i64>,
    /// `expdir`: directions in which the ad may expand; empty = absent.
    pub expdir: &'a [i64],
    /// `vcm` of a companion: 0 with the video, 1 as its end card.
    pub vcm: Option<i64>,
    /// `id` of a companion.
    pub id: Option<&'a str>,
}

/// A size in pixels.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Size {
    /// Width in pixels.
    pub w: u16,
    /// Height in pixels.
    pub h: u16,
}

impl std::fmt::Display for Size {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}x{}", self.w, self.h)
    }
}

/// An entry of `banner.format` with `wratio`, `hratio` and `wmin` (section 3.2.10).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct FlexibleSize {
    /// `wratio`.
    pub w_ratio: u16,
    /// `hratio`.
    pub h_ratio: u16,
    /// `wmin` in pixels; absent = 0.
    pub w_min: u16,
}

impl FlexibleSize {
    /// Whether a size has this ratio and is not narrower than allowed.
    pub fn admits(&self, size: Size) -> bool {
        size.w >= self.w_min
            && u32::from(size.w) * u32::from(self.h_ratio) == u32::from(size.h) * u32::from(self.w_ratio)
    }
}

/// `video` (section 3.2.7) or `audio` (section 3.2.8): media that take time. What only one of them has is absent in
/// the other.
#[derive(Clone, Debug, Default)]
pub struct Stream<'a> {
    /// `mimes`: required, never empty.
    pub mimes: &'a [&'a str],
    /// `minduration` in seconds; the default is 0.
    pub min_duration_s: u32,
    /// `maxduration` in seconds.
    pub max_duration_s: Option<u32>,
    /// `rqddurs`: the only durations in seconds that fit; empty = absent. Beats `minduration` and `maxduration`.
    pub exact_durations_s: &'a [u32],
    /// `maxextended`: seconds beyond `max_duration_s` that are tolerated; −1 = any.
    pub max_extended_s: Option<i64>,
    /// `protocols`: AdCOM "Creative Subtypes - Audio/Video"; empty = absent.
    pub protocols: &'a [i64],
    /// `w` in pixels.
    pub w: Option<u16>,
    /// `h` in pixels.
    pub h: Option<u16>,
    /// `startdelay`: > 0 mid-roll at this second, 0 pre-roll, −1 mid-roll, −2 post-roll.
    pub start_delay: Option<i64>,
    /// `plcmt`: 1 instream, 2 accompanying content, 3 interstitial, 4 no content. Never taken from `placement`.
    pub plcmt: Option<i64>,
    /// `linearity`: 1 linear, 2 overlay.
    pub linearity: Option<i64>,
    /// `skip`.
    pub skip: Option<bool>,
    /// `skipmin`: only ads longer than this many seconds may be skipped; the default is 0.
    pub skip_min_s: u32,
    /// `skipafter`: seconds before the skip button; the default is 0.
    pub skip_after_s: u32,
    /// `battr`: blocked creative attributes.
    pub battr: &'a [i64],
    /// `minbitrate` in kilobits a second.
    pub min_bitrate: Option<u32>,
    /// `maxbitrate` in kilobits a second.
    pub max_bitrate: Option<u32>,
    /// `boxingallowed`; the default is yes.
    pub boxing: bool,
    /// `playbackmethod`; the first one is what will be used. Empty = absent.
    pub playback_methods: &'a [i64],
    /// `playbackend`.
    pub playback_end: Option<i64>,
    /// `delivery`: 1 streaming, 2 progressive, 3 download; empty = absent.
    pub delivery: &'a [i64],
    /// `pos`.
    pub pos: Option<i64>,
    /// `companionad`.
    pub companions: &'a [Banner<'a>],
    /// `companiontype`: 1 static, 2 HTML, 3 iframe; empty = absent.
    pub companion_types: &'a [i64],
    /// `api`: supported frameworks; empty = none.
    pub api: &'a [i64],
    /// `feed` of audio: 1 music service, 2 broadcast, 3 podcast.
    pub feed: Option<i64>,
    /// `stitched` of audio.
    pub stitched: Option<bool>,
    /// `nvol` of audio.
    pub volume_normalisation: Option<i64>,
    /// The pod that this slot belongs to.
    pub pod: Pod<'a>,
    /// `mincpmpersec`: floor of one second in the impression's floor currency; 0 = absent.
    pub min_cpm_per_second: Cpm,
    /// `durfloors`: floors by duration; empty = absent.
    pub duration_floors: &'a [DurationFloor],
}

/// The pod fields of `video` and `audio` (implementation guide section 7.6).
#[derive(Clone, Copy, Debug, Default)]
pub struct Pod<'a> {
    /// `podid`.
    pub id: Option<&'a str>,
    /// `podseq`: −1 last pod, 0 any, 1 first; the default is 0.
    pub sequence: i64,
    /// `slotinpod`: −1 last slot, 0 any, 1 first, 2 first or last; the default is 0.
    pub slot: i64,
    /// `poddur`: seconds to fill. Present = a dynamic pod, which several bids may share.
    pub duration_s: Option<u32>,
    /// `maxseq`: most ads in a dynamic pod.
    pub max_ads: Option<u32>,
    /// `poddedupe`: 1 adomain, 2 category, 3 creative, 4 media file, 5 none; empty = absent.
    pub dedupe: &'a [i64],
}

/// An entry of `durfloors` (section 3.2.35): a floor for durations from `min_s` to `max_s`, both inclusive.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct DurationFloor {
    /// `mindur` in seconds; absent = 0.
    pub min_s: u32,
    /// `maxdur` in seconds; absent = no bound.
    pub max_s: Option<u32>,
    /// `bidfloor` as CPM of the currency that the surrounding object names; absent = 0.
    pub floor: Cpm,
}

/// `native` with its request (section 3.2.9; OpenRTB Native 1.2 section 4).
#[derive(Clone, Debug, Default)]
pub struct Native<'a> {
    /// `ver` of the request, else of the object.
    pub ver: Option<&'a str>,
    /// The request stood inside `{"native": …}` (1.0): the answer does as well.
    pub wrapped: bool,
    /// `assets` in request order; never empty.
    pub assets: &'a [NativeAsset<'a>],
    /// `eventtrackers`.
    pub trackers: &'a [EventTracker],
    /// `context`.
    pub context: Option<i64>,
    /// `contextsubtype`.
    pub context_subtype: Option<i64>,
    /// `plcmttype`.
    pub placement_type: Option<i64>,
    /// `plcmtcnt`; the default is 1.
    pub placement_count: u32,
    /// `privacy`: a link about privacy may be given.
    pub privacy: bool,
    /// `api` of the object; empty = none.
    pub api: &'a [i64],
    /// `battr` of the object: blocked creative attributes.
    pub battr: &'a [i64],
}

impl Native<'_> {
    /// More assets than any layout has; they are compared with one another.
    const MAX_ASSETS: usize = 64;

    /// Whether an answer can be given: there is an asset, and each has an id of its own, because the answer names them
    /// by nothing else.
    pub fn is_answerable(&self) -> bool {
        let assets = self.assets;
        (1..=Self::MAX_ASSETS).contains(&assets.len())
            && (1..assets.len()).all(|at| assets[..at].iter().all(|before| before.id != assets[at].id))
    }
}

/// `assets[]` of a native request.
#[derive(Clone, Copy, Debug)]
pub struct NativeAsset<'a> {
    /// `id`: the answer's asset carries it.
    pub id: i64,
    /// `required = 1`: without it there is no bid.
    pub required: bool,
    /// What is asked for.
    pub kind: NativeAssetKind<'a>,
}

/// The kind of a native asset. Of several in one entry the first of this list stands.
#[derive(Clone, Copy, Debug)]
pub enum NativeAssetKind<'a> {
    /// `title`.
    Title {
        /// `len`: most characters.
        len: u32,
    },
    /// `img`.
    Image {
        /// `type`: 1 icon, 3 main.
        kind: Option<i64>,
        /// `w` in pixels.
        w: Option<u16>,
        /// `h` in pixels.
        h: Option<u16>,
        /// `wmin` in pixels.
        w_min: Option<u16>,
        /// `hmin` in pixels.
        h_min: Option<u16>,
        /// `mimes`; empty = any.
        mimes: &'a [&'a str],
    },
    /// `video`.
    Video {
        /// `mimes`.
        mimes: &'a [&'a str],
        /// `minduration` in seconds.
        min_duration_s: u32,
        /// `maxduration` in seconds.
        max_duration_s: Option<u32>,
        /// `protocols`.
        protocols: &'a [i64],
    },
    /// `data`.
    Data {
        /// `type`: 1 sponsored, 2 description, 3 rating … (Native 1.2 section 7.4).
        kind: i64,
        /// `len`: most characters; `None` = no limit.
        len: Option<u32>,
    },
    /// Nothing that is known: a required asset of this kind cannot be filled.
    Unknown,
}

/// A pair of `eventtrackers[]`: an event and one of the methods that are offered for it (Native 1.2 section 4.7).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct EventTracker {
    /// `event`: 1 impression, 2 viewable MRC 50 %, 3 viewable MRC 100 %, 4 viewable video 50 %.
    pub event: i64,
    /// One of `methods`: 1 image, 2 JavaScript.
    pub method: i64,
}

/// One medium of an impression.
#[derive(Clone, Copy, Debug)]
pub enum Medium<'r> {
    /// `banner`.
    Banner(&'r Banner<'r>),
    /// `video`.
    Video(&'r Stream<'r>),
    /// `audio`.
    Audio(&'r Stream<'r>),
    /// `native`.
    Native(&'r Native<'r>),
}

impl<'r> Medium<'r> {
    /// Which one it is.
    pub fn media_type(&self) -> MediaType {
        match self {
            Medium::Banner(_) => MediaType::Banner,
            Medium::Video(_) => MediaType::Video,
            Medium::Audio(_) => MediaType::Audio,
            Medium::Native(_) => MediaType::Native,
        }
    }

    /// `pos`: where on the screen.
    pub fn position(&self) -> Option<i64> {
        match self {
            Medium::Banner(banner) => banner.pos,
            Medium::Video(stream) | Medium::Audio(stream) => stream.pos,
            Medium::Native(_) => None,
        }
    }

    /// The size that is offered first, in pixels.
    pub fn first_size(&self) -> Option<Size> {
        match self {
            Medium::Banner(banner) => banner.sizes.first().copied(),
            Medium::Video(stream) | Medium::Audio(stream) => {
                stream.w.zip(stream.h).map(|(w, h)| Size { w, h })
            }
            Medium::Native(_) => None,
        }
    }

    /// `battr`: blocked creative attributes.
    pub fn blocked_attributes(&self) -> &'r [i64] {
        match self {
            Medium::Banner(banner) => banner.battr,
            Medium::Video(stream) | Medium::Audio(stream) => stream.battr,
            Medium::Native(native) => native.battr,
        }
    }

    /// `api`: supported frameworks.
    pub fn api(&self) -> &'r [i64] {
        match self {
            Medium::Banner(banner) => banner.api,
            Medium::Video(stream) | Medium::Audio(stream) => stream.api,
            Medium::Native(native) => native.api,
        }
    }

    /// `video` and `audio`.
    pub fn stream(&self) -> Option<&'r Stream<'r>> {
        match self {
            Medium::Video(stream) | Medium::Audio(stream) => Some(stream),
            Medium::Banner(_) | Medium::Native(_) => None,
        }
    }
}
