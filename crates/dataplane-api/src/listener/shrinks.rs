//! Whether clients that were let in would be locked out.

use lasthop_tls_verify::{PeerRequirements, VerifyMode};

use crate::{ClientValidation, ClientValidationMode};

impl ClientValidation {
    /// What a client's certificate has to prove: that a trusted CA issued it for clients. There is no name to expect.
    pub fn requirements(&self) -> PeerRequirements {
        let mut requirements = PeerRequirements::new(self.anchors.clone(), Vec::new());
        requirements.mode = VerifyMode::Chain;
        requirements
    }

    /// Whether a client let in under the old validation might not be let in under the new one; without validation every
    /// client is.
    pub fn shrinks(old: Option<&Self>, new: Option<&Self>) -> bool {
        let strict = |one: &&Self| one.mode == ClientValidationMode::AllowValidOnly;
        match (old.filter(strict), new.filter(strict)) {
            (_, None) => false,
            (None, Some(_)) => true,
            (Some(old), Some(new)) => !new.requirements().covers(&old.requirements()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use lasthop_tls_verify::TrustAnchors;

    use super::*;

    #[test]
    fn clients_are_locked_out_by_a_demand_or_a_ca_that_goes() {
        let key = || rcgen::KeyPair::generate().unwrap();
        let authority =
            || rcgen::CertificateParams::new([]).unwrap().self_signed(&key()).unwrap().der().clone();
        let (a, b) = (authority(), authority());
        let validation = |authorities: &[_], mode| ClientValidation {
            anchors: Arc::new(TrustAnchors::from_der(authorities.to_vec()).unwrap().0),
            mode,
        };
        let only = |authorities: &[_]| Some(validation(authorities, ClientValidationMode::AllowValidOnly));
        let fallback =
            Some(validation(std::slice::from_ref(&a), ClientValidationMode::AllowInsecureFallback));
        let (one, two) = (only(std::slice::from_ref(&a)), only(&[a, b.clone()]));
        let other = only(&[b]);
        for (old, new, shrinks) in [
            (&None, &one, true),
            (&fallback, &one, true),
            (&one, &other, true),
            (&two, &one, true),
            (&one, &two, false),
            (&one, &one, false),
            (&one, &None, false),
            (&one, &fallback, false),
            (&None, &fallback, false),
        ] {
            assert_eq!(ClientValidation::shrinks(old.as_ref(), new.as_ref()), shrinks, "{old:?} {new:?}");
        }
    }
}
