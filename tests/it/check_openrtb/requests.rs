//! Each rule of requests, with a request that breaks it and one that does not.

use super::{Case, changed, told};
use bumpalo::Bump;
use outbid::cli::check::{Finding, Format, Severity, check_request};
use outbid::exchange::{Limits, parse};
use outbid::model::auction::{Deal, Imp};
use outbid::model::money::Cpm;
use serde_json::{Value, json};

/// A request without a fault, of every medium.
pub(super) fn good() -> Value {
    json!({
        "id": "r1", "at": 1, "tmax": 120, "cur": ["USD", "EUR"], "bcat": ["IAB25"], "badv": ["rival.example"],
        "imp": [
            {
                "id": "1", "bidfloor": 0.5, "bidfloorcur": "EUR", "secure": 1, "exp": 60,
                "banner": {"format": [{"w": 300, "h": 250}], "w": 300, "h": 250, "battr": [1]},
                "pmp": {"private_auction": 0, "deals": [{"id": "d1", "bidfloor": 2, "bidfloorcur": "USD", "at": 1}]},
            },
            {
                "id": "2",
                "video": {
                    "mimes": ["video/mp4"], "minduration": 5, "maxduration": 30, "protocols": [3, 7], "plcmt": 1,
                    "durfloors": [{"mindur": 5, "maxdur": 15, "bidfloor": 1}],
                },
            },
            {"id": "3", "native": {"request": native(&json!({})), "ver": "1.2"}},
        ],
        "site": {
            "domain": "news.example", "page": "https://news.example/a", "publisher": {"id": "p1"},
            "content": {"language": "en"},
        },
        "device": {
            "ua": "Mozilla/5.0", "ip": "192.0.2.10", "ifa": "8a8f4a8e-1111-2222-3333-444455556666",
            "geo": {"country": "USA", "lat": 40.7, "lon": -74.0, "type": 1},
        },
        "user": {
            "id": "u1", "buyeruid": "b1", "keywords": "car", "data": [{"name": "dmp", "segment": [{"id": "7"}]}],
            "eids": [{"source": "id.example", "uids": [{"id": "x", "atype": 1}]}],
        },
        "regs": {"gdpr": 0, "us_privacy": "1YNN"},
        "source": {"schain": {"complete": 1, "ver": "1.0", "nodes": [{"asi": "x.example", "sid": "9", "hp": 1}]}},
    })
}

/// The text of a native request: one title, with this added or changed.
fn native(change: &Value) -> String {
    let mut request = json!({
        "ver": "1.2", "context": 1, "plcmttype": 1,
        "assets": [{"id": 1, "required": 1, "title": {"len": 90}}, {"id": 2, "img": {"type": 3, "wmin": 300, "hmin": 200}}],
    });
    for (key, value) in change.as_object().unwrap() {
        request[key] = value.clone();
    }
    request.to_string()
}

