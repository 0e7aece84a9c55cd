//! Realistic requests of the demo, each with what must come of it.

use super::world::{self, PERSONAS};
use crate::model::money::PPM;
use serde_json::{Value, json};

/// A user of the demo.
#[derive(Clone, Copy, Debug)]
pub(super) enum Who {
    /// In exactly this persona, with or without explicit consent on record.
    In(&'static str, bool),
    /// A cookie that nobody knows.
    Stranger,
}

/// What the impression offers.
#[derive(Clone, Copy, Debug)]
pub(super) enum Offer {
    /// A banner of one size.
    Banner(u16, u16),
    /// Instream video of at most so many seconds.
    Video(u32),
    /// Audio between songs.
    Audio,
    /// A native ad in a feed.
    Native,
}

/// Where the impression is.
#[derive(Clone, Copy, Debug)]
pub(super) enum Where {
    /// A news site in the United States.
    Site,
    /// A weather app in the United States.
    App,
    /// A news site in Germany, under the GDPR, with a consent string that is not decoded yet.
    GermanSite,
    /// A screen in a street of New York that so many millionths of a person see.
    Street(i64),
}

/// One request and what must come of it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sample {
    /// What it shows.
    pub(super) title: &'static str,
    /// The exchange.
    pub(super) exchange: &'static str,
    pub(super) who: Who,
    pub(super) place: Where,
    pub(super) offer: Offer,
    /// In units of USD.
    pub(super) floor: f64,
    /// A blocked category.
    pub(super) bcat: Option<&'static str>,
    /// Key of the persona or of the medium whose line item must bid, `everyone` for the catch-all, `None` for 204.
    pub(super) expected: Option<&'static str>,
}

impl Sample {
    /// The sample that is left for people to play with.
    pub(super) fn wealthy_on_a_site() -> Sample {
        ALL[1]
    }

    /// The user's cookie.
    pub(super) fn cookie(&self) -> String {
        match self.who {
            Who::In(key, consent) => {
                let position = PERSONAS.iter().position(|persona| persona.key == key).unwrap_or_default();
                world::user_only_in(position, consent).map_or_else(|| "nobody".to_owned(), world::cookie)
            }
            Who::Stranger => "a-cookie-that-nobody-knows".to_owned(),
        }
    }

    /// `imp.qty.multiplier` in millionths.
    pub(super) fn multiplier_ppm(&self) -> i64 {
        match self.place {
            Where::Street(seen_by) => seen_by,
            _ => PPM,
        }
    }

    /// The user in words.
    pub(super) fn user(&self) -> String {
        match self.who {
            _ if matches!(self.place, Where::Street(_)) => "passers-by".to_owned(),
            Who::Stranger => "unknown cookie".to_owned(),
            Who::In(key, consent) => {
                let persona = PERSONAS.iter().find(|persona| persona.key == key);
                let name = persona.map_or(key, |persona| persona.name);
                match persona.is_some_and(world::Persona::is_sensitive) {
                    true => format!("{name}, {}", if consent { "consent on record" } else { "no consent" }),
                    false => name.to_owned(),
                }
            }
        }
    }
}

const BASE: Sample = Sample {
    title: "",
    exchange: "demo",
    who: Who::Stranger,
    place: Where::Site,
    offer: Offer::Banner(300, 250),
    floor: 0.5,
    bcat: None,
    expected: None,
};

/// The journey's stations.
pub(super) const ALL: [Sample; 16] = [
    Sample {
        title: "a group's own ad at its own price",
        who: Who::In("business_owners", false),
        expected: Some("business_owners"),
        ..BASE
    },
    Sample {
        title: "a higher price for another group",
        who: Who::In("wealthy", false),
        offer: Offer::Banner(728, 90),
        expected: Some("wealthy"),
        ..BASE
    },
    Sample {
        title: "the same in an app, 10 % less",
        who: Who::In("wealthy", false),
        place: Where::App,
        offer: Offer::Banner(320, 50),
        expected: Some("wealthy"),
        ..BASE
    },
    Sample {
        title: "sensitive, consent on record",
        who: Who::In("new_mothers", true),
        expected: Some("new_mothers"),
        ..BASE
    },
    Sample {
        title: "sensitive, no consent: refused",
        who: Who::In("new_mothers", false),
        expected: Some("everyone"),
        ..BASE
    },
    Sample {
        title: "GDPR, consent unread: contextual",
        who: Who::In("wealthy", false),
        place: Where::GermanSite,
        expected: Some("everyone"),
        ..BASE
    },
    Sample { title: "unknown user: everybody's ad", who: Who::Stranger, expected: Some("everyone"), ..BASE },
    Sample {
        title: "second price at another exchange",
        exchange: "demo2",
        who: Who::In("comfortable", false),
        expected: Some("comfortable"),
        ..BASE
    },
    Sample { title: "floor above every price: no bid", floor: 60.0, ..BASE },
    Sample {
        title: "insurance blocked: no bid",
        who: Who::In("wealthy", false),
        bcat: Some("IAB13"),
        ..BASE
    },
    Sample {
        title: "video before a film, 30 s",
        offer: Offer::Video(30),
        floor: 2.0,
        expected: Some("film"),
        ..BASE
    },
    Sample {
        title: "video where 15 s must do",
        exchange: "demo2",
        offer: Offer::Video(15),
        floor: 2.0,
        expected: Some("film"),
        ..BASE
    },
    Sample {
        title: "audio between songs",
        offer: Offer::Audio,
        place: Where::App,
        expected: Some("spot"),
        ..BASE
    },
    Sample { title: "native in a feed", offer: Offer::Native, expected: Some("feed"), ..BASE },
    Sample {
        title: "a screen that 4.2 people see",
        offer: Offer::Banner(1080, 1920),
        place: Where::Street(4_200_000),
        expected: Some("street"),
        ..BASE
    },
    Sample {
        title: "a film on that screen",
        offer: Offer::Video(10),
        place: Where::Street(4_200_000),
        expected: Some("street"),
        ..BASE
    },
];

