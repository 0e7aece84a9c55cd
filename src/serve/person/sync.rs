//! `/sync/{exchange}`: which of our cookies an exchange's id stands for (OpenRTB 2.6 appendix C, "Cookie Based ID Syncing").
//!
//! Both directions: the exchange hosts the table and sends browsers here without its id, to be sent back with our uid
//! (`user.buyeruid` in its requests); or we host it, and the browser brings the exchange's id (`user.id` there). 204 where
//! privacy says no, where the browser opted out, and for exchanges that are not configured.

use super::People;
use super::said::{self, Said};
use super::visitor::{has_opted_out, sections, signals};
use crate::model::exchange::{ExchangeProfile, GdprDefault, UID_MACRO};
use crate::model::ids::UserKey;
use crate::model::url::HttpUrl;
use crate::privacy::{Rules, judge};
use crate::serve::http::{Answer, empty};
use crate::telemetry::catalogue;
use hyper::body::Incoming;
use hyper::header::{CACHE_CONTROL, HeaderValue, LOCATION, SET_COOKIE};
use hyper::{Request, StatusCode};

/// How long an exchange's id stands for a cookie without being heard of again: 60 days, the longest that is usual.
const MATCH_LIFE_S: i64 = 60 * 86_400;
/// What stands for our uid in the address that a browser is sent to. An exchange that has it in its own address escapes it.
const MACROS: [&str; 3] = [UID_MACRO, "$UID", "{uid}"];
/// Longest id of an exchange.
const MAX_ID: usize = 512;

impl People {
    pub(super) fn sync(&self, exchange: &str, request: &Request<Incoming>) -> Answer {
        let snapshot = self.shared.snapshots.load();
        let Some(profile) = snapshot.catalog.exchange(exchange) else {
            // No label of a stranger's making.
            return empty(StatusCode::NOT_FOUND);
        };
        let (answer, outcome) = self.match_ids(profile, request);
        self.shared.metrics.counter(catalogue::SYNCS, &[&profile.name, outcome]).increment(1);
        answer
    }

    fn match_ids(&self, profile: &ExchangeProfile, request: &Request<Incoming>) -> (Answer, &'static str) {
        let said = Said::of_query(request.uri().query().unwrap_or_default());
        if said.too_long().is_some() {
            return (empty(StatusCode::BAD_REQUEST), "bad_input");
        }
        let target = match said::text(&said.redirect).map(|url| Target::parse(url, profile)) {
            Some(None) => return (empty(StatusCode::BAD_REQUEST), "bad_redirect"),
            // Who brings an id has its own table; who brings none is to have ours in its own.
            Some(target) => target,
            None if said::text(&said.exchange_id).is_none() => profile.sync_url.clone().map(Target),
            None => None,
        };
        let sections = sections(&said);
        let signals = signals(&said, &sections, Some(request.headers()));
        let rules = Rules { gdpr_default: GdprDefault::Applies, policy: self.shared.settings.privacy };
        let permissions = judge(&signals, &rules);
        if has_opted_out(request.headers()) {
            return (empty(StatusCode::NO_CONTENT), "opted_out");
        }
        let (Some(store), Some(_ids)) = (permissions.store(), permissions.ids()) else {
            return (empty(StatusCode::NO_CONTENT), "privacy");
        };
        let (uid, is_new) = match self.uids.read(request.headers()) {
            Some(uid) => (uid, false),
            None => (self.uids.make(store), true),
        };
        let their_id = said::text(&said.exchange_id).filter(|id| id.len() <= MAX_ID);
        if let Some(their_id) = their_id {
            let key = self.shared.id_key();
            let (matched, cookie): (UserKey, UserKey) = (key.matched(profile.id, their_id), key.cookie(&uid));
            let expires_s = self.shared.clock.now().unix_s() + MATCH_LIFE_S;
            self.shared.people().write(|writer| writer.link(matched, cookie, Some(expires_s)));
        }
        let outcome = match (their_id.is_some(), is_new) {
            (true, _) => "matched",
            (false, true) => "new",
            (false, false) => "known",
        };
        let mut answer = match target.map(|target| target.with(&uid)) {
            Some(location) => {
                let mut answer = empty(StatusCode::FOUND);
                answer.headers_mut().insert(LOCATION, location);
                answer
            }
            None => super::pixel(),
        };
        let headers = answer.headers_mut();
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        // Also for a known one: so that it lives on.
        headers.append(SET_COOKIE, self.uids.cookie(&uid, store));
        (answer, outcome)
    }
}

/// Where an exchange wants its browser back.
struct Target(String);

impl Target {
    /// An https address on a host that the exchange's profile names; anything else would make us a redirector for
    /// anybody.
    fn parse(url: &str, profile: &ExchangeProfile) -> Option<Target> {
        let parsed = HttpUrl::parse(&filled(url, "uid")).ok()?;
        let is_theirs = parsed.is_https() && parsed.host_is_one_of(&profile.sync_domains);
        is_theirs.then(|| Target(url.to_owned()))
    }

    fn with(self, uid: &str) -> HeaderValue {
        HeaderValue::from_str(&filled(&self.0, uid)).unwrap_or(HeaderValue::from_static("about:blank"))
    }
}

/// A uid is base64url, so it needs no escape.
fn filled(url: &str, uid: &str) -> String {
    MACROS.iter().fold(url.to_owned(), |url, name| url.replace(name, uid))
}
