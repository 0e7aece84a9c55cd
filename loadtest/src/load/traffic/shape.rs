//! How generated requests differ from each other beyond what the visit says: their length and their media.
//!
//! Exchanges send from half a kilobyte to nine. Short ones are written with what a decision needs and no more; long ones
//! carry extensions that a bidder passes over, and has to read over.

use super::media::{self, MediaMix};
use crate::bodies::Bodies;
use crate::json::Object;
use crate::market::dice::Dice;

/// Kinds of the random streams.
const SIZES: u64 = u64::from_be_bytes(*b"bodysize");
const MEDIA: u64 = u64::from_be_bytes(*b"medium\0\0");

/// Of the log-normal distribution of lengths.
const MEDIAN_BYTES: f64 = 2_200.0;
const SIGMA: f64 = 0.55;
const LEAST_BYTES: f64 = 500.0;
const MOST_BYTES: f64 = 9_000.0;

/// How bodies are made.
#[derive(Clone, Debug)]
pub(crate) struct Shape {
    /// Whether lengths vary; otherwise they are what the visits make.
    pub(crate) is_varied: bool,
    /// What impressions offer.
    pub(crate) media: MediaMix,
    /// Of lengths and media.
    pub(crate) seed: u64,
}

impl Shape {
    /// Body number `n`.
    pub(crate) fn body(&self, bodies: &Bodies, n: u64) -> String {
        if !self.is_varied && self.media.is_plain() {
            return bodies.body(n);
        }
        let full = self.parts(bodies, n, false);
        if !self.is_varied {
            return full.0.object("ext", full.1).finish();
        }
        let mut dice = Dice::new(self.seed, SIZES, n);
        let target = draw_bytes(&mut dice);
        let length = |parts: &(Object, Object)| parts.0.clone().object("ext", parts.1.clone()).finish().len();
        let parts = if length(&full) <= target { full } else { self.parts(bodies, n, true) };
        let missing = target.saturating_sub(length(&parts));
        parts.0.object("ext", padded(parts.1, missing, &mut dice)).finish()
    }

    fn parts(&self, bodies: &Bodies, n: u64, is_lean: bool) -> (Object, Object) {
        let mut dice = Dice::new(self.seed, MEDIA, n);
        let medium = |_| {
            let medium = self.media.draw(&mut dice);
            media::object(medium, &mut dice)
        };
        if is_lean { bodies.lean_parts(n, medium) } else { bodies.parts(n, medium) }
    }
}

fn draw_bytes(dice: &mut Dice) -> usize {
    loop {
        // Box and Muller's transform; 1 − u is never 0.
        let radius = (-2.0 * (1.0 - dice.unit()).ln()).sqrt();
        let normal = radius * (std::f64::consts::TAU * dice.unit()).cos();
        let bytes = MEDIAN_BYTES * (SIGMA * normal).exp();
        if (LEAST_BYTES..=MOST_BYTES).contains(&bytes) {
            return bytes as usize;
        }
    }
}

/// Adds identifiers of third parties, the way wrappers leave them, until about `missing` bytes are filled.
fn padded(ext: Object, missing: usize, d: &mut Dice) -> Object {
    let (mut entries, mut filled) = (Vec::new(), "\"permissions\":[],".len());
    while filled < missing {
        let bidders = ["alpha", "beta", "gamma", "delta", "epsilon"];
        let entry = Object::default()
            .put("source", format!("partner-{}.example", d.below(500)))
            .put("bidders", &bidders[..1 + d.below(4) as usize])
            .put("keep", [true, false][d.below(2) as usize])
            .put("note", format!("{:016x}{:016x}", d.bits(), d.bits()))
            .finish();
        filled += entry.len() + 1;
        entries.push(entry);
    }
    if entries.is_empty() {
        return ext;
    }
    let entries: Vec<serde_json::Value> =
        entries.iter().filter_map(|entry| serde_json::from_str(entry).ok()).collect();
    ext.put("permissions", entries)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    fn bodies() -> Bodies {
        let world = r#"{"version":1,"exchange":"load","seed":5,"users":100000,"cookie":"splitmix64-hex","sites":20000}"#;
        Bodies::new(&serde_json::from_str(world).unwrap(), 5)
    }

    fn shape(is_varied: bool, media: &str) -> Shape {
        Shape { is_varied, media: media.parse().unwrap(), seed: 5 }
    }

    #[test]
    fn plain_bodies_are_those_of_the_floor() {
        let bodies = bodies();
        for n in 0..100 {
            assert_eq!(shape(false, "banner=1").body(&bodies, n), bodies.body(n));
            // Sizes come from a stream of their own.
            let varied: Value = serde_json::from_str(&shape(true, "banner=1").body(&bodies, n)).unwrap();
            let plain: Value = serde_json::from_str(&bodies.body(n)).unwrap();
            assert_eq!(varied["user"]["buyeruid"], plain["user"]["buyeruid"]);
            assert_eq!(varied["device"]["geo"]["region"], plain["device"]["geo"]["region"]);
            assert_eq!(varied["imp"][0]["banner"]["format"], plain["imp"][0]["banner"]["format"]);
        }
    }

    #[test]
    fn lengths_vary_as_those_of_exchanges_do() {
        let (bodies, shape) = (bodies(), shape(true, "banner=1"));
        let mut lengths: Vec<usize> = (0..2_000).map(|n| shape.body(&bodies, n).len()).collect();
        lengths.sort_unstable();
        let at = |per_mille: usize| lengths[per_mille * (lengths.len() - 1) / 1_000];
        eprintln!("{:?}", [0, 10, 100, 500, 900, 990, 1_000].map(at));
        assert!((480..900).contains(&at(0)), "{}", at(0));
        assert!((1_900..2_600).contains(&at(500)), "{}", at(500));
        assert!((5_000..9_300).contains(&at(990)), "{}", at(990));
        assert!(at(1_000) <= 9_300);
    }

    #[test]
    fn media_come_in_their_shares() {
        let (bodies, shape) = (bodies(), shape(true, "banner=60,video=20,audio=10,native=10"));
        let mut counts = [0; 4];
        for n in 0..2_000 {
            let body: Value = serde_json::from_str(&shape.body(&bodies, n)).unwrap();
            for imp in body["imp"].as_array().unwrap() {
                for (count, name) in counts.iter_mut().zip(["banner", "video", "audio", "native"]) {
                    *count += usize::from(imp[name].is_object());
                }
            }
        }
        let total: usize = counts.iter().sum();
        for (count, percent) in counts.into_iter().zip([60, 20, 10, 10]) {
            assert!((count * 100).abs_diff(percent * total) < 4 * total, "{counts:?}");
        }
    }
}
