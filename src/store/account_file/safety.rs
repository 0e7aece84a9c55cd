//! What an account refuses: JSON → model and back.

use super::report::{Code, Report};
use super::targeting::{address, domain};
use super::wire::{AdsTxtWire, SafetyWire};
use crate::model::safety::{AuthorizedSellers, Safety, Seller};

/// Reads the refusals.
pub(super) fn read(report: &mut Report, wire: SafetyWire) -> Safety {
    Safety {
        domains: report.list("domains", wire.domains, domain),
        bundles: report.list("bundles", wire.bundles, text),
        publishers: report.list("publishers", wire.publishers, text),
        sellers: report.list("sellers", wire.sellers, seller),
        complete_supply_chain: wire.complete_supply_chain.unwrap_or(false),
        crawlers: wire.crawlers.unwrap_or(false),
        impossible_devices: wire.impossible_devices.unwrap_or(false),
        addresses: report.list("addresses", wire.addresses, |report, text| address(report, &text)),
        authorized_sellers: report.list("ads_txt", wire.ads_txt, ads_txt),
    }
}

/// The same for a file.
pub(super) fn write(safety: &Safety) -> SafetyWire {
    let said = |yes: bool| yes.then_some(true);
    let seller = |seller: &Seller| match &seller.account {
        None => seller.system.clone(),
        Some(account) => format!("{}/{account}", seller.system),
    };
    let line =
        |seller: &Seller| format!("{}, {}", seller.system, seller.account.as_deref().unwrap_or_default());
    SafetyWire {
        domains: safety.domains.clone(),
        bundles: safety.bundles.clone(),
        publishers: safety.publishers.clone(),
        sellers: safety.sellers.iter().map(seller).collect(),
        complete_supply_chain: said(safety.complete_supply_chain),
        crawlers: said(safety.crawlers),
        impossible_devices: said(safety.impossible_devices),
        addresses: safety.addresses.iter().map(|block| format!("{}/{}", block.addr, block.prefix)).collect(),
        ads_txt: (safety.authorized_sellers.iter())
            .map(|file| AdsTxtWire {
                domain: Some(file.domain.clone()),
                lines: file.sellers.iter().map(line).collect(),
            })
            .collect(),
    }
}

fn text(report: &mut Report, text: String) -> Option<String> {
    let text = text.trim().to_ascii_lowercase();
    if text.is_empty() {
        report.error(Code::Malformed, "is empty and cannot match; remove it".to_owned());
    }
    Some(text)
}

/// `example.com` or `example.com/account`.
fn seller(report: &mut Report, given: String) -> Option<Seller> {
    let (system, account) = match given.split_once('/') {
        Some((system, account)) => (system.to_owned(), Some(account.to_owned())),
        None => (given, None),
    };
    let account = match account {
        Some(account) => Some(text(report, account)?),
        None => None,
    };
    Some(Seller { system: domain(report, system)?, account })
}

/// One `ads.txt` (IAB Tech Lab, Ads.txt 1.1 section 3.4.2): fields by commas, comments behind `#`; variables and empty
/// lines authorise nobody.
fn ads_txt(report: &mut Report, wire: AdsTxtWire) -> Option<AuthorizedSellers> {
    let owner = report.required("domain", wire.domain);
    let owner = owner.and_then(|text| report.within("domain", |report| domain(report, text)));
    let sellers = report.list("lines", wire.lines, |report, line| {
        let record = line.split('#').next().unwrap_or_default().trim();
        let mut fields = record.split(',').map(str::trim);
        let (system, account) = (fields.next().unwrap_or_default(), fields.next());
        if record.is_empty() || (account.is_none() && record.contains('=')) {
            return None;
        }
        let Some(account) = account.filter(|account| !account.is_empty()) else {
            report.error(
                Code::Malformed,
                format!("{line:?} has no account; write \"system, account, DIRECT\""),
            );
            return None;
        };
        Some(Seller {
            system: domain(report, system.to_owned())?,
            account: Some(account.to_ascii_lowercase()),
        })
    });
    Some(AuthorizedSellers { domain: owner?, sellers })
}
