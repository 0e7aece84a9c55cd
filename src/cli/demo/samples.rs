//! Realistic requests of the demo, each with what must come of it.

use super::world::{self, PERSONAS};
use serde_json::{Value, json};

/// A user of the demo.
#[derive(Clone, Copy, Debug)]
pub(super) enum Who {
    /// In exactly this persona, with or without explicit consent on record.
    In(&'static str, bool),
    /// A cookie that nobody knows.
    Stranger,
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
    pub(super) size: (u16, u16),
    /// In units of USD.
    pub(super) floor: f64,
    /// A blocked category.
    pub(super) bcat: Option<&'static str>,
    /// Key of the persona whose line item must bid, `everyone` for the catch-all, `None` for 204.
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

    /// The user in words.
    pub(super) fn user(&self) -> String {
        match self.who {
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
    size: (300, 250),
    floor: 0.5,
    bcat: None,
    expected: None,
};

/// The journey's stations.
pub(super) const ALL: [Sample; 10] = [
    Sample {
        title: "a group's own ad at its own price",
        who: Who::In("business_owners", false),
        expected: Some("business_owners"),
        ..BASE
    },
    Sample {
        title: "a higher price for another group",
        who: Who::In("wealthy", false),
        size: (728, 90),
        expected: Some("wealthy"),
        ..BASE
    },
    Sample {
        title: "the same in an app, 10 % less",
        who: Who::In("wealthy", false),
        place: Where::App,
        size: (320, 50),
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
];

/// The OpenRTB 2.6 request of a sample.
pub(super) fn request(id: &str, sample: &Sample) -> Value {
    let (w, h) = sample.size;
    let mut request = json!({
        "id": id,
        "at": if sample.exchange == "demo" { 1 } else { 2 },
        "tmax": 120,
        "cur": ["USD"],
        "imp": [{
            "id": "1", "tagid": "top", "secure": 1, "bidfloor": sample.floor, "bidfloorcur": "USD",
            "banner": { "format": [{ "w": w, "h": h }], "pos": 1, "battr": [13] },
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
    }
    request
}
