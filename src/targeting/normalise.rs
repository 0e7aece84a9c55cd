//! What counts as the value of a field: the few transformations that the index and the naive evaluator share.
//! Case is left alone here; both compare ASCII case-insensitively.

use crate::model::auction::{Auction, Channel, Geo};
use crate::model::country::Country;
use std::net::IpAddr;

/// A text without the white space around it; an empty one is an absent one.
pub(super) fn text(value: Option<&str>) -> Option<&str> {
    value.map(str::trim).filter(|v| !v.is_empty())
}

/// The host in what a request or a rule calls a domain: without scheme, user, port, path and trailing dots.
pub(super) fn host(domain: &str) -> &str {
    let domain = domain.trim();
    let rest = domain.split_once("://").map_or(domain, |(_, rest)| rest);
    let rest = rest.trim_start_matches('/');
    let authority = rest.split(['/', '?', '#']).next().unwrap_or(rest);
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    let host = match host.rsplit_once(':') {
        Some((before, port)) if port.bytes().all(|b| b.is_ascii_digit()) => before,
        _ => host,
    };
    host.trim_end_matches('.')
}

/// The host of the site that a request comes from; an app's `domain` is its maker's and is not meant by site domains.
pub(super) fn site_host<'r>(auction: &Auction<'r>) -> Option<&'r str> {
    match &auction.channel {
        Channel::Site(site) => text(site.domain.map(host)),
        _ => None,
    }
}

/// A region as (country, subdivision): `US-CA` names its country itself, `CA` takes the one of the request.
pub(super) fn region<'r>(geo: &Geo<'r>) -> Option<(Option<Country>, &'r str)> {
    let region = text(geo.region)?;
    match region.split_once('-') {
        Some((prefix, rest)) if !rest.is_empty() => match Country::parse(prefix) {
            Some(country) => Some((Some(country), rest)),
            None => Some((geo.country, region)),
        },
        _ => Some((geo.country, region)),
    }
}

/// The addresses that a request says its device has.
pub fn addresses(auction: &Auction<'_>) -> impl Iterator<Item = IpAddr> {
    let given = [auction.device.ip, auction.device.ipv6].into_iter().flatten();
    given.filter_map(|text| text.trim().parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_domain_is_reduced_to_its_host() {
        for (given, expected) in [
            ("example.com", "example.com"),
            (" News.Example.com. ", "News.Example.com"),
            ("https://example.com:8080/a/b?c#d", "example.com"),
            ("//example.com/a", "example.com"),
            ("user:pw@example.com/", "example.com"),
            ("example.com?x=1:2", "example.com"),
            ("[2001:db8::1]:443", "[2001:db8::1]"),
            ("", ""),
            (".", ""),
        ] {
            assert_eq!(host(given), expected, "{given:?}");
        }
    }

    #[test]
    fn a_region_may_carry_its_country() {
        let check = |country: &str, given: &str, expected: Option<(Option<&str>, &str)>| {
            let geo = Geo { country: Country::parse(country), region: Some(given), ..Geo::default() };
            let expected = expected.map(|(c, code)| (c.and_then(Country::parse), code));
            assert_eq!(region(&geo), expected, "{country} {given}");
        };
        check("US", "CA", Some((Some("US"), "CA")));
        check("US", "US-CA", Some((Some("US"), "CA")));
        check("", "usa-ca", Some((Some("US"), "ca")));
        check("", "CA", Some((None, "CA")));
        check("GB", "ZZ-1", Some((Some("GB"), "ZZ-1")));
        check("US", "CA-", Some((Some("US"), "CA-")));
        check("US", " ", None);
    }
}
