//! Which creative fits an impression: what the exchange blocks or requires, checked in the order of the reasons.

use super::catalog::{Catalog, CatalogCreative, CatalogLineItem};
use super::context::Request;
use crate::model::auction::{Auction, Banner, Deal, Imp};
use crate::model::creative::Creative;
use crate::model::no_bid::NoBidReason;

/// `cattax` of IAB Content 1.0, whose codes carry their parent (`IAB25-3` under `IAB25`).
const CONTENT_1_0: u16 = 1;

/// Picks one of the fitting creatives by weight, decided by `draw`; or the reason why none fits.
pub(super) fn pick<'r>(
    line: &CatalogLineItem,
    request: &Request<'r>,
    imp: &Imp<'_>,
    deal: Option<&Deal<'_>>,
    draw: u64,
) -> Result<&'r CatalogCreative, NoBidReason> {
    let catalog: &'r Catalog = request.catalog();
    let Some(banner) = &imp.banner else { return Err(NoBidReason::Format) };
    let place =
        Place { auction: request.auction, imp, banner, deal, https: request.settings.tracking_is_https };
    let mut total = 0u64;
    // Of several creatives the one that got furthest names the reason: that a banner of another size does not fit
    // says nothing when one of this size is blocked.
    let mut furthest: Option<NoBidReason> = None;
    for (position, weight) in &line.creatives {
        match place.fits(&catalog.creatives()[*position].creative, line) {
            Ok(()) => total += u64::from(*weight),
            Err(reason) => furthest = furthest.max(Some(reason)),
        }
    }
    if total == 0 {
        return Err(furthest.unwrap_or(NoBidReason::Size));
    }
    let mut left = draw % total;
    for (position, weight) in &line.creatives {
        let entry = &catalog.creatives()[*position];
        if place.fits(&entry.creative, line).is_ok() {
            match left.checked_sub(u64::from(*weight)) {
                Some(rest) => left = rest,
                None => return Ok(entry),
            }
        }
    }
    Err(NoBidReason::Size)
}

struct Place<'p> {
    auction: &'p Auction<'p>,
    imp: &'p Imp<'p>,
    banner: &'p Banner<'p>,
    deal: Option<&'p Deal<'p>>,
    https: bool,
}

impl Place<'_> {
    fn fits(&self, creative: &Creative, line: &CatalogLineItem) -> Result<(), NoBidReason> {
        let rule = &line.item.targeting.sizes;
        let targeted = (rule.include.is_empty() || rule.include.contains(&creative.size))
            && !rule.exclude.contains(&creative.size);
        // In the order of the list, so that the first failing check is the first reason.
        let checks = [
            (self.banner.sizes.contains(&creative.size) && targeted, NoBidReason::Size),
            (self.language_allowed(creative), NoBidReason::Language),
            (self.categories_allowed(creative), NoBidReason::BlockedCategory),
            (self.advertiser_allowed(creative), NoBidReason::BlockedAdvertiser),
            (self.app_allowed(creative), NoBidReason::BlockedApp),
            (self.attributes_allowed(creative), NoBidReason::BlockedAttribute),
            (self.imp.secure != Some(true) || (creative.secure && self.https), NoBidReason::NotSecure),
            (self.supported(creative), NoBidReason::Unsupported),
            (creative.approved, NoBidReason::CreativeApproval),
        ];
        checks.iter().find(|(passed, _)| !passed).map_or(Ok(()), |(_, reason)| Err(*reason))
    }

    /// `wlang`: a creative without a language fits every list (OpenRTB 2.6 section 3.2.1, market convention).
    fn language_allowed(&self, creative: &Creative) -> bool {
        let Some(language) = &creative.language else { return true };
        self.auction.wlang.is_empty()
            || self.auction.wlang.iter().any(|allowed| {
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
        !self.auction.bapp.iter().any(|blocked| blocked.eq_ignore_ascii_case(bundle))
    }

    fn attributes_allowed(&self, creative: &Creative) -> bool {
        !self.banner.btype.contains(&creative.banner_type)
            && !creative.attributes.iter().any(|attribute| self.banner.battr.contains(attribute))
    }

    /// An API that is not listed is unsupported (section 3.2.6); so is a content type once any is listed.
    fn supported(&self, creative: &Creative) -> bool {
        let html = |mime: &&str| {
            let mime = mime.trim().as_bytes();
            mime.get(..9).is_some_and(|head| head.eq_ignore_ascii_case(b"text/html"))
        };
        let api = creative.api.is_none_or(|api| self.banner.api.contains(&api));
        api && (self.banner.mimes.is_empty() || self.banner.mimes.iter().any(html))
    }
}

fn is_under(cattax: u16, category: &str, node: &str) -> bool {
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
