//! Which creative fits an impression: what the exchange blocks or requires, checked in the order of the reasons.

use super::catalog::{Catalog, CatalogCreative, CatalogLineItem};
use super::context::Request;
use crate::model::auction::{Auction, Banner, Deal, Imp, Size};
use crate::model::bid::Fill;
use crate::model::creative::{BannerAd, CompiledMarkup, Creative};
use crate::model::no_bid::NoBidReason;

/// `cattax` of IAB Content 1.0, whose codes carry their parent (`IAB25-3` under `IAB25`).
const CONTENT_1_0: u16 = 1;

/// Picks one of the fitting creatives by weight, decided by `draw`. Where none fits, the reason is that of the one
/// which passed most checks: the check at which the line item as a whole ends.
pub(super) fn pick<'r>(
    line: &CatalogLineItem,
    request: &Request<'r>,
    imp: &Imp<'_>,
    deal: Option<&Deal<'_>>,
    draw: u64,
) -> Result<Picked<'r>, NoBidReason> {
    let catalog: &'r Catalog = request.catalog();
    let Some(banner) = &imp.banner else { return Err(NoBidReason::Format) };
    let https = request.settings.tracking_is_https;
    let place = Place { auction: request.auction, line, imp, banner, deal, https };
    let mut total = 0u64;
    let mut last_reason = NoBidReason::Size;
    for (position, weight) in &line.creatives {
        match place.fits(&catalog.creatives()[*position].creative) {
            Ok(()) => total += u64::from(*weight),
            Err(reason) => last_reason = last_reason.max(reason),
        }
    }
    if total == 0 {
        return Err(last_reason);
    }
    let mut left = draw % total;
    for (position, weight) in &line.creatives {
        let entry = &catalog.creatives()[*position];
        if place.fits(&entry.creative).is_ok() {
            match left.checked_sub(u64::from(*weight)) {
                Some(rest) => left = rest,
                None => return picked(entry),
            }
        }
    }
    Err(NoBidReason::Size)
}

/// A creative and how it fills an impression.
#[derive(Clone, Copy, Debug)]
pub(super) struct Picked<'r> {
    pub(super) creative: &'r Creative,
    pub(super) fill: Fill<'r>,
    pub(super) size: Option<Size>,
}

fn picked(entry: &CatalogCreative) -> Result<Picked<'_>, NoBidReason> {
    let (CompiledMarkup::Html(template), Some(banner)) = (&entry.markup, entry.creative.banner()) else {
        return Err(NoBidReason::Format);
    };
    Ok(Picked { creative: &entry.creative, fill: Fill::Html(template), size: Some(banner.size) })
}

type Check<'p> = fn(&Place<'p>, &Creative) -> bool;

struct Place<'p> {
    auction: &'p Auction<'p>,
    line: &'p CatalogLineItem,
    imp: &'p Imp<'p>,
    banner: &'p Banner<'p>,
    deal: Option<&'p Deal<'p>>,
    https: bool,
}

