//! Content addresses: two things with the same [`ContentId`] are the same thing.

use std::fmt;

use aws_lc_rs::digest;
use serde::{Serialize, Serializer};

/// The SHA-256 of a thing's canonical bytes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ContentId([u8; 32]);

impl ContentId {
    /// The id of these bytes.
    pub fn of(bytes: &[u8]) -> Self {
        let mut hasher = ContentHasher::new("bytes");
        hasher.field(bytes);
        hasher.finish()
    }

    /// The 32 bytes.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Display for ContentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Eight bytes tell ids apart for a reader; equality always compares all 32.
        self.0.iter().take(8).try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for ContentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for ContentId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// Hashes a sequence of fields. Every field is preceded by its length, so that no two sequences collide by
/// concatenation.
pub struct ContentHasher(digest::Context);

impl ContentHasher {
    /// A hasher for one kind of thing; `domain` keeps the ids of different kinds apart.
    pub fn new(domain: &str) -> Self {
        let mut hasher = Self(digest::Context::new(&digest::SHA256));
        hasher.field(domain.as_bytes());
        hasher
    }

    /// Adds one field.
    pub fn field(&mut self, bytes: &[u8]) -> &mut Self {
        self.0.update(&(bytes.len() as u64).to_be_bytes());
        self.0.update(bytes);
        self
    }

    /// Adds the number of fields that follow.
    pub fn count(&mut self, count: usize) -> &mut Self {
        self.field(&(count as u64).to_be_bytes())
    }

    /// The id of all that was added.
    pub fn finish(self) -> ContentId {
        let digest = self.0.finish();
        let mut id = [0; 32];
        id.copy_from_slice(digest.as_ref());
        ContentId(id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_do_not_run_together() {
        let id = |fields: &[&[u8]]| {
            let mut hasher = ContentHasher::new("test");
            fields.iter().for_each(|field| {
                hasher.field(field);
            });
            hasher.finish()
        };
        assert_ne!(id(&[b"ab", b"c"]), id(&[b"a", b"bc"]));
        assert_eq!(id(&[b"ab", b"c"]), id(&[b"ab", b"c"]));
    }
}
