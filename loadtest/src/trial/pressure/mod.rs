//! Trials of a server that has too little, that ends while it works, or whose network is bad: B7, B9, F4, F5 and F7 of
//! the specification.

pub(crate) mod balancer;
pub(crate) mod drain;
pub(crate) mod flood;
pub(crate) mod proxied;
pub(crate) mod proxy;
pub(crate) mod resources;
