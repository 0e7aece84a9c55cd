//! Trial E3: requests whose end two readers may see in two places. One of them in front of us, one of them us, and an
//! attacker's request hides in the difference (request smuggling; RFC 9112 section 11.2).
//!
//! Each payload is sent raw, alone on its connection, to the bid and to the tracking port. It passes when it is refused
//! and the connection ends, or when it is read once as the RFC says. Two answers where one was asked for never pass.

use super::super::account::{self, EXCHANGE, LINES};
use super::raw::{self, End, Heard};
use std::fmt::Write as _;
use std::net::SocketAddr;
use std::time::Duration;

/// Longer than the server waits for a body that does not come.
const QUIET: Duration = Duration::from_millis(1_800);
/// The request that hides; answered 404 wherever it is taken for one.
const HIDDEN: &str = "GET /hidden HTTP/1.1\r\nhost: x\r\n\r\n";

/// What may become of a payload besides being refused, which always passes but for `Twice`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum May {
    /// Nothing: 4xx or 501 and the connection ends, or it ends without a word.
    Refused,
    /// Be read once, and answered as a good request.
    Read,
    /// Be read once, answered with this status on the bid port.
    Answered(u16),
    /// Be read once; then the connection must end (RFC 9112 section 6.1).
    ReadLast,
    /// The same, answered with this status on the bid port.
    AnsweredLast(u16),
    /// It is two requests, and has two answers: this shows that a second one would be seen.
    Two,
}

/// A payload.
pub(crate) struct Case {
    /// What is odd about it.
    pub(crate) name: &'static str,
    may: May,
    payload: fn(&Outer) -> String,
}

/// The request in which something hides.
pub(crate) struct Outer {
    /// Method, target and version.
    line: String,
    /// A good body.
    body: String,
}

impl Outer {
    /// For the bid port.
    pub(crate) fn bid() -> Outer {
        let line = format!("POST /openrtb2/{EXCHANGE} HTTP/1.1");
        Outer { line, body: account::request(&LINES[0], "desync") }
    }

    /// For the tracking port, where a body means nothing.
    pub(crate) fn track() -> Outer {
        Outer { line: "GET /b/desync HTTP/1.1".to_owned(), ..Outer::bid() }
    }

    /// A request with these fields, each with its line end, and this body.
    fn with(&self, fields: &str, body: &str) -> String {
        format!("{}\r\nhost: x\r\n{fields}\r\n{body}", self.line)
    }

    /// The good body whose length these fields give; `#` stands for it.
    fn length(&self, fields: &str) -> String {
        self.with(&fields.replace('#', &self.body.len().to_string()), &self.body)
    }

    /// The good body in one chunk, with these fields.
    fn chunked(&self, fields: &str) -> String {
        self.with(fields, &chunks(&self.body))
    }

    /// A chunked body as it stands here; `#` stands for the good body's length in hexadecimal, `@` for the body.
    fn chunk(&self, body: &str) -> String {
        let body = body.replace('#', &format!("{:x}", self.body.len())).replace('@', &self.body);
        self.with("transfer-encoding: chunked\r\n", &body)
    }
}

fn chunks(body: &str) -> String {
    format!("{:x}\r\n{body}\r\n0\r\n\r\n", body.len())
}

const fn case(name: &'static str, may: May, payload: fn(&Outer) -> String) -> Case {
    Case { name, may, payload }
}

use May::{Answered, AnsweredLast, Read, ReadLast, Refused, Two};

