//! Video and audio: the document as a player reads it, against what its place takes.

use super::bid::Bid;
use super::rules;
use crate::cli::check::finding::Findings;
use crate::cli::check::read::{Path, field, flag, int, ints, positive, texts};
use roxmltree::{Document, Node};
use serde_json::Value;

/// AdCOM creative attribute "has skip button".
const SKIPS: i64 = 16;

pub(super) fn check(bid: &Bid<'_>, findings: &mut Findings) {
    if !matches!(bid.medium, Some("video" | "audio")) {
        return;
    }
    if let Some(markup) = bid.markup() {
        let path = bid.path.key("adm");
        match Vast::read(markup) {
            Err(why) => findings.add(&rules::VAST_BROKEN, &path, why),
            Ok(vast) => document(bid, &vast, &path, findings),
        }
    }
    duration(bid, findings);
    let slot = bid.field("slotinpod").is_some() && bid.imp.is_some() && bid.dynamic_pod().is_none();
    findings.add_if(
        slot,
        &rules::SLOT_UNASKED,
        &bid.path.key("slotinpod"),
        || "stands outside of a dynamic pod",
    );
}

/// The seconds of a document, where it says so.
pub(super) fn seconds(markup: &str) -> Option<u32> {
    Vast::read(markup).ok()?.seconds
}

fn document(bid: &Bid<'_>, vast: &Vast, path: &Path<'_>, findings: &mut Findings) {
    findings.add_if(!vast.tracked, &rules::VAST_UNTRACKED, path, || "has no Impression with a URL");
    let named = bid.int("protocol");
    let other = named.is_some_and(|named| Some(named) != vast.protocol);
    findings.add_if(
        other && vast.protocol.is_some(),
        &rules::PROTOCOL_OTHER,
        &bid.path.key("protocol"),
        || {
            format!(
                "is {}, the document is of {}",
                named.unwrap_or_default(),
                vast.protocol.unwrap_or_default()
            )
        },
    );
    let said = positive(bid.field("dur"));
    if let Some((said, seconds)) = said.zip(vast.seconds).filter(|(said, seconds)| said != seconds) {
        let what = format!("is {said}, the document takes {seconds} seconds");
        findings.add(&rules::DURATION_OTHER, &bid.path.key("dur"), what);
    }
    let Some(offer) = bid.offer() else { return };
    let known = ints(field(offer, "protocols"));
    let unknown = vast.protocol.filter(|ours| !known.is_empty() && !known.contains(ours));
    if let Some(ours) = unknown {
        let what = format!("is VAST {} (protocol {ours}), the player knows {known:?}", vast.version);
        findings.add(&rules::PROTOCOL_UNSUPPORTED, path, what);
    }
    supported(vast, offer, path, findings);
    let linearity = int(field(offer, "linearity")).filter(|wanted| *wanted != vast.linearity);
    findings.add_if(linearity.is_some() && !vast.wrapper, &rules::LINEARITY_OTHER, path, || {
        format!("is of linearity {}", vast.linearity)
    });
    skipping(bid, vast, offer, findings);
}

/// A file that the player can play. What a wrapper plays is not known before it is followed.
fn supported(vast: &Vast, offer: &Value, path: &Path<'_>, findings: &mut Findings) {
    let plain = |mime: &str| mime.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let known: Vec<String> = texts(field(offer, "mimes")).iter().map(|mime| plain(mime)).collect();
    let fits = vast.mimes.iter().any(|mime| known.contains(&plain(mime)));
    findings.add_if(!vast.wrapper && !known.is_empty() && !fits, &rules::MIME_UNSUPPORTED, path, || {
        format!("has files of {:?}, the player takes {known:?}", vast.mimes)
    });
}

fn skipping(bid: &Bid<'_>, vast: &Vast, offer: &Value, findings: &mut Findings) {
    let named = ints(bid.field("attr")).contains(&SKIPS);
    let path = bid.path.key("attr");
    match flag(field(offer, "skip")) {
        Some(false) => findings.add_if(
            vast.skips && !named,
            &rules::SKIP_UNNAMED,
            &path,
            || "does not name 16, but the document has a skipoffset",
        ),
        Some(true) => findings.add_if(named, &rules::SKIP_NAMED, &path, || "names 16"),
        None => {}
    }
}

