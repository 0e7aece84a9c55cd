//! Creatives of every medium in the account file: what is read, what is refused and where.

use super::account_file::{self, minimal, parse, rewritten, set};
use outbid::model::auction::Size;
use outbid::model::creative::{
    Companion, Content, Creative, MediaFile, NativeImage, StreamEvent, StreamSource,
};
use outbid::model::ids::ExchangeId;
use outbid::model::targeting::MediaType;
use outbid::store::account_file::{AccountErrors, Code};
use serde_json::{Value, json};

fn common(format: &str, own: Value) -> Value {
    let mut creative = json!({
        "id": "1000", "advertiser": "1", "name": "Ad", "format": format,
        "click_url": "https://acme.example/spring", "adomain": ["acme.example"]
    });
    creative.as_object_mut().unwrap().extend(own.as_object().unwrap().clone());
    creative
}

fn video() -> Value {
    common(
        "video",
        json!({"duration_s": 30, "files": [
            {"url": "https://cdn.acme.example/a.mp4", "mime": "Video/MP4", "w": 640, "h": 360, "bitrate": 900}
        ]}),
    )
}

fn audio() -> Value {
    let files = json!([{"url": "https://cdn.acme.example/a.mp3", "mime": "audio/mpeg"}]);
    common("audio", json!({"duration_s": 30, "files": files}))
}

fn native() -> Value {
    common(
        "native",
        json!({"titles": ["Short"], "images": [
            {"kind": "main", "size": "1200x627", "url": "https://cdn.acme.example/m.png", "mime": "image/png"}
        ]}),
    )
}

fn wrapper() -> Value {
    let tag = json!({"duration_s": 15, "vast_tag": "https://v.example/t", "mimes": ["video/mp4"]});
    common("video", tag)
}

/// The account with `creative` in the place of the minimal one's.
fn account_with(mut creative: Value, changes: &[(&str, Value)]) -> Value {
    for (at, value) in changes {
        set(&mut creative, at, value.clone());
    }
    let mut account = minimal();
    set(&mut account, "/creatives/0", creative);
    account
}

fn read(creative: Value, changes: &[(&str, Value)]) -> Creative {
    let loaded = parse(&account_with(creative, changes)).unwrap_or_else(|why| panic!("{why}"));
    assert_eq!(rewritten(&loaded.account), loaded.account);
    loaded.account.creatives[0].clone()
}

/// Changes a good creative and expects exactly one error at `pointer` below it.
fn check(creative: Value, changes: &[(&str, Value)], pointer: &str, code: Code, text: &str) {
    match parse(&account_with(creative, changes)) {
        Err(AccountErrors::Invalid { errors, .. }) => {
            assert_eq!(errors.len(), 1, "{changes:?}: {errors:#?}");
            let found = (errors[0].pointer.as_str(), errors[0].code);
            assert_eq!(found, (format!("/creatives/0{pointer}").as_str(), code), "{errors:#?}");
            assert!(errors[0].message.contains(text), "{text:?} not in {errors:#?}");
        }
        other => panic!("{changes:?} gave {other:?}"),
    }
}

#[test]
fn a_video_has_files_and_defaults() {
    let creative = read(video(), &[]);
    assert_eq!((creative.media_type(), creative.secure), (MediaType::Video, true));
    let stream = creative.stream().unwrap();
    assert_eq!((stream.duration_s, stream.linearity, stream.skip_after_s), (30, 1, None));
    let file = MediaFile {
        url: "https://cdn.acme.example/a.mp4".to_owned(),
        mime: "video/mp4".to_owned(),
        size: Size { w: 640, h: 360 },
        bitrate: Some(900),
        streaming: false,
    };
    assert_eq!(stream.source, StreamSource::Files(vec![file]));
}

