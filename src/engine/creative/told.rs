//! Why each creative of a line item does not do, with the values that were compared.

use super::{Draw, Place, is_domain_or_subdomain, is_under};
use crate::engine::catalog::{CatalogCreative, CatalogLineItem};
use crate::engine::context::Request;
use crate::model::auction::{Deal, Imp};
use crate::model::creative::{Approval, Creative};
use crate::model::exchange::ExchangeProfile;
use crate::model::ids::CreativeId;
use crate::model::media::Medium;
use crate::model::no_bid::NoBidReason;
use crate::targeting::naive::list;

/// A creative, the reason that it fails for, and what was compared.
pub(in crate::engine) type Failing = (CreativeId, NoBidReason, String);

/// Every creative of a line item that is meant for the request and fails.
pub(in crate::engine) fn failing<'r>(
    line: &'r CatalogLineItem,
    request: &Request<'r>,
    imp: &'r Imp<'r>,
    deal: Option<&'r Deal<'r>>,
    draw: &Draw<'_>,
) -> Vec<Failing> {
    let (auction, exchange, catalog) = (request.auction, request.profile.id, request.catalog());
    let place = Place { auction, line, imp, deal, exchange, https: request.settings.tracking_is_https };
    let is_meant = |at: &usize| {
        let when = &line.creatives[*at].when;
        when.as_ref().is_none_or(|when| when.holds(&draw.audience))
    };
    let all = (0..line.creatives.len()).filter(is_meant).filter_map(|at| {
        let assigned = &line.creatives[at];
        let entry = &catalog.creatives()[assigned.position];
        let reason = place.fits(assigned.fit, entry).err()?;
        Some((entry.creative.id, reason, place.told(reason, entry, request.profile)))
    });
    all.collect()
}

impl<'p> Place<'p> {
    fn told(&self, reason: NoBidReason, entry: &CatalogCreative, exchange: &ExchangeProfile) -> String {
        let (creative, auction) = (&entry.creative, self.auction);
        let medium = self.imp.media().find(|medium| medium.media_type() == creative.media_type());
        match reason {
            NoBidReason::Format => format!("it is {}", creative.media_type()),
            NoBidReason::Size => match creative.banner() {
                Some(ad) if self.line.multipliers.excludes_size(ad.size) => {
                    format!("a factor of 0 excludes its size {}", ad.size)
                }
                Some(ad) => format!("its size {} is not offered, or not targeted", ad.size),
                None => "its size is not offered".to_owned(),
            },
            NoBidReason::Duration => {
                let seconds = creative.stream().map_or(0, |ad| ad.duration_s);
                let offered = match &medium {
                    Some(Medium::Video(offered) | Medium::Audio(offered)) => {
                        let longest =
                            offered.max_duration_s.map_or("any length".to_owned(), |max| format!("{max} s"));
                        match offered.exact_durations_s {
                            [] => format!("{} s to {longest} are allowed", offered.min_duration_s),
                            exact => format!("only {} s are allowed", list(exact)),
                        }
                    }
                    _ => "another length is asked for".to_owned(),
                };
                format!("it takes {seconds} s, and {offered}")
            }
            NoBidReason::Assets => "it lacks an asset that is required".to_owned(),
            NoBidReason::Placement => match &medium {
                Some(medium) => format!(
                    "the position is {}, which `targeting.placement` does not accept, or another of its rules",
                    medium.position().map_or("not said".to_owned(), |position| position.to_string())
                ),
                None => "`targeting.placement` does not accept the place".to_owned(),
            },
            NoBidReason::Language => format!(
                "its language is {}; `wlang` allows {}",
                creative.language.as_deref().unwrap_or("not said"),
                list(auction.wlang)
            ),
            NoBidReason::BlockedCategory => self.told_categories(entry),
            NoBidReason::BlockedAdvertiser => self.told_domains(creative),
            NoBidReason::BlockedApp => {
                format!("`bapp` blocks its bundle {}", creative.bundle.as_deref().unwrap_or_default())
            }
            NoBidReason::BlockedAttribute => told_attributes(creative, medium.as_ref()),
            NoBidReason::NotSecure if !creative.secure => {
                "`secure` is 1, and it has an address without https".to_owned()
            }
            NoBidReason::NotSecure => "`secure` is 1, and `track.public_url` is not https".to_owned(),
            NoBidReason::Unsupported => {
                let api = creative.api.map(|api| format!("API {api}"));
                let api = api.unwrap_or_else(|| "what it is made of".to_owned());
                format!("{api}, its content type or its declaration of who pays (`dsa`) is not accepted")
            }
            NoBidReason::CreativeApproval => approval(creative, exchange),
            other => other.as_str().to_owned(),
        }
    }

