//! The rules of selection, written down a second time, slowly and without a look at how the engine does it: only
//! targeting is asked of the naive evaluator, which has its own oracle.

use super::world::World;
use outbid::engine::CatalogLineItem;
use outbid::model::auction::{Auction, Channel, Deal, Imp};
use outbid::model::behaviour::Tier;
use outbid::model::creative::Creative;
use outbid::model::exchange::ExchangeProfile;
use outbid::model::ids::{AdvertiserId, SegmentId};
use outbid::model::line_item::{Advertiser, ChannelKind, Strategy};
use outbid::model::money::{Cpm, Currency};
use outbid::targeting::{Facts, naive};
use std::collections::BTreeMap;

const LARGEST: i128 = Cpm::MAX.0 as i128;

/// What a line item offers in a place, and what its bid would hold.
#[derive(Clone, Debug)]
pub(super) struct Offer {
    pub(super) line_item: u32,
    pub(super) campaign: u32,
    pub(super) worth: i128,
    pub(super) price: i128,
    pub(super) hold: i128,
}

/// The open auction or a deal, with every valid offer in any order.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) deal: Option<String>,
    pub(super) offers: Vec<Offer>,
}

/// One request before the rules.
#[derive(Clone, Copy)]
pub(super) struct Case<'c> {
    pub(super) world: &'c World,
    pub(super) profile: &'c ExchangeProfile,
    pub(super) auction: &'c Auction<'c>,
    pub(super) unix_ms: i64,
}

impl<'c> Case<'c> {
    /// The currency to bid in; none when the request as a whole may not be bid on.
    pub(super) fn currency(&self) -> Option<Currency> {
        let auction = self.auction;
        let seat = self.profile.seat.as_str();
        let barred =
            auction.bseat.contains(&seat) || !(auction.wseat.is_empty() || auction.wseat.contains(&seat));
        if auction.fault.is_some() || barred {
            return None;
        }
        let allowed = if auction.cur_given { auction.cur.to_vec() } else { vec![Currency::USD] };
        let known: Vec<Currency> = allowed.into_iter().filter(|c| self.rate(*c).is_some()).collect();
        if known.contains(&self.profile.currency) {
            Some(self.profile.currency)
        } else {
            known.first().copied()
        }
    }

    /// Nano-dollars of one unit.
    fn rate(&self, currency: Currency) -> Option<i128> {
        match currency.as_str() {
            "USD" => Some(1_000_000_000),
            "EUR" => Some(1_080_000_000),
            "JPY" => Some(6_700_000),
            _ => None,
        }
    }

    fn down(&self, amount: i128, from: Currency, to: Currency) -> i128 {
        if from == to {
            return amount;
        }
        (amount * self.rate(from).unwrap() / self.rate(to).unwrap()).min(LARGEST)
    }

    /// Rounded up; none without a rate or over the largest price.
    fn up(&self, amount: i128, from: Option<Currency>, to: Currency) -> Option<i128> {
        let from = from?;
        if from == to {
            return Some(amount);
        }
        let (numerator, denominator) = (amount * self.rate(from)?, self.rate(to)?);
        Some((numerator + denominator - 1) / denominator).filter(|amount| *amount <= LARGEST)
    }

    /// Why nothing known of the user may be used, if so. The random requests carry these signals only.
    fn is_contextual(&self) -> bool {
        let (regs, device) = (&self.auction.regs, &self.auction.device);
        let signalled = regs.coppa == Some(true) || device.lmt == Some(true) || regs.gdpr == Some(true);
        let place_says_so = device.geo.country.is_none_or(|country| country.as_str() == "DE");
        signalled || (place_says_so && regs.gdpr != Some(false))
    }

    fn segments(&self) -> Vec<SegmentId> {
        let held = self.auction.user.buyeruid.and_then(|cookie| self.world.members.get(cookie));
        let usable = held.into_iter().flatten().filter(|m| m.segment.0 != 3 || m.explicit_consent);
        if self.is_contextual() { Vec::new() } else { usable.map(|m| m.segment).collect() }
    }