#[test]
fn a_video_has_companions_trackers_and_a_skip_offset() {
    let companions = json!([{"w": 300, "h": 250, "url": "https://c.example/a.png", "mime": "image/png"},
                            {"size": "728x90", "url": "https://c.example/b.png", "mime": "image/png"}]);
    let trackers = json!([{"event": "third_quartile", "url": "https://t.example/{{CACHEBUSTER}}"}]);
    let creative =
        read(video(), &[("/skip_after_s", json!(5)), ("/companions", companions), ("/trackers", trackers)]);
    let stream = creative.stream().unwrap();
    assert_eq!(stream.skip_after_s, Some(5));
    let companion = |w, h, url: &str| Companion {
        size: Size { w, h },
        url: url.to_owned(),
        mime: "image/png".to_owned(),
    };
    assert_eq!(
        stream.companions,
        [companion(300, 250, "https://c.example/a.png"), companion(728, 90, "https://c.example/b.png")]
    );
    let tracker = (StreamEvent::ThirdQuartile, "https://t.example/{{CACHEBUSTER}}".to_owned());
    assert_eq!(stream.trackers, [tracker]);
}

#[test]
fn another_servers_tag_is_wrapped() {
    let creative = read(wrapper(), &[]);
    let expected =
        StreamSource::Wrapped { tag: "https://v.example/t".to_owned(), mimes: vec!["video/mp4".to_owned()] };
    assert_eq!(creative.stream().unwrap().source, expected);
}

#[test]
fn audio_has_no_size() {
    let creative = read(audio(), &[]);
    assert!(matches!(creative.content, Content::Audio(_)));
    check(audio(), &[("/files/0/w", json!(1))], "/files/0/w", Code::Conflict, "no size");
    check(audio(), &[("/files/0/size", json!("1x1"))], "/files/0/size", Code::Conflict, "no size");
    check(audio(), &[("/linearity", json!(2))], "/linearity", Code::Conflict, "over the content");
    check(audio(), &[("/files/0/mime", json!("video/mp4"))], "/files/0/mime", Code::Conflict, "not audio");
}

#[test]
fn native_assets_have_names_or_numbers() {
    let data =
        json!([{"type": "ctatext", "text": "Go"}, {"type": 1, "text": "Acme"}, {"type": 502, "text": "x"}]);
    let creative = read(native(), &[("/data", data), ("/pixels", json!(["https://t.example/"]))]);
    let ad = creative.native().unwrap();
    let text = |kind, text: &str| (kind, text.to_owned());
    assert_eq!(ad.data, [text(12, "Go"), text(1, "Acme"), text(502, "x")]);
    let image = NativeImage {
        kind: 3,
        size: Size { w: 1200, h: 627 },
        url: "https://cdn.acme.example/m.png".to_owned(),
        mime: "image/png".to_owned(),
    };
    assert_eq!(
        (ad.images.as_slice(), ad.pixels.as_slice()),
        (&[image][..], &["https://t.example/".to_owned()][..])
    );
    let wrong = json!([{"type": "sponsered", "text": "Acme"}]);
    check(native(), &[("/data", wrong)], "/data/0/type", Code::Malformed, "did you mean \"sponsored\"?");
    check(native(), &[("/images/0/kind", json!("logo?"))], "/images/0/kind", Code::Malformed, "icon, main");
    check(native(), &[("/images/0/kind", json!(0))], "/images/0/kind", Code::OutOfRange, "from 1");
}

#[test]
fn an_ad_of_nothing_is_refused() {
    check(video(), &[("/files", json!([]))], "/files", Code::Missing, "video of nothing");
    check(video(), &[("/duration_s", json!(0))], "/duration_s", Code::OutOfRange, "from 1");
    check(video(), &[("/duration_s", Value::Null)], "/duration_s", Code::Missing, "add it");
    let nothing = [("/titles", json!([])), ("/images", json!([]))];
    check(native(), &nothing, "/titles", Code::Missing, "needs an asset");
    check(native(), &[("/titles/0", json!(" "))], "/titles/0", Code::Malformed, "in one line");
    let mut second = native();
    set(&mut second, "/data", json!([{"type": "price", "text": "a\nb"}]));
    check(second, &[], "/data/0/text", Code::Malformed, "in one line");
}

