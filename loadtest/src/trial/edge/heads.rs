//! Trials E4 and E5: heads that are too much, and heads of another protocol. The ports for bids and tracking speak
//! HTTP/1.1 only; TLS and HTTP/2 end in front of them.

use super::super::account::EXCHANGE;
use super::super::server::{Server, Site};
use super::super::table::Table;
use super::raw::{self, End};
use std::io::Write;
use std::net::SocketAddr;
use std::time::Duration;

const QUIET: Duration = Duration::from_millis(1_000);
/// An endless head is given up after so many bytes: no server should have read them.
const ENDLESS: usize = 64 << 20;
/// Endless heads at once.
const AT_ONCE: usize = 100;
/// Memory that they may cost each: the longest head twice, because a buffer grows by doubling.
const MOST_EACH: u64 = 64 << 10;
/// Memory that comes and goes by itself.
const SLACK: u64 = 8 << 20;

/// E4.
pub(crate) fn bombs(site: &Site, server: &Server, table: &mut Table<'_>) -> anyhow::Result<()> {
    let fields = |count: usize| (0..count).map(|n| format!("x-{n}: y\r\n")).collect::<String>();
    let bombs: [(&str, String, &[u16]); 7] = [
        ("64 fields, which is the most", fields(63), &[404]),
        ("65 fields", fields(64), &[431]),
        ("10,000 fields", fields(10_000), &[431]),
        ("a field of 64 KiB", format!("x: {}\r\n", "y".repeat(65_536)), &[431]),
        ("a field of 4 MiB", format!("x: {}\r\n", "y".repeat(4 << 20)), &[431]),
        ("a name of 64 KiB", format!("{}: y\r\n", "x".repeat(65_536)), &[431]),
        ("10,000 equal fields", "cookie: a=b\r\n".repeat(10_000), &[431]),
    ];
    for (port, to) in [("bid", site.at[0]), ("track", site.at[1])] {
        for (name, fields, expected) in &bombs {
            let request = format!("GET /bomb HTTP/1.1\r\nhost: x\r\n{fields}\r\n");
            one(to, &format!("{name} ({port})"), &request, expected, table)?;
        }
        let request = format!("GET /{} HTTP/1.1\r\nhost: x\r\n\r\n", "x".repeat(70_000));
        one(to, &format!("a target of 70 kB ({port})"), &request, &[414, 431], table)?;
        for (name, start, more) in [
            ("one line", "GET /bomb HTTP/1.1\r\nhost: x\r\nx: ", "yyyyyyyyyyyyyyyy"),
            ("many lines", "GET /bomb HTTP/1.1\r\nhost: x\r\n", "x: yyyyyyyyyyy\r\n"),
            ("a target", "GET /", "xxxxxxxxxxxxxxxx"),
            ("empty lines before it", "", "\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n"),
        ] {
            let before = server.rss_bytes()?;
            let (longest, peak) = endless(to, server, start, more)?;
            let grown = peak.saturating_sub(before);
            table.check(
                "E4",
                format!("{AT_ONCE} endless heads, {name} ({port})"),
                format!("ended after at most {} KiB of each, memory +{} KiB", longest >> 10, grown >> 10),
                format!("ended, +{} KiB", (MOST_EACH * AT_ONCE as u64 + SLACK) >> 10),
                longest < ENDLESS && grown <= MOST_EACH * AT_ONCE as u64 + SLACK,
            );
        }
    }
    Ok(())
}

fn one(
    to: SocketAddr,
    what: &str,
    request: &str,
    expected: &[u16],
    table: &mut Table<'_>,
) -> anyhow::Result<()> {
    let mut stream = raw::connect(to)?;
    raw::send(&mut stream, request.as_bytes());
    let heard = raw::listen(&mut stream, QUIET)?;
    let statuses = raw::answers(&heard.bytes);
    let figure = format!("{statuses:?}, {:?}", heard.end).to_lowercase();
    // Whoever still sends when it is refused may meet a reset before it has read why.
    let is_right = match statuses.as_deref() {
        Ok([status]) if expected.contains(status) => *status == 404 || heard.end != End::Open,
        Ok([]) => heard.end == End::Reset && request.len() > 65_536,
        _ => false,
    };
    let expected: Vec<String> = expected.iter().map(u16::to_string).collect();
    table.check("E4", what, figure, expected.join(" or "), is_right);
    Ok(())
}

/// Sends heads without an end over many connections in turn; how many bytes the most patient took, and the most memory
/// meanwhile. What the kernel's buffers hold counts as taken.
fn endless(to: SocketAddr, server: &Server, start: &str, more: &str) -> anyhow::Result<(usize, u64)> {
    let chunk = more.repeat(4_096 / more.len());
    let mut streams = Vec::new();
    for _ in 0..AT_ONCE {
        let mut stream = raw::connect(to)?;
        raw::send(&mut stream, start.as_bytes());
        streams.push(stream);
    }
    let (mut sent, mut peak) = (0, 0);
    while !streams.is_empty() && sent < ENDLESS {
        streams.retain_mut(|stream| stream.write_all(chunk.as_bytes()).is_ok());
        sent += chunk.len();
        peak = peak.max(server.rss_bytes()?);
    }
    Ok((sent, peak))
}

/// A SETTINGS frame, then a HEADERS frame and its RST_STREAM, many times (RFC 9113 section 6).
fn h2_frames() -> Vec<u8> {
    let mut bytes = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0".to_vec();
    for stream in (1..2_000u32).step_by(2) {
        bytes.extend([0, 0, 1, 1, 5]);
        bytes.extend(stream.to_be_bytes());
        bytes.push(0x82);
        bytes.extend([0, 0, 4, 3, 0]);
        bytes.extend(stream.to_be_bytes());
        bytes.extend([0, 0, 0, 8]);
    }
    bytes
}

/// E5.
pub(crate) fn h2(site: &Site, table: &mut Table<'_>) -> anyhow::Result<()> {
    for (port, to) in [("bid", site.at[0]), ("track", site.at[1])] {
        let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
        for (name, bytes) in
            [("h2 preface", preface), ("h2 preface, 1,000 streams reset at once", h2_frames())]
        {
            let mut stream = raw::connect(to)?;
            raw::send(&mut stream, &bytes);
            let heard = raw::listen(&mut stream, QUIET)?;
            let statuses = raw::answers(&heard.bytes);
            let is_right = matches!(statuses.as_deref(), Ok([] | [400 | 505])) && heard.end != End::Open;
            let figure = format!("{statuses:?}, {:?}", heard.end).to_lowercase();
            table.check("E5", format!("{name} ({port})"), figure, "400 or nothing, and closed", is_right);
        }
        for upgrade in ["h2c", "websocket", "TLS/1.0"] {
            let mut stream = raw::connect(to)?;
            let request = format!(
                "GET /openrtb2/{EXCHANGE} HTTP/1.1\r\nhost: x\r\nconnection: Upgrade, HTTP2-Settings\r\n\
                 upgrade: {upgrade}\r\nhttp2-settings: AAMAAABkAAQCAAAAAAIAAAAA\r\n\r\n"
            );
            raw::send(&mut stream, request.as_bytes());
            let heard = raw::listen(&mut stream, QUIET)?;
            let (statuses, switched) = (raw::answers(&heard.bytes), heard.bytes.starts_with(b"HTTP/1.1 101"));
            let is_right = statuses.as_deref() == Ok(&[404]) && !switched;
            let figure = format!("{statuses:?}");
            table.check("E5", format!("upgrade: {upgrade} ({port})"), figure, "404, not 101", is_right);
        }
    }
    Ok(())
}
