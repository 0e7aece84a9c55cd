//! Numbers that look random and are the same for ever.

/// splitmix64 (Steele, Lea, Flood, OOPSLA 2014): the output that follows state `x`. A bijection of 64-bit words in which every
/// bit of the input moves every bit of the output.
pub const fn splitmix64(x: u64) -> u64 {
    let z = x.wrapping_add(GOLDEN);
    let z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// 2^64 divided by the golden ratio: the increment of splitmix64.
pub const GOLDEN: u64 = 0x9E37_79B9_7F4A_7C15;

#[cfg(test)]
mod tests {
    use super::{GOLDEN, splitmix64};

    #[test]
    fn the_generator_is_the_published_one() {
        // The first outputs of the authors' generator from the seed 0.
        let outputs = [0, GOLDEN, GOLDEN.wrapping_mul(2)].map(splitmix64);
        assert_eq!(outputs, [0xE220_A839_7B1D_CDAF, 0x6E78_9E6A_A1B9_65F4, 0x06C4_5D18_8009_454F]);
    }
}