#[test]
fn files_and_tags_do_not_mix() {
    let both = [("/vast_tag", json!("https://v.example/t"))];
    check(video(), &both, "/vast_tag", Code::Conflict, "one or the other");
    check(video(), &[("/mimes", json!(["video/mp4"]))], "/mimes", Code::Conflict, "belongs to vast_tag");
    check(wrapper(), &[("/mimes", json!([]))], "/mimes", Code::Missing, "content types");
    check(wrapper(), &[("/mimes/0", json!("mp4"))], "/mimes/0", Code::Malformed, "type/subtype");
}

#[test]
fn an_ad_is_skipped_before_its_end_or_not_at_all() {
    check(
        video(),
        &[("/skip_after_s", json!(30))],
        "/skip_after_s",
        Code::Conflict,
        "not before the end at 30",
    );
    let overlay = [("/skip_after_s", json!(5)), ("/linearity", json!(2))];
    check(video(), &overlay, "/skip_after_s", Code::Conflict, "overlay");
    assert_eq!(read(video(), &[("/skip_after_s", json!(0))]).stream().unwrap().skip_after_s, Some(0));
}

#[test]
fn urls_sizes_and_content_types_are_read_strictly() {
    use Code::{Conflict, Malformed, Missing};
    let at = |pointer: &'static str, value: Value, code, text| {
        check(video(), &[(pointer, value)], pointer, code, text);
    };
    at("/files/0/url", json!("ftp://cdn.example/a"), Malformed, "http:// or https://");
    at("/files/0/url", json!("https://cdn.example/a b"), Malformed, "not allowed in a URL");
    at("/files/0/url", Value::Null, Missing, "add it");
    at("/files/0/mime", json!("mp4"), Malformed, "type/subtype");
    at("/files/0/mime", json!("video/mp4; codecs=avc1"), Malformed, "without parameters");
    at("/files/0/mime", json!("audio/mpeg"), Conflict, "not video");
    at("/files/0/w", json!(0), Code::OutOfRange, "from 1");
    at("/files/0/h", Value::Null, Missing, "add it");
    at("/files/0/bitrate", json!(0), Code::OutOfRange, "from 1");
    check(video(), &[("/files/0/size", json!("1x1"))], "/files/0/size", Conflict, "beside w or h");
    check(native(), &[("/images/0/size", json!("1x"))], "/images/0/size", Malformed, "is no size");
    check(native(), &[("/images/0/mime", json!("video/mp4"))], "/images/0/mime", Conflict, "no image");
    check(native(), &[("/fallback_url", json!("acme.example"))], "/fallback_url", Malformed, "http://");
    check(native(), &[("/pixels", json!(["https://t.example/{{X}}"]))], "/pixels/0", Malformed, "macro");
    let tracker = [("/trackers", json!([{"event": "strat", "url": "https://t.example/"}]))];
    check(video(), &tracker, "/trackers/0/event", Malformed, "did you mean \"start\"?");
}

#[test]
fn nothing_is_given_twice() {
    let file = json!({"url": "https://cdn.acme.example/a.mp4", "mime": "video/webm", "w": 1, "h": 1});
    check(video(), &[("/files/-", file)], "/files/1", Code::Duplicate, "entry 0");
    let tracker = json!({"event": "start", "url": "https://t.example/"});
    check(video(), &[("/trackers", json!([tracker, tracker]))], "/trackers/1", Code::Duplicate, "entry 0");
    let companion = json!({"size": "1x1", "url": "https://c.example/", "mime": "image/png"});
    let twice = [("/companions", json!([companion, companion]))];
    check(video(), &twice, "/companions/1", Code::Duplicate, "entry 0");
    check(native(), &[("/titles", json!(["A", "A"]))], "/titles/1", Code::Duplicate, "entry 0");
    check(wrapper(), &[("/mimes", json!(["a/b", "A/B"]))], "/mimes/1", Code::Duplicate, "entry 0");
}

