//! The account's refusals, compiled: places, sellers, supply chains and traffic that are never bid on (OpenRTB 2.6
//! sections 3.2.13 to 3.2.26; the reasons are those of OpenRTB 3.0, "No-Bid Reason Codes").
//!
//! Invariant: what cannot be told from a request is not refused, except where a complete supply chain is asked for.

use super::device::FamilyCache;
use crate::model::address::Addresses;
use crate::model::auction::{Auction, Channel, SupplyNode};
use crate::model::exchange::ExchangeProfile;
use crate::model::no_bid::NoBidReason;
use crate::model::safety::{Safety, Seller};
use crate::targeting;
use foldhash::fast::FixedState;
use std::collections::{HashMap, HashSet};

type Set<T> = HashSet<T, FixedState>;

/// See the module.
#[derive(Clone, Debug, Default)]
pub(super) struct CompiledSafety {
    domains: Set<String>,
    bundles: Set<String>,
    publishers: Set<String>,
    systems: Set<String>,
    sellers: Set<(String, String)>,
    complete_supply_chain: bool,
    crawlers: bool,
    impossible_devices: bool,
    addresses: Addresses,
    authorized: HashMap<String, Set<(String, String)>, FixedState>,
}

impl CompiledSafety {
    pub(super) fn compile(safety: &Safety) -> CompiledSafety {
        let set = |texts: &[String]| texts.iter().cloned().collect::<Set<_>>();
        let pair = |seller: &Seller| Some((seller.system.clone(), seller.account.clone()?));
        let whole = safety.sellers.iter().filter(|seller| seller.account.is_none());
        CompiledSafety {
            domains: set(&safety.domains),
            bundles: set(&safety.bundles),
            publishers: set(&safety.publishers),
            systems: whole.map(|seller| seller.system.clone()).collect(),
            sellers: safety.sellers.iter().filter_map(pair).collect(),
            complete_supply_chain: safety.complete_supply_chain,
            crawlers: safety.crawlers,
            impossible_devices: safety.impossible_devices,
            addresses: Addresses::compile(&safety.addresses),
            authorized: (safety.authorized_sellers.iter())
                .map(|file| (file.domain.clone(), file.sellers.iter().filter_map(pair).collect()))
                .collect(),
        }
    }

    /// Whether addresses are looked at.
    pub(super) fn reads_addresses(&self) -> bool {
        !self.addresses.is_empty()
    }

    /// The first reason, in the order of the list of reasons, why a request is refused as a whole.
    pub(super) fn refuses(
        &self,
        auction: &Auction<'_>,
        profile: &ExchangeProfile,
        agents: &mut FamilyCache,
    ) -> Option<NoBidReason> {
        if self.crawlers && auction.device.ua.is_some_and(|agent| agents.is_crawler(agent)) {
            return Some(NoBidReason::Crawler);
        }
        if self.impossible_devices && agents.contradicts_itself(&auction.device) {
            return Some(NoBidReason::NonHuman);
        }
        if !self.addresses.is_empty() && self.is_data_centre(auction) {
            return Some(NoBidReason::DataCentre);
        }
        if self.is_blocked(auction) {
            return Some(NoBidReason::BlockedInventory);
        }
        if !self.authorized.is_empty() && !self.is_authorized(auction, profile) {
            return Some(NoBidReason::AdsTxt);
        }
        let nodes = auction.source.schain_nodes;
        let complete = auction.source.schain_complete == Some(true) && !nodes.is_empty();
        if self.complete_supply_chain && !complete {
            return Some(NoBidReason::SupplyChain);
        }
        nodes.iter().any(|node| self.is_blocked_seller(node)).then_some(NoBidReason::BlockedSeller)
    }