fn duration(bid: &Bid<'_>, findings: &mut Findings) {
    let path = bid.path.key("dur");
    findings.add_if(bid.field("dur").is_none(), &rules::DURATION_UNSAID, &path, || "is missing");
    let (Some(seconds), Some(offer)) = (bid.seconds(), bid.offer()) else { return };
    let exact = ints(field(offer, "rqddurs"));
    let of = |name: &str| positive(field(offer, name));
    let wrong = if exact.is_empty() {
        let extended = int(field(offer, "maxextended")).unwrap_or(0);
        let most = of("maxduration").filter(|_| extended >= 0).map(|most| i64::from(most) + extended);
        of("minduration").is_some_and(|least| seconds < least)
            || most.is_some_and(|most| i64::from(seconds) > most)
    } else {
        !exact.contains(&i64::from(seconds))
    };
    let too_long = of("poddur").is_some_and(|pod| seconds > pod);
    findings
        .add_if(wrong || too_long, &rules::DURATION_NOT_ALLOWED, &path, || format!("is {seconds} seconds"));
}

/// What a VAST document says.
struct Vast {
    version: String,
    /// AdCOM "Creative Subtypes - Audio/Video"; `None` for a version that is not in the list.
    protocol: Option<i64>,
    wrapper: bool,
    /// 1 linear, 2 overlay.
    linearity: i64,
    skips: bool,
    tracked: bool,
    seconds: Option<u32>,
    mimes: Vec<String>,
}

impl Vast {
    fn read(markup: &str) -> Result<Vast, String> {
        let document = Document::parse(markup.trim_start_matches('\u{feff}').trim_start())
            .map_err(|why| format!("is no XML: {why}"))?;
        let root = document.root_element();
        if root.tag_name().name() != "VAST" {
            return Err(format!("is XML of <{}> and no VAST", root.tag_name().name()));
        }
        let find = |name: &str| document.descendants().find(|node| node.tag_name().name() == name);
        let wrapper = find("Wrapper").is_some();
        if !wrapper && find("InLine").is_none() {
            return Err("has no ad in it".to_owned());
        }
        if wrapper
            && find("VASTAdTagURI").and_then(|node| node.text()).is_none_or(|url| url.trim().is_empty())
        {
            return Err("is a wrapper around nothing".to_owned());
        }
        let version = root.attribute("version").unwrap_or_default().to_owned();
        let codes =
            [("2.0", 2, 5), ("3.0", 3, 6), ("4.0", 7, 8), ("4.1", 11, 12), ("4.2", 13, 14), ("4.3", 15, 16)];
        let code = codes.iter().find(|(number, ..)| version.starts_with(number));
        let has_url = |node: Node<'_, '_>| node.text().is_some_and(|url| !url.trim().is_empty());
        let linear = find("Linear");
        Ok(Vast {
            protocol: code.map(|(_, inline, wrapped)| if wrapper { *wrapped } else { *inline }),
            version,
            wrapper,
            linearity: if linear.is_some() || find("NonLinear").is_none() { 1 } else { 2 },
            skips: linear.is_some_and(|node| node.has_attribute("skipoffset")),
            tracked: document
                .descendants()
                .any(|node| node.tag_name().name() == "Impression" && has_url(node)),
            seconds: find("Duration").and_then(|node| clock(node.text()?.trim())),
            mimes: document.descendants().filter_map(mime).collect(),
        })
    }
}

fn mime(node: Node<'_, '_>) -> Option<String> {
    match node.tag_name().name() {
        "MediaFile" => node.attribute("type").map(str::to_owned),
        "StaticResource" if node.ancestors().any(|outer| outer.tag_name().name() == "NonLinear") => {
            node.attribute("creativeType").map(str::to_owned)
        }
        _ => None,
    }
}

/// `HH:MM:SS` or `HH:MM:SS.mmm`, in seconds rounded to the nearest.
fn clock(text: &str) -> Option<u32> {
    let parts: Vec<&str> = text.split(':').collect();
    let [hours, minutes, seconds] = parts.as_slice() else { return None };
    let (hours, minutes): (u32, u32) = (hours.parse().ok()?, minutes.parse().ok()?);
    let seconds: f64 = seconds.parse().ok().filter(|seconds| (0.0..61.0).contains(seconds))?;
    hours.checked_mul(3_600)?.checked_add(minutes.checked_mul(60)?)?.checked_add(seconds.round() as u32)
}
