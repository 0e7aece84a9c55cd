//! What an auction and a judge need of a bid request, read once when the body is loaded.
//!
//! Deliberately absent: everything that only a bidder looks at. What a body says in a way that cannot be judged (a
//! price that is no decimal, a floor by the second) is left out rather than guessed.

use super::landscape::number_of;
use super::money::{PPM, decimal};
use anyhow::{Context, ensure};
use serde_json::Value;

/// A price with its currency.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Floor {
    /// CPM micros.
    pub(crate) price: i64,
    pub(crate) currency: String,
}

/// A bid request.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    pub(crate) imps: Vec<Imp>,
    pub(crate) at: Option<i64>,
    pub(crate) tmax_ms: Option<u64>,
    /// Currencies that may be bid in; empty: any.
    pub(crate) cur: Vec<String>,
    pub(crate) bcat: Vec<String>,
    /// The taxonomy of `bcat`.
    pub(crate) cattax: i64,
    pub(crate) badv: Vec<String>,
    pub(crate) wseat: Vec<String>,
    pub(crate) bseat: Vec<String>,
    /// Nothing may be charged.
    pub(crate) is_test: bool,
    /// Stable number of the site or app.
    pub(crate) place: u64,
}

/// An impression.
#[derive(Clone, Debug)]
pub(crate) struct Imp {
    pub(crate) id: String,
    /// `None`: not to be judged.
    pub(crate) floor: Option<Floor>,
    pub(crate) secure: bool,
    pub(crate) banner: Option<Banner>,
    pub(crate) video: Option<Stream>,
    pub(crate) audio: Option<Stream>,
    pub(crate) native: Option<Vec<i64>>,
    pub(crate) deals: Vec<Deal>,
    pub(crate) private_auction: bool,
    /// Impressions that one play counts for, millionths.
    pub(crate) plays: i64,
    /// Whether several bids of a seat are asked for: pods.
    pub(crate) takes_many: bool,
}

/// What a banner may be.
#[derive(Clone, Debug, Default)]
pub(crate) struct Banner {
    /// Empty: any.
    pub(crate) sizes: Vec<(u32, u32)>,
    /// Sizes by their ratio.
    pub(crate) flexible: bool,
    pub(crate) battr: Vec<i64>,
    floor: Option<Option<Floor>>,
}

/// What a video or audio may be.
#[derive(Clone, Debug, Default)]
pub(crate) struct Stream {
    pub(crate) battr: Vec<i64>,
    floor: Option<Option<Floor>>,
}

/// A deal that is offered.
#[derive(Clone, Debug)]
pub(crate) struct Deal {
    pub(crate) id: String,
    pub(crate) floor: Option<Floor>,
    pub(crate) at: Option<i64>,
    pub(crate) wseat: Vec<String>,
    pub(crate) wadomain: Vec<String>,
}

impl Asked {
    /// Reads a request in JSON.
    pub(crate) fn read(body: &str) -> anyhow::Result<Asked> {
        let request: Value = serde_json::from_str(body).context("a body is no JSON")?;
        let imps: Vec<Imp> = objects(&request["imp"]).map(imp).collect();
        ensure!(!imps.is_empty(), "a body has no impressions");
        let place = ["domain", "bundle", "id"].iter().find_map(|field| {
            [&request["site"], &request["app"], &request["dooh"]]
                .into_iter()
                .find_map(|it| it[field].as_str())
        });
        Ok(Asked {
            imps,
            at: request["at"].as_i64(),
            tmax_ms: request["tmax"].as_u64().filter(|tmax| *tmax > 0),
            cur: texts(&request["cur"]),
            bcat: texts(&request["bcat"]),
            cattax: request["cattax"].as_i64().unwrap_or(1),
            badv: texts(&request["badv"]),
            wseat: texts(&request["wseat"]),
            bseat: texts(&request["bseat"]),
            is_test: request["test"] == 1,
            place: number_of(place.unwrap_or_default()),
        })
    }
}