#[test]
fn fields_of_another_medium_are_refused() {
    check(video(), &[("/markup", json!("<b>"))], "/markup", Code::Conflict, "field of banner, this is video");
    check(audio(), &[("/titles", json!(["A"]))], "/titles", Code::Conflict, "field of native");
    check(native(), &[("/files", json!([{}]))], "/files", Code::Conflict, "field of video and audio");
    check(video(), &[("/format", json!("vdieo"))], "/format", Code::Malformed, "did you mean \"video\"?");
}

#[test]
fn what_an_answer_would_fetch_decides_whether_it_is_secure() {
    let plain = |creative: Value, changes: &[(&str, Value)], what: &str| {
        assert!(!read(creative.clone(), changes).secure, "{changes:?}");
        let mut changes = changes.to_vec();
        changes.push(("/secure", json!(true)));
        check(creative, &changes, "/secure", Code::Conflict, what);
    };
    plain(video(), &[("/files/0/url", json!("http://cdn.example/a.mp4"))], "files");
    plain(wrapper(), &[("/vast_tag", json!("HTTP://v.example/t"))], "vast_tag");
    let tracker = json!([{"event": "start", "url": "http://t.example/"}]);
    plain(video(), &[("/trackers", tracker)], "trackers");
    plain(native(), &[("/images/0/url", json!("http://cdn.example/a.png"))], "images");
    plain(native(), &[("/pixels", json!(["http://cdn.example/a.png"]))], "pixels");
    plain(native(), &[("/fallback_url", json!("http://acme.example"))], "fallback_url");
    let film = json!({"duration_s": 5, "files": [
        {"url": "http://cdn.example/a.mp4", "mime": "video/mp4", "w": 640, "h": 360}
    ]});
    plain(native(), &[("/video", film)], "files");
}

#[test]
fn a_banner_says_where_it_expands() {
    let banner = common("banner", json!({"size": "300x250", "markup": "<b>x</b>", "expands": [1, 5]}));
    assert_eq!(read(banner.clone(), &[]).banner().unwrap().expands, [1, 5]);
    check(banner.clone(), &[("/expands/1", json!(7))], "/expands/1", Code::OutOfRange, "from 1 to 6");
    check(banner, &[("/expands/1", json!(1))], "/expands/1", Code::Duplicate, "entry 0");
}

#[test]
fn an_exchange_may_decide_about_a_creative_by_itself() {
    let mut account = minimal();
    set(&mut account, "/creatives/0/approval", json!("pending"));
    set(&mut account, "/creatives/0/approvals", json!([{"exchange": "demo", "approval": "approved"}]));
    let loaded = parse(&account).unwrap().account;
    let approvals = &loaded.creatives[0].approvals;
    assert!(approvals.at(loaded.exchanges[0].id) && !approvals.at(ExchangeId(99)) && approvals.any());
    assert_eq!(rewritten(&loaded), loaded);
    let at = "/creatives/0/approvals";
    let refused =
        |list: Value, pointer: &str, code, text| account_file::check(&[(at, list)], pointer, code, text);
    let entry = |exchange: &str, approval: &str| json!({"exchange": exchange, "approval": approval});
    refused(json!([entry("demmo", "approved")]), &format!("{at}/0/exchange"), Code::UnknownReference, "demo");
    refused(json!([entry("demo", "yes")]), &format!("{at}/0/approval"), Code::Malformed, "rejected");
    refused(json!([{"exchange": "demo"}]), &format!("{at}/0/approval"), Code::Missing, "is missing");
    let twice = json!([entry("demo", "approved"), entry("demo", "rejected")]);
    refused(twice, &format!("{at}/1/exchange"), Code::Duplicate, "more than once");
}
