//! Operating system and browser family of a device. Structured fields win (`sua`, `device.os`); the user agent is
//! parsed only where they are absent, once per distinct user agent and core.

use crate::model::auction::Device;
use std::borrow::Cow;
use std::collections::HashMap;
use std::hash::BuildHasher;

/// Most user agents that a core remembers; at the limit it forgets all and starts again.
const MAX_CACHED: usize = 16_384;

/// Families in lower case.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Families {
    pub(super) os: Option<Cow<'static, str>>,
    pub(super) browser: Option<Cow<'static, str>>,
    pub(super) is_crawler: bool,
}

/// What a core knows of user agents, by their hash.
#[derive(Debug, Default)]
pub(super) struct FamilyCache {
    hasher: foldhash::quality::RandomState,
    by_agent: HashMap<u64, Families, foldhash::fast::RandomState>,
}

impl FamilyCache {
    /// The families of a device: operating system, browser.
    pub(super) fn resolve<'c>(&'c mut self, device: &Device<'c>) -> (Option<&'c str>, Option<&'c str>) {
        let os = device.os.or(device.sua_platform).map(os_family);
        let browser = device.sua_browser.map(browser_family);
        if os.is_some() && browser.is_some() {
            return (os, browser);
        }
        let Some(agent) = device.ua.filter(|ua| !ua.is_empty()) else { return (os, browser) };
        let families = self.families(agent);
        (os.or(families.os.as_deref()), browser.or(families.browser.as_deref()))
    }

    fn families(&mut self, agent: &str) -> &Families {
        if self.by_agent.len() >= MAX_CACHED {
            self.by_agent.clear();
        }
        let key = self.hasher.hash_one(agent);
        self.by_agent.entry(key).or_insert_with(|| parse(agent))
    }

    /// Whether a user agent says that it is a crawler's.
    pub(super) fn is_crawler(&mut self, agent: &str) -> bool {
        self.families(agent).is_crawler
    }

    /// Whether the fields of a device cannot be true together: two operating systems of which one is a phone's, or a
    /// desktop computer that runs a phone's.
    pub(super) fn contradicts_itself(&mut self, device: &Device<'_>) -> bool {
        const PERSONAL_COMPUTER: i64 = 2;
        let is_phone = |os: &str| matches!(os, "ios" | "android");
        let is_known = |os: &str| is_phone(os) || matches!(os, "windows" | "macos" | "chromeos");
        let Some(said) = device.os.or(device.sua_platform).map(os_family) else { return false };
        // A phone may ask for the desktop's page, with an agent to suit.
        let desktop_page =
            |os: &str| is_phone(said) && matches!(os, "macos" | "windows" | "linux" | "chromeos");
        let by_agent = device.ua.and_then(|agent| self.families(agent).os.as_deref());
        let differs =
            by_agent.is_some_and(|os| os != said && is_known(os) && is_known(said) && !desktop_page(os));
        differs || (is_phone(said) && device.device_type == Some(PERSONAL_COMPUTER))
    }
}

/// Longest part of a user agent that is parsed: real ones are shorter.
const MAX_AGENT_BYTES: usize = 512;

fn parse(agent: &str) -> Families {
    let end =
        (0..=agent.len().min(MAX_AGENT_BYTES)).rev().find(|at| agent.is_char_boundary(*at)).unwrap_or(0);
    let Some(found) = woothee::parser::Parser::new().parse(&agent[..end]) else { return Families::default() };
    let known = |text: &str| (text != "UNKNOWN" && !text.is_empty()).then(|| text.to_owned());
    Families {
        os: known(found.os).map(|os| Cow::Owned(os_family(&os).to_ascii_lowercase())),
        browser: known(found.name).map(|name| Cow::Owned(browser_family(&name).to_ascii_lowercase())),
        is_crawler: found.category == "crawler",
    }
}

/// One name for the many ways in which an operating system is written; others stay as they are.
fn os_family(os: &str) -> &str {
    const NAMES: [(&str, &str); 10] = [
        ("ios", "ios"),
        ("iphone", "ios"),
        ("ipad", "ios"),
        ("android", "android"),
        ("windows", "windows"),
        ("mac", "macos"),
        ("os x", "macos"),
        ("chromeos", "chromeos"),
        ("chrome os", "chromeos"),
        ("linux", "linux"),
    ];
    family(os, &NAMES)
}

fn browser_family(browser: &str) -> &str {
    const NAMES: [(&str, &str); 8] = [
        ("microsoft edge", "edge"),
        ("edge", "edge"),
        ("opera", "opera"),
        ("samsung", "samsung"),
        ("firefox", "firefox"),
        ("google chrome", "chrome"),
        ("chrom", "chrome"),
        ("safari", "safari"),
    ];
    family(browser, &NAMES)
}

fn family<'t>(text: &'t str, names: &[(&'t str, &'t str)]) -> &'t str {
    let starts = |prefix: &str| {
        text.len() >= prefix.len() && text.as_bytes()[..prefix.len()].eq_ignore_ascii_case(prefix.as_bytes())
    };
    names.iter().find(|(prefix, _)| starts(prefix)).map_or(text, |(_, family)| family)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(device: Device<'_>, os: Option<&str>, browser: Option<&str>) {
        assert_eq!(FamilyCache::default().resolve(&device), (os, browser), "{device:?}");
    }

    #[test]
    fn crawlers_say_so_and_impossible_devices_contradict_themselves() {
        let iphone = "Mozilla/5.0 (iPhone; CPU iPhone OS 17_4 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) \
                      Version/17.4 Mobile/15E148 Safari/604.1";
        let crawler = "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)";
        let mut cache = FamilyCache::default();
        assert!(cache.is_crawler(crawler) && !cache.is_crawler(iphone));
        let mut check = |os, device_type, expected| {
            let device = Device { ua: Some(iphone), os, device_type, ..Device::default() };
            assert_eq!(cache.contradicts_itself(&device), expected, "{os:?} {device_type:?}");
        };
        check(None, Some(2), false);
        check(Some("iOS"), Some(4), false);
        check(Some("iPadOS"), Some(5), false);
        check(Some("Android"), Some(4), true);
        check(Some("Windows"), None, true);
        check(Some("iOS"), Some(2), true);
        check(Some("KaiOS"), None, false);
    }

    #[test]
    fn structured_fields_win_and_the_agent_fills_the_rest() {
        let agent = "Mozilla/5.0 (iPhone; CPU iPhone OS 17_4 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) \
                     Version/17.4 Mobile/15E148 Safari/604.1";
        check(Device { ua: Some(agent), ..Device::default() }, Some("ios"), Some("safari"));
        check(
            Device { ua: Some(agent), os: Some("Android"), ..Device::default() },
            Some("android"),
            Some("safari"),
        );
        let sua =
            Device { sua_browser: Some("Google Chrome"), sua_platform: Some("Windows"), ..Device::default() };
        check(sua, Some("windows"), Some("chrome"));
        check(Device { ua: Some("\u{1F600}"), ..Device::default() }, None, None);
        check(Device { os: Some("KaiOS"), ..Device::default() }, Some("KaiOS"), None);
    }
}
