//! Which creative fits an impression: what the exchange blocks or requires, checked in the order of the reasons.

mod native;
mod rotation;
mod stream;
mod told;

pub use rotation::Assigned;
pub(super) use rotation::Audience;
pub(super) use told::failing;

use super::catalog::{Catalog, CatalogCreative, CatalogLineItem};
use super::context::Request;
use crate::model::auction::{Auction, Banner, Deal, Imp, Size};
use crate::model::bid::Fill;
use crate::model::creative::{CompiledMarkup, Content, Creative, NativeAd, StreamAd, Template, VastTemplate};
use crate::model::ids::ExchangeId;
use crate::model::media::{FlexibleSize, Medium, Native, Stream};
use crate::model::no_bid::NoBidReason;
use crate::model::targeting::Fit;
use bumpalo::Bump;

/// `cattax` of IAB Content 1.0, whose codes carry their parent (`IAB25-3` under `IAB25`).
const CONTENT_1_0: u16 = 1;

/// A creative and how it fills an impression.
#[derive(Clone, Copy, Debug)]
pub(super) struct Picked<'r> {
    /// Its place among the creatives of its line item.
    pub(super) at: usize,
    pub(super) creative: &'r Creative,
    pub(super) medium: Medium<'r>,
    pub(super) fill: Fill<'r>,
    /// Of a banner, or of the video file that fits.
    pub(super) size: Option<Size>,
    /// Of a banner that was offered as a ratio alone.
    pub(super) flexible: Option<FlexibleSize>,
    /// Of video and audio.
    pub(super) duration_s: Option<u32>,
    /// It brings a skip button that the player was not asked for.
    pub(super) skips_itself: bool,
}

/// How one creative of a line item is picked.
#[derive(Clone, Copy)]
pub(super) struct Draw<'f> {
    pub(super) audience: Audience<'f>,
    /// Decides between those that fit.
    pub(super) seed: u64,
    /// Places of creatives that were picked before and did not do, as a set of bits; places beyond have none.
    pub(super) passed_over: u64,
}

impl Draw<'_> {
    fn passes_over(&self, at: usize) -> bool {
        at < 64 && self.passed_over >> at & 1 == 1
    }
}

/// Picks one of the fitting creatives by weight: of those whose condition holds, else of those that
/// have none. Where none fits, the reason is that of the one
/// which passed most checks: the check at which the line item as a whole ends.
pub(super) fn pick<'r>(
    line: &'r CatalogLineItem,
    request: &Request<'r>,
    imp: &'r Imp<'r>,
    deal: Option<&'r Deal<'r>>,
    draw: &Draw<'_>,
) -> Result<Picked<'r>, NoBidReason> {
    let catalog: &'r Catalog = request.catalog();
    let (auction, exchange) = (request.auction, request.profile.id);
    let place = Place { auction, line, imp, deal, exchange, https: request.settings.tracking_is_https };
    // Weights of those that are meant for this request, and of those that are meant for every one.
    let (mut meant, mut general) = (0u64, 0u64);
    let mut last_reason = NoBidReason::Format;
    // Mostly one creative alone fits, and need not be looked at once more.
    let (mut fitting, mut first) = (0, None);
    for (at, assigned) in line.creatives.iter().enumerate().filter(|(at, _)| !draw.passes_over(*at)) {
        let sum = match &assigned.when {
            None => &mut general,
            Some(when) if when.holds(&draw.audience) => &mut meant,
            Some(_) => continue,
        };
        match place.fits(assigned.fit, &catalog.creatives()[assigned.position]) {
            Ok(found) => {
                *sum += u64::from(assigned.weight);
                fitting += 1;
                first = first.or(Some((at, assigned.position, found)));
            }
            Err(reason) => last_reason = last_reason.max(reason),
        }
    }
    if let (1, Some((at, position, only))) = (fitting, first) {
        return Ok(only.picked(at, &catalog.creatives()[position].creative, request.arena));
    }
    let (total, conditional) = if meant > 0 { (meant, true) } else { (general, false) };
    if total == 0 {
        return Err(last_reason);
    }
    let mut left = draw.seed % total;
    for (at, assigned) in line.creatives.iter().enumerate().filter(|(at, _)| !draw.passes_over(*at)) {
        let counts = match &assigned.when {
            None => !conditional,
            Some(when) => conditional && when.holds(&draw.audience),
        };
        let entry = &catalog.creatives()[assigned.position];
        let Some(Ok(fitting)) = counts.then(|| place.fits(assigned.fit, entry)) else { continue };
        match left.checked_sub(u64::from(assigned.weight)) {
            Some(rest) => left = rest,
            None => return Ok(fitting.picked(at, &entry.creative, request.arena)),
        }
    }
    Err(last_reason)
}

