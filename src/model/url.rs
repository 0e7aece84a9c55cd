//! The part of an `http` or `https` URL that decisions hang on: its scheme, host and path, read strictly.
//!
//! Browsers repair URLs (`https:evil`, `/\evil`, tabs inside the scheme), and each repair is a way round a host check.
//! So the reader here refuses whatever two readers could take for different hosts. It does not resolve, normalise or
//! decode anything: the text stays as it was written.

/// An absolute `http` or `https` URL with a plain host, as text and the places of its parts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpUrl {
    text: String,
    https: bool,
    host: std::ops::Range<usize>,
    /// Where the path starts: at `/`, `?`, `#` or the end.
    path: usize,
}

/// Why a text is not taken as a URL.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UrlError {
    /// Neither `http://` nor `https://`.
    #[error("it does not start with http:// or https://")]
    Scheme,
    /// A space, control character, backslash, quote, angle bracket or a character outside ASCII.
    #[error("the character {0:?} is not allowed in a URL; write it percent-encoded (a host: in punycode)")]
    Character(char),
    /// `user:password@` before the host.
    #[error("a user name or password before the host is not allowed")]
    UserInfo,
    /// No host, or one that is neither a name nor an address.
    #[error("the host is missing or malformed")]
    Host,
    /// A port that is not 1–65535.
    #[error("the port is not a number from 1 to 65535")]
    Port,
}

impl HttpUrl {
    /// Reads a URL; macros such as `{CREATIVE_ID}` or `${AUCTION_ID}` may stand behind the host.
    pub fn parse(text: &str) -> Result<HttpUrl, UrlError> {
        if let Some(odd) =
            text.chars().find(|c| !c.is_ascii_graphic() || matches!(c, '\\' | '"' | '<' | '>' | '`'))
        {
            return Err(UrlError::Character(odd));
        }
        let https = starts_with(text, "https://");
        let start = match (https, starts_with(text, "http://")) {
            (true, _) => "https://".len(),
            (_, true) => "http://".len(),
            _ => return Err(UrlError::Scheme),
        };
        let path = text[start..].find(['/', '?', '#']).map_or(text.len(), |at| start + at);
        let authority = &text[start..path];
        if authority.contains('@') {
            return Err(UrlError::UserInfo);
        }
        let (host, port) = split_port(authority).ok_or(UrlError::Host)?;
        if port.is_some_and(|p| !p.parse::<u16>().is_ok_and(|n| n > 0) || p.starts_with('+')) {
            return Err(UrlError::Port);
        }
        let is_address = host.strip_prefix('[').and_then(|h| h.strip_suffix(']')).is_some_and(is_ipv6);
        if !is_address && !is_host(host) {
            return Err(UrlError::Host);
        }
        Ok(HttpUrl { text: text.to_owned(), https, host: start..start + host.len(), path })
    }

    /// The URL as it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether the scheme is `https`.
    pub fn is_https(&self) -> bool {
        self.https
    }

    /// The host as it was written, without the port; compare it case-insensitively.
    pub fn host(&self) -> &str {
        &self.text[self.host.clone()]
    }

    /// Path, query and fragment; empty or starting with `/`, `?` or `#`.
    pub fn path_and_more(&self) -> &str {
        &self.text[self.path..]
    }

    /// Whether the host equals one of `domains`, ASCII case aside. Subdomains must be listed themselves.
    pub fn host_is_one_of<D: AsRef<str>>(&self, domains: &[D]) -> bool {
        domains.iter().any(|domain| domain.as_ref().eq_ignore_ascii_case(self.host()))
    }
}

fn starts_with(text: &str, prefix: &str) -> bool {
    text.get(..prefix.len()).is_some_and(|head| head.eq_ignore_ascii_case(prefix))
}

/// Host (with its brackets, if it has them) and port.
fn split_port(authority: &str) -> Option<(&str, Option<&str>)> {
    if authority.starts_with('[') {
        let close = authority.find(']')? + 1;
        return match &authority[close..] {
            "" => Some((authority, None)),
            rest => rest.strip_prefix(':').map(|port| (&authority[..close], Some(port))),
        };
    }
    Some(match authority.split_once(':') {
        Some((host, port)) => (host, Some(port)),
        None => (authority, None),
    })
}

fn is_ipv6(text: &str) -> bool {
    text.parse::<std::net::Ipv6Addr>().is_ok()
}

/// Whether `text` is a host name as DNS and browsers agree on it: labels of 1–63 letters, digits, hyphens and
/// underscores (they occur), none at an edge of a label but the underscore, at most 253 in all, no final dot.
pub fn is_host(text: &str) -> bool {
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
    };
    text.len() <= 253 && text.split('.').all(is_label)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: Result<(bool, &str, &str), UrlError>) {
        let url = HttpUrl::parse(text);
        let found = url.as_ref().map(|u| (u.is_https(), u.host(), u.path_and_more())).map_err(|e| *e);
        assert_eq!(found, expected, "{text}");
    }

    #[test]
    fn the_host_is_what_every_reader_would_take() {
        check("https://Shop.example/a?b#c", Ok((true, "Shop.example", "/a?b#c")));
        check("http://127.0.0.1:8081", Ok((false, "127.0.0.1", "")));
        check("HTTPS://[2001:db8::1]:8443/x", Ok((true, "[2001:db8::1]", "/x")));
        check("https://a.example?u=https://b.example/", Ok((true, "a.example", "?u=https://b.example/")));
        check(
            "https://a.example/{CREATIVE_ID}/${AUCTION_ID}",
            Ok((true, "a.example", "/{CREATIVE_ID}/${AUCTION_ID}")),
        );
    }

    #[test]
    fn what_readers_could_disagree_on_is_refused() {
        check("//evil.example", Err(UrlError::Scheme));
        check("javascript:alert(1)", Err(UrlError::Scheme));
        check("https:evil.example", Err(UrlError::Scheme));
        check("https:///evil.example", Err(UrlError::Host));
        check("https://a.example\\@evil.example", Err(UrlError::Character('\\')));
        check("https://a.example@evil.example", Err(UrlError::UserInfo));
        check("https://a.example\r\nX: y", Err(UrlError::Character('\r')));
        check("https://b\u{fc}cher.example", Err(UrlError::Character('\u{fc}')));
        check("https://a.example%2eevil.example", Err(UrlError::Host));
        check("https://a.example./", Err(UrlError::Host));
        check("https://a..example/", Err(UrlError::Host));
        check("https://a.example:0/", Err(UrlError::Port));
        check("https://a.example:+80/", Err(UrlError::Port));
        check("https://a.example:99999/", Err(UrlError::Port));
        check("https://[::1/", Err(UrlError::Host));
        check("https://", Err(UrlError::Host));
        check("", Err(UrlError::Scheme));
    }

    #[test]
    fn a_landing_domain_is_the_host_itself() {
        let url = HttpUrl::parse("https://Shop.example/sale").unwrap();
        assert!(url.host_is_one_of(&["other.example", "shop.EXAMPLE"]));
        assert!(!url.host_is_one_of(&["example", "op.example", "www.shop.example"]));
    }
}