impl Imp {
    /// What a bid of this medium must reach; `None`: not to be judged.
    pub(crate) fn floor_of(&self, medium: Medium) -> Option<&Floor> {
        let own = match medium {
            Medium::Banner => self.banner.as_ref().and_then(|banner| banner.floor.as_ref()),
            Medium::Video => self.video.as_ref().and_then(|stream| stream.floor.as_ref()),
            Medium::Audio => self.audio.as_ref().and_then(|stream| stream.floor.as_ref()),
            Medium::Native => None,
        };
        own.map_or(self.floor.as_ref(), Option::as_ref)
    }

    /// Media that are offered.
    pub(crate) fn media(&self) -> impl Iterator<Item = Medium> {
        [
            (self.banner.is_some(), Medium::Banner),
            (self.video.is_some(), Medium::Video),
            (self.audio.is_some(), Medium::Audio),
            (self.native.is_some(), Medium::Native),
        ]
        .into_iter()
        .filter_map(|(is_offered, medium)| is_offered.then_some(medium))
    }

    /// Attributes that a medium may not have.
    pub(crate) fn battr(&self, medium: Medium) -> &[i64] {
        match medium {
            Medium::Banner => self.banner.as_ref().map_or(&[], |banner| &banner.battr),
            Medium::Video => self.video.as_ref().map_or(&[], |stream| &stream.battr),
            Medium::Audio => self.audio.as_ref().map_or(&[], |stream| &stream.battr),
            Medium::Native => self.native.as_deref().unwrap_or_default(),
        }
    }
}

/// `mtype` of a bid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Medium {
    Banner = 1,
    Video,
    Audio,
    Native,
}

impl Medium {
    /// By its number.
    pub(crate) fn of(mtype: i64) -> Option<Medium> {
        [Medium::Banner, Medium::Video, Medium::Audio, Medium::Native]
            .into_iter()
            .find(|medium| *medium as i64 == mtype)
    }
}

fn imp(imp: &Value) -> Imp {
    let currency = imp["bidfloorcur"].as_str().unwrap_or("USD");
    let stream = |medium: &Value| medium.is_object().then(|| stream(medium, currency));
    let pods = |medium: &Value| !medium["poddur"].is_null() || medium["maxseq"].as_i64().unwrap_or(0) > 1;
    Imp {
        id: text(&imp["id"]),
        floor: floor(imp, currency),
        secure: imp["secure"] == 1,
        banner: imp["banner"].is_object().then(|| banner(&imp["banner"], currency)),
        video: stream(&imp["video"]),
        audio: stream(&imp["audio"]),
        native: imp["native"].is_object().then(|| numbers(&imp["native"]["battr"])),
        deals: objects(&imp["pmp"]["deals"]).map(deal).collect(),
        private_auction: imp["pmp"]["private_auction"] == 1,
        plays: plays(&imp["qty"]["multiplier"]),
        takes_many: pods(&imp["video"]) || pods(&imp["audio"]),
    }
}

fn banner(banner: &Value, currency: &str) -> Banner {
    let side =
        |of: &Value, name: &str| of[name].as_u64().and_then(|side| u32::try_from(side).ok()).unwrap_or(0);
    let size = |of: &Value| (side(of, "w"), side(of, "h"));
    let formats: Vec<(u32, u32)> = objects(&banner["format"]).map(size).collect();
    let own = size(banner);
    let sizes = if !formats.is_empty() { formats } else { Vec::from_iter((own != (0, 0)).then_some(own)) };
    Banner {
        flexible: objects(&banner["format"]).any(|format| format["wratio"].as_i64().unwrap_or(0) > 0),
        sizes,
        battr: numbers(&banner["battr"]),
        floor: (!banner["bidfloor"].is_null()).then(|| floor(banner, currency)),
    }
}

fn stream(stream: &Value, currency: &str) -> Stream {
    let by_seconds = objects(&stream["durfloors"]).next().is_some();
    let own = by_seconds || !stream["bidfloor"].is_null();
    Stream {
        battr: numbers(&stream["battr"]),
        floor: own.then(|| if by_seconds { None } else { floor(stream, currency) }),
    }
}

fn deal(deal: &Value) -> Deal {
    let by_seconds = objects(&deal["durfloors"]).next().is_some();
    let currency = deal["bidfloorcur"].as_str().unwrap_or("USD");
    Deal {
        id: text(&deal["id"]),
        floor: if by_seconds { None } else { floor(deal, currency) },
        at: deal["at"].as_i64(),
        wseat: texts(&deal["wseat"]),
        wadomain: texts(&deal["wadomain"]),
    }
}

