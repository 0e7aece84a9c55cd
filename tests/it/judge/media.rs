//! The rules for video, audio and native: the markup is read as a player or a publisher would read it.

use super::read::{field, flag, list, number, numbers, text};
use super::rules::Verdict;
use roxmltree::{Document, Node};
use serde_json::Value;

/// The name of the object that offers a medium, by `mtype`.
pub(super) const MEDIA: [(i64, &str); 4] = [(1, "banner"), (2, "video"), (3, "audio"), (4, "native")];

/// Judges a bid of video or audio as an answer to what its object offers.
pub(super) fn judge_stream(name: &str, offer: &Value, bid: &Value, verdict: &mut Verdict<'_>) {
    let markup = field(bid, "adm").and_then(Value::as_str).unwrap_or_default();
    let vast = match Vast::read(markup) {
        Ok(vast) => vast,
        Err(why) => return verdict.fail_if(true, format!("adm: {why}")),
    };
    verdict.fail_if(
        field(bid, "protocol").and_then(Value::as_i64) != Some(vast.protocol),
        format!("protocol: the markup is of {}", vast.protocol),
    );
    judge_vast(&vast, offer, verdict);
    verdict.fail_if(
        name == "audio" && vast.ad_type.as_deref().is_some_and(|kind| kind != "audio"),
        "adm: the ad is not audio",
    );
    let duration = field(bid, "dur").and_then(Value::as_i64);
    verdict.fail_if(duration.is_none(), "dur: is missing");
    let differs = vast.duration_s.is_some_and(|of_file| duration.is_some_and(|dur| dur != of_file));
    verdict.fail_if(differs, format!("dur: the markup takes {:?} s", vast.duration_s));
    judge_duration(duration.unwrap_or_default(), offer, verdict);
    judge_linearity(&vast, offer, bid, verdict);
    let dynamic = field(offer, "poddur").is_some();
    verdict.fail_if(!dynamic && field(bid, "slotinpod").is_some(), "slotinpod: there is no dynamic pod");
}

/// Version and content types of a document against what is offered.
fn judge_vast(vast: &Vast, offer: &Value, verdict: &mut Verdict<'_>) {
    let protocols = numbers(field(offer, "protocols"));
    verdict.fail_if(
        !protocols.is_empty() && !protocols.contains(&vast.protocol),
        format!("protocols: {} is not in it", vast.protocol),
    );
    let mimes = list(field(offer, "mimes"));
    let plain = |known: &str| known.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let offered = |mime: &String| mimes.iter().any(|known| plain(known) == *mime);
    // What a wrapper plays is not known before it is followed.
    verdict.fail_if(
        !vast.is_wrapper && !vast.mimes.iter().any(offered),
        format!("mimes: none of {:?} is in it", vast.mimes),
    );
}

fn judge_duration(duration: i64, offer: &Value, verdict: &mut Verdict<'_>) {
    let exact = numbers(field(offer, "rqddurs"));
    if !exact.is_empty() {
        return verdict.fail_if(!exact.contains(&duration), format!("rqddurs: {duration} is not in it"));
    }
    let of = |name: &str| number(field(offer, name)).map(|seconds| seconds as i64);
    verdict.fail_if(of("minduration").is_some_and(|least| duration < least), "minduration: is too short");
    let extended = of("maxextended").unwrap_or(0);
    let most = of("maxduration").map(|most| most + extended.max(0)).filter(|_| extended >= 0);
    verdict.fail_if(most.is_some_and(|most| duration > most), "maxduration: is too long");
}

fn judge_linearity(vast: &Vast, offer: &Value, bid: &Value, verdict: &mut Verdict<'_>) {
    let wanted = number(field(offer, "linearity")).map(|wanted| wanted as i64);
    let ours = if vast.is_linear { 1 } else { 2 };
    verdict.fail_if(wanted.is_some_and(|wanted| wanted != ours), format!("linearity: is {ours}"));
    let admits = numbers(field(bid, "attr")).contains(&16);
    let unskippable = flag(field(offer, "skip")) == Some(false);
    verdict.fail_if(unskippable && vast.skips && !admits, "attr: a skip button must be named (16)");
}

/// What a VAST document says.
struct Vast {
    protocol: i64,
    is_wrapper: bool,
    is_linear: bool,
    skips: bool,
    ad_type: Option<String>,
    duration_s: Option<i64>,
    mimes: Vec<String>,
}