    /// What of a request meets a refusal of [`CompiledSafety::refuses`]: which list, and in words.
    pub(super) fn told(
        &self,
        auction: &Auction<'_>,
        profile: &ExchangeProfile,
        refusal: NoBidReason,
    ) -> (&'static str, String) {
        let inventory = auction.channel.inventory();
        match refusal {
            NoBidReason::DataCentre => {
                let mut given = targeting::addresses(auction);
                let listed = given.find(|address| self.addresses.contains(*address));
                let what = listed.map_or("the address".to_owned(), |address| format!("address {address}"));
                ("", format!("{what} is in a range of the account's list `safety.addresses`"))
            }
            NoBidReason::BlockedInventory => {
                let Some(inventory) = inventory else { return ("", String::new()) };
                let on = |set: &Set<String>, text: Option<&str>| {
                    text.is_some_and(|text| lower(text.trim(), |text| set.contains(text)))
                };
                let below = |text: Option<&str>| {
                    text.and_then(|text| {
                        lower(text.trim().trim_end_matches('.'), |text| {
                            parents(text).find(|part| self.domains.contains(*part)).map(str::to_owned)
                        })
                    })
                };
                let (bundle, publisher) = (inventory.bundle, inventory.publisher_id);
                let domains =
                    [("domain", inventory.domain), ("publisher's domain", inventory.publisher_domain)];
                let domain = domains.into_iter().find_map(|(what, text)| Some((what, text?, below(text)?)));
                match (on(&self.bundles, bundle), on(&self.publishers, publisher), domain) {
                    (true, ..) => {
                        ("bundle", format!("app {:?} is on `safety.bundles`", bundle.unwrap_or_default()))
                    }
                    (_, true, _) => {
                        let publisher = publisher.unwrap_or_default();
                        ("publisher", format!("publisher {publisher:?} is on `safety.publishers`"))
                    }
                    (.., Some((what, text, listed))) => {
                        ("domain", format!("{what} {text:?} is on `safety.domains`, by the entry {listed:?}"))
                    }
                    _ => ("", String::new()),
                }
            }
            NoBidReason::AdsTxt => (
                "",
                format!(
                    "the ads.txt of {:?} does not name {:?} with publisher {:?}",
                    inventory
                        .and_then(|at| match auction.channel {
                            Channel::App(_) => at.publisher_domain,
                            _ => at.inventory_partner_domain.or(at.domain),
                        })
                        .unwrap_or_default(),
                    profile.seller_system.as_deref().unwrap_or_default(),
                    inventory.and_then(|at| at.publisher_id).unwrap_or_default(),
                ),
            ),
            NoBidReason::SupplyChain => (
                "",
                format!(
                    "`source.schain` has {} nodes and `complete` is {}; `safety.complete_supply_chain` asks for one that is \
                 complete",
                    auction.source.schain_nodes.len(),
                    match auction.source.schain_complete {
                        Some(true) => "1",
                        Some(false) => "0",
                        None => "absent",
                    },
                ),
            ),
            _ => {
                let node = auction.source.schain_nodes.iter().find(|node| self.is_blocked_seller(node));
                let told = node
                    .map(|node| format!("seller {:?} of {:?} is on `safety.sellers`", node.sid, node.asi));
                ("", told.unwrap_or_default())
            }
        }
    }

    fn is_data_centre(&self, auction: &Auction<'_>) -> bool {
        // Where the server fetches the ad, the address is the server's by right.
        if auction.imps.iter().any(|imp| imp.ssai == Some(3)) {
            return false;
        }
        targeting::addresses(auction).any(|address| self.addresses.contains(address))
    }

    fn is_blocked(&self, auction: &Auction<'_>) -> bool {
        let Some(inventory) = auction.channel.inventory() else { return false };
        let has = |set: &Set<String>, text: Option<&str>| {
            !set.is_empty() && text.is_some_and(|text| lower(text.trim(), |text| set.contains(text)))
        };
        let domain = |text: Option<&str>| {
            !self.domains.is_empty()
                && text.is_some_and(|text| {
                    lower(text.trim().trim_end_matches('.'), |text| {
                        parents(text).any(|part| self.domains.contains(part))
                    })
                })
        };
        has(&self.bundles, inventory.bundle)
            || has(&self.publishers, inventory.publisher_id)
            || domain(inventory.domain)
            || domain(inventory.publisher_domain)
    }

    /// Whether the exchange may sell the place: its `ads.txt` names the exchange's system with this publisher. Without an
    /// `ads.txt` of the place, a publisher or the exchange's own name nothing is judged.
    fn is_authorized(&self, auction: &Auction<'_>, profile: &ExchangeProfile) -> bool {
        let Some(inventory) = auction.channel.inventory() else { return true };
        let owner = match auction.channel {
            Channel::App(_) => inventory.publisher_domain,
            _ => inventory.inventory_partner_domain.or(inventory.domain),
        };
        let (Some(owner), Some(system), Some(account)) =
            (owner, profile.seller_system.as_deref(), inventory.publisher_id)
        else {
            return true;
        };
        let file = lower(owner.trim(), |owner| parents(owner).find_map(|part| self.authorized.get(part)));
        file.is_none_or(|sellers| {
            lower(account.trim(), |account| sellers.contains(&(system.to_owned(), account.to_owned())))
        })
    }

    fn is_blocked_seller(&self, node: &SupplyNode<'_>) -> bool {
        if self.systems.is_empty() && self.sellers.is_empty() {
            return false;
        }
        lower(node.asi.trim(), |asi| {
            self.systems.contains(asi)
                || lower(node.sid.trim(), |sid| self.sellers.contains(&(asi.to_owned(), sid.to_owned())))
        })
    }
}

/// Shows a text in lower case; only one with capitals is copied.
fn lower<R>(text: &str, show: impl FnOnce(&str) -> R) -> R {
    if text.bytes().any(|byte| byte.is_ascii_uppercase()) {
        show(&text.to_ascii_lowercase())
    } else {
        show(text)
    }
}

/// The domain and those above it.
fn parents(domain: &str) -> impl Iterator<Item = &str> {
    std::iter::successors(Some(domain), |part| part.split_once('.').map(|(_, rest)| rest))
}
