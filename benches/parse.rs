//! Which reader stands behind `exchange::parse`: `cargo bench --bench parse`.
//!
//! Every reader gets the same bodies in one run: the own reader, its oracle, and what a project would otherwise
//! take: serde_json and sonic-rs, each into a tree and into derived types. The derived types hold the same fields
//! with strict kinds and borrowed strings, so they do less than the own reader (no lenient values, no 2.5
//! locations beyond their presence, no limits, no prices): they are a lower bound for that way of working. A tree
//! is a lower bound as well: its fields have yet to be looked up, and it allocates.

use bumpalo::Bump;
use divan::{Bencher, counter::BytesCount};
use outbid::exchange::{Limits, parse, parse_reference};
use serde_json::value::RawValue;
use std::path::Path;

/// A banner request of the usual size as an exchange sends it, minified.
const BODY: &str = include_str!("parse/banner.json");

/// Declares what deriving serde for the fields of a decision looks like, without a page of attributes.
macro_rules! derived {
    ($($name:ident { $($field:ident: $kind:ty),* $(,)? })*) => {$(
        #[derive(serde::Deserialize)]
        #[serde(bound(deserialize = "'de: 'a"), default)]
        #[derive(Default)]
        #[allow(dead_code, reason = "what counts is that the fields are read")]
        struct $name<'a> {
            $($field: $kind,)*
            #[serde(skip)]
            _borrows: std::marker::PhantomData<&'a str>,
        }
    )*};
}

fn main() {
    divan::main();
}

/// The requests of the corpus that are readable; none, said aloud, where it is not there.
fn corpus() -> Vec<String> {
    #[derive(serde::Deserialize)]
    struct Line<'a> {
        #[serde(borrow)]
        request: &'a RawValue,
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data/openrtb/requests.ndjson");
    let Ok(lines) = std::fs::read_to_string(&path) else {
        eprintln!("SKIPPED: no corpus at {}", path.display());
        return Vec::new();
    };
    let body =
        |line| serde_json::from_str::<Line<'_>>(line).expect("the corpus is JSON").request.get().to_owned();
    let readable = |body: &String| parse(body.as_bytes(), &Limits::default(), &Bump::new()).is_ok();
    lines.lines().map(body).filter(readable).collect()
}

/// Runs a reader over bodies, with an arena that is reset after each.
fn run(bencher: Bencher<'_, '_>, bodies: &[String], read: impl Fn(&[u8], &Bump) -> bool + Sync) {
    let mut arena = Bump::with_capacity(64 << 10);
    let bytes: usize = bodies.iter().map(String::len).sum();
    bencher.counter(BytesCount::new(bytes)).bench_local(|| {
        let mut readable = 0;
        for body in bodies {
            readable += usize::from(read(divan::black_box(body.as_bytes()), &arena));
            arena.reset();
        }
        readable
    });
}

/// A way to read a request; gives whether it is readable.
#[derive(Clone, Copy, Debug)]
enum Reader {
    Own,
    SonicDerived,
    SerdeDerived,
    SonicTree,
    SerdeTree,
    Oracle,
}

use Reader::*;

impl Reader {
    fn read(self, body: &[u8], arena: &Bump) -> bool {
        use divan::black_box;
        let limits = Limits::default();
        match self {
            Own => parse(body, &limits, arena).is_ok_and(|a| !black_box(&a).imps.is_empty()),
            Oracle => parse_reference(body, &limits, arena).is_ok_and(|a| !black_box(&a).imps.is_empty()),
            SerdeTree => {
                serde_json::from_slice::<serde_json::Value>(body).is_ok_and(|v| black_box(&v).is_object())
            }
            SonicTree => sonic_rs::from_slice::<sonic_rs::Value>(body).map(|v| drop(black_box(v))).is_ok(),
            SerdeDerived => serde_json::from_slice::<Request<'_>>(body).map(|r| drop(black_box(r))).is_ok(),
            SonicDerived => sonic_rs::from_slice::<Request<'_>>(body).map(|r| drop(black_box(r))).is_ok(),
        }
    }
}

/// One request, which every reader must find readable.
#[divan::bench(args = [Own, SonicDerived, SerdeDerived, SonicTree, SerdeTree, Oracle], sample_count = 200)]
fn one_banner(bencher: Bencher<'_, '_>, reader: Reader) {
    assert!(reader.read(BODY.as_bytes(), &Bump::new()), "the body must be readable");
    run(bencher, &[BODY.to_owned()], |body, arena| reader.read(body, arena));
}

/// Every readable request of the corpus once. The derived types are left out: real kinds of values break them.
#[divan::bench(args = [Own, SonicTree, SerdeTree, Oracle], sample_count = 20)]
fn corpus_once(bencher: Bencher<'_, '_>, reader: Reader) {
    let bodies = corpus();
    run(bencher, &bodies, |body, arena| reader.read(body, arena));
}

