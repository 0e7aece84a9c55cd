//! x
mod market;
fn main() {}