/// The floor of an object; 0 where it has none.
fn floor(of: &Value, currency: &str) -> Option<Floor> {
    let text = match &of["bidfloor"] {
        Value::Null => "0".to_owned(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    decimal(&text, 6).map(|price| Floor { price, currency: currency.to_owned() })
}

/// A multiplier in millionths; 1 where there is none or none that can be used.
fn plays(multiplier: &Value) -> i64 {
    let plays = if multiplier.is_number() { decimal(&multiplier.to_string(), 6) } else { None };
    plays.filter(|plays| *plays > 0).unwrap_or(PPM)
}

fn objects(list: &Value) -> impl Iterator<Item = &Value> {
    list.as_array().into_iter().flatten().filter(|value| value.is_object())
}

fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        _ => String::new(),
    }
}

fn texts(list: &Value) -> Vec<String> {
    list.as_array().into_iter().flatten().map(text).filter(|text| !text.is_empty()).collect()
}

fn numbers(list: &Value) -> Vec<i64> {
    list.as_array().into_iter().flatten().filter_map(Value::as_i64).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn usd(price: i64) -> Option<Floor> {
        Some(Floor { price, currency: "USD".to_owned() })
    }

    #[test]
    fn a_request_is_read_as_the_auction_needs_it() {
        let asked = Asked::read(
            r#"{"id":"x","at":2,"tmax":120,"cur":["EUR"],"bcat":["IAB7"],"badv":["a.example"],"wseat":["s"],
            "site":{"domain":"news.example"},"test":1,"imp":[
            {"id":1,"bidfloor":0.35,"secure":1,"qty":{"multiplier":4.2},
             "banner":{"w":1,"h":1,"format":[{"w":300,"h":250},{"w":728,"h":90}],"battr":[3]},
             "pmp":{"private_auction":1,"deals":[{"id":"d","bidfloor":2,"bidfloorcur":"EUR","at":3,"wadomain":["b.example"]}]}},
            {"id":"b","bidfloor":"1.5","bidfloorcur":"EUR","banner":{"w":320,"h":50},
             "video":{"bidfloor":2.5,"battr":[1]},"audio":{"durfloors":[{"mindur":5,"bidfloor":3}]},
             "native":{"battr":[8]}}]}"#,
        )
        .unwrap();
        let [first, second] = &asked.imps[..] else { panic!("two impressions") };
        assert_eq!((asked.at, asked.tmax_ms, asked.is_test), (Some(2), Some(120), true));
        assert_eq!((first.id.as_str(), first.plays, first.private_auction), ("1", 4_200_000, true));
        assert_eq!(first.banner.as_ref().unwrap().sizes, [(300, 250), (728, 90)]);
        assert_eq!(first.floor_of(Medium::Banner), usd(350_000).as_ref());
        assert_eq!((first.deals[0].at, first.deals[0].floor.as_ref().unwrap().price), (Some(3), 2_000_000));
        assert_eq!(second.banner.as_ref().unwrap().sizes, [(320, 50)]);
        let euro = |price| Some(Floor { price, currency: "EUR".to_owned() });
        assert_eq!(second.floor_of(Medium::Banner), euro(1_500_000).as_ref());
        assert_eq!(second.floor_of(Medium::Video), euro(2_500_000).as_ref());
        assert_eq!(second.floor_of(Medium::Audio), None);
        assert_eq!((second.battr(Medium::Native), second.battr(Medium::Video)), (&[8][..], &[1][..]));
        assert_eq!(second.media().count(), 4);
    }

    #[test]
    fn what_cannot_be_judged_is_left_out() {
        let asked = Asked::read(r#"{"imp":[{"id":"1","bidfloor":1e-3,"qty":{"multiplier":-1}}]}"#).unwrap();
        assert_eq!((asked.imps[0].floor_of(Medium::Banner), asked.imps[0].plays), (usd(1_000).as_ref(), PPM));
        assert!(Asked::read("{").is_err() && Asked::read(r#"{"imp":[]}"#).is_err());
    }
}
