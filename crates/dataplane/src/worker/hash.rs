//! A quick hash for maps whose keys come from the configuration.
//!
//! It has no secret, so a client could find hosts and paths that collide. It gains nothing by it: what a client sends is
//! looked up and never put in, and a lookup costs what the configuration's own keys cost.

use std::{
    collections::HashMap,
    hash::{BuildHasherDefault, Hasher},
};

/// A map for the request path.
pub(crate) type QuickMap<K, V> = HashMap<K, V, BuildHasherDefault<QuickHasher>>;

/// Multiplies and rotates, eight bytes at a time (the hash of Firefox and rustc).
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct QuickHasher(u64);

impl QuickHasher {
    fn add(&mut self, word: u64) {
        self.0 = (self.0.rotate_left(5) ^ word).wrapping_mul(0x517c_c1b7_2722_0a95);
    }
}

impl Hasher for QuickHasher {
    fn write(&mut self, bytes: &[u8]) {
        let (words, rest) = bytes.as_chunks::<8>();
        words.iter().for_each(|word| self.add(u64::from_le_bytes(*word)));
        if !rest.is_empty() {
            let mut word = [0; 8];
            word.iter_mut().zip(rest).for_each(|(to, from)| *to = *from);
            self.add(u64::from_le_bytes(word) ^ ((rest.len() as u64) << 56));
        }
    }

    fn write_u8(&mut self, n: u8) {
        self.add(n.into());
    }

    fn write_u16(&mut self, n: u16) {
        self.add(n.into());
    }

    fn write_usize(&mut self, n: usize) {
        self.add(n as u64);
    }

    fn finish(&self) -> u64 {
        // The map takes a place from the low bits and a tag from the high ones: both must depend on all input.
        let mixed = (self.0 ^ (self.0 >> 32)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        mixed ^ (mixed >> 32)
    }
}

#[cfg(test)]
mod tests {
    use std::{
        collections::HashSet,
        hash::{BuildHasher, BuildHasherDefault},
    };

    use super::*;

    #[test]
    fn keys_that_look_alike_hash_apart() {
        let hash = BuildHasherDefault::<QuickHasher>::default();
        let all: HashSet<u64> = (0..10_000).map(|i| hash.hash_one(("default", format!("app-{i}")))).collect();
        assert_eq!(all.len(), 10_000);
        let low: HashSet<u64> = all.iter().map(|hash| hash & 0xffff).collect();
        assert!(low.len() > 8_000, "{}", low.len());
    }
}
