//! Trial D10: what proves a right is compared with `subtle`, and refusing a token takes as long wherever its tag is
//! wrong. The finer measurement is `cargo bench --bench token`.

use super::{claims, ring, text};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use outbid::exchange::token::{TOKEN_BYTES, TokenClass, TokenError, verify};
use outbid::model::clock::Clock;
use outbid::telemetry::clock::SystemClock;
use std::path::{Path, PathBuf};

/// Names of what a stranger must not be able to guess byte by byte.
const PROOFS: [&str; 7] = ["tag", "mac", "signature", "secret", "shown", "candidate", "expose"];

/// Whether a line compares one of [`PROOFS`] by an operator or a method that stops at the first difference.
fn compares_early(line: &str) -> bool {
    let names_proof = |text: &str| {
        let mut names = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
        names.any(|name| PROOFS.iter().any(|proof| name == *proof || name.ends_with(&format!("_{proof}"))))
    };
    let operators = [" == ", " != "].iter().flat_map(|operator| line.match_indices(operator));
    let by_operator = operators.into_iter().any(|(at, operator)| {
        let left = line[..at].rsplit(' ').next().unwrap_or_default();
        let right = line[at + operator.len()..].split(' ').next().unwrap_or_default();
        names_proof(left) || names_proof(right)
    });
    let methods = [".eq(", ".ne(", ".cmp(", "starts_with(", "ends_with("];
    by_operator || methods.iter().any(|method| line.contains(method)) && names_proof(line)
}

fn sources(dir: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

#[test]
fn d10_the_reader_of_sources_sees_early_comparisons() {
    for line in [
        "if expected == tag {",
        "    mac != other",
        "shown.eq(x)",
        "let good = x == key.expose();",
        "server_tag == tag",
    ] {
        assert!(compares_early(line), "{line}");
    }
    for line in [
        "if bool::from(expected.ct_eq(tag)) {",
        "stage == 1",
        "let tag = 1;",
        "find(|(known, _)| *known == id).map(|(_, mac)| mac)",
    ] {
        assert!(!compares_early(line), "{line}");
    }
}

/// Every file that knows a MAC or `subtle` compares with it and in no other way; and the places that must are known.
#[test]
fn d10_proofs_are_compared_with_subtle() {
    let mut files = Vec::new();
    sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut files);
    let (mut guarded, mut broken) = (Vec::new(), Vec::new());
    for path in files {
        let text = std::fs::read_to_string(&path).unwrap();
        let code = text.split("#[cfg(test)]").next().unwrap();
        if !code.contains("use hmac::") && !code.contains("use subtle::") {
            continue;
        }
        let name = path.strip_prefix(env!("CARGO_MANIFEST_DIR")).unwrap().display().to_string();
        for (number, line) in (1..).zip(code.lines()) {
            if !line.trim_start().starts_with("//") && compares_early(line) {
                broken.push(format!("{name}:{number}: {}", line.trim()));
            }
        }
        if code.contains(".ct_eq(") {
            guarded.push(name);
        }
    }
    assert!(broken.is_empty(), "compared until the first difference:\n{}", broken.join("\n"));
    for needed in
        ["src/exchange/token.rs", "src/exchange/price/google.rs", "src/serve/auth.rs", "src/config/secret.rs"]
    {
        assert!(guarded.iter().any(|name| name == needed), "{needed} compares nothing with subtle");
    }
}

/// A token whose tag differs in one byte.
fn wrong_at(byte: usize) -> String {
    let mut raw = URL_SAFE_NO_PAD.decode(text(&claims(), TokenClass::Server, &ring(1, &[]))).unwrap();
    raw[TOKEN_BYTES - 16 + byte] ^= 1;
    URL_SAFE_NO_PAD.encode(raw)
}

/// The fastest tenth of many interleaved rounds: what the machine does besides only ever adds. The claim is coarse, 5 %,
/// and one of several attempts suffices, so that a busy machine cannot fail it; what it does catch is a verifier that
/// leaves before its MAC or looks the tag up byte by byte at some cost.
#[test]
fn d10_a_refusal_takes_as_long_wherever_the_tag_is_wrong() {
    const ROUNDS: usize = 400;
    const CALLS: usize = 20;
    let (keys, clock) = (ring(1, &[]), SystemClock::new());
    let tokens = [wrong_at(0), wrong_at(15)];
    let round = |token: &str| {
        let start_ns = clock.mono_ns();
        for _ in 0..CALLS {
            assert_eq!(verify(std::hint::black_box(token), &keys), Err(TokenError::BadTag));
        }
        clock.mono_ns() - start_ns
    };
    let attempt = || {
        let mut times: [Vec<u64>; 2] = [Vec::new(), Vec::new()];
        for at in 0..ROUNDS {
            for which in [at % 2, 1 - at % 2] {
                times[which].push(round(&tokens[which]));
            }
        }
        let [first, last] = times.map(|mut times| {
            times.sort_unstable();
            times[..ROUNDS / 10].iter().sum::<u64>() as f64 / (ROUNDS / 10 * CALLS) as f64
        });
        eprintln!("wrong in the first byte {first:.1} ns, in the last {last:.1} ns");
        (first - last).abs() / first.max(last)
    };
    let differences: Vec<f64> =
        (0..8).map(|_| attempt()).take_while(|difference| *difference >= 0.05).collect();
    assert!(differences.len() < 8, "{differences:?}");
}