/// All of them.
pub(crate) const CASES: &[Case] = &[
    case("control: two requests at once", Two, |o| o.length("content-length: #\r\n") + HIDDEN),
    // Both lengths at once (RFC 9112 section 6.3: the chunks count, and the connection ends).
    case("CL over all, then TE", ReadLast, |o| {
        let body = chunks(&o.body) + HIDDEN;
        o.with(&format!("content-length: {}\r\ntransfer-encoding: chunked\r\n", body.len()), &body)
    }),
    case("TE, then CL over all", ReadLast, |o| {
        let body = chunks(&o.body) + HIDDEN;
        o.with(&format!("transfer-encoding: chunked\r\ncontent-length: {}\r\n", body.len()), &body)
    }),
    case("short CL, then TE", AnsweredLast(400), |o| {
        o.with("content-length: 4\r\ntransfer-encoding: chunked\r\n", &chunks(HIDDEN))
    }),
    case("TE, then short CL", AnsweredLast(400), |o| {
        o.with("transfer-encoding: chunked\r\ncontent-length: 4\r\n", &chunks(HIDDEN))
    }),
    case("CL of nothing, then TE", ReadLast, |o| {
        o.chunked("content-length: 0\r\ntransfer-encoding: chunked\r\n")
    }),
    // Lengths that disagree, or are no numbers (RFC 9110 section 8.6).
    case("two different CL", Refused, |o| {
        o.length(&format!("content-length: #\r\ncontent-length: {}\r\n", o.body.len() + HIDDEN.len()))
            + HIDDEN
    }),
    case("two equal CL", Read, |o| o.length("content-length: #\r\ncontent-length: #\r\n")),
    case("CL: n, n", Read, |o| o.length("content-length: #, #\r\n")),
    case("CL: n, m", Refused, |o| o.length("content-length: #, 6\r\n")),
    case("CL: +n", Refused, |o| o.length("content-length: +#\r\n")),
    case("CL: -n", Refused, |o| o.length("content-length: -#\r\n")),
    case("CL: 0xn", Refused, |o| o.length("content-length: 0x5\r\n")),
    case("CL: n n", Refused, |o| o.length("content-length: # #\r\n")),
    case("CL: 1e2", Refused, |o| o.length("content-length: 1e2\r\n")),
    case("CL: 5.0", Refused, |o| o.length("content-length: 5.0\r\n")),
    case("CL of no characters", Refused, |o| o.length("content-length: \r\n")),
    case("CL: 2^64", Refused, |o| o.length("content-length: 18446744073709551616\r\n")),
    case("CL: 2^64 + n", Refused, |o| {
        o.length(&format!("content-length: {}\r\n", (1u128 << 64) + o.body.len() as u128))
    }),
    case("CL with a space before the colon", Refused, |o| o.length("content-length : #\r\n")),
    // Codings that are not chunked at their end, or are written so that some read them as none.
    case("TE: chunked, identity", Refused, |o| {
        o.chunked("transfer-encoding: chunked, identity\r\n") + HIDDEN
    }),
    case("TE: identity, chunked", Read, |o| o.chunked("transfer-encoding: identity, chunked\r\n")),
    case("TE: chunked, chunked", Read, |o| o.chunked("transfer-encoding: chunked, chunked\r\n")),
    case("TE: xchunked", Refused, |o| o.chunked("transfer-encoding: xchunked\r\n") + HIDDEN),
    case("TE: chunkedx", Refused, |o| o.chunked("transfer-encoding: chunkedx\r\n") + HIDDEN),
    case("TE: \"chunked\" in quotes", Refused, |o| o.chunked("transfer-encoding: \"chunked\"\r\n") + HIDDEN),
    case("TE: ChUnKeD", Read, |o| o.chunked("transfer-encoding: ChUnKeD\r\n")),
    case("TE: gzip", Refused, |o| o.chunked("transfer-encoding: gzip\r\n") + HIDDEN),
    case("TE twice, identity last", Refused, |o| {
        o.chunked("transfer-encoding: chunked\r\ntransfer-encoding: identity\r\n") + HIDDEN
    }),
    case("TE twice, chunked last", Read, |o| {
        o.chunked("transfer-encoding: identity\r\ntransfer-encoding: chunked\r\n")
    }),
    case("TE with a space before the colon", Refused, |o| {
        o.chunked("transfer-encoding : chunked\r\n") + HIDDEN
    }),
    case("TE with a tab before its value", Read, |o| o.chunked("transfer-encoding:\tchunked\r\n")),
    case("TE with a vertical tab before its value", Refused, |o| {
        o.chunked("transfer-encoding:\x0bchunked\r\n") + HIDDEN
    }),
    case("TE folded over two lines", Read, |o| o.chunked("transfer-encoding:\r\n chunked\r\n")),
    case("another field folded", Read, |o| o.length("x-a: b\r\n c\r\ncontent-length: #\r\n")),
    case("TE in a line that begins with a space", Read, |o| {
        let fields =
            format!(" transfer-encoding: chunked\r\nhost: x\r\ncontent-length: {}\r\n", o.body.len());
        format!("{}\r\n{fields}\r\n{}", o.line, o.body)
    }),
    case("TE in a name with an underscore", Read, |o| {
        o.length("transfer_encoding: chunked\r\ncontent-length: #\r\n")
    }),
    case("CL under another name's line end (bare CR)", Refused, |o| {
        o.length("x-a: b\rcontent-length: 4\r\ncontent-length: #\r\n")
    }),
    // Chunks (RFC 9112 section 7.1).
    case("chunk size of 2^64 + n", Refused, |o| {
        o.chunk(&format!("{:x}\r\n@\r\n0\r\n\r\n", (1u128 << 64) + o.body.len() as u128))
    }),
    case("chunk size of 2^64 - 1", Refused, |o| o.chunk("ffffffffffffffff\r\n@\r\n0\r\n\r\n")),
    case("chunk size -n", Refused, |o| o.chunk("-#\r\n@\r\n0\r\n\r\n")),
    case("chunk size 0xn", Refused, |o| o.chunk("0x#\r\n@\r\n0\r\n\r\n")),
    case("chunk size of no digits", Refused, |o| o.chunk("\r\n@\r\n0\r\n\r\n")),
    case("space before a chunk size", Refused, |o| o.chunk(" #\r\n@\r\n0\r\n\r\n")),
    case("space after a chunk size", Read, |o| o.chunk("# \r\n@\r\n0\r\n\r\n")),
    case("chunk longer than its size", Refused, |o| o.chunk("5\r\n@\r\n0\r\n\r\n")),
    case("chunk size ended by a bare LF", Refused, |o| o.chunk("#\n@\r\n0\r\n\r\n")),
    case("chunk ended by a bare LF", Refused, |o| o.chunk("#\r\n@\n0\r\n\r\n")),
    case("chunk extension of 64 KiB", Read, |o| {
        o.chunk(&format!("#;{}\r\n@\r\n0\r\n\r\n", "x".repeat(65_536)))
    }),
    case("chunk extension with a bare LF in it", Refused, |o| {
        o.chunk(&format!("#;\n@\r\n0\r\n\r\n{HIDDEN}"))
    }),
    case("many chunk extensions", Read, |o| {
        let mut body = String::new();
        for byte in o.body.chars() {
            let _written = write!(body, "1;{}\r\n{byte}\r\n", "x".repeat(200));
        }
        o.chunk(&(body + "0\r\n\r\n"))
    }),
    case("CL as a trailer", Read, |o| o.chunk("#\r\n@\r\n0\r\ncontent-length: 100\r\n\r\n")),
    case("TE as a trailer", Read, |o| o.chunk("#\r\n@\r\n0\r\ntransfer-encoding: chunked\r\n\r\n")),
    case("trailers of 64 KiB", Read, |o| {
        o.chunk(&format!("#\r\n@\r\n0\r\nx: {}\r\n\r\n", "x".repeat(65_536)))
    }),
    // Lines and characters (RFC 9112 section 2.2).
    case("lines ended by a bare LF", Read, |o| o.length("content-length: #\r\n").replacen("\r\n", "\n", 4)),
    case("bare CR in a value", Read, |o| o.length("x-a: b\rc\r\ncontent-length: #\r\n")),
    case("NUL in a value", Refused, |o| o.length("x-a: b\0c\r\ncontent-length: #\r\n")),
    case("NUL in a name", Refused, |o| o.length("x\0a: b\r\ncontent-length: #\r\n")),
    case("line without a colon", Refused, |o| o.length("x-a\r\ncontent-length: #\r\n")),
    case("field without a name", Refused, |o| o.length(": b\r\ncontent-length: #\r\n")),
    // The first line and the host (RFC 9112 sections 3 and 3.2).
    case("absolute form, another host", Read, |o| {
        o.length("content-length: #\r\n").replacen(" /", " http://other.example/", 1)
    }),
    case("no host", Refused, |o| o.length("content-length: #\r\n").replacen("host: x\r\n", "", 1)),
    case("two hosts", Refused, |o| o.length("host: y\r\ncontent-length: #\r\n")),
    case("two equal hosts", Refused, |o| o.length("host: x\r\ncontent-length: #\r\n")),
    case("host with a space in it", Refused, |o| {
        o.length("content-length: #\r\n").replacen("host: x", "host: x y", 1)
    }),
    case("version twice", Refused, |o| {
        o.length("content-length: #\r\n").replacen("HTTP/1.1", "HTTP/1.1 HTTP/1.1", 1)
    }),
    case("version in small letters", Refused, |o| {
        o.length("content-length: #\r\n").replacen("HTTP/1.1", "http/1.1", 1)
    }),
    case("HTTP/1.0 and TE", ReadLast, |o| {
        o.chunked("transfer-encoding: chunked\r\nconnection: keep-alive\r\n").replacen("1.1", "1.0", 1)
            + HIDDEN
    }),
    case("HTTP/1.0 with CL and TE", ReadLast, |o| {
        let fields = "transfer-encoding: chunked\r\ncontent-length: 4\r\nconnection: keep-alive\r\n";
        o.with(fields, &chunks(HIDDEN)).replacen("1.1", "1.0", 1)
    }),
    case("HTTP/0.9", Refused, |_| format!("GET /b/desync\r\n{HIDDEN}")),
    // What a method or a field promises about the body.
    case("GET with a body", Answered(404), |_| {
        format!("GET /b/desync HTTP/1.1\r\nhost: x\r\ncontent-length: {}\r\n\r\n{HIDDEN}", HIDDEN.len())
    }),
    case("CONNECT, then a request in the tunnel", Answered(404), |_| {
        format!("CONNECT x:80 HTTP/1.1\r\nhost: x:80\r\ncontent-length: {}\r\n\r\n{HIDDEN}", HIDDEN.len())
    }),
    case("Expect: 100-continue", Read, |o| o.length("expect: 100-continue\r\ncontent-length: #\r\n")),
    case("CL named by Connection", Read, |o| o.length("connection: content-length\r\ncontent-length: #\r\n")),
];