pub(super) const CASES: &[Case] = &[
    ("openrtb-3", "openrtb", r#"/openrtb={"ver":"3.0"} ; /imp"#, r#"/openrtb={"ver":"3.0"}"#),
    ("id-missing", "id", "/id=null", r#"/id="0""#),
    ("id-missing", "id", r#"/id="""#, r#"/id=" ""#),
    ("id-missing", "id", "/id={}", "/id=5"),
    ("imp-missing", "imp", "/imp", ""),
    ("imp-missing", "imp", "/imp=[]", ""),
    ("imp-missing", "imp", r#"/imp={"id":"1"}"#, ""),
    ("list-unreadable", "badv[1]", r#"/badv=["a.example",true]"#, r#"/badv=["a.example",null]"#),
    (
        "list-unreadable",
        "imp[0].banner.battr[0]",
        r#"/imp/0/banner/battr=["x"]"#,
        r#"/imp/0/banner/battr=["3"]"#,
    ),
    (
        "list-unreadable",
        "imp[0].banner.btype",
        r#"/imp/0/banner/btype="1,x""#,
        r#"/imp/0/banner/btype="1,3""#,
    ),
    ("list-unreadable", "wseat", "/wseat={}", r#"/wseat="seat""#),
    ("imp-id-twice", "imp[1].id", r#"/imp/1/id="1""#, r#"/imp/1/id="1 ""#),
    ("channels-several", "app", r#"/app={"bundle":"a"}"#, "/app=null"),
    ("cur-unreadable", "cur", r#"/cur=["US"]"#, r#"/cur=["usd"]"#),
    ("cur-unreadable", "cur", "/cur=[5]", "/cur=[]"),
    ("cur-odd", "cur", r#"/cur=["USD","US"]"#, r#"/cur=["USD","ZZZ"]"#),
    ("cur-odd", "imp[0].bidfloorcur", r#"/imp/0/bidfloorcur="US""#, r#"/imp/0/bidfloorcur="jpy""#),
    ("channel-missing", "", "/site", r#"/site ; /dooh={"id":"1","venuetype":["1"]} ; /device/ifa"#),
    ("tmax-odd", "tmax", "/tmax=0", "/tmax=1"),
    ("tmax-odd", "tmax", "/tmax=600000", "/tmax=10000"),
    ("seats-both", "bseat", r#"/wseat=["a"] ; /bseat=["b"]"#, r#"/wseat=["a"] ; /bseat=[]"#),
    ("languages-both", "wlangb", r#"/wlang=["en"] ; /wlangb=["en-GB"]"#, r#"/wlangb=["en-GB"]"#),
    ("categories-both", "bcat", r#"/acat=["IAB1"]"#, r#"/acat=["IAB1"] ; /bcat"#),
    ("cattax-odd", "bcat", r#"/bcat=["223"]"#, r#"/bcat=["223"] ; /cattax=7"#),
    ("cattax-odd", "bcat", "/cattax=7", r#"/bcat=["iab25-3"]"#),
    ("domain-odd", "badv", r#"/badv=["https://rival.example/"]"#, r#"/badv=["Rival.example."]"#),
    ("type-loose", "imp[0].banner.w", r#"/imp/0/banner/w="300""#, "/imp/0/banner/w=300"),
    ("type-loose", "at", "/at=true", "/at=2"),
    ("type-loose", "tmax", "/tmax=120.5", "/tmax=120"),
    ("type-loose", "imp[0].secure", "/imp/0/secure=true", "/imp/0/secure=0"),
    ("type-loose", "id", "/id=5", r#"/id="5""#),
    ("type-loose", "imp[0].bidfloor", r#"/imp/0/bidfloor="0.5""#, "/imp/0/bidfloor=5e-1"),
    ("type-loose", "bcat", r#"/bcat="IAB25""#, r#"/bcat=["IAB25"]"#),
    ("type-loose", "user.keywords", r#"/user/keywords=["car"]"#, r#"/user/keywords="car,van""#),
    ("type-wrong", "site.domain", "/site/domain={}", r#"/site/domain="x""#),
    ("type-wrong", "device", "/device=[]", "/device={}"),
    ("type-wrong", "imp[0].banner.pos", r#"/imp/0/banner/pos="top""#, "/imp/0/banner/pos=1"),
    (
        "field-unknown",
        "imp[0].bidfloorcurr",
        r#"/imp/0/bidfloorcurr="EUR""#,
        r#"/imp/0/ext={"bidfloorcurr":1}"#,
    ),
    ("value-unknown", "device.devicetype", "/device/devicetype=9", "/device/devicetype=8"),
    (
        "value-unknown",
        "imp[1].video.protocols[1]",
        "/imp/1/video/protocols=[3,17]",
        "/imp/1/video/protocols=[3,500]",
    ),
    ("value-unknown", "imp[0].secure", "/imp/0/secure=2", "/imp/0/secure=1"),
    ("deprecated", "imp[1].video.placement", "/imp/1/video/placement=1", "/imp/1/video/plcmt=1"),
    (
        "deprecated",
        "dooh.venuetypeid",
        r#"/site ; /device/ifa ; /dooh={"venuetypeid":["1"]}"#,
        r#"/site ; /device/ifa ; /dooh={"venuetype":["1"]}"#,
    ),
    ("null", "device.os", "/device/os=null", r#"/device/os="iOS""#),
    ("null", "badv[1]", r#"/badv=["a.example",null]"#, r#"/badv=["a.example"]"#),
    ("imp-id-missing", "imp[0]", "/imp/0/id", "/imp/0/id=1"),
    ("imp-id-missing", "imp[0]", r#"/imp/0="x""#, ""),
    ("media-missing", "imp[0]", "/imp/0/banner", "/imp/0/banner={}"),
    ("media-missing", "imp[1]", "/imp/1/video=5", r#"/imp/1/video={"mimes":"video/mp4"}"#),
    ("floor-unreadable", "imp[0].bidfloor", "/imp/0/bidfloor=-1", "/imp/0/bidfloor=0"),
    ("floor-unreadable", "imp[0].bidfloor", "/imp/0/bidfloor=true", "/imp/0/bidfloor=null"),
    (
        "floor-unreadable",
        "imp[1].video.mincpmpersec",
        r#"/imp/1/video/mincpmpersec="x" ; /imp/1/video/durfloors"#,
        "/imp/1/video/mincpmpersec=0.1 ; /imp/1/video/durfloors",
    ),
    (
        "floor-unreadable",
        "imp[1].video.durfloors[0]",
        r#"/imp/1/video/durfloors/0/mindur="five""#,
        r#"/imp/1/video/durfloors/0/mindur="5""#,
    ),
    (
        "floor-currency-unreadable",
        "imp[0].bidfloorcur",
        r#"/imp/0/pmp ; /imp/0/bidfloorcur="US""#,
        r#"/imp/0/pmp ; /imp/0/bidfloorcur="US" ; /imp/0/bidfloor=0"#,
    ),
    (
        "multiplier-unreadable",
        "imp[0].qty",
        r#"/imp/0/qty={"vendor":"v"}"#,
        r#"/imp/0/qty={"multiplier":0.3}"#,
    ),
    (
        "multiplier-unreadable",
        "imp[0].qty",
        r#"/imp/0/qty={"multiplier":0}"#,
        r#"/imp/0/qty={"multiplier":14.2}"#,
    ),
    ("exp-odd", "imp[0].exp", "/imp/0/exp=0", "/imp/0/exp=1"),
    ("dt-odd", "imp[0].dt", "/imp/0/dt=-1", "/imp/0/dt=1790000000000.5"),
    ("size-missing", "imp[0].banner", "/imp/0/banner={}", r#"/imp/0/banner={"w":300,"h":250}"#),
    (
        "format-odd",
        "imp[0].banner.format[1]",
        r#"/imp/0/banner/format/-={"w":300}"#,
        r#"/imp/0/banner/format/-={"wratio":4,"hratio":1,"wmin":200}"#,
    ),
    ("size-not-listed", "imp[0].banner", "/imp/0/banner/w=320", "/imp/0/banner/w=300"),
    ("mimes-missing", "imp[1].video.mimes", "/imp/1/video/mimes", r#"/imp/1/video/mimes="video/webm""#),
    ("mimes-missing", "imp[1].audio.mimes", "/imp/1/audio={}", r#"/imp/1/audio={"mimes":["audio/mpeg"]}"#),
    (
        "mime-odd",
        "imp[1].video.mimes",
        r#"/imp/1/video/mimes=["mp4"]"#,
        r#"/imp/1/video/mimes=["video/mp4; codecs=x"]"#,
    ),
    (
        "rqddurs-unreadable",
        "imp[1].video.rqddurs",
        "/imp/1/video/rqddurs=[15,0]",
        "/imp/1/video/rqddurs=[15] ; /imp/1/video/minduration ; /imp/1/video/maxduration",
    ),
    ("durations-both", "imp[1].video.rqddurs", "/imp/1/video/rqddurs=[15]", "/imp/1/video/rqddurs=[]"),
    (
        "durations-crossed",
        "imp[1].video.minduration",
        "/imp/1/video/minduration=31",
        "/imp/1/video/minduration=30",
    ),
    (
        "bitrates-crossed",
        "imp[1].video.minbitrate",
        "/imp/1/video/minbitrate=900 ; /imp/1/video/maxbitrate=800",
        "/imp/1/video/minbitrate=800 ; /imp/1/video/maxbitrate=800",
    ),
    (
        "skip-unsaid",
        "imp[1].video.skipafter",
        "/imp/1/video/skipafter=5",
        "/imp/1/video/skipafter=5 ; /imp/1/video/skip=1",
    ),
    ("floors-both", "imp[1].video.durfloors", "/imp/1/video/mincpmpersec=0.1", "/imp/1/video/mincpmpersec=0"),
    (
        "floor-range-crossed",
        "imp[1].video.durfloors[0].mindur",
        "/imp/1/video/durfloors/0/mindur=16",
        "/imp/1/video/durfloors/0/mindur=15",
    ),
    (
        "pod-without-id",
        "imp[1].video.poddur",
        "/imp/1/video/poddur=60",
        r#"/imp/1/video/poddur=60 ; /imp/1/video/podid="p""#,
    ),
    (
        "maxseq-alone",
        "imp[1].video.maxseq",
        "/imp/1/video/maxseq=3",
        r#"/imp/1/video/maxseq=3 ; /imp/1/video/poddur=60 ; /imp/1/video/podid="p""#,
    ),
    ("native-unreadable", "imp[2].native.request", r#"/imp/2/native/request="{""#, ""),
    ("native-unreadable", "imp[2].native.request", "/imp/2/native/request", ""),
    (
        "native-object",
        "imp[2].native.request",
        r#"/imp/2/native/request={"assets":[{"id":1,"title":{"len":9}}]}"#,
        r#"/imp/2/native/request="{\"assets\":[{\"id\":1,\"title\":{\"len\":9}}]}""#,
    ),
    (
        "native-wrapped",
        "imp[2].native.request",
        r#"/imp/2/native/request="{\"native\":{\"assets\":[{\"id\":1,\"title\":{\"len\":9}}]}}""#,
        r#"/imp/2/native/request="{\"assets\":[{\"id\":1,\"title\":{\"len\":9}}]}""#,
    ),
    ("assets-missing", "imp[2].native.request.assets", r#"/imp/2/native/request="{\"assets\":[]}""#, ""),
    (
        "asset-id-twice",
        "imp[2].native.request.assets",
        r#"/imp/2/native/request="{\"assets\":[{\"id\":1,\"title\":{\"len\":9}},{\"id\":1,\"data\":{\"type\":2}}]}""#,
        r#"/imp/2/native/request="{\"assets\":[{\"id\":1,\"title\":{\"len\":9}},{\"id\":2,\"data\":{\"type\":2}}]}""#,
    ),
    (
        "asset-id-missing",
        "imp[2].native.request.assets[1].id",
        r#"/imp/2/native/request="{\"assets\":[{\"id\":1,\"title\":{\"len\":9}},{\"data\":{\"type\":2}}]}""#,
        "",
    ),
    (
        "asset-kind-odd",
        "imp[2].native.request.assets[0]",
        r#"/imp/2/native/request="{\"assets\":[{\"id\":1}]}""#,
        "",
    ),
    (
        "asset-kind-odd",
        "imp[2].native.request.assets[0]",
        r#"/imp/2/native/request="{\"assets\":[{\"id\":1,\"title\":{\"len\":9},\"data\":{\"type\":2}}]}""#,
        "",
    ),
    (
        "asset-video-odd",
        "imp[2].native.request.assets[0].video",
        r#"/imp/2/native/request="{\"assets\":[{\"id\":1,\"video\":{\"mimes\":[\"video/mp4\"]}}]}""#,
        r#"/imp/2/native/request="{\"assets\":[{\"id\":1,\"video\":{\"mimes\":[\"video/mp4\"],\"minduration\":1,\"maxduration\":9,\"protocols\":[3]}}]}""#,
    ),
    (
        "private-without-deals",
        "imp[0].pmp",
        r#"/imp/0/pmp={"private_auction":1}"#,
        r#"/imp/0/pmp={"private_auction":0}"#,
    ),
    ("deal-id-missing", "imp[0].pmp.deals[0].id", "/imp/0/pmp/deals/0/id", r#"/imp/0/pmp/deals/0/id="x""#),
    (
        "deal-twice",
        "imp[0].pmp.deals[1]",
        r#"/imp/0/pmp/deals/-={"id":"d1"}"#,
        r#"/imp/0/pmp/deals/-={"id":"d2"}"#,
    ),
    (
        "deal-floor-unreadable",
        "imp[0].pmp.deals[0].bidfloor",
        r#"/imp/0/pmp/deals/0/bidfloor="x""#,
        "/imp/0/pmp/deals/0/bidfloor=0",
    ),
    (
        "deal-currency-unreadable",
        "imp[0].pmp.deals[0].bidfloorcur",
        r#"/imp/0/pmp/deals/0/bidfloorcur="US""#,
        r#"/imp/0/pmp/deals/0/bidfloorcur="eur""#,
    ),
    (
        "deal-price-missing",
        "imp[0].pmp.deals[0]",
        "/imp/0/pmp/deals/0/at=3 ; /imp/0/pmp/deals/0/bidfloor",
        "/imp/0/pmp/deals/0/at=3",
    ),
    (
        "deal-currency-unsaid",
        "imp[0].pmp.deals[0].bidfloorcur",
        "/imp/0/pmp/deals/0/bidfloorcur",
        "/imp/0/pmp/deals/0/bidfloorcur ; /imp/0/pmp/deals/0/bidfloor=0",
    ),
    (
        "keywords-both",
        "user.kwarray",
        r#"/user/kwarray=["car"]"#,
        r#"/user/keywords ; /user/kwarray=["car"]"#,
    ),
    (
        "language-both",
        "site.content.langb",
        r#"/site/content/langb="en-GB""#,
        r#"/site/content={"langb":"en-GB"}"#,
    ),
    (
        "language-both",
        "device.langb",
        r#"/device/language="en" ; /device/langb="en-GB""#,
        r#"/device/langb="en-GB""#,
    ),
    (
        "dooh-without-place",
        "dooh",
        r#"/site ; /device/ifa ; /dooh={} ; /device/geo={"country":"USA"}"#,
        "/site ; /device/ifa ; /dooh={}",
    ),
    ("dooh-with-ifa", "dooh", "/site ; /dooh={}", "/site ; /dooh={} ; /device/ifa"),
    ("country-odd", "device.geo.country", r#"/device/geo/country="US""#, r#"/device/geo/country="usa""#),
    ("country-odd", "device.geo.country", r#"/device/geo/country="USSR""#, ""),
    ("position-odd", "device.geo.lat", "/device/geo/lat=91", "/device/geo/lat=-90"),
    ("position-odd", "device.geo.lon", "/device/geo/lat", "/device/geo/lat ; /device/geo/lon"),
    ("address-odd", "device.ip", r#"/device/ip="2001:db8::1""#, r#"/device/ip="192.0.2.x""#),
    ("address-odd", "device.ipv6", r#"/device/ipv6="192.0.2.1""#, r#"/device/ipv6="2001:db8::""#),
    ("ifa-empty", "device.ifa", r#"/device/ifa="00000000-0000-0000-0000-000000000000""#, "/device/ifa"),
    ("place-of-2.5", "regs.ext.gdpr", r#"/regs={"ext":{"gdpr":0}}"#, r#"/regs={"gdpr":0}"#),
    ("place-of-2.5", "user.ext.eids", r#"/user={"ext":{"eids":[{"source":"x","uids":[{"id":"1"}]}]}}"#, ""),
    (
        "place-of-2.5",
        "source.ext.schain",
        r#"/source={"ext":{"schain":{"complete":1,"ver":"1.0","nodes":[{"asi":"x","sid":"1","hp":1}]}}}"#,
        "",
    ),
    (
        "contradiction",
        "regs.ext.gdpr",
        r#"/regs/ext={"gdpr":1} ; /user/consent="CPx""#,
        r#"/regs/ext={"gdpr":"0"}"#,
    ),
    ("consent-missing", "regs.gdpr", "/regs/gdpr=1", r#"/regs/gdpr=1 ; /user/consent="CPx""#),
    ("consent-missing", "regs.gdpr", "/regs/gdpr=1 ; /user", "/user"),
    ("consent-odd", "user.consent", r#"/user/consent="BOx""#, r#"/user/consent="CPx.YAAA""#),
    (
        "gpp-odd",
        "regs.gpp",
        r#"/regs/gpp="CPx" ; /regs/gpp_sid=[2]"#,
        r#"/regs/gpp="DBx" ; /regs/gpp_sid=[2]"#,
    ),
    ("gpp-unscoped", "regs.gpp", r#"/regs/gpp="DBx""#, r#"/regs/gpp="DBx" ; /regs/gpp_sid=[7]"#),
    ("gpp-missing", "regs.gpp_sid", "/regs/gpp_sid=[7]", "/regs/gpp_sid=[-1]"),
    ("us-privacy-odd", "regs.us_privacy", r#"/regs/us_privacy="2YNN""#, r#"/regs/us_privacy="1---""#),
    ("gpc-odd", "regs.ext.gpc", r#"/regs/ext={"gpc":1}"#, r#"/regs/ext={"gpc":"1"}"#),
    ("schain-incomplete", "source.schain.complete", "/source/schain/complete=0", "/source/schain/complete=1"),
    ("schain-incomplete", "source.schain.nodes", "/source/schain/nodes=[]", ""),
    ("schain-node-odd", "source.schain.nodes[0]", "/source/schain/nodes/0/sid", "/source/schain/nodes/0/hp"),
    ("eid-odd", "user.eids[0].source", "/user/eids/0/source", ""),
    ("eid-odd", "user.eids[0].uids[0]", "/user/eids/0/uids/0/id", "/user/eids/0/uids/0/atype"),
    ("eid-odd", "user.eids[0].uids", "/user/eids/0/uids=[]", ""),
    (
        "segment-odd",
        "user.data[0].segment[0]",
        r#"/user/data/0/segment/0={"name":"x"}"#,
        r#"/user/data/0/segment/0={"id":"x"}"#,
    ),
];

/// What no change of the good request can say.
pub(super) const BODIES: &[(&str, &str)] = &[
    ("unreadable", ""),
    ("unreadable", "{"),
    ("unreadable", r#"{"id":"1","imp":[],}"#),
    ("unreadable", "[]"),
    ("unreadable", r#""text""#),
    ("unreadable", "\"\u{1}\""),
    ("refused", r#"{"id":"1","id":"2","imp":[{"id":"1","banner":{"w":1,"h":1}}]}"#),
    ("refused", r#"{"id":"1","imp":[{"id":"1","bidfloor":1,"bidfloor":2,"banner":{"w":1,"h":1}}]}"#),
    (
        "refused",
        "{\"id\":\"1\",\"imp\":[{\"id\":\"1\",\"banner\":{\"w\":1,\"h\":1}}],\"ext\":\
         [[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[0]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]}",
    ),
    ("not-seen", r#"{"id":"1","imp":[{"id":"1","banner":{"w":1,"h":1}}],"x":1e400}"#),
];

fn found(request: &Value) -> Vec<Finding> {
    check_request(request.to_string().as_bytes(), Format::Json)
}

#[test]
fn a_good_request_has_no_finding() {
    assert_eq!(told(&found(&good())), []);
}

#[test]
fn each_rule_is_broken_by_its_example_and_not_by_the_other() {
    for (code, path, broken, clean) in CASES {
        let broken_request = changed(&good(), broken);
        let findings = found(&broken_request);
        assert!(told(&findings).contains(&(code, path)), "{broken}: {:?}", told(&findings));
        let clean_request = changed(&good(), clean);
        let findings = found(&clean_request);
        assert!(!told(&findings).contains(&(code, path)), "{clean}: {:?}", told(&findings));
    }
}

#[test]
fn a_broken_body_is_said_to_be_one() {
    for (code, body) in BODIES {
        let findings = check_request(body.as_bytes(), Format::Json);
        assert!(findings.iter().any(|finding| finding.rule.code == *code), "{body}: {:?}", told(&findings));
    }
}

/// Whether the engine refuses what a finding is about.
pub(super) fn is_refused(body: &[u8], finding: &Finding) -> bool {
    let arena = Bump::new();
    let Ok(auction) = parse(body, &Limits::default(), &arena) else { return true };
    let at = finding.path.strip_prefix("imp[").and_then(|rest| rest.split_once(']'));
    let Some((index, inside)) = at.filter(|_| finding.rule.code != "imp-id-twice") else {
        return auction.fault.is_some() || (auction.cur_given && auction.cur.is_empty());
    };
    let imp: &Imp<'_> = &auction.imps[index.parse::<usize>().unwrap()];
    let within = |medium: &str| inside.starts_with(medium);
    imp.fault.is_some()
        || imp.multiplier_ppm.is_none()
        || (within(".bidfloorcur") && imp.bid_floor_cur.is_none())
        || (within(".video") && imp.video.is_none())
        || (within(".audio") && imp.audio.is_none())
        || (within(".native") && imp.native.is_none())
        || (within(".pmp") && imp.private_auction && imp.deals.is_empty())
        || inside.strip_prefix(".pmp.deals[").is_some_and(|rest| deal_is_refused(imp, rest))
}

/// Positions of deals count those without an id, which the engine drops: any refused deal will do.
fn deal_is_refused(imp: &Imp<'_>, _: &str) -> bool {
    let fixed_at_nothing = |deal: &Deal<'_>| deal.at == Some(3) && deal.bid_floor == Some(Cpm(0));
    let twice = |deal: &Deal<'_>| imp.deals.iter().filter(|other| other.id == deal.id).count() > 1;
    imp.deals.is_empty()
        || imp.deals.iter().any(|deal| {
            deal.bid_floor.is_none() || deal.bid_floor_cur.is_none() || fixed_at_nothing(deal) || twice(deal)
        })
}

/// Whether the engine refuses anything that it reads of a body.
pub(super) fn refuses_something(body: &[u8]) -> bool {
    let arena = Bump::new();
    match parse(body, &Limits::default(), &arena) {
        Err(_) => true,
        Ok(auction) => auction.fault.is_some() || auction.imps.iter().any(|imp| imp.fault.is_some()),
    }
}

pub(super) fn errors(findings: &[Finding]) -> impl Iterator<Item = &Finding> {
    findings.iter().filter(|finding| finding.rule.severity == Severity::Error)
}

#[test]
fn an_error_is_what_the_engine_refuses_and_a_warning_what_it_tolerates() {
    for (code, path, broken, _) in CASES {
        let request = changed(&good(), broken);
        let body = request.to_string().into_bytes();
        let findings = found(&request);
        for error in errors(&findings) {
            assert!(
                is_refused(&body, error),
                "{code} at {path}: {broken}: {} at {}",
                error.rule.code,
                error.path
            );
        }
        if errors(&findings).next().is_none() {
            assert!(!refuses_something(&body), "{code} at {path}: {broken} is refused and only warned of");
        }
    }
}

#[test]
fn of_one_list_a_rule_is_told_once() {
    let findings = found(&changed(&good(), r#"/bcat=[1,2,3] ; /badv=["a.example",5,6]"#));
    let loose: Vec<&str> =
        told(&findings).iter().filter(|(code, _)| *code == "type-loose").map(|(_, path)| *path).collect();
    assert_eq!(loose, ["badv[1]", "bcat[0]"]);
}

#[test]
fn a_finding_says_the_section_of_its_object_and_what_is_meant() {
    let findings = found(&changed(&good(), r#"/imp/0/bidfloorcurr="EUR""#));
    let finding = &findings[0];
    assert_eq!(finding.section, "OpenRTB 2.6 section 3.2.4");
    assert_eq!(finding.what, "is no field of Imp; bidfloorcur is");
}
