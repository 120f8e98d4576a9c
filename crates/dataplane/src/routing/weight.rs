//! A choice by weight.

/// One of these for a random number: each has as many of the numbers as its weight is of `total`, the sum of all weights.
/// `None` if none has a weight.
pub(crate) fn by_weight<T>(some: &[T], total: u64, weight: impl Fn(&T) -> u32, random: u32) -> Option<&T> {
    // Scales 0..2^32 to 0..total; the product fits, as a sum of 32-bit weights times 2^32 is below 2^128.
    let mut point = (u128::from(random) * u128::from(total)) >> 32;
    some.iter().find(|one| {
        let weight = u128::from(weight(one));
        let here = point < weight;
        point = point.saturating_sub(weight);
        here
    })
}
