//! Media other than banners for generated impressions, as players and native placements describe themselves.

use crate::json::Object;
use crate::market::dice::Dice;
use std::fmt;
use std::str::FromStr;

/// What an impression offers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Medium {
    /// What the visit's slot offers.
    Banner,
    /// A video before, in or beside content.
    Video,
    /// A spot in a stream.
    Audio,
    /// Assets that the page puts together (Native 1.2).
    Native,
}

const NAMES: [(&str, Medium); 4] = [
    ("banner", Medium::Banner),
    ("video", Medium::Video),
    ("audio", Medium::Audio),
    ("native", Medium::Native),
];

/// Media by weight.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct MediaMix {
    weights: Vec<(Medium, u32)>,
}

impl MediaMix {
    /// Whether there is nothing but banners.
    pub(crate) fn is_plain(&self) -> bool {
        self.weights.iter().all(|(medium, weight)| *medium == Medium::Banner || *weight == 0)
    }

    /// Draws one.
    pub(crate) fn draw(&self, dice: &mut Dice) -> Medium {
        self.weights[dice.weighted(&self.weights, |entry| entry.1)].0
    }
}

impl FromStr for MediaMix {
    type Err = String;

    fn from_str(text: &str) -> Result<MediaMix, String> {
        let mut weights = Vec::new();
        for part in text.split(',') {
            let Some((name, weight)) = part.trim().split_once('=') else {
                return Err(format!("{part:?} has no weight: write as in banner=9,video=1"));
            };
            let Some((_, medium)) = NAMES.iter().find(|(own, _)| *own == name) else {
                return Err(format!("{name:?} is no medium: banner, video, audio or native"));
            };
            let weight = weight.parse::<u32>().ok().filter(|weight| *weight <= 1_000_000);
            let weight = weight.ok_or_else(|| format!("{part:?}: a weight is 0 to 1,000,000"))?;
            if weights.iter().any(|(own, _)| own == medium) {
                return Err(format!("{name} stands there twice"));
            }
            weights.push((*medium, weight));
        }
        if weights.iter().all(|(_, weight)| *weight == 0) {
            return Err("every weight is 0".to_owned());
        }
        Ok(MediaMix { weights })
    }
}

impl fmt::Display for MediaMix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = |medium: Medium| NAMES.iter().find(|(_, own)| *own == medium).map_or("", |(name, _)| name);
        let parts: Vec<String> =
            self.weights.iter().map(|(medium, weight)| format!("{}={weight}", name(*medium))).collect();
        f.write_str(&parts.join(","))
    }
}

/// The object that stands in an impression, by its name; `None` for a banner, which the visit itself knows.
pub(crate) fn object(medium: Medium, d: &mut Dice) -> Option<(&'static str, Object)> {
    match medium {
        Medium::Banner => None,
        Medium::Video => Some(("video", video(d))),
        Medium::Audio => Some(("audio", audio(d))),
        Medium::Native => Some(("native", native(d))),
    }
}

fn video(d: &mut Dice) -> Object {
    let (w, h) = *d.one_of(&[(640, 360), (640, 480), (1280, 720), (1920, 1080)]);
    Object::default()
        .put("mimes", ["video/mp4", "video/webm"])
        .put("minduration", 5)
        .put("maxduration", *d.one_of(&[15, 30, 30, 60]))
        .put("protocols", [2, 3, 5, 6, 7, 8])
        .put("w", w)
        .put("h", h)
        .put("startdelay", *d.one_of(&[0, 0, 0, -1]))
        .put("plcmt", *d.one_of(&[1, 1, 2, 3, 4]))
        .put("linearity", 1)
        .put("skip", d.below(2))
        .put("playbackmethod", [*d.one_of(&[1, 2, 6])])
        .put("delivery", [2])
        .put("pos", 1)
        .put("api", [1, 2, 7])
}

fn audio(d: &mut Dice) -> Object {
    Object::default()
        .put("mimes", ["audio/mpeg", "audio/mp4", "audio/ogg"])
        .put("minduration", 10)
        .put("maxduration", *d.one_of(&[30, 30, 60]))
        .put("protocols", [9, 10])
        .put("startdelay", 0)
        .put("feed", *d.one_of(&[1, 2, 3]))
        .put("stitched", d.below(2))
        .put("nvol", 4)
}

fn native(d: &mut Dice) -> Object {
    let image = |kind: u8, w: u16, h: u16| Object::default().put("type", kind).put("wmin", w).put("hmin", h);
    let asset = |id: u8, required: u8| Object::default().put("id", id).put("required", required);
    let assets = [
        asset(1, 1).object("title", Object::default().put("len", *d.one_of(&[60, 90, 140]))),
        asset(2, 1).object("img", image(3, 600, 314)),
        asset(3, 0).object("img", image(1, 50, 50)),
        asset(4, 0).object("data", Object::default().put("type", 1).put("len", 25)),
        asset(5, 0).object("data", Object::default().put("type", 2).put("len", 140)),
    ];
    let trackers = Object::default().put("event", 1).put("methods", [1, 2]);
    let request = Object::default()
        .put("ver", "1.2")
        .put("context", *d.one_of(&[1, 2]))
        .put("plcmttype", *d.one_of(&[1, 2, 4]))
        .put("privacy", 1)
        .objects("assets", assets)
        .objects("eventtrackers", [trackers]);
    Object::default().put("request", request.finish()).put("ver", "1.2").put("battr", [1, 3])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mix_is_read_and_shown_and_mistakes_are_named() {
        let mix: MediaMix = "banner=3,video=1".parse().unwrap();
        assert_eq!(mix.to_string(), "banner=3,video=1");
        assert!(!mix.is_plain() && "banner=1,audio=0".parse::<MediaMix>().unwrap().is_plain());
        let check = |text: &str, part: &str| {
            let error = text.parse::<MediaMix>().unwrap_err();
            assert!(error.contains(part), "{error}");
        };
        check("banner", "no weight");
        check("radio=1", "no medium");
        check("video=x", "0 to 1,000,000");
        check("video=0", "every weight is 0");
        check("video=1,video=2", "twice");
    }

    #[test]
    fn every_medium_is_json_and_native_holds_json_again() {
        let mut dice = Dice::new(1, 2, 3);
        for medium in [Medium::Video, Medium::Audio, Medium::Native] {
            let (name, object) = object(medium, &mut dice).unwrap();
            let value: serde_json::Value = serde_json::from_str(&object.finish()).unwrap();
            match medium {
                Medium::Native => {
                    let inner: serde_json::Value =
                        serde_json::from_str(value["request"].as_str().unwrap()).unwrap();
                    assert_eq!(inner["assets"].as_array().unwrap().len(), 5);
                }
                _ => assert!(value["mimes"][0].as_str().unwrap().starts_with(name)),
            }
        }
        assert!(object(Medium::Banner, &mut dice).is_none());
    }
}