    /// Positions in the catalog of what targeting lets through.
    pub(super) fn matching(&self, imp: &Imp<'_>) -> Vec<u32> {
        let segments = self.segments();
        let facts = Facts {
            exchange: self.profile.id,
            auction: self.auction,
            user_permitted: !self.is_contextual(),
            segments: &segments,
            os: None,
            browser: None,
            unix_s: self.unix_ms / 1000,
        };
        let catalog = &self.world.snapshot.catalog;
        let passes =
            |line: &CatalogLineItem| naive::matches(&line.match_input(), &facts, imp, catalog.taxonomy());
        (0..).zip(catalog.line_items()).filter(|(_, line)| passes(line)).map(|(ix, _)| ix).collect()
    }

    /// The places of an impression in the order in which they are filled: each deal, then the open auction.
    pub(super) fn places(&self, imp: &Imp<'_>, currency: Currency) -> Vec<Place> {
        let plays = imp.multiplier_ppm.filter(|m| *m >= 1 && *m <= self.profile.max_multiplier_ppm);
        let (Some(plays), true, None, Some(_)) = (plays, self.hold_fits(imp), imp.fault, &imp.banner) else {
            return Vec::new();
        };
        let matching = self.matching(imp);
        let place = |deal: Option<&Deal<'_>>| Place {
            deal: deal.map(|deal| deal.id.to_owned()),
            offers: matching.iter().filter_map(|ix| self.offer(*ix, imp, deal, currency, plays)).collect(),
        };
        let once = |deal: &&Deal<'_>| imp.deals.iter().filter(|other| other.id == deal.id).count() == 1;
        let seat = self.profile.seat.as_str();
        let open_to_us = |deal: &&Deal<'_>| deal.wseat.is_empty() || deal.wseat.contains(&seat);
        let mut places: Vec<Place> =
            imp.deals.iter().filter(once).filter(open_to_us).map(|d| place(Some(d))).collect();
        if !imp.private_auction {
            places.push(place(None));
        }
        places
    }

    fn hold_fits(&self, imp: &Imp<'_>) -> bool {
        let lives = &self.profile.holds;
        let life = match (&self.auction.channel, imp.interstitial) {
            (Channel::App(_), true) => lives.app_interstitial_s,
            (Channel::App(_), false) => lives.app_banner_s,
            _ => lives.web_banner_s,
        };
        u64::from(life.max(imp.exp_s.unwrap_or(0))) + u64::from(lives.grace_s) <= u64::from(lives.max_s)
    }

    fn offer(
        &self,
        ix: u32,
        imp: &Imp<'_>,
        deal: Option<&Deal<'_>>,
        currency: Currency,
        plays: i64,
    ) -> Option<Offer> {
        let account = &self.world.account;
        let line = &account.line_items[ix as usize];
        let campaign = account.campaigns.iter().find(|c| c.id == line.campaign)?;
        let owner = account.advertisers.iter().find(|a| a.id == campaign.advertiser)?;
        let in_flight = line.flight.contains(self.unix_ms) && campaign.flight.contains(self.unix_ms);
        let deals = &line.targeting.deals.include;
        let here = deal.map_or(deals.is_empty(), |deal| deals.iter().any(|id| id == deal.id));
        if !(line.active && campaign.active && owner.active && in_flight && here) {
            return None;
        }
        let creatives =
            line.creatives.iter().map(|a| account.creatives.iter().find(|c| c.id == a.creative).unwrap());
        let fitting = creatives.into_iter().find(|creative| self.fits(creative, ix, imp, deal))?;

        let product = self.product(ix, owner.id, fitting, deal)?;
        let outcomes = if line.strategy == Strategy::MaxCpc { 1_000 } else { 1 };
        let valued = (i128::from(line.bid.0 / outcomes) * product / 1_000_000).min(LARGEST);
        let capped = valued.min(i128::from(line.max_bid.0));
        let cap = self.down(i128::from(self.profile.max_cpm.0), self.profile.currency, currency);
        let worth = self.down(capped, owner.currency, currency).min(cap);
        let price = self.price(worth, imp, deal, currency)?;
        let hold = self.hold(price, owner, currency, plays);
        Some(Offer { line_item: line.id.0, campaign: campaign.id.0, worth, price, hold })
    }

    /// The price at this worth; none under the floor.
    fn price(&self, worth: i128, imp: &Imp<'_>, deal: Option<&Deal<'_>>, currency: Currency) -> Option<i128> {
        let of_imp = || match imp.bid_floor {
            Cpm(0) => Some(0),
            floor => self.up(i128::from(floor.0), imp.bid_floor_cur, currency),
        };
        let fixed = deal.is_some_and(|deal| deal.at == Some(3));
        let floor = match deal.map(|deal| (deal.bid_floor, deal.bid_floor_cur)) {
            None => of_imp()?,
            Some((Some(Cpm(0)), _)) if fixed => return None,
            Some((Some(Cpm(0)), _)) => of_imp()?,
            Some((floor, currency_of_floor)) => self.up(i128::from(floor?.0), currency_of_floor, currency)?,
        };
        let price = if fixed { floor } else { worth };
        (worth >= floor && price > 0).then_some(price)
    }

    /// Each part of the charge at the full price, rounded up.
    fn hold(&self, price: i128, owner: &Advertiser, currency: Currency, plays: i64) -> i128 {
        let up = |numerator: i128, denominator: i128| (numerator + denominator - 1) / denominator;
        let rate = if currency == owner.currency {
            1_000_000_000
        } else {
            self.rate(currency).unwrap() * 1_000_000_000 / self.rate(owner.currency).unwrap()
        };
        let media = up(price * rate * i128::from(plays), 1_000_000_000_000_000);
        let fee = up(i128::from(owner.data_fee.0) * i128::from(plays), 1_000_000);
        media + fee + up(media * i128::from(owner.platform_ppm), 1_000_000)
    }

    /// The factors of the random accounts are twentieths, so the product is taken in those. None when one is 0.
    fn product(
        &self,
        ix: u32,
        owner: AdvertiserId,
        creative: &Creative,
        deal: Option<&Deal<'_>>,
    ) -> Option<i128> {
        fn most<K>(table: &[(K, i64)], applies: impl Fn(&K) -> bool) -> i64 {
            table.iter().filter(|(key, _)| applies(key)).map(|(_, ppm)| *ppm).max().unwrap_or(1_000_000)
        }
        let factors = &self.world.account.line_items[ix as usize].multipliers;
        let device = &self.auction.device;
        let channel = match self.auction.channel {
            Channel::Site(_) => Some(ChannelKind::Site),
            Channel::App(_) => Some(ChannelKind::App),
            Channel::Dooh(_) => Some(ChannelKind::Dooh),
            Channel::Unknown => None,
        };
        let held = self.segments();
        let holds = |node: &SegmentId| {
            node.0 <= 5 && (held.contains(node) || (node.0 == 1 && held.iter().any(|s| matches!(s.0, 2 | 3))))
        };
        // The random accounts know two sets of hours: all and none.
        let dimensions = [
            most(&factors.segments, holds),
            most(&factors.exchanges, |id| *id == self.profile.id),
            most(&factors.countries, |country| Some(*country) == device.geo.country),
            most(&factors.device_types, |kind| Some(*kind) == device.device_type),
            most(&factors.channels, |kind| Some(*kind) == channel),
            most(&factors.sizes, |size| Some(*size) == creative.banner().map(|banner| banner.size)),
            most(&factors.deals, |id| deal.is_some_and(|deal| deal.id == id)),
            most(&factors.hours, |hours| hours.contains(0)),
            most(&factors.value_tiers, |tier| {
                *tier == Tier::Loyal && owner.0 == 1 && held.contains(&SegmentId(5))
            }),
        ];
        let twentieths: i128 = dimensions.iter().map(|ppm| i128::from(ppm / 50_000)).product();
        let ppm = twentieths * 1_000_000 / 20i128.pow(9);
        (twentieths > 0).then(|| ppm.clamp(50_000, 20_000_000))
    }

    fn fits(&self, creative: &Creative, ix: u32, imp: &Imp<'_>, deal: Option<&Deal<'_>>) -> bool {
        let (Some(banner), Some(ours)) = (&imp.banner, creative.banner()) else { return false };
        let auction = self.auction;
        let line = &self.world.account.line_items[ix as usize];
        let sizes = &line.targeting.sizes;
        let size = banner.sizes.contains(&ours.size)
            && !sizes.exclude.contains(&ours.size)
            && (sizes.include.is_empty() || sizes.include.contains(&ours.size));
        let language = creative.language.as_ref().is_none_or(|ours| {
            let accepted =
                |given: &&str| given.eq_ignore_ascii_case(ours) || given.starts_with(&format!("{ours}-"));
            auction.wlang.is_empty() || auction.wlang.iter().any(accepted)
        });
        let domains = |list: &[&str], all: bool| {
            let on = |domain: &String| {
                list.iter()
                    .map(|entry| entry.to_lowercase())
                    .any(|entry| *domain == entry || domain.ends_with(&format!(".{entry}")))
            };
            if all { creative.adomain.iter().all(on) } else { creative.adomain.iter().any(on) }
        };
        let wanted = deal.is_none_or(|deal| deal.wadomain.is_empty() || domains(deal.wadomain, true));
        let app = creative.bundle.as_ref().is_none_or(|bundle| !auction.bapp.contains(&bundle.as_str()));
        let attributes = !banner.btype.contains(&ours.banner_type)
            && creative.attributes.iter().all(|attribute| !banner.battr.contains(attribute));
        let secure = imp.secure != Some(true) || (creative.secure && self.world.settings.tracking_is_https);
        let supported = creative.api.is_none_or(|api| banner.api.contains(&api))
            && (banner.mimes.is_empty() || banner.mimes.contains(&"text/html"));
        size && language
            && self.categories_pass(creative)
            && !domains(auction.badv, false)
            && wanted
            && app
            && attributes
            && secure
            && supported
            && creative.approvals.at(self.profile.id)
    }

    fn categories_pass(&self, creative: &Creative) -> bool {
        let auction = self.auction;
        if auction.bcat.is_empty() && auction.acat.is_empty() {
            return true;
        }
        // Two taxonomies cannot be compared: nothing is proven to be allowed.
        if auction.cattax != creative.cattax {
            return false;
        }
        let under = |category: &str, node: &str| {
            let (category, node) = (category.to_lowercase(), node.to_lowercase());
            category == node || (creative.cattax == 1 && category.starts_with(&format!("{node}-")))
        };
        let listed = |category: &String, list: &[&str]| list.iter().any(|node| under(category, node));
        let blocked = creative.categories.iter().any(|category| listed(category, auction.bcat));
        let given = !creative.categories.is_empty();
        let allowed = given && creative.categories.iter().all(|category| listed(category, auction.acat));
        !blocked && (auction.acat.is_empty() || allowed)
    }
}

