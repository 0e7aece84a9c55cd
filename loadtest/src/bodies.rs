//! A visit written as an OpenRTB bid request, the way exchanges write them: some in the places of OpenRTB 2.5, some in
//! those of 2.6, with the identifiers, lists and extensions around what a decision needs.
//!
//! Invariant: body number n of a seed is the same bytes for ever. Addresses are of the documentation networks
//! (RFC 5737), names under `.example`; nobody is meant.

use crate::json::Object;
use crate::market::dice::{Dice, cookie};
use crate::market::facts::{self, CATEGORIES, DEVICES, PLACES};
use crate::market::visit::{Channel, Privacy, Visit, Visitor, Visits};
use crate::world::World;

/// (city, start of its postal codes, minutes from UTC) by position in [`PLACES`].
#[rustfmt::skip]
const CITIES: [(&str, &str, i32); PLACES.len()] = [
    ("Los Angeles", "900", -480), ("Houston", "770", -360), ("Miami", "331", -300), ("New York", "100", -300),
    ("Philadelphia", "191", -300), ("Chicago", "606", -360), ("Columbus", "432", -300), ("Atlanta", "303", -300),
    ("Charlotte", "282", -300), ("Detroit", "482", -300), ("Newark", "071", -300), ("Seattle", "981", -480),
    ("Phoenix", "850", -420), ("Boston", "021", -300), ("Toronto", "M5V", -300), ("Montreal", "H2Y", -300),
    ("London", "EC1", 0), ("Berlin", "101", 60), ("Ciudad de Mexico", "060", -360), ("Sao Paulo", "010", -180),
    ("Sydney", "200", 600), ("Tokyo", "100", 540),
];

/// What a device says of itself, by position in [`DEVICES`].
struct Model {
    make: &'static str,
    model: &'static str,
    osv: &'static str,
    version: &'static str,
    ua: &'static str,
    screen: (u16, u16),
}

#[rustfmt::skip]
const MODELS: [Model; DEVICES.len()] = [
    Model { make: "Samsung", model: "SM-S921U", osv: "14", version: "126.0.6478.122", screen: (1080, 2340),
        ua: "Mozilla/5.0 (Linux; Android 14; SM-S921U) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Mobile Safari/537.36" },
    Model { make: "Apple", model: "iPhone15,2", osv: "17.5.1", version: "17.5", screen: (1179, 2556),
        ua: "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.5 Mobile/15E148 Safari/604.1" },
    Model { make: "", model: "", osv: "10.0", version: "126.0.6478.127", screen: (1920, 1080),
        ua: "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36" },
    Model { make: "", model: "", osv: "10.0", version: "126.0.2592.87", screen: (1536, 864),
        ua: "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36 Edg/126.0.0.0" },
    Model { make: "Apple", model: "Macintosh", osv: "10.15.7", version: "17.5", screen: (1440, 900),
        ua: "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.5 Safari/605.1.15" },
    Model { make: "", model: "", osv: "", version: "127.0", screen: (1920, 1200),
        ua: "Mozilla/5.0 (X11; Linux x86_64; rv:127.0) Gecko/20100101 Firefox/127.0" },
    Model { make: "Apple", model: "iPad13,18", osv: "17.5.1", version: "17.5", screen: (1640, 2360),
        ua: "Mozilla/5.0 (iPad; CPU OS 17_5_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.5 Mobile/15E148 Safari/604.1" },
    Model { make: "Samsung", model: "QN65Q80", osv: "7.0", version: "5.0", screen: (1920, 1080),
        ua: "Mozilla/5.0 (SMART-TV; LINUX; Tizen 7.0) AppleWebKit/537.36 (KHTML, like Gecko) 94.0.4606.31/7.0 TV Safari/537.36" },
];

/// A well-formed TCF string that grants nothing to anybody.
const CONSENT: &str = "CPXxRfAPXxRfAAfKABENB-CgAAAAAAAAAAYgAAAAAAAA";