derived! {
    Request { id: &'a str, imp: Vec<Imp<'a>>, at: Option<i64>, tmax: Option<i64>, test: Option<i64>, allimps: Option<i64>,
        cur: Option<Vec<&'a str>>, wseat: Option<Vec<&'a str>>, bseat: Option<Vec<&'a str>>, bcat: Option<Vec<&'a str>>,
        badv: Option<Vec<&'a str>>, bapp: Option<Vec<&'a str>>, acat: Option<Vec<&'a str>>, cattax: Option<i64>,
        site: Option<Inventory<'a>>, app: Option<Inventory<'a>>, device: Option<Device<'a>>, user: Option<User<'a>>,
        regs: Option<Regs<'a>>, source: Option<Source<'a>> }
    Imp { id: &'a str, banner: Option<Banner<'a>>, instl: Option<i64>, tagid: Option<&'a str>, bidfloor: Option<f64>,
        bidfloorcur: Option<&'a str>, secure: Option<i64>, exp: Option<i64>, rwdd: Option<i64>, pmp: Option<Pmp<'a>> }
    Banner { format: Option<Vec<Format<'a>>>, w: Option<i64>, h: Option<i64>, btype: Option<Vec<i64>>, battr: Option<Vec<i64>>,
        mimes: Option<Vec<&'a str>>, api: Option<Vec<i64>>, pos: Option<i64> }
    Format { w: Option<i64>, h: Option<i64> }
    Pmp { private_auction: Option<i64>, deals: Option<Vec<Deal<'a>>> }
    Deal { id: &'a str, bidfloor: Option<f64>, bidfloorcur: Option<&'a str>, at: Option<i64>, wseat: Option<Vec<&'a str>>,
        wadomain: Option<Vec<&'a str>>, guar: Option<i64> }
    Inventory { id: Option<&'a str>, name: Option<&'a str>, domain: Option<&'a str>, bundle: Option<&'a str>,
        page: Option<&'a str>, cat: Option<Vec<&'a str>>, sectioncat: Option<Vec<&'a str>>, pagecat: Option<Vec<&'a str>>,
        keywords: Option<&'a str>, content: Option<Content<'a>>, publisher: Option<Publisher<'a>> }
    Content { language: Option<&'a str>, keywords: Option<&'a str>, cat: Option<Vec<&'a str>> }
    Publisher { id: Option<&'a str> }
    Device { ua: Option<&'a str>, sua: Option<Sua<'a>>, geo: Option<Geo<'a>>, dnt: Option<i64>, lmt: Option<i64>,
        ip: Option<&'a str>, ipv6: Option<&'a str>, devicetype: Option<i64>, make: Option<&'a str>, model: Option<&'a str>,
        os: Option<&'a str>, osv: Option<&'a str>, language: Option<&'a str>, carrier: Option<&'a str>,
        mccmnc: Option<&'a str>, connectiontype: Option<i64>, ifa: Option<&'a str> }
    Sua { browsers: Option<Vec<Brand<'a>>>, platform: Option<Brand<'a>> }
    Brand { brand: Option<&'a str> }
    Geo { country: Option<&'a str>, region: Option<&'a str>, metro: Option<&'a str>, city: Option<&'a str>, zip: Option<&'a str>,
        utcoffset: Option<i64> }
    User { id: Option<&'a str>, buyeruid: Option<&'a str>, keywords: Option<&'a str>, consent: Option<&'a str>,
        eids: Option<Vec<Eid<'a>>>, ext: Option<UserExt<'a>> }
    UserExt { consent: Option<&'a str>, eids: Option<Vec<Eid<'a>>> }
    Eid { source: Option<&'a str>, mm: Option<i64>, uids: Option<Vec<Uid<'a>>> }
    Uid { id: Option<&'a str>, atype: Option<i64> }
    Regs { coppa: Option<i64>, gdpr: Option<i64>, us_privacy: Option<&'a str>, gpp: Option<&'a str>, gpp_sid: Option<Vec<i64>>,
        ext: Option<RegsExt<'a>> }
    RegsExt { gdpr: Option<i64>, us_privacy: Option<&'a str>, gpc: Option<&'a str> }
    Source { tid: Option<&'a str>, schain: Option<Chain<'a>>, ext: Option<SourceExt<'a>> }
    SourceExt { schain: Option<Chain<'a>> }
    Chain { complete: Option<i64>, nodes: Option<Vec<ChainNode<'a>>> }
    ChainNode { asi: Option<&'a str>, sid: Option<&'a str> }
}