impl<'p> Place<'p> {
    fn fits(&self, creative: &Creative) -> Result<(), NoBidReason> {
        // In the order of the list of reasons, so that the first failing check is the first reason.
        let checks: [(Check<'p>, NoBidReason); 9] = [
            (Self::size_fits, NoBidReason::Size),
            (Self::language_allowed, NoBidReason::Language),
            (Self::categories_allowed, NoBidReason::BlockedCategory),
            (Self::advertiser_allowed, NoBidReason::BlockedAdvertiser),
            (Self::app_allowed, NoBidReason::BlockedApp),
            (Self::attributes_allowed, NoBidReason::BlockedAttribute),
            (Self::secure_enough, NoBidReason::NotSecure),
            (Self::supported, NoBidReason::Unsupported),
            (|_, creative| creative.approved, NoBidReason::CreativeApproval),
        ];
        let failed = checks.iter().find(|(passes, _)| !passes(self, creative));
        failed.map_or(Ok(()), |(_, reason)| Err(*reason))
    }

    /// Offered by the impression, targeted, and not excluded by a factor of 0.
    fn size_fits(&self, creative: &Creative) -> bool {
        let rule = &self.line.item.targeting.sizes;
        let Some(BannerAd { size, .. }) = creative.banner() else { return false };
        self.banner.sizes.contains(size)
            && (rule.include.is_empty() || rule.include.contains(size))
            && !rule.exclude.contains(size)
            && !self.line.multipliers.excludes_size(*size)
    }

    /// `secure = 1`: everything https, the tracking URL included; absent is unknown and http may do.
    fn secure_enough(&self, creative: &Creative) -> bool {
        self.imp.secure != Some(true) || (creative.secure && self.https)
    }

    /// `wlang`: a creative without a language fits every list (OpenRTB 2.6 section 3.2.1, market convention).
    fn language_allowed(&self, creative: &Creative) -> bool {
        let Some(language) = &creative.language else { return true };
        self.auction.wlang.is_empty()
            || self.auction.wlang.iter().any(|allowed| {
                let allowed = allowed.trim();
                let base = allowed.split('-').next().unwrap_or(allowed);
                allowed.eq_ignore_ascii_case(language) || base.eq_ignore_ascii_case(language)
            })
    }

    /// `bcat`, `acat`: a parent blocks or allows its children. Lists in another taxonomy than the creative's cannot
    /// be compared until mappings are loaded, so they count as blocking.
    fn categories_allowed(&self, creative: &Creative) -> bool {
        let (bcat, acat) = (self.auction.bcat, self.auction.acat);
        if bcat.is_empty() && acat.is_empty() {
            return true;
        }
        if self.auction.cattax != creative.cattax {
            return false;
        }
        let under = |category: &str, node: &str| is_under(creative.cattax, category, node);
        let blocked = creative.categories.iter().any(|c| bcat.iter().any(|node| under(c, node)));
        let allowed = acat.is_empty()
            || (!creative.categories.is_empty()
                && creative.categories.iter().all(|c| acat.iter().any(|node| under(c, node))));
        !blocked && allowed
    }

    /// `badv` blocks a domain and its subdomains; a deal's `wadomain` allows them.
    fn advertiser_allowed(&self, creative: &Creative) -> bool {
        let on = |list: &[&str], domain: &str| list.iter().any(|entry| is_domain_or_subdomain(domain, entry));
        let blocked = creative.adomain.iter().any(|domain| on(self.auction.badv, domain));
        let allowed = self.deal.is_none_or(|deal| {
            deal.wadomain.is_empty() || creative.adomain.iter().all(|domain| on(deal.wadomain, domain))
        });
        !blocked && allowed
    }

    fn app_allowed(&self, creative: &Creative) -> bool {
        let Some(bundle) = &creative.bundle else { return true };
        !self.auction.bapp.iter().any(|blocked| blocked.trim().eq_ignore_ascii_case(bundle))
    }

    fn attributes_allowed(&self, creative: &Creative) -> bool {
        !creative.banner().is_some_and(|banner| self.banner.btype.contains(&banner.banner_type))
            && !creative.attributes.iter().any(|attribute| self.banner.battr.contains(attribute))
    }

    /// An API that is not listed is unsupported (section 3.2.6); so is a content type once any is listed. Where the
    /// exchange requires transparency information of every bid (`dsarequired` 2 and 3, community extension "DSA
    /// Transparency"), none is made, because creatives have none to give.
    fn supported(&self, creative: &Creative) -> bool {
        if matches!(self.auction.regs.dsa_required, Some(2 | 3)) {
            return false;
        }
        let html = |mime: &&str| {
            let mime = mime.trim().as_bytes();
            mime.get(..9).is_some_and(|head| head.eq_ignore_ascii_case(b"text/html"))
        };
        let api = creative.api.is_none_or(|api| self.banner.api.contains(&api));
        api && (self.banner.mimes.is_empty() || self.banner.mimes.iter().any(html))
    }
}

fn is_under(cattax: u16, category: &str, node: &str) -> bool {
    let node = node.trim();
    if node.is_empty() {
        return false;
    }
    let Some((head, rest)) = category.as_bytes().split_at_checked(node.len()) else { return false };
    head.eq_ignore_ascii_case(node.as_bytes())
        && (rest.is_empty() || (cattax == CONTENT_1_0 && rest[0] == b'-'))
}

/// Whether `domain` is `entry` or lies below it; case, surrounding spaces and a trailing dot do not count.
fn is_domain_or_subdomain(domain: &str, entry: &str) -> bool {
    let entry = entry.trim().trim_end_matches('.').as_bytes();
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
