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
    anchors: RefCell<HashMap<ContentId, KnownAnchors>>,
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
        let anchors = Arc::new(anchors);
        self.anchors.borrow_mut().insert(id, (Arc::downgrade(&anchors), skipped.clone()));
        Ok((anchors, skipped))
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
        self.anchors.borrow().is_empty() && self.keys.borrow().is_empty()
    }

    /// Drops what nothing uses any more.
    pub(crate) fn prune(&self) {
        self.anchors.borrow_mut().retain(|_, (anchors, _)| anchors.strong_count() > 0);
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
        assert!(cache.anchors.borrow().is_empty());
    }
}