impl Vast {
    fn read(markup: &str) -> Result<Vast, String> {
        let document = Document::parse(markup).map_err(|why| format!("is no XML: {why}"))?;
        let root = document.root_element();
        if root.tag_name().name() != "VAST" {
            return Err("is no VAST".to_owned());
        }
        let find = |name: &str| document.descendants().find(|node| node.tag_name().name() == name);
        let is_wrapper = find("Wrapper").is_some();
        if !is_wrapper && find("InLine").is_none() {
            return Err("has no ad".to_owned());
        }
        let version = root.attribute("version").unwrap_or_default();
        let versions = ["2.0", "3.0", "4.0", "4.1", "4.2", "4.3"];
        let at = versions.iter().position(|known| *known == version);
        let at = at.ok_or_else(|| format!("has version {version:?}"))?;
        let protocol = if is_wrapper { [5, 6, 8, 12, 14, 16][at] } else { [2, 3, 7, 11, 13, 15][at] };
        let of_type = |node: Node<'_, '_>| match node.tag_name().name() {
            "MediaFile" => node.attribute("type").map(str::to_owned),
            "StaticResource" if within(node, "NonLinear") => {
                node.attribute("creativeType").map(str::to_owned)
            }
            _ => None,
        };
        let duration_s = find("Duration").and_then(|node| node.text()).map(|text| {
            let parts = text.split(':').map(|part| part.parse::<i64>());
            parts.into_iter().try_fold(0, |sum, part| part.map(|part| sum * 60 + part))
        });
        if find("Impression").and_then(|node| node.text()).is_none_or(str::is_empty) {
            return Err("asks for no impression".to_owned());
        }
        Ok(Vast {
            protocol,
            is_wrapper,
            is_linear: find("Linear").is_some(),
            skips: find("Linear").is_some_and(|node| node.has_attribute("skipoffset")),
            ad_type: find("Ad").and_then(|node| node.attribute("adType")).map(str::to_owned),
            duration_s: duration_s.transpose().map_err(|why| format!("has an odd duration: {why}"))?,
            mimes: document.descendants().filter_map(of_type).collect(),
        })
    }
}

fn within(node: Node<'_, '_>, name: &str) -> bool {
    node.ancestors().any(|ancestor| ancestor.tag_name().name() == name)
}

/// Judges a bid of native as an answer to the request in its object.
pub(super) fn judge_native(offer: &Value, bid: &Value, verdict: &mut Verdict<'_>) {
    let read = |text: &str| serde_json::from_str::<Value>(text).ok();
    let request = match field(offer, "request") {
        Some(Value::String(text)) => read(text),
        Some(object @ Value::Object(_)) => Some(object.clone()),
        _ => None,
    };
    let Some(request) = request else {
        return verdict.fail_if(true, "native.request: cannot be read and is not bid on");
    };
    let markup = field(bid, "adm").and_then(Value::as_str).unwrap_or_default();
    let Some(answer) = read(markup) else {
        return verdict.fail_if(true, "adm: is no JSON");
    };
    let (request_inner, answer_inner) = (field(&request, "native"), field(&answer, "native"));
    verdict.fail_if(
        request_inner.is_some() != answer_inner.is_some(),
        "adm: stands in \"native\" where the request does not, or the other way round",
    );
    let (request, answer) = (request_inner.unwrap_or(&request), answer_inner.unwrap_or(&answer));
    judge_assets(request, answer, verdict);
    let link = answer.pointer("/link/url").and_then(Value::as_str).unwrap_or_default();
    verdict.fail_if(!link.starts_with("http"), "link: has no url");
    judge_trackers(request, answer, verdict);
    let allowed = flag(field(request, "privacy")) == Some(true);
    verdict.fail_if(field(answer, "privacy").is_some() && !allowed, "privacy: was not asked for");
}

fn objects<'v>(value: &'v Value, name: &str) -> &'v [Value] {
    field(value, name).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

