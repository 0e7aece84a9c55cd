//! What an account refuses to buy whatever it costs: places, sellers, and traffic that nobody looks at.

use super::exchange::IpNet;

/// Refusals for every line item of an account. Texts are in lower case and compared without case.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Safety {
    /// Domains of sites, with their subdomains.
    pub domains: Vec<String>,
    /// App bundles.
    pub bundles: Vec<String>,
    /// `publisher.id` values.
    pub publishers: Vec<String>,
    /// Sellers anywhere in the supply chain.
    pub sellers: Vec<Seller>,
    /// Only requests with a complete supply chain (`schain.complete = 1`, at least one node) are bid on.
    pub complete_supply_chain: bool,
    /// Crawlers that say so in their user agent are not bid on.
    pub crawlers: bool,
    /// Devices whose own words contradict each other are not bid on.
    pub impossible_devices: bool,
    /// Addresses that no person uses: data centres, proxies.
    pub addresses: Vec<IpNet>,
    /// Who may sell a domain, as its `ads.txt` said when it was last read. Domains that are not listed are not judged.
    pub authorized_sellers: Vec<AuthorizedSellers>,
}

impl Safety {
    /// Whether nothing is refused.
    pub fn is_empty(&self) -> bool {
        *self == Safety::default()
    }
}

/// A seller in a supply chain.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Seller {
    /// `asi`: the advertising system's domain.
    pub system: String,
    /// `sid`: the account there; `None` = every one.
    pub account: Option<String>,
}

/// The lines of one `ads.txt` or `app-ads.txt`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuthorizedSellers {
    /// The domain that it was read from.
    pub domain: String,
    /// Whom it authorises; `account` is always given.
    pub sellers: Vec<Seller>,
}