/// How a creative fills the medium that it is for.
#[derive(Clone, Copy)]
enum Fitting<'r> {
    Banner(&'r Banner<'r>, &'r Template, Size),
    Stream(Medium<'r>, stream::Given<'r>, u32),
    Native(&'r Native<'r>, &'r NativeAd, &'r [VastTemplate]),
}

impl<'r> Fitting<'r> {
    fn medium(&self) -> Medium<'r> {
        match self {
            Fitting::Banner(banner, ..) => Medium::Banner(banner),
            Fitting::Stream(medium, ..) => *medium,
            Fitting::Native(native, ..) => Medium::Native(native),
        }
    }

    fn picked(self, at: usize, creative: &'r Creative, arena: &'r Bump) -> Picked<'r> {
        let skips_itself = matches!(self, Fitting::Stream(_, given, _) if given.skips);
        let flexible = match self {
            Fitting::Banner(offered, _, size) => flexible(offered, size),
            Fitting::Stream(..) | Fitting::Native(..) => None,
        };
        let (fill, size, duration_s) = match self {
            Fitting::Banner(_, template, size) => (Fill::Html(template), Some(size), None),
            Fitting::Stream(_, given, seconds) => {
                let size = given.file.map(|file| file.size).filter(|size| *size != Size::default());
                (Fill::Vast(given.vast), size, Some(seconds))
            }
            Fitting::Native(offered, ad, video) => {
                (Fill::Native(native::fill(offered, ad, video, arena)), None, None)
            }
        };
        Picked { at, creative, medium: self.medium(), fill, size, flexible, duration_s, skips_itself }
    }
}

type Check<'p> = fn(&Place<'p>, &CatalogCreative, &Medium<'p>) -> bool;

struct Place<'p> {
    auction: &'p Auction<'p>,
    line: &'p CatalogLineItem,
    imp: &'p Imp<'p>,
    deal: Option<&'p Deal<'p>>,
    exchange: ExchangeId,
    https: bool,
}