/// The impression's object of a medium, with its key.
fn offered(offer: Offer) -> (&'static str, Value) {
    match offer {
        Offer::Banner(w, h) => ("banner", json!({ "format": [{ "w": w, "h": h }], "pos": 1, "battr": [13] })),
        Offer::Video(most_s) => (
            "video",
            json!({
                "mimes": ["video/mp4", "video/webm"], "minduration": 5, "maxduration": most_s,
                "protocols": [2, 3, 7, 11, 13], "w": 1280, "h": 720, "plcmt": 1, "startdelay": 0, "linearity": 1,
                "skip": 0, "playbackmethod": [1], "delivery": [2], "api": [7],
            }),
        ),
        Offer::Audio => (
            "audio",
            json!({
                "mimes": ["audio/mp4"], "minduration": 5, "maxduration": 30, "protocols": [2, 3, 11],
                "startdelay": -1, "feed": 1, "maxbitrate": 160,
            }),
        ),
        Offer::Native => {
            let request = json!({
                "ver": "1.2", "context": 1, "plcmttype": 1, "privacy": 1,
                "assets": [
                    { "id": 1, "required": 1, "title": { "len": 25 } },
                    { "id": 2, "required": 1, "img": { "type": 3, "wmin": 600, "hmin": 300 } },
                    { "id": 3, "required": 1, "data": { "type": 1, "len": 25 } },
                    { "id": 4, "required": 0, "data": { "type": 12, "len": 15 } },
                ],
                "eventtrackers": [{ "event": 1, "methods": [1, 2] }],
            });
            ("native", json!({ "ver": "1.2", "request": request.to_string() }))
        }
    }
}

/// The OpenRTB 2.6 request of a sample.
pub(super) fn request(id: &str, sample: &Sample) -> Value {
    let mut request = json!({
        "id": id,
        "at": if sample.exchange == "demo" { 1 } else { 2 },
        "tmax": 120,
        "cur": ["USD"],
        "imp": [{
            "id": "1", "tagid": "top", "secure": 1, "bidfloor": sample.floor, "bidfloorcur": "USD",
        }],
        "device": {
            "ip": "192.0.2.17", "devicetype": 2, "os": "Windows", "language": "en", "js": 1,
            "ua": "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/128.0 Safari/537.36",
            "geo": { "country": "USA", "region": "NY", "city": "New York", "zip": "10001", "type": 2 },
        },
        "user": { "id": "x-".to_owned() + id, "buyeruid": sample.cookie() },
        "source": { "tid": format!("tid-{id}"), "schain": {
            "complete": 1, "ver": "1.0", "nodes": [{ "asi": "exchange.example", "sid": "1001", "hp": 1 }],
        } },
        "badv": ["rival-insurance.example"],
        "bcat": ["IAB25", "IAB26"],
    });
    let (medium, terms) = offered(sample.offer);
    request["imp"][0][medium] = terms;
    if let Some(blocked) = sample.bcat {
        request["bcat"] = json!([blocked]);
    }
    let site = json!({
        "id": "s1", "domain": "daily-news.example", "page": "https://daily-news.example/money/savings",
        "cat": ["IAB13"], "publisher": { "id": "p-77", "name": "Daily News" },
    });
    match sample.place {
        Where::Site => request["site"] = site,
        Where::GermanSite => {
            request["site"] = site;
            request["device"]["geo"] = json!({ "country": "DEU", "region": "BE", "city": "Berlin" });
            request["regs"] = json!({ "gdpr": 1 });
            request["user"]["consent"] = json!("CPc7TgAPc7TgABAAAAENCZAAAAAAAAAAAAAAAAAAAAAA");
        }
        Where::App => {
            request["app"] = json!({
                "id": "a1", "bundle": "com.example.weather", "name": "Weather", "cat": ["IAB15-10"],
                "publisher": { "id": "p-90" },
            });
            request["device"]["devicetype"] = json!(4);
            request["device"]["os"] = json!("Android");
        }
        Where::Street(seen_by) => {
            request["dooh"] = json!({
                "id": "screen-7", "name": "Broadway 12", "venuetype": ["501"], "venuetypetax": 1,
                "publisher": { "id": "p-91" },
            });
            request["device"] = json!({
                "devicetype": 8, "ip": "192.0.2.18", "ua": "screen/1.0",
                "geo": { "lat": 40.71, "lon": -74.0, "country": "USA", "region": "NY", "city": "New York" },
            });
            request["imp"][0]["qty"] = json!({ "multiplier": seen_by as f64 / PPM as f64, "sourcetype": 1 });
            if let Some(fields) = request.as_object_mut() {
                // A screen has no user.
                fields.remove("user");
            }
        }
    }
    request
}
