//! How an exchange proves who it is (money.md 3.2): otherwise anyone could ask for bids, receive signed URLs and fire
//! them.

use crate::model::exchange::{ExchangeAuth, ExchangeProfile};
use hyper::HeaderMap;
use std::net::IpAddr;
use subtle::ConstantTimeEq;

/// What a request shows of itself.
pub(super) struct Credentials<'r> {
    /// Headers.
    pub(super) headers: &'r HeaderMap,
    /// The path segment after the exchange's name.
    pub(super) path_secret: Option<&'r str>,
    /// The peer.
    pub(super) peer: IpAddr,
}

/// Whether the request may speak for the exchange.
pub(super) fn is_authentic(profile: &ExchangeProfile, shown: &Credentials<'_>) -> bool {
    match &profile.auth {
        ExchangeAuth::LoopbackOnly => shown.peer.to_canonical().is_loopback(),
        ExchangeAuth::Header { name, secret } => {
            shown.headers.get(name.as_str()).is_some_and(|value| same(value.as_bytes(), secret))
        }
        ExchangeAuth::PathSecret(secret) => {
            shown.path_secret.is_some_and(|shown| same(shown.as_bytes(), secret))
        }
        ExchangeAuth::Addresses(nets) => nets.iter().any(|net| net.contains(shown.peer)),
    }
}

fn same(shown: &[u8], secret: &str) -> bool {
    shown.ct_eq(secret.as_bytes()).into()
}