impl<'p> Place<'p> {
    /// `fit` is that of the creative, which is not read where it fills nothing here.
    fn fits(&self, fit: Fit, entry: &'p CatalogCreative) -> Result<Fitting<'p>, NoBidReason> {
        // In the order of the list of reasons, so that the first failing check is the first reason.
        let checks: [(Check<'p>, NoBidReason); 9] = [
            (Self::placement_targeted, NoBidReason::Placement),
            (Self::language_allowed, NoBidReason::Language),
            (Self::categories_allowed, NoBidReason::BlockedCategory),
            (Self::advertiser_allowed, NoBidReason::BlockedAdvertiser),
            (Self::app_allowed, NoBidReason::BlockedApp),
            (Self::attributes_allowed, NoBidReason::BlockedAttribute),
            (Self::secure_enough, NoBidReason::NotSecure),
            (Self::supported, NoBidReason::Unsupported),
            (Self::approved_here, NoBidReason::CreativeApproval),
        ];
        let fitting = self.filling(fit, entry);
        let medium = match &fitting {
            Ok(fitting) => fitting.medium(),
            Err((reason, None)) => return Err(*reason),
            Err((_, Some(medium))) => *medium,
        };
        let failed =
            checks.iter().find(|(passes, _)| !passes(self, entry, &medium)).map(|(_, reason)| *reason);
        match (fitting, failed) {
            (Ok(fitting), None) => Ok(fitting),
            (Ok(_), Some(reason)) => Err(reason),
            (Err((reason, _)), failed) => Err(failed.map_or(reason, |failed| failed.min(reason))),
        }
    }

    /// What the creative fills and how; an error names the medium where only its terms are not met.
    fn filling(
        &self,
        fit: Fit,
        entry: &'p CatalogCreative,
    ) -> Result<Fitting<'p>, (NoBidReason, Option<Medium<'p>>)> {
        let ours = fit.media_type();
        let targeted = !self.line.shaped || self.line.item.targeting.formats.accepts(&ours);
        let not_offered = (NoBidReason::Format, None);
        let mut media = self.imp.media();
        let medium = media.find(|medium| targeted && medium.media_type() == ours).ok_or(not_offered)?;
        if let (Medium::Banner(offered), Fit::Banner(size)) = (medium, fit)
            && !self.size_fits(offered, size)
        {
            return Err((NoBidReason::Size, None));
        }
        let stream = |offered: &'p Stream<'p>, ad: &'p StreamAd, documents: &'p [VastTemplate]| {
            let given = stream::give(offered, ad, documents).map_err(|reason| (reason, Some(medium)))?;
            Ok(Fitting::Stream(medium, given, ad.duration_s))
        };
        match (medium, &entry.creative.content, &*entry.markup) {
            (Medium::Banner(offered), Content::Banner(ad), CompiledMarkup::Html(template)) => {
                Ok(Fitting::Banner(offered, template, ad.size))
            }
            (Medium::Video(offered), Content::Video(ad), CompiledMarkup::Vast(documents)) => {
                stream(offered, ad, documents)
            }
            (Medium::Audio(offered), Content::Audio(ad), CompiledMarkup::Vast(documents)) => {
                stream(offered, ad, documents)
            }
            (Medium::Native(offered), Content::Native(ad), CompiledMarkup::Native(video)) => {
                if !native::fits(offered, ad, video) {
                    return Err((NoBidReason::Assets, None));
                }
                Ok(Fitting::Native(offered, ad, video))
            }
            _ => Err(not_offered),
        }
    }

    /// Offered by the impression, targeted, and not excluded by a factor of 0.
    fn size_fits(&self, offered: &Banner<'_>, size: Size) -> bool {
        (offered.sizes.contains(&size) || flexible(offered, size).is_some())
            && (!self.line.shaped || self.line.item.targeting.sizes.accepts(&size))
            && !self.line.multipliers.excludes_size(size)
    }

    fn placement_targeted(&self, _: &CatalogCreative, medium: &Medium<'_>) -> bool {
        let rules = if self.line.shaped { self.line.item.targeting.placement.as_ref() } else { None };
        rules.is_none_or(|rules| rules.accept(self.imp, medium))
    }

    fn approved_here(&self, CatalogCreative { creative, .. }: &CatalogCreative, _: &Medium<'_>) -> bool {
        creative.approvals.at(self.exchange)
    }

    /// `secure = 1`: everything https, the tracking URL included; absent is unknown and http may do.
    fn secure_enough(&self, CatalogCreative { creative, .. }: &CatalogCreative, _: &Medium<'_>) -> bool {
        self.imp.secure != Some(true) || (creative.secure && self.https)
    }

    /// `wlang`: a creative without a language fits every list (OpenRTB 2.6 section 3.2.1, market convention).
    fn language_allowed(&self, CatalogCreative { creative, .. }: &CatalogCreative, _: &Medium<'_>) -> bool {
        let Some(language) = &creative.language else { return true };
        self.auction.wlang.is_empty()
            || self.auction.wlang.iter().any(|allowed| {
                let allowed = allowed.trim_ascii();
                let base = allowed.split('-').next().unwrap_or(allowed);
                allowed.eq_ignore_ascii_case(language) || base.eq_ignore_ascii_case(language)
            })
    }

    /// `bcat`, `acat`: a parent blocks or allows its children. Lists in another taxonomy are compared with what the
    /// creative's categories mean there; where that is not known, they count as blocking.
    fn categories_allowed(&self, entry: &CatalogCreative, _: &Medium<'_>) -> bool {
        let (bcat, acat) = (self.auction.bcat, self.auction.acat);
        if bcat.is_empty() && acat.is_empty() {
            return true;
        }
        let cattax = self.auction.cattax;
        let translated = || entry.translated.iter().find(|(known, _)| *known == cattax).map(|(_, list)| list);
        let ours =
            if cattax == entry.creative.cattax { Some(&entry.creative.categories) } else { translated() };
        let Some(ours) = ours else { return false };
        let under = |category: &str, node: &str| is_under(cattax, category, node);
        let blocked = ours.iter().any(|c| bcat.iter().any(|node| under(c, node)));
        let allowed = acat.is_empty()
            || (!ours.is_empty() && ours.iter().all(|c| acat.iter().any(|node| under(c, node))));
        !blocked && allowed
    }

    /// `badv` blocks a domain and its subdomains; a deal's `wadomain` allows them.
    fn advertiser_allowed(&self, CatalogCreative { creative, .. }: &CatalogCreative, _: &Medium<'_>) -> bool {
        let on = |list: &[&str], domain: &str| list.iter().any(|entry| is_domain_or_subdomain(domain, entry));
        let blocked = creative.adomain.iter().any(|domain| on(self.auction.badv, domain));
        let allowed = self.deal.is_none_or(|deal| {
            deal.wadomain.is_empty() || creative.adomain.iter().all(|domain| on(deal.wadomain, domain))
        });
        !blocked && allowed
    }

    fn app_allowed(&self, CatalogCreative { creative, .. }: &CatalogCreative, _: &Medium<'_>) -> bool {
        let Some(bundle) = &creative.bundle else { return true };
        !self.auction.bapp.iter().any(|blocked| blocked.trim_ascii().eq_ignore_ascii_case(bundle))
    }

    /// `battr` of the medium; `btype` and `expdir` of a banner.
    fn attributes_allowed(
        &self,
        CatalogCreative { creative, .. }: &CatalogCreative,
        medium: &Medium<'_>,
    ) -> bool {
        let blocked = medium.blocked_attributes();
        let of_banner = match (medium, creative.banner()) {
            (Medium::Banner(offered), Some(ad)) => {
                !offered.btype.contains(&ad.banner_type)
                    && ad.expands.iter().all(|direction| offered.expdir.contains(direction))
            }
            _ => true,
        };
        of_banner && !creative.attributes.iter().any(|attribute| blocked.contains(attribute))
    }

    /// An API that is not listed is unsupported (section 3.2.6); so is HTML once any content type is listed; so is an ad
    /// that declares nothing of who is behind it where every one has to, or that leaves showing it to a publisher who
    /// cannot (community extension "DSA Transparency": `dsarequired` 2 and 3, `pubrender` 0).
    fn supported(&self, CatalogCreative { creative, .. }: &CatalogCreative, medium: &Medium<'_>) -> bool {
        let dsa = &self.auction.regs.dsa;
        let declared = !matches!(dsa.required, Some(2 | 3))
            || creative.transparency.as_ref().is_some_and(|t| t.renders || dsa.publisher_renders != Some(0));
        let api = creative.api.is_none_or(|api| medium.api().contains(&api));
        let html = match medium {
            Medium::Banner(offered) => offered.mimes.is_empty() || stream::lists(offered.mimes, "text/html"),
            _ => true,
        };
        declared && api && html
    }
}

/// The ratio that a size fills, where it is not offered in pixels.
fn flexible(offered: &Banner<'_>, size: Size) -> Option<FlexibleSize> {
    let in_pixels = offered.sizes.contains(&size);
    offered.flexible.iter().find(|format| !in_pixels && format.admits(size)).copied()
}

fn is_under(cattax: u16, category: &str, node: &str) -> bool {
    let node = node.trim_ascii();
    if node.is_empty() {
        return false;
    }
    let Some((head, rest)) = category.as_bytes().split_at_checked(node.len()) else { return false };
    head.eq_ignore_ascii_case(node.as_bytes())
        && (rest.is_empty() || (cattax == CONTENT_1_0 && rest[0] == b'-'))
}

/// Whether `domain` is `entry` or lies below it; case, surrounding spaces and a trailing dot do not count.
fn is_domain_or_subdomain(domain: &str, entry: &str) -> bool {
    let entry = entry.as_bytes().trim_ascii();
    let entry = entry.strip_suffix(b".").unwrap_or(entry);
    let domain = domain.as_bytes();
    let Some(start) = domain.len().checked_sub(entry.len()) else { return false };
    !entry.is_empty()
        && domain[start..].eq_ignore_ascii_case(entry)
        && (start == 0 || domain[start - 1] == b'.')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_parent_category_blocks_its_children_only() {
        assert!(is_under(1, "IAB25-3", "IAB25"));
        assert!(is_under(1, "IAB25-3", "iab25-3"));
        assert!(!is_under(1, "IAB25", "IAB25-3"));
        assert!(!is_under(1, "IAB25-3", "IAB2"));
        assert!(!is_under(7, "12-3", "12"));
        assert!(is_under(1, "IAB25-3", " IAB25 "));
        assert!(!is_under(1, "-1", ""));
    }

    #[test]
    fn a_domain_blocks_its_subdomains_only() {
        assert!(is_domain_or_subdomain("shop.example.com", "Example.com."));
        assert!(is_domain_or_subdomain("example.com", "example.com"));
        assert!(!is_domain_or_subdomain("badexample.com", "example.com"));
        assert!(!is_domain_or_subdomain("example.com", "shop.example.com"));
        assert!(!is_domain_or_subdomain("example.com", ""));
    }
}
