//! Trial C2, bounded: each fuzz target on its kept corpus (`fuzz/corpus`) and on seeded mutations of it.
//!
//! `OUTBID_FUZZ_SECONDS` lets every target run that long instead, from the seed `OUTBID_FUZZ_SEED` on
//! (`scripts/trials fuzz`). What fails is printed with its seed and its bytes.

#![allow(clippy::unwrap_used, reason = "a helper of a test fails as loudly as the test")]

#[allow(unreachable_pub, reason = "public for the programs of the fuzz crate, whose library this is")]
#[path = "../../fuzz/src/lib.rs"]
mod targets;

use crate::parse::differential::{Seeded, mutate as mutate_json, tokens};
use outbid::model::clock::Clock;
use outbid::telemetry::clock::SystemClock;
use std::collections::BTreeSet;
use std::fs;
use std::panic::catch_unwind;
use std::path::{Path, PathBuf};

/// Mutations of a bounded run.
const MUTATIONS: u64 = 20_000;
/// The same where an input becomes a dozen documents, each of them parsed.
const DOCUMENTS: u64 = 2_000;

/// Pieces that readers and encoders look for.
const PIECES: &[&str] = &[
    "\"",
    "'",
    "<",
    ">",
    "&",
    "\\",
    "`",
    "=",
    "/",
    "\0",
    "\r\n",
    "]]>",
    "<![CDATA[",
    "<!--",
    "-->",
    "<script>",
    "</script>",
    "<svg>",
    "<a href=\"",
    "<p title='",
    "${AUCTION_PRICE}",
    "${AUCTION_PRICE:B64}",
    "${",
    "{{CLICK_URL}}",
    "{{PAGE_URL}}",
    "{{INVENTORY}}",
    "{{WIDTH}}",
    "{{",
    "}}",
    "javascript:",
    "https://",
    "&amp;",
    "&#x0;",
    "%00",
    "%24%7B",
    "\u{2028}",
    "\u{fffe}",
    "\u{202e}",
    "\u{10ffff}",
    "é",
    "0",
    "-1",
    "1e400",
    "18446744073709551615",
    "0.0000001",
    "NaN",
    "==",
    "\u{7f}",
];

fn folder(target: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target)
}

/// The kept inputs of a target, by name.
fn corpus(target: &str) -> Vec<Vec<u8>> {
    let mut files: Vec<PathBuf> =
        fs::read_dir(folder(target)).unwrap().map(|file| file.unwrap().path()).collect();
    files.sort();
    files.iter().map(|file| fs::read(file).unwrap()).collect()
}

/// One change of bytes: a bit, a byte, a cut, a piece, a part of another input.
fn mutate_bytes(input: &[u8], other: &[u8], random: &mut Seeded) -> Vec<u8> {
    let mut out = input.to_vec();
    let at = random.below(out.len() + 1);
    let to = at + random.below((out.len() - at).min(64) + 1);
    match random.below(8) {
        0 if at < out.len() => out[at] ^= 1 << random.below(8),
        1 if at < out.len() => out[at] = [0, 1, 0x7f, 0x80, 0xfe, 0xff][random.below(6)],
        2 => out.truncate(at),
        3 => drop(out.drain(at..to)),
        4 => {
            let again = out[at..to].to_vec();
            out.splice(at..at, again);
        }
        5 => {
            let from = random.below(other.len() + 1);
            out.splice(at..to, other[from..].iter().copied());
        }
        _ => drop(out.splice(at..at, PIECES[random.below(PIECES.len())].bytes())),
    }
    out
}

/// One to four changes of an input, for JSON half of them of its tokens.
fn mutated(corpus: &[Vec<u8>], is_json: bool, random: &mut Seeded) -> Vec<u8> {
    let mut input = corpus[random.below(corpus.len())].clone();
    for _ in 0..=random.below(4) {
        input = if is_json && !input.is_empty() && random.below(2) == 0 {
            mutate_json(&input, &tokens(&input), random)
        } else {
            mutate_bytes(&input, &corpus[random.below(corpus.len())], random)
        };
    }
    input
}

fn from_environment(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name} is {text:?}, it must be a whole number")))
}

fn run(target: &str) {
    let (_, function) = targets::TARGETS.iter().find(|(name, _)| *name == target).unwrap();
    let corpus = corpus(target);
    let attempt = |input: &[u8], what: &str| {
        if catch_unwind(|| function(input)).is_err() {
            panic!("{target} failed on {what}: b\"{}\"", input.escape_ascii());
        }
    };
    corpus.iter().for_each(|input| attempt(input, "an input of its corpus"));
    let is_json = ["parse_bid_request", "native_request"].contains(&target);
    let first = from_environment("OUTBID_FUZZ_SEED").unwrap_or(1);
    let mutations = if target == "vast_build" { DOCUMENTS } else { MUTATIONS };
    let clock = SystemClock::default();
    let limit_ns = from_environment("OUTBID_FUZZ_SECONDS").map(|seconds| seconds * 1_000_000_000);
    let start_ns = clock.mono_ns();
    let mut done = 0;
    while limit_ns.map_or(done < mutations, |limit| clock.mono_ns() - start_ns < limit) {
        let seed = first + done;
        let input = mutated(&corpus, is_json, &mut Seeded(seed << 8));
        attempt(&input, &format!("seed {seed}"));
        done += 1;
    }
    let took_ms = (clock.mono_ns() - start_ns) / 1_000_000;
    eprintln!(
        "{target}: {} inputs kept, {done} mutations from seed {first} on in {took_ms} ms",
        corpus.len()
    );
}

#[test]
fn bid_requests_are_read_as_the_oracle_reads_them() {
    run("parse_bid_request");
}

#[test]
fn any_protobuf_is_read_within_the_limits_or_refused() {
    run("parse_protobuf");
}

#[test]
fn native_requests_are_read_as_the_oracle_reads_them() {
    run("native_request");
}

#[test]
fn documents_are_well_formed_whatever_their_texts_are() {
    run("vast_build");
}

#[test]
fn accepted_markup_holds_any_page() {
    run("expand_macros");
}

#[test]
fn a_price_is_one_that_can_be_charged() {
    run("decode_price");
}

#[test]
fn a_token_is_what_was_signed() {
    run("decode_token");
}

#[test]
fn a_consent_string_is_read_or_refused_and_opting_out_opens_nothing() {
    run("read_consent");
}

#[test]
fn a_journal_opens_to_what_was_written_or_not_at_all() {
    run("wal_scan");
}

#[test]
fn every_target_has_a_corpus_and_a_program() {
    let names: BTreeSet<String> = targets::TARGETS.iter().map(|(name, _)| (*name).to_owned()).collect();
    let found = |path: &str| -> BTreeSet<String> {
        let entries = fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap();
        entries
            .map(|entry| entry.unwrap().path().file_stem().unwrap().to_string_lossy().into_owned())
            .collect()
    };
    assert_eq!(found("fuzz/corpus"), names);
    assert_eq!(found("fuzz/fuzz_targets"), names);
    for name in &names {
        assert!(corpus(name).len() >= 10, "{name} has a corpus of {}", corpus(name).len());
    }
}