fn judge_assets(request: &Value, answer: &Value, verdict: &mut Verdict<'_>) {
    let id = |asset: &Value| number(field(asset, "id")).map(|id| id as i64);
    let asked = objects(request, "assets");
    let given = objects(answer, "assets");
    for (index, asset) in given.iter().enumerate() {
        let twice = given[..index].iter().any(|before| id(before) == id(asset));
        verdict.fail_if(twice, format!("assets: {:?} comes twice", id(asset)));
        match asked.iter().find(|asked| id(asked).is_some() && id(asked) == id(asset)) {
            Some(asked) => judge_asset(asked, asset, verdict),
            None => verdict.fail_if(true, format!("assets: {:?} was not asked for", id(asset))),
        }
    }
    for asset in asked.iter().filter(|asset| flag(field(asset, "required")) == Some(true)) {
        let filled = given.iter().any(|given| id(given) == id(asset));
        verdict.fail_if(!filled, format!("assets: {:?} is required", id(asset)));
    }
}

fn judge_asset(asked: &Value, given: &Value, verdict: &mut Verdict<'_>) {
    let kinds = ["title", "img", "video", "data"];
    let kind = kinds.into_iter().find(|kind| field(asked, kind).is_some());
    let ours: Vec<&str> = kinds.into_iter().filter(|kind| field(given, kind).is_some()).collect();
    let Some(kind) = kind.filter(|kind| ours == [*kind]) else {
        return verdict.fail_if(true, format!("assets: {ours:?} fills {kind:?}"));
    };
    let (asked, given) = (&asked[kind], &given[kind]);
    let of = |value: &Value, name: &str| number(field(value, name)).map(|number| number as i64);
    let chars = |name: &str| text(field(given, name)).map_or(0, |text| text.chars().count() as i64);
    let too_long = |length: i64| of(asked, "len").is_some_and(|most| length > most);
    match kind {
        "title" => {
            verdict.fail_if(chars("text") == 0, "title: is empty");
            verdict.fail_if(too_long(chars("text")), "title: is too long");
        }
        "data" => {
            verdict.fail_if(chars("value") == 0, "data: is empty");
            verdict.fail_if(too_long(chars("value")), "data: is too long");
            let types = (of(asked, "type"), of(given, "type"));
            verdict.fail_if(types.1.is_some() && types.0 != types.1, "data: is of another type");
        }
        "img" => {
            let url = text(field(given, "url")).unwrap_or_default();
            verdict.fail_if(!url.starts_with("http"), "img: has no url");
            let types = (of(asked, "type"), of(given, "type"));
            verdict.fail_if(
                types.0.is_some() && types.1.is_some() && types.0 != types.1,
                "img: is of another type",
            );
            for (side, least) in [("w", "wmin"), ("h", "hmin")] {
                let ours = of(given, side).unwrap_or_default();
                verdict.fail_if(of(asked, least).is_some_and(|least| ours < least), format!("img: {least}"));
                // Without a minimum the size is an exact one (Native 1.2 section 4.4).
                let exact = of(asked, side).filter(|_| of(asked, least).is_none());
                verdict.fail_if(exact.is_some_and(|exact| ours != exact), format!("img: {side}"));
            }
        }
        _ => {
            let tag = text(field(given, "vasttag")).unwrap_or_default();
            match Vast::read(&tag) {
                Ok(vast) => {
                    judge_vast(&vast, asked, verdict);
                    judge_duration(vast.duration_s.unwrap_or_default(), asked, verdict);
                }
                Err(why) => verdict.fail_if(true, format!("video: {why}")),
            }
        }
    }
}

/// The impression is tracked, and by nothing that was not offered. `imptrackers` are always understood.
fn judge_trackers(request: &Value, answer: &Value, verdict: &mut Verdict<'_>) {
    let of = |value: &Value, name: &str| number(field(value, name)).map(|number| number as i64);
    let offered = |event: Option<i64>, method: Option<i64>| {
        objects(request, "eventtrackers").iter().any(|tracker| {
            of(tracker, "event") == event
                && method.is_some_and(|method| numbers(field(tracker, "methods")).contains(&method))
        })
    };
    let given = objects(answer, "eventtrackers");
    for tracker in given {
        let (event, method) = (of(tracker, "event"), of(tracker, "method"));
        verdict.fail_if(
            !offered(event, method),
            format!("eventtrackers: {event:?} by {method:?} is not offered"),
        );
    }
    let tracked = given.iter().any(|tracker| of(tracker, "event") == Some(1));
    let tracked = tracked || !list(field(answer, "imptrackers")).is_empty();
    verdict.fail_if(!tracked, "adm: no impression is tracked");
}
