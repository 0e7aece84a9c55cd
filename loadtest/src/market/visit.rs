//! One visit: the facts of a bid request before anything is written as JSON.

use super::dice::{Dice, Zipf};
use super::facts::{APPS, BRANDS, CATEGORIES, DEVICES, PLACES, SITES, SIZES};

/// Kind of the random stream that visits are drawn from.
const VISITS: u64 = u64::from_be_bytes(*b"requests");

/// Who is there, as the exchange knows them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Visitor {
    /// User number `.0` of the world; their cookie is matched.
    Known(u64),
    /// A matched cookie that no segment store knows.
    Stranger(u64),
    /// No match.
    Unmatched,
}

/// Where the impressions are, by rank.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Channel {
    /// On a site.
    Site(u64),
    /// In an app.
    App(u64),
}

/// The privacy signals of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Privacy {
    /// None at all.
    Silent,
    /// `gdpr = 0`.
    GdprOff,
    /// `gdpr = 1` and a consent string.
    GdprOn,
    /// `us_privacy = 1---`: does not apply.
    UsPrivacyEmpty,
    /// `us_privacy = 1YYN`: opted out.
    UsPrivacyOptOut,
    /// `device.lmt = 1`.
    Lmt,
    /// `device.dnt = 1`.
    Dnt,
    /// `coppa = 1`.
    Coppa,
}

impl Privacy {
    /// Whether a user's segments may be used: what a gate that obeys every signal says.
    #[cfg(test)]
    pub(crate) fn is_open(self, country: &str) -> bool {
        match self {
            Privacy::Silent => !matches!(country, "GBR" | "DEU"),
            Privacy::GdprOff | Privacy::UsPrivacyEmpty => true,
            Privacy::GdprOn | Privacy::UsPrivacyOptOut | Privacy::Lmt | Privacy::Dnt | Privacy::Coppa => {
                false
            }
        }
    }
}

/// The sizes that one impression offers, as positions in [`SIZES`].
pub(crate) type Slot = &'static [usize];

/// Slots on a phone or tablet, with weights.
const SMALL_SLOTS: [(Slot, u32); 5] =
    [(&[1], 350), (&[1, 7], 200), (&[0], 250), (&[0, 6], 150), (&[0, 1, 7], 50)];

/// Slots on anything larger, with weights.
const LARGE_SLOTS: [(Slot, u32); 6] =
    [(&[0], 250), (&[0, 6], 150), (&[2], 200), (&[2, 5], 150), (&[3, 4], 120), (&[0, 4, 6], 130)];

/// One visit.
#[derive(Clone, Debug)]
pub(crate) struct Visit {
    /// Who.
    pub(crate) visitor: Visitor,
    /// On what.
    pub(crate) channel: Channel,
    /// Position in [`PLACES`].
    pub(crate) place: usize,
    /// Position in [`DEVICES`].
    pub(crate) device: usize,
    /// What may be done.
    pub(crate) privacy: Privacy,
    /// The impressions' sizes, at least one.
    pub(crate) slots: Vec<Slot>,
    /// Blocked positions of [`CATEGORIES`].
    pub(crate) blocked_categories: Vec<usize>,
    /// Blocked advertisers, numbers from 1.
    pub(crate) blocked_brands: Vec<u64>,
}

/// Draws visits to one world.
#[derive(Clone, Debug)]
pub(crate) struct Visits {
    seed: u64,
    user_count: u64,
    users: Zipf,
    sites: Zipf,
    apps: Zipf,
}

impl Visits {
    /// Visits by `user_count` ≥ 1 users, Zipf over users, sites and apps.
    pub(crate) fn new(seed: u64, user_count: u64) -> Visits {
        let [users, sites, apps] = [user_count, SITES, APPS].map(|last| Zipf::new(1, last));
        Visits { seed, user_count, users, sites, apps }
    }

    /// Visit number `n` and the dice to go on with for its details; the same for the same seed and sizes.
    pub(crate) fn draw(&self, n: u64) -> (Visit, Dice) {
        let mut dice = Dice::new(self.seed, VISITS, n);
        let d = &mut dice;
        let visitor = self.visitor(d);
        let is_site = d.chance(700);
        let channel =
            if is_site { Channel::Site(self.sites.draw(d)) } else { Channel::App(self.apps.draw(d)) };
        let place = d.weighted(&PLACES, |place| place.2);
        let device = d.weighted(&DEVICES, |device| if is_site { device.3 } else { device.4 });
        let privacy = privacy(d, PLACES[place].0);
        let imps = [1, 2, 3][d.weighted(&[800, 140, 60], |weight| *weight)];
        let small = matches!(DEVICES[device].0, 4 | 5);
        let slots = (0..imps)
            .map(|_| match small {
                true => SMALL_SLOTS[d.weighted(&SMALL_SLOTS, |slot| slot.1)].0,
                false => LARGE_SLOTS[d.weighted(&LARGE_SLOTS, |slot| slot.1)].0,
            })
            .collect();
        let blocked = if d.chance(300) { 1 + d.below(3) } else { 0 };
        let blocked_categories = (0..blocked).map(|_| d.below(CATEGORIES.len() as u64) as usize).collect();
        let blocked_brands = (0..4 + d.below(12)).map(|_| 1 + d.below(BRANDS)).collect();
        let visit =
            Visit { visitor, channel, place, device, privacy, slots, blocked_categories, blocked_brands };
        (visit, dice)
    }

    /// Nine in ten are known; of the rest, half have a cookie that nobody put into a segment.
    pub(crate) fn visitor(&self, dice: &mut Dice) -> Visitor {
        match dice.below(20) {
            0 => Visitor::Unmatched,
            1 => Visitor::Stranger(self.user_count + dice.below(1 << 40)),
            _ => Visitor::Known(self.users.draw(dice) - 1),
        }
    }
}

/// Mostly silent, so that most requests may use segments; where GDPR holds by place, half say so and half say that it
/// does not apply.
fn privacy(dice: &mut Dice, country: &str) -> Privacy {
    if matches!(country, "GBR" | "DEU") {
        return if dice.chance(500) { Privacy::GdprOn } else { Privacy::GdprOff };
    }
    match dice.below(1_000) {
        0..100 => Privacy::UsPrivacyEmpty,
        100..110 => Privacy::UsPrivacyOptOut,
        110..120 => Privacy::Lmt,
        120..125 => Privacy::Dnt,
        125..130 => Privacy::Coppa,
        130..180 => Privacy::GdprOff,
        _ => Privacy::Silent,
    }
}

impl Visit {
    /// The sizes in pixels that impression `index` offers.
    pub(crate) fn sizes(&self, index: usize) -> impl Iterator<Item = (u16, u16)> {
        self.slots[index].iter().map(|size| SIZES[*size].0)
    }
}
