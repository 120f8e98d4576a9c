//! A choice by weight.

use std::cell::Cell;

/// 2^32 by the golden ratio: multiples of it fall evenly, however few or many.
const STEP: u32 = 0x9e37_79b9;

/// The numbers that a rule's choices are made by. They begin anywhere and then fall evenly: any thousand of choices in a row
/// have the shares that the weights ask for, where random ones would stray by several percent.
#[derive(Debug)]
pub(crate) struct Turns(Cell<u32>);

impl Turns {
    pub(crate) fn new() -> Self {
        Self(Cell::new(fastrand::u32(..)))
    }

    pub(crate) fn next(&self) -> u32 {
        let next = self.0.get().wrapping_add(STEP);
        self.0.set(next);
        next
    }
}

/// One of these for a number: each has as many of the numbers as its weight is of `total`, the sum of all weights.
/// `None` if none has a weight.
pub(crate) fn by_weight<T>(some: &[T], total: u64, weight: impl Fn(&T) -> u32, number: u32) -> Option<&T> {
    // Scales 0..2^32 to 0..total; the product fits, as a sum of 32-bit weights times 2^32 is below 2^128.
    let mut point = (u128::from(number) * u128::from(total)) >> 32;
    some.iter().find(|one| {
        let weight = u128::from(weight(one));
        let here = point < weight;
        point = point.saturating_sub(weight);
        here
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_choices_have_the_shares_that_the_weights_ask_for() {
        for weights in [[25, 75], [1, 99], [50, 50], [67, 33]] {
            for _ in 0..50 {
                let turns = Turns::new();
                let chosen =
                    (0..1000).map(|_| by_weight(&weights, 100, |weight| *weight, turns.next()).unwrap());
                let first = chosen.filter(|weight| std::ptr::eq(*weight, &weights[0])).count();
                let wanted = 10 * usize::try_from(weights[0]).unwrap();
                assert!(first.abs_diff(wanted) <= 5, "{first} of 1,000 instead of {wanted}");
            }
        }
    }
}
