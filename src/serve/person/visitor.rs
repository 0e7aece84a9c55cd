//! Who visits: the signed cookie that names a browser, the cookie that says no, and the signals of privacy that a request
//! carries.

use super::said::Said;
use crate::audience::IdKey;
use crate::model::country::Country;
use crate::privacy::{Signals, StoreOnDevice};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use hyper::HeaderMap;
use hyper::header::{COOKIE, HeaderValue};
use sha2::Sha256;

/// The name that browsers bind to this very host (RFC 6265bis section 4.1.3.2). Not partitioned: a partitioned cookie has
/// one uid a site and cannot be matched across sites (money.md 3.3).
const UID: &str = "__Host-uid";
const OPT_OUT: &str = "__Host-optout";
/// Says no for five years.
pub(super) const OPT_OUT_COOKIE: &str =
    "__Host-optout=1; Max-Age=157680000; Path=/; Secure; SameSite=None; HttpOnly";
/// Takes the uid away.
pub(super) const NO_UID_COOKIE: &str = "__Host-uid=; Max-Age=0; Path=/; Secure; SameSite=None; HttpOnly";
pub(super) const OPTED_OUT: &str = "You are opted out in this browser: it is not recognised any more, and what was known of \
it is erased. A cookie remembers this; without cookies there is nothing to opt out of.\n";

/// Seconds for which a uid is kept: 390 days, a little under the most that browsers keep a cookie (400 days, RFC 6265bis).
const UID_LIFE_S: u32 = 390 * 86_400;
/// Bytes of a uid and of its tag.
const UID_BYTES: usize = 16;
const TAG_BYTES: usize = 12;

/// Makes and reads uids.
pub(super) struct Uids(Hmac<Sha256>);

impl Uids {
    /// Signed under what is derived from the identity key: who changes that one forgets everybody anyway.
    pub(super) fn of(key: &IdKey) -> Uids {
        let mut derived = Hmac::<Sha256>::new_from_slice(&key.0).expect("HMAC takes a key of any length");
        derived.update(b"outbid uid cookie");
        let derived = derived.finalize().into_bytes();
        Uids(Hmac::new_from_slice(&derived).expect("HMAC takes a key of any length"))
    }

    /// The browser's uid, if it has one of ours and has not opted out.
    pub(super) fn read(&self, headers: &HeaderMap) -> Option<String> {
        if has_opted_out(headers) {
            return None;
        }
        let (uid, tag) = cookie(headers, UID)?.split_once('.')?;
        let tag: [u8; TAG_BYTES] = URL_SAFE_NO_PAD.decode(tag).ok()?.try_into().ok()?;
        let mut mac = self.0.clone();
        mac.update(uid.as_bytes());
        mac.verify_truncated_left(&tag).ok().map(|()| uid.to_owned())
    }

    /// A new uid.
    pub(super) fn make(&self, _proof: StoreOnDevice) -> String {
        URL_SAFE_NO_PAD.encode(rand::random::<[u8; UID_BYTES]>())
    }

    /// The cookie that sets it.
    pub(super) fn cookie(&self, uid: &str, _proof: StoreOnDevice) -> HeaderValue {
        let mut mac = self.0.clone();
        mac.update(uid.as_bytes());
        let tag = mac.finalize().into_bytes();
        let tag = URL_SAFE_NO_PAD.encode(&tag[..TAG_BYTES]);
        let text =
            format!("{UID}={uid}.{tag}; Max-Age={UID_LIFE_S}; Path=/; Secure; SameSite=None; HttpOnly");
        HeaderValue::from_str(&text).expect("base64 is plain ASCII")
    }
}

/// Whether the browser says no.
pub(super) fn has_opted_out(headers: &HeaderMap) -> bool {
    cookie(headers, OPT_OUT).is_some()
}

fn cookie<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    let all = headers.get_all(COOKIE).into_iter().filter_map(|value| value.to_str().ok());
    all.flat_map(|value| value.split(';')).find_map(|pair| {
        let (found, value) = pair.trim().split_once('=')?;
        (found == name).then_some(value)
    })
}

/// What a request says about privacy, by its parameters and its browser. Where nobody says in which country the person
/// is, nobody knows.
pub(super) fn signals<'a>(
    said: &'a Said<'_>,
    sections: &'a [i64],
    headers: Option<&HeaderMap>,
) -> Signals<'a> {
    let header = |name: &str| headers.is_some_and(|h| h.get(name).is_some_and(|value| value == "1"));
    let is_set = |flag: &Option<_>| -> bool { super::said::text(flag) == Some("1") };
    Signals {
        coppa: is_set(&said.coppa),
        lmt: is_set(&said.lmt),
        dnt: header("dnt"),
        gpc: header("sec-gpc") || is_set(&said.gpc),
        gdpr: match super::said::text(&said.gdpr) {
            Some("1") => Some(true),
            Some("0") => Some(false),
            // What is no answer is no permission: the gate asks where the person is.
            _ => None,
        },
        consent: super::said::text(&said.gdpr_consent),
        gpp: super::said::text(&said.gpp),
        gpp_sid: sections,
        us_privacy: super::said::text(&said.us_privacy),
        country: super::said::text(&said.country).and_then(Country::parse),
        out_of_home: false,
    }
}

/// `gpp_sid` of a query: numbers with commas between. What is no number counts as "unknown" (0), which grants nothing.
pub(super) fn sections(said: &Said<'_>) -> Vec<i64> {
    let list = super::said::text(&said.gpp_sid).unwrap_or_default();
    let parts = list.split([',', ';', '_']).map(str::trim).filter(|part| !part.is_empty());
    parts.map(|part| part.parse().unwrap_or(0)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::privacy::{Policy, Rules, judge};

    fn headers(cookie: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(COOKIE, HeaderValue::from_str(cookie).unwrap());
        headers
    }

    #[test]
    fn a_uid_is_ours_only_with_its_tag_and_only_without_an_opt_out() {
        let signals = Signals { gdpr: Some(false), ..Signals::default() };
        let rules =
            Rules { gdpr_default: crate::model::exchange::GdprDefault::Applies, policy: Policy::default() };
        let proof = judge(&signals, &rules).store().expect("nothing forbids it");
        let uids = Uids::of(&IdKey([7; 16]));
        let uid = uids.make(proof);
        let set = uids.cookie(&uid, proof);
        let pair = set.to_str().unwrap().split(';').next().unwrap().to_owned();
        assert_eq!(uids.read(&headers(&format!("a=b; {pair}; c=d"))), Some(uid.clone()));
        assert_eq!(uids.read(&headers(&format!("{pair}; __Host-optout=1"))), None);
        assert_eq!(uids.read(&headers(&format!("__Host-uid={uid}"))), None);
        assert_eq!(uids.read(&headers(&pair.replace("=", "=A"))), None);
        assert_eq!(uids.read(&headers(&pair[..pair.len() - 1])), None);
        assert_eq!(Uids::of(&IdKey([8; 16])).read(&headers(&pair)), None);
    }
}
