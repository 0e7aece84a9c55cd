//! `outbid-load`: plays an ad exchange against an `outbid` server over HTTP and measures it.
fn main() {}
