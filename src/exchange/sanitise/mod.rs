//! A bid request without what names the person or the household, for what is kept of requests.
//!
//! Invariants: of a user and a device only what is listed here stays, whatever a request calls it; a member that nobody
//! listed is gone. What decisions read of a place, an impression and the rules of the request stays as it was sent, so that the
//! request is decided as before with what was known of the person beside it (`engine::Remembered`).
//!
//! What stays of a person: keywords and the segments that the request names, by their ids; of a device what it is and in which town.
//! Coordinates are rounded to a tenth of a degree, about 11 km. An address stays as its block only, 24 bits of
//! IPv4 and 48 of IPv6, and only where some rule reads addresses. Strings of consent go: what they said is kept as the answer
//! of the privacy gate. Of URLs of places stays what comes before `?` and `#`. E-mail addresses are masked wherever they
//! stand: in paths, keywords, titles. Texts that the publisher wrote otherwise stay: whoever writes a name into the path of a page
//! has published it there.

mod email;
mod json;
mod protobuf;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The request less what names the person, in the encoding that it came in. `keeps_blocks`: some rule reads addresses, so their
/// blocks stay. `None` where it cannot be taken apart.
pub fn sanitise(body: &[u8], protobuf: bool, keeps_blocks: bool) -> Option<Vec<u8>> {
    if protobuf { protobuf::sanitise(body, keeps_blocks) } else { json::sanitise(body, keeps_blocks) }
}

/// The first address of the block that an address is of.
fn block(address: &str) -> Option<String> {
    let first = match address.trim().parse::<IpAddr>().ok()?.to_canonical() {
        IpAddr::V4(v4) => IpAddr::V4(Ipv4Addr::from_bits(v4.to_bits() & 0xFFFF_FF00)),
        IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() >> 80 << 80)),
    };
    Some(first.to_string())
}

/// A URL without its query and fragment, without the name and password that may stand before its host, and without e-mail
/// addresses in its path.
fn cut(url: &str) -> String {
    let end = url.find(['?', '#']).unwrap_or(url.len());
    let url = &url[..end];
    let host_at = url.find("//").map_or(0, |at| at + 2);
    let authority = url[host_at..].split('/').next().unwrap_or_default();
    let after = host_at + authority.rfind('@').map_or(0, |at| at + 1);
    [&url[..host_at], &email::masked(&url[after..])].concat()
}

/// A coordinate to a tenth of a degree.
fn coarse(degrees: f64) -> f64 {
    (degrees * 10.0).round() / 10.0
}

#[cfg(test)]
mod tests {
    use super::{block, cut};
    use crate::exchange::parse::host;

    #[test]
    fn a_url_keeps_its_host_and_path_alone() {
        for (given, expected) in [
            ("https://news.example/a/b?user=7#top", "https://news.example/a/b"),
            ("https://ann:secret@news.example/a", "https://news.example/a"),
            ("//news.example/a#b?c", "//news.example/a"),
            ("ann@news.example/a", "news.example/a"),
            ("news.example?u=http://b.test/", "news.example"),
            ("https://news.example/@ann", "https://news.example/@ann"),
            ("https://news.example/leave/ann@mail.example/a", "https://news.example/leave/***/a"),
            ("https://ann@news.example/leave/ann%40mail.example", "https://news.example/leave/***"),
            ("", ""),
        ] {
            assert_eq!(cut(given), expected);
            assert_eq!(host(&cut(given)), host(given), "{given}");
        }
    }

    #[test]
    fn an_address_becomes_that_of_its_block() {
        for (given, expected) in [
            (" 203.0.113.77 ", Some("203.0.113.0")),
            ("2001:db8:12:34:56::1", Some("2001:db8:12::")),
            ("::ffff:203.0.113.77", Some("203.0.113.0")),
            ("203.0.113", None),
            ("", None),
        ] {
            assert_eq!(block(given).as_deref(), expected, "{given}");
        }
    }
}
