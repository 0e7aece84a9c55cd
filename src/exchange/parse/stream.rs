//! `video` and `audio`: what they share, then what only one of them has. Either is offered only when it names the
//! content types that it plays, as the specification requires.

use super::Seen;
use super::banner::{banners, side};
use super::floor::{duration_floors, price};
use crate::exchange::json::Reader;
use crate::exchange::scan::Read;
use crate::model::media::{Banner, Stream};
use crate::model::no_bid::NoBidReason;

/// Which of the two objects is read.
#[derive(Clone, Copy)]
pub(super) enum Kind {
    Video,
    Audio,
}

/// Reads `video` or `audio`; `None` when it is no object or names no content type.
pub(super) fn stream<'a>(r: &mut Reader<'a>, kind: Kind) -> Read<Option<Stream<'a>>> {
    let Some(mut walk) = r.object()? else { return Ok(None) };
    let mut seen = Seen::default();
    let mut stream = Stream { boxing: true, ..Stream::default() };
    while let Some(key) = r.next_key(&mut walk)? {
        match key {
            b"mimes" => stream.mimes = r.texts()?,
            b"minduration" => stream.min_duration_s = r.positive()?.unwrap_or(0),
            b"maxduration" => stream.max_duration_s = r.positive()?,
            b"rqddurs" => stream.exact_durations_s = r.rule_positives()?,
            b"maxextended" => stream.max_extended_s = r.int()?,
            b"protocols" => stream.protocols = r.ints()?,
            b"startdelay" => stream.start_delay = r.int()?,
            b"battr" => stream.battr = r.rule_ints()?,
            b"minbitrate" => stream.min_bitrate = r.positive()?,
            b"maxbitrate" => stream.max_bitrate = r.positive()?,
            b"delivery" => stream.delivery = r.ints()?,
            b"companionad" => stream.companions = companions(r)?,
            b"companiontype" => stream.companion_types = r.ints()?,
            b"api" => stream.api = r.ints()?,
            b"podid" => stream.pod.id = r.text()?,
            b"podseq" => stream.pod.sequence = r.int()?.unwrap_or(0),
            b"slotinpod" => stream.pod.slot = r.int()?.unwrap_or(0),
            b"poddur" => stream.pod.duration_s = r.positive()?,
            b"maxseq" => stream.pod.max_ads = r.positive()?,
            b"mincpmpersec" => {
                seen.once(r, 0, "mincpmpersec")?;
                match price(r)? {
                    Some(floor) => stream.min_cpm_per_second = floor,
                    None => r.note(NoBidReason::InvalidPrice),
                }
            }
            b"durfloors" => {
                seen.once(r, 1, "durfloors")?;
                match duration_floors(r)? {
                    Some(floors) => stream.duration_floors = floors,
                    None => r.note(NoBidReason::InvalidPrice),
                }
            }
            other => match kind {
                Kind::Video => video_field(r, other, &mut stream)?,
                Kind::Audio => audio_field(r, other, &mut stream)?,
            },
        }
    }
    Ok(Some(stream).filter(|stream| !stream.mimes.is_empty()))
}

/// A field that only video has. The deprecated `placement`, `protocol` and `sequence` say something else than what
/// replaced them, and are not read.
fn video_field<'a>(r: &mut Reader<'a>, key: &[u8], stream: &mut Stream<'a>) -> Read<()> {
    match key {
        b"w" => stream.w = side(r.int()?),
        b"h" => stream.h = side(r.int()?),
        b"plcmt" => stream.plcmt = r.int()?,
        b"linearity" => stream.linearity = r.int()?,
        b"skip" => stream.skip = r.flag()?,
        b"skipmin" => stream.skip_min_s = r.positive()?.unwrap_or(0),
        b"skipafter" => stream.skip_after_s = r.positive()?.unwrap_or(0),
        b"boxingallowed" => stream.boxing = r.flag()?.unwrap_or(true),
        b"playbackmethod" => stream.playback_methods = r.ints()?,
        b"playbackend" => stream.playback_end = r.int()?,
        b"pos" => stream.pos = r.int()?,
        b"poddedupe" => stream.pod.dedupe = r.ints()?,
        _ => r.skip()?,
    }
    Ok(())
}

/// A field that only audio has.
fn audio_field(r: &mut Reader<'_>, key: &[u8], stream: &mut Stream<'_>) -> Read<()> {
    match key {
        b"feed" => stream.feed = r.int()?,
        b"stitched" => stream.stitched = r.flag()?,
        b"nvol" => stream.volume_normalisation = r.int()?,
        _ => r.skip()?,
    }
    Ok(())
}

/// `companionad`: an array of banners, or the same inside `{"banner": …}`, as some sellers of 2.5 write it.
fn companions<'a>(r: &mut Reader<'a>) -> Read<&'a [Banner<'a>]> {
    if r.peek()? != b'{' {
        return banners(r);
    }
    let mut found: &[Banner<'_>] = &[];
    let Some(mut walk) = r.object()? else { return Ok(found) };
    while let Some(key) = r.next_key(&mut walk)? {
        match key {
            b"banner" => found = banners(r)?,
            _ => r.skip()?,
        }
    }
    Ok(found)
}