/// What is held on each account, against its budget.
#[derive(Debug, Default)]
pub(super) struct Purse {
    held: BTreeMap<(&'static str, u32), i128>,
}

impl Purse {
    /// The five accounts of a line item with their budgets; all requests are of one day.
    fn accounts(world: &World, line_item: u32) -> [((&'static str, u32), Option<i128>); 5] {
        let account = &world.account;
        let line = account.line_items.iter().find(|l| l.id.0 == line_item).unwrap();
        let campaign = account.campaigns.iter().find(|c| c.id == line.campaign).unwrap();
        let owner = account.advertisers.iter().find(|a| a.id == campaign.advertiser).unwrap();
        let nanos = |limit: Option<outbid::model::money::Nanos>| limit.map(|nanos| i128::from(nanos.0));
        [
            (("wallet", owner.id.0), Some(i128::from(owner.wallet.0))),
            (("campaign", campaign.id.0), nanos(campaign.budget.lifetime)),
            (("campaign day", campaign.id.0), nanos(campaign.budget.daily)),
            (("line item", line_item), nanos(line.budget.lifetime)),
            (("line item day", line_item), nanos(line.budget.daily)),
        ]
    }

    pub(super) fn allows(&self, world: &World, offer: &Offer) -> bool {
        let room = |(key, budget): &(_, Option<i128>)| {
            budget.is_none_or(|b| b - self.held.get(key).copied().unwrap_or(0) >= offer.hold)
        };
        offer.hold >= 1 && Purse::accounts(world, offer.line_item).iter().all(room)
    }

    /// Holds `amount`, or gives it back where it is negative.
    pub(super) fn hold(&mut self, world: &World, line_item: u32, amount: i128) {
        for (key, _) in Purse::accounts(world, line_item) {
            *self.held.entry(key).or_default() += amount;
        }
    }
}