    fn told_categories(&self, entry: &CatalogCreative) -> String {
        let (creative, auction) = (&entry.creative, self.auction);
        let cattax = auction.cattax;
        let translated = || entry.translated.iter().find(|(known, _)| *known == cattax).map(|(_, list)| list);
        let same = cattax == creative.cattax;
        let Some(ours) = (if same { Some(&creative.categories) } else { translated() }) else {
            return format!(
                "the request blocks categories of taxonomy {cattax}, and what its own of taxonomy {} mean there is not \
                 known",
                creative.cattax
            );
        };
        let blocked = ours.iter().find_map(|category| {
            let node = auction.bcat.iter().find(|node| is_under(cattax, category, node))?;
            Some(format!("`bcat` blocks {node}, and its category is {category}"))
        });
        blocked.unwrap_or_else(|| {
            format!("`acat` allows only {}, and its categories are {}", list(auction.acat), list(ours))
        })
    }

    fn told_domains(&self, creative: &Creative) -> String {
        let blocked = creative.adomain.iter().find_map(|domain| {
            let entry = self.auction.badv.iter().find(|entry| is_domain_or_subdomain(domain, entry))?;
            Some(format!("`badv` blocks {entry}, and its domain is {domain}"))
        });
        blocked.unwrap_or_else(|| {
            let allowed = self.deal.map_or(&[][..], |deal| deal.wadomain);
            format!(
                "the deal's `wadomain` allows only {}, and its domain is {}",
                list(allowed),
                list(&creative.adomain)
            )
        })
    }
}

fn told_attributes(creative: &Creative, medium: Option<&Medium<'_>>) -> String {
    let blocked = medium.map_or(&[][..], |medium| medium.blocked_attributes());
    if let Some(attribute) = creative.attributes.iter().find(|attribute| blocked.contains(attribute)) {
        return format!("`battr` blocks attribute {attribute}, which it has");
    }
    match (medium, creative.banner()) {
        (Some(Medium::Banner(offered)), Some(ad)) if offered.btype.contains(&ad.banner_type) => {
            format!("`btype` blocks banner type {}, which it is", ad.banner_type)
        }
        (Some(Medium::Banner(offered)), Some(ad)) => {
            format!("it expands to {}, and `expdir` allows {}", list(&ad.expands), list(offered.expdir))
        }
        _ => format!("`battr` blocks {}, and it brings a skip button of its own", list(blocked)),
    }
}

/// What was decided about a creative that may not be shown on an exchange.
fn approval(creative: &Creative, exchange: &ExchangeProfile) -> String {
    let exception = creative.approvals.exceptions.iter().find(|(id, _)| *id == exchange.id);
    let name = |approval| match approval {
        Approval::Rejected => "rejected",
        Approval::Pending => "pending",
        Approval::Approved => "approved",
    };
    match exception {
        Some((_, approval)) => {
            format!("it is {} on {}, by its `approvals`", name(*approval), exchange.name)
        }
        None => format!("its `approval` is {}", name(creative.approvals.everywhere)),
    }
}
