//! Parsed certificates, once per distinct content.

use std::{
    cell::RefCell,
    collections::HashMap,
    fmt,
    sync::{Arc, Weak},
};

use lasthop_tls_verify::{
    AnchorError, CertificateError, CertifiedKey, ContentHasher, ContentId, SkippedCertificate, TrustAnchors,
};

use crate::options::SystemAnchors;

/// The anchors of a bundle, and the certificates that were passed over.
type KnownAnchors = (Weak<TrustAnchors>, Vec<SkippedCertificate>);

/// Parsed certificates, kept as long as something in force uses them.
#[derive(Default)]
pub(crate) struct ContentCache {
    /// By the bundle's bytes.
    anchors: RefCell<HashMap<ContentId, KnownAnchors>>,
    /// By what they hold: the same certificates are one store, in whatever bundles they stand.
    stores: RefCell<HashMap<ContentId, Weak<TrustAnchors>>>,
    keys: RefCell<HashMap<ContentId, Weak<CertifiedKey>>>,
    // The machine's trust store is read once: a policy compiled later trusts what an earlier one does.
    system: RefCell<Option<Arc<TrustAnchors>>>,
}

impl ContentCache {
    /// The anchors of a PEM bundle, with the certificates that were passed over.
    pub(crate) fn anchors(
        &self,
        pem: &[u8],
    ) -> Result<(Arc<TrustAnchors>, Vec<SkippedCertificate>), AnchorError> {
        let id = ContentId::of(pem);
        if let Some((anchors, skipped)) = self.anchors.borrow().get(&id)
            && let Some(anchors) = anchors.upgrade()
        {
            return Ok((anchors, skipped.clone()));
        }
        let (anchors, skipped) = TrustAnchors::from_pem(pem)?;
        let anchors = self.store(anchors);
        self.anchors.borrow_mut().insert(id, (Arc::downgrade(&anchors), skipped.clone()));
        Ok((anchors, skipped))
    }

    /// All of several sets together; the same certificate counts once.
    pub(crate) fn union<'a>(
        &self,
        sets: impl IntoIterator<Item = &'a TrustAnchors>,
    ) -> Result<Arc<TrustAnchors>, AnchorError> {
        TrustAnchors::union(sets).map(|anchors| self.store(anchors))
    }

    /// The one store with this content.
    fn store(&self, anchors: TrustAnchors) -> Arc<TrustAnchors> {
        let mut stores = self.stores.borrow_mut();
        if let Some(known) = stores.get(&anchors.id()).and_then(Weak::upgrade) {
            return known;
        }
        let anchors = Arc::new(anchors);
        stores.insert(anchors.id(), Arc::downgrade(&anchors));
        anchors
    }

    /// A certificate chain with its key, from PEM, and the OCSP response to staple, in DER.
    pub(crate) fn key(
        &self,
        chain: &[u8],
        key: &[u8],
        staple: Option<&[u8]>,
    ) -> Result<Arc<CertifiedKey>, CertificateError> {
        let mut hasher = ContentHasher::new("key-pair-pem");
        // An empty response is none.
        hasher.field(chain).field(key).field(staple.unwrap_or_default());
        let id = hasher.finish();
        if let Some(key) = self.keys.borrow().get(&id).and_then(Weak::upgrade) {
            return Ok(key);
        }
        let key = CertifiedKey::from_pem(chain, key)?;
        let key = Arc::new(match staple {
            Some(staple) => key.with_ocsp(staple.to_vec()),
            None => key,
        });
        self.keys.borrow_mut().insert(id, Arc::downgrade(&key));
        Ok(key)
    }

    /// The machine's own anchors.
    pub(crate) fn system(&self, load: &SystemAnchors) -> Result<Arc<TrustAnchors>, String> {
        if let Some(anchors) = &*self.system.borrow() {
            return Ok(anchors.clone());
        }
        let anchors = load()?;
        *self.system.borrow_mut() = Some(anchors.clone());
        Ok(anchors)
    }

    /// Whether nothing is kept but the machine's own anchors.
    #[cfg(test)]
    pub(crate) fn is_empty(&self) -> bool {
        self.anchors.borrow().is_empty() && self.stores.borrow().is_empty() && self.keys.borrow().is_empty()
    }

    /// Drops what nothing uses any more.
    pub(crate) fn prune(&self) {
        self.anchors.borrow_mut().retain(|_, (anchors, _)| anchors.strong_count() > 0);
        self.stores.borrow_mut().retain(|_, anchors| anchors.strong_count() > 0);
        self.keys.borrow_mut().retain(|_, key| key.strong_count() > 0);
    }
}

impl fmt::Debug for ContentCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ContentCache({} anchors, {} keys)", self.anchors.borrow().len(), self.keys.borrow().len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::Ca;

    #[test]
    fn the_same_content_is_parsed_once_and_dropped_when_unused() {
        let cache = ContentCache::default();
        let pem = Ca::new("one").pem();
        let (first, _) = cache.anchors(pem.as_bytes()).unwrap();
        let (second, _) = cache.anchors(pem.as_bytes()).unwrap();
        assert!(Arc::ptr_eq(&first, &second));
        cache.prune();
        assert_eq!(cache.anchors.borrow().len(), 1);
        drop((first, second));
        cache.prune();
        assert!(cache.is_empty());
    }

    #[test]
    fn the_same_certificates_are_one_store_however_they_are_bundled() {
        let cache = ContentCache::default();
        let (a, b) = (Ca::new("a").pem(), Ca::new("b").pem());
        let parsed = |pem: String| cache.anchors(pem.as_bytes()).unwrap().0;
        let whole = parsed(format!("{a}{b}"));
        assert!(Arc::ptr_eq(&whole, &parsed(format!("# the CAs\n{b}{a}{b}"))));
        let (a, b) = (parsed(a), parsed(b));
        assert!(!Arc::ptr_eq(&a, &whole));
        for sets in [[&a, &b], [&b, &a], [&whole, &a]] {
            assert!(Arc::ptr_eq(&whole, &cache.union(sets.map(|set| &**set)).unwrap()));
        }
        drop((whole, a, b));
        cache.prune();
        assert!(cache.is_empty());
    }
}