/// Categories that every publisher blocks: illegal content, adult content, tobacco, weapons and the like.
const ALWAYS_BLOCKED: [&str; 9] =
    ["IAB7-39", "IAB7-44", "IAB8-5", "IAB8-18", "IAB9-9", "IAB14-3", "IAB24", "IAB25-3", "IAB26"];

/// Advertisers' attributes that publishers block: auto-play audio, expanding, pop, annoying, interactive alerts.
const BLOCKED_ATTRIBUTES: [i64; 6] = [1, 3, 5, 8, 9, 10];

/// Writes bodies for one world.
#[derive(Clone, Debug)]
pub(crate) struct Bodies {
    world_seed: u64,
    visits: Visits,
}

impl Bodies {
    /// Requests of traffic number `seed` to the world.
    pub(crate) fn new(world: &World, seed: u64) -> Bodies {
        Bodies { world_seed: world.seed, visits: Visits::new(seed, world.users) }
    }

    /// Body number `n`.
    pub(crate) fn body(&self, n: u64) -> String {
        let (request, ext) = self.parts(n, |_| None);
        request.object("ext", ext).finish()
    }

    /// Request number `n` up to its extension, and the extension; `medium` gives an impression's medium in place of
    /// its banner, by name. Without such a medium the bytes are those of [`Bodies::body`].
    pub(crate) fn parts(
        &self,
        n: u64,
        medium: impl FnMut(usize) -> Option<(&'static str, Object)>,
    ) -> (Object, Object) {
        let (visit, mut dice) = self.visits.draw(n);
        self.request(&visit, medium, &mut dice)
    }

    /// Request number `n` as exchanges write it that send the least, up to its extension.
    pub(crate) fn lean_parts(
        &self,
        n: u64,
        mut medium: impl FnMut(usize) -> Option<(&'static str, Object)>,
    ) -> (Object, Object) {
        let (visit, mut dice) = self.visits.draw(n);
        let d = &mut dice;
        let (device_type, os, ..) = DEVICES[visit.device];
        let (country, region, _) = PLACES[visit.place];
        let request = Object::default().put("id", request_id(d)).objects(
            "imp",
            (0..visit.slots.len()).map(|index| {
                let imp = Object::default().put("id", (index + 1).to_string());
                let (name, medium) = medium(index).unwrap_or_else(|| {
                    ("banner", Object::default().objects("format", formats(&visit, index)))
                });
                imp.object(name, medium).put("bidfloor", floor(d)).put("secure", 1)
            }),
        );
        let request = match visit.channel {
            Channel::Site(rank) => request.object(
                "site",
                Object::default()
                    .put("domain", facts::site_domain(rank))
                    .put("cat", [facts::category_of(rank)]),
            ),
            Channel::App(rank) => request.object(
                "app",
                Object::default()
                    .put("bundle", facts::app_bundle(rank))
                    .put("cat", [facts::category_of(rank)]),
            ),
        };
        let device = Object::default()
            .put("ua", MODELS[visit.device].ua)
            .object("geo", Object::default().put("country", country).put("region", region))
            .put_some("dnt", (visit.privacy == Privacy::Dnt).then_some(1))
            .put_some("lmt", (visit.privacy == Privacy::Lmt).then_some(1))
            .put("ip", format!("203.0.113.{}", d.below(256)))
            .put("devicetype", device_type)
            .put("os", os);
        let request = request
            .object("device", device)
            .object("user", Object::default().put_some("buyeruid", self.buyeruid(&visit)))
            .put("at", 1)
            .put("tmax", *d.one_of(&[100, 120, 150, 200, 250, 300]))
            .object("regs", regs(visit.privacy, true));
        (request, Object::default())
    }

    fn buyeruid(&self, visit: &Visit) -> Option<String> {
        match visit.visitor {
            Visitor::Known(user) | Visitor::Stranger(user) => Some(cookie(self.world_seed, user)),
            Visitor::Unmatched => None,
        }
    }

    /// The cookie of a known user, drawn as for a visit.
    pub(crate) fn known_cookie(&self, dice: &mut Dice) -> String {
        loop {
            if let Visitor::Known(user) = self.visits.visitor(dice) {
                return cookie(self.world_seed, user);
            }
        }
    }

    fn request(
        &self,
        visit: &Visit,
        mut medium: impl FnMut(usize) -> Option<(&'static str, Object)>,
        d: &mut Dice,
    ) -> (Object, Object) {
        let is_26 = d.chance(400);
        let request = Object::default()
            .put("id", request_id(d))
            .objects("imp", (0..visit.slots.len()).map(|index| imp(visit, index, medium(index), d)));
        let request = match visit.channel {
            Channel::Site(rank) => request.object("site", site(rank, d)),
            Channel::App(rank) => request.object("app", app(rank, d)),
        };
        let blocked_categories = visit.blocked_categories.iter().map(|category| CATEGORIES[*category]);
        let bcat: Vec<&str> = ALWAYS_BLOCKED.into_iter().chain(blocked_categories).collect();
        let badv: Vec<String> =
            visit.blocked_brands.iter().map(|brand| facts::brand_domain(*brand)).collect();
        let request = request
            .object("device", device(visit, d))
            .object("user", self.user(visit, is_26, d))
            .put("at", 1)
            .put("tmax", *d.one_of(&[100, 120, 150, 200, 250, 300]))
            .put("cur", ["USD"])
            .put("bcat", bcat)
            .put("badv", badv)
            .object("source", source(is_26, d))
            .object("regs", regs(visit.privacy, is_26));
        (request, Object::default().put("ssp", "load").put("requestgroup", d.below(64)))
    }

    fn user(&self, visit: &Visit, is_26: bool, d: &mut Dice) -> Object {
        let user = Object::default().put("id", format!("{:032x}", u128::from(d.bits()) << 50));
        let user = user.put_some("buyeruid", self.buyeruid(visit));
        let data = d.chance(350).then(|| {
            let segments =
                (0..2 + d.below(4)).map(|_| Object::default().put("id", (400 + d.below(600)).to_string()));
            Object::default().put("name", "data.example").objects("segment", segments.collect::<Vec<_>>())
        });
        let user = match data {
            Some(data) => user.objects("data", [data.object("ext", Object::default().put("segtax", 4))]),
            None => user,
        };
        let eids: Vec<Object> = (0..d.below(4)).map(|n| eid(n, d)).collect();
        let consent = (visit.privacy == Privacy::GdprOn).then_some(CONSENT);
        match is_26 {
            true => user.put_some("consent", consent).objects("eids", eids),
            false => user.object("ext", Object::default().put_some("consent", consent).objects("eids", eids)),
        }
    }
}

fn eid(n: u64, d: &mut Dice) -> Object {
    let uid = Object::default().put("id", format!("{:016x}{:016x}", d.bits(), d.bits())).put("atype", 1);
    Object::default().put("source", format!("ids-{n}.example")).objects("uids", [uid])
}

/// 24 hex digits.
fn request_id(d: &mut Dice) -> String {
    format!("{:016x}{:08x}", d.bits(), d.bits() as u32)
}

fn formats(visit: &Visit, index: usize) -> impl Iterator<Item = Object> {
    visit.sizes(index).map(|(w, h)| Object::default().put("w", w).put("h", h))
}

fn banner(visit: &Visit, index: usize, d: &mut Dice) -> Object {
    let (w, h) = visit.sizes(index).next().expect("every slot offers a size");
    Object::default()
        .objects("format", formats(visit, index))
        .put("w", w)
        .put("h", h)
        .put("pos", *d.one_of(&[0, 1, 1, 3, 7]))
        .put("battr", BLOCKED_ATTRIBUTES)
        .put("mimes", ["text/html", "text/javascript", "image/gif", "image/jpeg", "image/png"])
        .put("topframe", d.below(2))
        .put("api", [3, 5, 6, 7])
}

fn imp(visit: &Visit, index: usize, medium: Option<(&'static str, Object)>, d: &mut Dice) -> Object {
    let (name, medium) = medium.unwrap_or_else(|| ("banner", banner(visit, index, d)));
    let imp = Object::default().put("id", (index + 1).to_string()).object(name, medium);
    let imp = if d.chance(100) { imp.object("pmp", pmp(d)) } else { imp };
    imp.put("instl", 0)
        .put("tagid", format!("tag-{}-{}", d.below(100_000), index))
        .put("bidfloor", floor(d))
        .put("bidfloorcur", "USD")
        .put_some("secure", d.chance(950).then_some(1))
        .put_some("exp", d.chance(200).then_some(300))
        .object("ext", Object::default().put("gpid", format!("/1234/section-{}/slot-{index}", d.below(500))))
}

/// CPM in dollars, whole cents: one in seven free, most under a dollar and a half.
fn floor(d: &mut Dice) -> f64 {
    let cents = match d.below(100) {
        0..14 => 0,
        14..55 => 5 + d.below(46),
        55..85 => 50 + d.below(101),
        _ => 150 + d.below(151),
    };
    cents as f64 / 100.0
}

fn pmp(d: &mut Dice) -> Object {
    let deals: Vec<Object> = (0..1 + d.below(2))
        .map(|_| {
            Object::default()
                .put("id", format!("deal-{}", d.below(10_000)))
                .put("bidfloor", (200 + d.below(400)) as f64 / 100.0)
                .put("bidfloorcur", "USD")
                .put("at", 1)
                .put_some("wseat", d.chance(300).then_some(["another-seat"]))
        })
        .collect();
    Object::default().put("private_auction", u8::from(d.chance(100))).objects("deals", deals)
}

fn site(rank: u64, d: &mut Dice) -> Object {
    let domain = facts::site_domain(rank);
    let page = format!(
        "https://www.{domain}/{}/article-{}.html",
        d.one_of(&["news", "life", "play"]),
        d.below(100_000)
    );
    Object::default()
        .put("id", format!("s{rank}"))
        .put("name", format!("Site {rank}"))
        .put("domain", &domain)
        .put("cat", [facts::category_of(rank)])
        .put("page", page)
        .put_some("ref", d.chance(500).then_some("https://search.example/"))
        .put("mobile", 1)
        .object("publisher", publisher(rank))
        .put_some("keywords", d.chance(200).then_some("offers, reviews, how to"))
        .object("content", Object::default().put("language", "en").put("cat", [facts::category_of(rank)]))
}

fn app(rank: u64, d: &mut Dice) -> Object {
    Object::default()
        .put("id", format!("a{rank}"))
        .put("name", format!("App {rank}"))
        .put("bundle", facts::app_bundle(rank))
        .put("domain", format!("app-{rank}.example"))
        .put("storeurl", format!("https://store.example/apps/details?id={}", facts::app_bundle(rank)))
        .put("cat", [facts::category_of(rank)])
        .put("ver", format!("{}.{}.{}", 1 + d.below(9), d.below(20), d.below(10)))
        .put("paid", 0)
        .object("publisher", publisher(rank))
}

fn publisher(rank: u64) -> Object {
    let number = rank % 997;
    Object::default()
        .put("id", format!("pub-{number}"))
        .put("name", format!("Publisher {number}"))
        .put("domain", format!("pub-{number}.example"))
}

fn device(visit: &Visit, d: &mut Dice) -> Object {
    let (device_type, os, browser, ..) = DEVICES[visit.device];
    let model = &MODELS[visit.device];
    let device = Object::default().put("ua", model.ua);
    let device = if d.chance(600) {
        device.object("sua", user_agent(device_type, os, browser, model))
    } else {
        device
    };
    let network = d.one_of(&["192.0.2", "198.51.100", "203.0.113"]);
    let in_app = matches!(visit.channel, Channel::App(_));
    let lmt = visit.privacy == Privacy::Lmt;
    let id = d.bits();
    let ifa = (in_app && !lmt).then(|| {
        format!(
            "{:08x}-{:04x}-4{:03x}-a{:03x}-{:012x}",
            id as u32,
            id >> 48,
            id & 0xfff,
            id >> 20 & 0xfff,
            id >> 16
        )
    });
    device
        .object("geo", geo(visit, d))
        .put("dnt", u8::from(visit.privacy == Privacy::Dnt))
        .put("lmt", u8::from(lmt))
        .put("ip", format!("{network}.{}", d.below(256)))
        .put("devicetype", device_type)
        .put_some("make", Some(model.make).filter(|make| !make.is_empty()))
        .put_some("model", Some(model.model).filter(|model| !model.is_empty()))
        .put("os", os)
        .put_some("osv", Some(model.osv).filter(|osv| !osv.is_empty()))
        .put("w", model.screen.0)
        .put("h", model.screen.1)
        .put("js", 1)
        .put("language", "en")
        .put_some("carrier", in_app.then_some("Carrier Example"))
        .put("connectiontype", if matches!(device_type, 4) { *d.one_of(&[2, 2, 6, 7]) } else { 2 })
        .put_some("ifa", ifa)
}

fn user_agent(device_type: i64, os: &str, browser: &str, model: &Model) -> Object {
    let brand = |name: &str, version: &str| {
        Object::default().put("brand", name).put("version", version.split('.').collect::<Vec<_>>())
    };
    Object::default()
        .objects("browsers", [brand("Not/A)Brand", "8.0"), brand(browser, model.version)])
        .object("platform", brand(os, model.osv))
        .put("mobile", u8::from(matches!(device_type, 4)))
        .put("source", 2)
}

fn geo(visit: &Visit, d: &mut Dice) -> Object {
    let (country, region, _) = PLACES[visit.place];
    let (city, zip, utc_offset) = CITIES[visit.place];
    Object::default()
        .put("lat", (2_000 + d.below(3_000)) as f64 / 100.0)
        .put("lon", -((7_000 + d.below(5_000)) as f64) / 100.0)
        .put("type", 2)
        .put("country", country)
        .put("region", region)
        .put("city", city)
        .put("zip", format!("{zip}{:02}", d.below(30)))
        .put("utcoffset", utc_offset)
}

fn source(is_26: bool, d: &mut Dice) -> Object {
    let node = |n: u64, d: &mut Dice| {
        Object::default()
            .put("asi", format!("ssp-{n}.example"))
            .put("sid", (10_000 + d.below(90_000)).to_string())
            .put("rid", format!("{:016x}", d.bits()))
            .put("hp", 1)
    };
    let nodes: Vec<Object> = (0..1 + d.below(3)).map(|n| node(n, d)).collect();
    let chain = Object::default().put("complete", 1).put("ver", "1.0").objects("nodes", nodes);
    let source = Object::default().put("fd", 0).put("tid", format!("{:016x}{:016x}", d.bits(), d.bits()));
    match is_26 {
        true => source.object("schain", chain),
        false => source.object("ext", Object::default().object("schain", chain)),
    }
}

fn regs(privacy: Privacy, is_26: bool) -> Object {
    let gdpr = match privacy {
        Privacy::GdprOff => Some(0),
        Privacy::GdprOn => Some(1),
        _ => None,
    };
    let us_privacy = match privacy {
        Privacy::UsPrivacyEmpty => Some("1---"),
        Privacy::UsPrivacyOptOut => Some("1YYN"),
        _ => None,
    };
    let regs = Object::default().put("coppa", u8::from(privacy == Privacy::Coppa));
    let signals = |object: Object| object.put_some("gdpr", gdpr).put_some("us_privacy", us_privacy);
    if is_26 { signals(regs) } else { regs.object("ext", signals(Object::default())) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    fn bodies() -> Bodies {
        let world = r#"{"version":1,"exchange":"load","seed":5,"users":100000,"cookie":"splitmix64-hex","sites":20000}"#;
        Bodies::new(&serde_json::from_str(world).unwrap(), 5)
    }

    #[test]
    fn a_body_says_what_the_visit_says() {
        let bodies = bodies();
        for n in 0..500 {
            let (visit, _) = bodies.visits.draw(n);
            let body: Value = serde_json::from_str(&bodies.body(n)).unwrap();
            let (country, region, _) = PLACES[visit.place];
            assert_eq!(body["device"]["geo"]["country"], country);
            assert_eq!(body["device"]["geo"]["region"], region);
            assert_eq!(body["device"]["devicetype"], DEVICES[visit.device].0);
            assert_eq!(body["imp"].as_array().unwrap().len(), visit.slots.len());
            let buyeruid = body["user"]["buyeruid"].as_str();
            match visit.visitor {
                Visitor::Known(user) => {
                    assert!(user < 100_000);
                    assert_eq!(buyeruid, Some(cookie(5, user).as_str()));
                }
                Visitor::Stranger(user) => assert!(user >= 100_000 && buyeruid.is_some()),
                Visitor::Unmatched => assert_eq!(buyeruid, None),
            }
            let gdpr = body["regs"]["gdpr"].as_i64().or(body["regs"]["ext"]["gdpr"].as_i64());
            assert_eq!(gdpr == Some(1), visit.privacy == Privacy::GdprOn);
            assert_eq!(visit.privacy.is_open(country), gate(&body), "{body}");
            match visit.channel {
                Channel::Site(rank) => assert_eq!(body["site"]["domain"], facts::site_domain(rank)),
                Channel::App(rank) => assert_eq!(body["app"]["bundle"], facts::app_bundle(rank)),
            }
        }
    }

    /// Reads the signals back from the body.
    fn gate(body: &Value) -> bool {
        let signal =
            |name: &str| [&body["regs"][name], &body["regs"]["ext"][name]].into_iter().find(|v| !v.is_null());
        let closed = body["regs"]["coppa"] == 1
            || body["device"]["dnt"] == 1
            || body["device"]["lmt"] == 1
            || signal("gdpr").is_some_and(|gdpr| gdpr == 1)
            || signal("us_privacy").is_some_and(|text| text != "1---");
        let european = matches!(body["device"]["geo"]["country"].as_str(), Some("GBR" | "DEU"));
        !(closed || european && signal("gdpr").is_none())
    }

    #[test]
    fn the_bytes_of_a_body_never_change() {
        let bodies = bodies();
        let mut crc = flate2::Crc::new();
        (0..1_000).for_each(|n| crc.update(bodies.body(n).as_bytes()));
        assert_eq!((crc.sum(), crc.amount()), (1_007_815_981, 2_247_581));
    }

    #[test]
    fn traffic_is_of_real_size_and_mix_and_the_same_for_the_same_seed() {
        let bodies = bodies();
        let count = 2_000;
        let all: Vec<String> = (0..count).map(|n| bodies.body(n)).collect();
        assert_eq!(all[7], bodies.body(7));
        let (least, most) =
            (all.iter().map(String::len).min().unwrap(), all.iter().map(String::len).max().unwrap());
        let mean = all.iter().map(String::len).sum::<usize>() / all.len();
        eprintln!("bodies: {least} to {most} bytes, {mean} on average");
        assert!((1_500..3_000).contains(&mean) && least > 1_000 && most < 6_000, "{least} {mean} {most}");
        let share =
            |has: &dyn Fn(&str) -> bool| all.iter().filter(|body| has(body)).count() * 100 / all.len();
        let sites = share(&|body| body.contains("\"site\":{"));
        let single = share(&|body| !body.contains("\"imp\":[") || !body.contains("\"id\":\"2\",\"banner\""));
        let open = share(&|body| gate(&serde_json::from_str(body).unwrap()));
        assert!((66..=74).contains(&sites), "{sites} % sites");
        assert!((76..=84).contains(&single), "{single} % with one impression");
        assert!((90..=97).contains(&open), "{open} % may use segments");
    }
}
