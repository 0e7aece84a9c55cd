//! Banner, video and audio.

use super::{Node, Oracle, ParseError};
use crate::model::media::{Banner, FlexibleSize, Pod, Size, Stream};
use crate::model::money::Cpm;
use crate::model::no_bid::NoBidReason;

impl<'a> Oracle<'a> {
    pub(super) fn banner(&self, node: &Node) -> Result<Option<Banner<'a>>, ParseError> {
        let Node::Object(_) = node else { return Ok(None) };
        let (mut sizes, flexible) = node.read("format", |n| self.formats(n))?;
        if sizes.is_empty() && flexible.is_empty() {
            sizes.extend(self.sides(node, ["w", "h"]));
        }
        Ok(Some(Banner {
            sizes: self.keep(sizes),
            flexible: self.keep(flexible),
            btype: node.read("btype", |n| self.rule_ints(n))?,
            battr: node.read("battr", |n| self.rule_ints(n))?,
            mimes: self.kept_texts(node, "mimes")?,
            api: node.read("api", |n| self.ints(n))?,
            pos: self.int_field(node, "pos"),
            expdir: node.read("expdir", |n| self.ints(n))?,
            vcm: self.int_field(node, "vcm"),
            id: node.read("id", |n| self.text(n))?,
        }))
    }

    fn formats(&self, node: &Node) -> Result<(Vec<Size>, Vec<FlexibleSize>), ParseError> {
        let Node::Array(entries) = node else { return Ok(Default::default()) };
        if entries.len() > self.limits.array {
            self.over_limit("array", self.limits.array)?;
            return Ok(Default::default());
        }
        let listed = |entry: &Node| Some(Size { w: self.least(entry, "w")?, h: self.least(entry, "h")? });
        let sizes = entries.iter().filter_map(listed).collect();
        let without_size = entries.iter().filter(|entry| listed(entry).is_none());
        let flexible = without_size.filter_map(|entry| {
            let ratio = self.sides(entry, ["wratio", "hratio"])?;
            let w_min = self.least(entry, "wmin").unwrap_or(0);
            Some(FlexibleSize { w_ratio: ratio.w, h_ratio: ratio.h, w_min })
        });
        Ok((sizes, flexible.collect()))
    }

    fn sides(&self, node: &Node, keys: [&str; 2]) -> Option<Size> {
        Some(Size { w: self.side(node, keys[0])?, h: self.side(node, keys[1])? })
    }

    /// A side that fits the type and is not zero.
    pub(super) fn side(&self, object: &Node, key: &str) -> Option<u16> {
        match self.int_field(object, key)? {
            pixels @ 1..=65_535 => Some(pixels as u16),
            _ => None,
        }
    }

    /// A side that an ad is measured by: one that is too large cannot be reached, which the largest says as well.
    pub(super) fn least(&self, object: &Node, key: &str) -> Option<u16> {
        self.count_field(object, key).map(|pixels| pixels.min(65_535) as u16)
    }

    pub(super) fn count_field(&self, object: &Node, key: &str) -> Option<u32> {
        self.positive(object.all(key).last()?)
    }

    pub(super) fn kept_texts(&self, object: &Node, key: &str) -> Result<&'a [&'a str], ParseError> {
        Ok(self.keep(object.read(key, |n| self.texts(n))?))
    }

    pub(super) fn audio(&self, node: &Node) -> Result<Option<Stream<'a>>, ParseError> {
        let Node::Object(_) = node else { return Ok(None) };
        let audio = Stream {
            feed: self.int_field(node, "feed"),
            stitched: node.read("stitched", |n| Ok(self.flag(n)))?,
            volume_normalisation: self.int_field(node, "nvol"),
            ..self.stream(node)?
        };
        Ok(if audio.mimes.is_empty() { None } else { Some(audio) })
    }

    pub(super) fn video(&self, node: &Node) -> Result<Option<Stream<'a>>, ParseError> {
        let Node::Object(_) = node else { return Ok(None) };
        let common = self.stream(node)?;
        let video = Stream {
            w: self.side(node, "w"),
            h: self.side(node, "h"),
            plcmt: self.int_field(node, "plcmt"),
            linearity: self.int_field(node, "linearity"),
            skip: node.read("skip", |n| Ok(self.flag(n)))?,
            skip_min_s: self.count_field(node, "skipmin").unwrap_or(0),
            skip_after_s: self.count_field(node, "skipafter").unwrap_or(0),
            boxing: node.read("boxingallowed", |n| Ok(self.flag(n)))? != Some(false),
            playback_methods: node.read("playbackmethod", |n| self.ints(n))?,
            playback_end: self.int_field(node, "playbackend"),
            pos: self.int_field(node, "pos"),
            pod: Pod { dedupe: node.read("poddedupe", |n| self.ints(n))?, ..common.pod },
            ..common
        };
        Ok(if video.mimes.is_empty() { None } else { Some(video) })
    }

    /// What video and audio share.
    fn stream(&self, node: &Node) -> Result<Stream<'a>, ParseError> {
        let (per_second, by_duration) = self.time_floors(node)?;
        if per_second.is_none() || by_duration.is_none() {
            self.note(NoBidReason::InvalidPrice);
        }
        Ok(Stream {
            mimes: self.kept_texts(node, "mimes")?,
            min_duration_s: self.count_field(node, "minduration").unwrap_or(0),
            max_duration_s: self.count_field(node, "maxduration"),
            exact_durations_s: self.keep(node.read("rqddurs", |n| self.rule_counts(n))?),
            max_extended_s: self.int_field(node, "maxextended"),
            protocols: node.read("protocols", |n| self.ints(n))?,
            start_delay: self.int_field(node, "startdelay"),
            battr: node.read("battr", |n| self.rule_ints(n))?,
            min_bitrate: self.count_field(node, "minbitrate"),
            max_bitrate: self.count_field(node, "maxbitrate"),
            boxing: true,
            delivery: node.read("delivery", |n| self.ints(n))?,
            companions: node.read("companionad", |n| self.companions(n))?,
            companion_types: node.read("companiontype", |n| self.ints(n))?,
            api: node.read("api", |n| self.ints(n))?,
            pod: Pod {
                id: node.read("podid", |n| self.text(n))?,
                sequence: self.int_field(node, "podseq").unwrap_or(0),
                slot: self.int_field(node, "slotinpod").unwrap_or(0),
                duration_s: self.count_field(node, "poddur"),
                max_ads: self.count_field(node, "maxseq"),
                dedupe: &[],
            },
            min_cpm_per_second: per_second.unwrap_or(Cpm(0)),
            duration_floors: by_duration.unwrap_or(&[]),
            ..Stream::default()
        })
    }

    fn companions(&self, node: &Node) -> Result<&'a [Banner<'a>], ParseError> {
        let entries = match node {
            Node::Array(entries) => entries,
            object => return object.read("banner", |n| self.array_of_companions(n)),
        };
        let banners: Vec<Option<Banner<'a>>> =
            entries.iter().map(|entry| self.banner(entry)).collect::<Result<_, _>>()?;
        if entries.len() > self.limits.array {
            self.over_limit("array", self.limits.array)?;
            return Ok(&[]);
        }
        Ok(self.keep(banners.into_iter().flatten().collect()))
    }

    fn array_of_companions(&self, node: &Node) -> Result<&'a [Banner<'a>], ParseError> {
        if let Node::Array(_) = node { self.companions(node) } else { Ok(&[]) }
    }
}