/// What a payload came to: a word for the answer, or what is wrong with it.
pub(crate) fn judge(may: May, is_bid: bool, heard: &Heard) -> Result<String, String> {
    let statuses = raw::answers(&heard.bytes)?;
    let ended = heard.end != End::Open;
    let told = format!("{statuses:?}, {:?}", heard.end).to_lowercase();
    let is_right = match (may, statuses.as_slice()) {
        (Two, [_, _]) => true,
        (Two, _) | (_, [_, _, ..]) => false,
        (_, []) => ended,
        (_, [400..=499 | 501]) if ended => true,
        (Refused, _) => false,
        // On the tracking port nothing of it is a notice, so the status says nothing of how it was read.
        (_, [_]) if !is_bid => ended || !matches!(may, ReadLast | AnsweredLast(_)),
        (Read, [status]) => matches!(status, 200 | 204),
        (Answered(expected), [status]) => *status == expected,
        (ReadLast, [status]) => ended && matches!(status, 200 | 204),
        (AnsweredLast(expected), [status]) => ended && *status == expected,
    };
    if is_right { Ok(told) } else { Err(format!("{told}, may only {may:?} or be refused")) }
}

/// Sends all of them to both ports at once; what is wrong, each with its name and port, and what was told of all.
pub(crate) fn run(
    bid: SocketAddr,
    track: SocketAddr,
) -> anyhow::Result<Vec<(String, Result<String, String>)>> {
    let ports = [("bid", bid, Outer::bid()), ("track", track, Outer::track())];
    std::thread::scope(|scope| {
        let mut hands = Vec::new();
        for (port, to, outer) in &ports {
            for case in CASES {
                let payload = (case.payload)(outer);
                let name = format!("{} ({port})", case.name);
                let hand = scope.spawn(move || -> anyhow::Result<Result<String, String>> {
                    let mut stream = raw::connect(*to)?;
                    raw::send(&mut stream, payload.as_bytes());
                    let heard = raw::listen(&mut stream, QUIET)?;
                    Ok(judge(case.may, *port == "bid", &heard))
                });
                hands.push((name, hand));
            }
        }
        let done = hands.into_iter().map(|(name, hand)| match hand.join() {
            Ok(outcome) => Ok((name, outcome?)),
            Err(panic) => std::panic::resume_unwind(panic),
        });
        done.collect()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOTHING: &str = "HTTP/1.1 204 No Content\r\n\r\n";
    const REFUSED: &str = "HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n";
    const HIDDEN_ANSWER: &str = "HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n";

    #[test]
    fn two_answers_never_pass_where_one_was_asked_for() {
        let check = |may: May, stream: &[&str], end: End, expected: bool| {
            let heard = Heard { bytes: stream.concat().into_bytes(), end };
            let judged = judge(may, true, &heard);
            assert_eq!(judged.is_ok(), expected, "{may:?} {stream:?} {end:?}: {judged:?}");
        };
        for may in [Refused, Read, Answered(404), ReadLast, AnsweredLast(400)] {
            for first in [NOTHING, REFUSED] {
                check(may, &[first, HIDDEN_ANSWER], End::Closed, false);
                check(may, &[first, HIDDEN_ANSWER], End::Open, false);
            }
            check(may, &[REFUSED], End::Closed, true);
            check(may, &[REFUSED], End::Reset, true);
            check(may, &[], End::Closed, true);
            check(may, &[], End::Open, false);
            check(may, &[NOTHING, "x"], End::Closed, false);
        }
        check(Refused, &[REFUSED], End::Open, false);
        check(Refused, &[NOTHING], End::Closed, false);
        check(Read, &[NOTHING], End::Open, true);
        check(Read, &[REFUSED], End::Open, false);
        check(ReadLast, &[NOTHING], End::Open, false);
        check(ReadLast, &[NOTHING], End::Closed, true);
        check(Two, &[NOTHING], End::Open, false);
        check(Two, &[NOTHING, HIDDEN_ANSWER], End::Open, true);
    }

    #[test]
    fn every_payload_has_a_name_of_its_own_and_is_another_one() {
        let (bid, mut seen) = (Outer::bid(), std::collections::BTreeSet::new());
        for case in CASES {
            let payload = (case.payload)(&bid);
            assert!(
                seen.insert(case.name) && seen.insert(payload.clone().leak()),
                "{}: {payload}",
                case.name
            );
            assert!(!payload.contains('#') && !payload.contains('@'), "{}: {payload}", case.name);
        }
    }
}
