//! A chain that ends at none of the policy's CAs.

use lasthop_tls_verify::{CertificateSummary, PeerRequirements, TlsError, VerifyMode};
use pki_types::CertificateDer;

use super::{Case, SystemStore};

impl Case<'_> {
    /// Which CA is missing, and whether the system's store has it.
    pub(super) fn untrusted(&self, system: &mut SystemStore) -> Vec<String> {
        let Some((top, certificate)) = self.top() else { return Vec::new() };
        let mut remedies = vec![self.missing(top)];
        remedies.extend(self.by_system(system));
        let Ok(trusting) = self.trusting(certificate) else { return remedies };
        match self.verify(trusting.clone()) {
            Err(TlsError::NameMismatch { .. }) => {
                remedies.extend(self.names(&trusting).into_iter().map(|name| format!("and {name}")));
            }
            Err(TlsError::Expired | TlsError::NotYetValid) => {
                remedies.extend(self.dates().into_iter().map(|dates| format!("and {dates}")));
            }
            Ok(()) | Err(_) => {}
        }
        remedies
    }

    /// A signature is wrong most often because a CA was made anew under its old name.
    pub(super) fn bad_certificate(&self, system: &mut SystemStore) -> Vec<String> {
        let peer = &self.target.policy.settings().peer;
        let is_bad = |verdict: Result<(), TlsError>| matches!(verdict, Err(TlsError::BadCertificate(_)));
        let namesake = self.top().is_some_and(|(top, certificate)| {
            peer.anchors.subjects().any(|subject| subject == top.issuer_der)
                && is_bad(self.verify(peer.clone()))
                && !is_bad(self.trusting(certificate).and_then(|trusting| self.verify(trusting)))
        });
        match namesake {
            true => self.untrusted(system),
            false => vec!["issue the backend's certificate anew; no policy accepts this one".to_owned()],
        }
    }

    /// The last certificate of the path from the leaf, as far as it was presented.
    fn top(&self) -> Option<(&CertificateSummary, &CertificateDer<'static>)> {
        let known: Vec<_> = self
            .summaries
            .iter()
            .zip(self.chain)
            .filter_map(|(summary, certificate)| Some((summary.as_ref()?, certificate)))
            .collect();
        let mut top = *known.first()?;
        // A chain has no more steps than certificates; names may go round in a circle.
        for _ in 0..known.len() {
            let above = known
                .iter()
                .find(|(above, _)| !top.0.is_self_issued() && above.subject_der == top.0.issuer_der);
            match above {
                Some(above) => top = *above,
                None => break,
            }
        }
        Some(top)
    }

    fn missing(&self, top: &CertificateSummary) -> String {
        let peer = &self.target.policy.settings().peer;
        let bundles: Vec<&str> =
            self.target.described.authorities.iter().map(|(source, _)| &**source).collect();
        let bundles = if bundles.is_empty() { "the policy's CAs".to_owned() } else { bundles.join(" + ") };
        if peer.anchors.subjects().any(|subject| subject == top.issuer_der) {
            return format!(
                "{bundles} holds a CA named {} that is not the one that issued this chain: another key, or a \
                 certificate that may not issue; put the present CA certificate there",
                top.issuer
            );
        }
        match (top.is_self_issued(), self.chain.len()) {
            (true, 1) => format!(
                "the backend shows a self-signed certificate ({}): put that very certificate into {bundles}",
                top.subject
            ),
            (true, _) => format!("{bundles} lacks the CA {}: put its certificate there", top.subject),
            (false, _) => format!(
                "{bundles} lacks the CA {}: put its certificate there, or, if it is an intermediate, let the backend \
                 present it too",
                top.issuer
            ),
        }
    }

    /// What the system's store would say; nothing if it is what the policy trusts already.
    fn by_system(&self, system: &mut SystemStore) -> Option<String> {
        let peer = &self.target.policy.settings().peer;
        let anchors = system.anchors().filter(|anchors| anchors.id() != peer.anchors.id())?;
        let changed = PeerRequirements { anchors, ..peer.clone() };
        let chain_only = PeerRequirements { mode: VerifyMode::Chain, ..changed.clone() };
        Some(match (self.verify(changed), self.verify(chain_only)) {
            (Ok(()), _) => {
                let field = self.field();
                format!(
                    "or {field}.wellKnownCACertificates: System in place of caCertificateRefs: the system's store \
                     verifies it"
                )
            }
            (Err(_), Ok(())) => {
                "the system's store (wellKnownCACertificates: System) verifies the chain, but not the \
                 names"
                    .to_owned()
            }
            (Err(_), Err(_)) => "the system's store does not verify it either".to_owned(),
        })
    }
}
