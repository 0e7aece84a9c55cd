//! Sets of addresses, as lists and refusals name them.

use super::exchange::IpNet;
use std::net::IpAddr;

/// Address blocks as ranges that do not overlap.
#[derive(Clone, Debug, Default)]
pub struct Addresses {
    /// (first, last), ascending; IPv4 as mapped into IPv6.
    ranges: Vec<(u128, u128)>,
}

impl Addresses {
    /// Of these blocks, in any order.
    pub fn compile(blocks: &[IpNet]) -> Addresses {
        let mut ranges: Vec<(u128, u128)> = blocks.iter().map(range).collect();
        ranges.sort_unstable();
        let mut joined: Vec<(u128, u128)> = Vec::with_capacity(ranges.len());
        for (first, last) in ranges {
            match joined.last_mut() {
                Some((_, end)) if first <= *end => *end = last.max(*end),
                _ => joined.push((first, last)),
            }
        }
        Addresses { ranges: joined }
    }

    /// Whether no address is in them.
    pub fn is_empty(&self) -> bool {
        self.ranges.is_empty()
    }

    /// Whether an address lies in one of the blocks.
    pub fn contains(&self, address: IpAddr) -> bool {
        let number = number_of(address);
        let after = self.ranges.partition_point(|(first, _)| *first <= number);
        after.checked_sub(1).is_some_and(|at| number <= self.ranges[at].1)
    }
}

fn number_of(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => address.to_ipv6_mapped().to_bits(),
        IpAddr::V6(address) => address.to_bits(),
    }
}

fn range(block: &IpNet) -> (u128, u128) {
    let width = if block.addr.is_ipv4() { 32 } else { 128 };
    let free = width - u32::from(block.prefix).min(width);
    let mask = u128::MAX.checked_shl(free).unwrap_or(0);
    let first = number_of(block.addr) & mask;
    (first, first | !mask)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn an_address_is_in_the_ranges_exactly_if_it_is_in_a_block(
            blocks in prop::collection::vec((any::<bool>(), any::<u8>(), 0u8..=128), 0..20),
            probe in any::<(bool, u8, u8)>(),
        ) {
            // Few distinct leading bytes, so that blocks overlap and are hit.
            let address = |four: bool, lead: u8, tail: u8| -> IpAddr {
                if four { IpAddr::from([lead % 4, 0, 0, tail]) } else { IpAddr::from(std::net::Ipv6Addr::from_bits(u128::from(lead % 4) << 120 | u128::from(tail))) }
            };
            let blocks: Vec<IpNet> = blocks.iter().map(|(four, lead, prefix)| {
                let addr = address(*four, *lead, 0);
                IpNet { addr, prefix: if *four { prefix % 33 } else { *prefix } }
            }).collect();
            let compiled = Addresses::compile(&blocks);
            let probe = address(probe.0, probe.1, probe.2);
            // All of IPv6 has IPv4 mapped into it.
            let expected = blocks.iter().any(|block| block.contains(probe))
                || (probe.is_ipv4() && blocks.iter().any(|block| block.addr.is_ipv6() && {
                    let (first, last) = range(block);
                    (first..=last).contains(&number_of(probe))
                }));
            prop_assert_eq!(compiled.contains(probe), expected);
        }
    }
}
