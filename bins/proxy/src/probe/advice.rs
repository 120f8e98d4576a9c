//! What would have worked: the change of the policy, or of the backend, that mends a failure.
//!
//! A change of the policy is advised only if the verifier accepts what was presented under it.

mod chain;
mod names;

use std::sync::Arc;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use lasthop_dataplane_api::{FailureReason, TlsVersion};
use lasthop_tls_verify::{CertificateSummary, PeerRequirements, TlsError, TrustAnchors};
use pki_types::{CertificateDer, UnixTime};

use super::{Outcome, Target, certificate, verify};

/// What is said about an endpoint beside its verdict.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Advice {
    /// What would have worked.
    pub(super) remedies: Vec<String>,
    /// What to know although nothing failed.
    pub(super) notes: Vec<String>,
}

/// The operating system's trust store, read when it is first asked.
#[derive(Default)]
pub(super) struct SystemStore(Option<Option<Arc<TrustAnchors>>>);

impl SystemStore {
    fn anchors(&mut self) -> Option<Arc<TrustAnchors>> {
        self.0.get_or_insert_with(|| TrustAnchors::system().ok().map(Arc::new)).clone()
    }

    #[cfg(test)]
    fn of(anchors: TrustAnchors) -> Self {
        Self(Some(Some(Arc::new(anchors))))
    }
}

/// What a chain is judged by.
struct Case<'a> {
    target: &'a Target,
    chain: &'a [CertificateDer<'static>],
    summaries: Vec<Option<CertificateSummary>>,
    now: UnixTime,
}

/// The advice for an endpoint that fails for this reason, if it does.
pub(super) fn advise(
    target: &Target,
    failure: Option<&FailureReason>,
    outcome: &Outcome,
    system: &mut SystemStore,
    now: UnixTime,
) -> Advice {
    let summaries = certificate::summaries(&outcome.chain);
    let case = Case { target, chain: &outcome.chain, summaries, now };
    let remedies = match failure {
        None => Vec::new(),
        Some(FailureReason::UpstreamTls(error)) => case.of_tls(error, outcome, system),
        Some(FailureReason::ConnectFailed) => vec![format!(
            "nothing takes connections at {}: see whether the pod listens there, and whether the Service's targetPort \
             is the port it listens on",
            target.address
        )],
        Some(_) => vec![format!(
            "{} does not answer: see whether a network policy or firewall drops the connection",
            target.address
        )],
    };
    let ours = target.policy.settings().client_certificate.is_some();
    let mut notes = Vec::new();
    if failure.is_none() && !ours && outcome.client_authorities.is_some() {
        notes.push(format!(
            "it asks for a client certificate{} and the policy has none; it took the handshake, and may refuse \
             requests",
            issued_by(outcome)
        ));
    }
    Advice { remedies, notes }
}

/// ` issued by …`, as far as the backend says so.
fn issued_by(outcome: &Outcome) -> String {
    match outcome.client_authorities.as_deref() {
        None | Some([]) => String::new(),
        Some(authorities) => format!(" issued by {}", authorities.join(" or ")),
    }
}

impl Case<'_> {
    fn of_tls(&self, error: &TlsError, outcome: &Outcome, system: &mut SystemStore) -> Vec<String> {
        let settings = self.target.policy.settings();
        let one = |text: &str| vec![text.to_owned()];
        match error {
            TlsError::UntrustedChain => self.untrusted(system),
            TlsError::NameMismatch { .. } => self.names(&settings.peer),
            TlsError::PinMismatch => self.pins(),
            TlsError::AlpnMismatch { offered, selected } => self.alpn(offered, selected.as_deref()),
            TlsError::ClientCertRefused(_) => self.client_certificate(outcome),
            TlsError::Expired | TlsError::NotYetValid => self.dates(),
            TlsError::Revoked => one(
                "give the backend a new certificate; the policy's lists (lasthop.dev/crl-ref) revoke this one or a CA \
                 above it",
            ),
            TlsError::RevocationUnknown => self.revocation_unknown(),
            TlsError::WrongPurpose => {
                one("issue the leaf with the extended key usage serverAuth; no policy accepts it otherwise")
            }
            TlsError::WrongKeyUsage => {
                one("issue the leaf with the key usage digitalSignature; no policy accepts it otherwise")
            }
            TlsError::ConstraintViolation(_) => self.constraint(),
            TlsError::BadCertificate(_) => self.bad_certificate(system),
            TlsError::NoPeerCertificate => one("give the backend a certificate; it presents none"),
            TlsError::NoCommonVersion => self.versions(),
            TlsError::NoCommonCipher => match settings.cipher_suites.is_empty() && settings.groups.is_empty()
            {
                true => one(
                    "the backend speaks none of the suites and groups on offer: enable an ECDHE suite with \
                     AES-GCM or ChaCha20-Poly1305 and one of X25519, P-256 and P-384 there",
                ),
                false => one(
                    "spec.options: take lasthop.dev/cipher-suites and lasthop.dev/groups away, or name there \
                     what the backend speaks",
                ),
            },
            TlsError::NotTls => one(
                "the port speaks plaintext: point the Service's targetPort at the backend's TLS port, or let the \
                 backend serve TLS there; only without a BackendTLSPolicy for this port would the hop work, \
                 unencrypted",
            ),
            TlsError::PeerAlert(112) => self.server_name(),
            // In TLS 1.2 many a server says no more than handshake_failure, or closes.
            TlsError::PeerAlert(_) | TlsError::Truncated | TlsError::Io(_)
                if outcome.client_authorities.is_some() && settings.client_certificate.is_none() =>
            {
                self.client_certificate(outcome)
            }
            TlsError::PeerAlert(_) => {
                one("the backend gives no other reason than the alert; its log may say more")
            }
            TlsError::Truncated | TlsError::Io(_) => one(
                "the backend closed the connection in the handshake: see whether this is its TLS port, and its log",
            ),
            TlsError::Timeout => one(
                "the backend takes connections and does not shake hands: see whether this is its TLS port and whether \
                 it is overloaded, or allow more time with --timeout",
            ),
            TlsError::ProtocolViolation(_) | TlsError::UnrecognizedName(_) | TlsError::Local(_) => Vec::new(),
        }
    }

    /// Whether an XBackend says what must be proven, which has no options, and not a BackendTLSPolicy.
    fn is_xbackend(&self) -> bool {
        self.target.policy.source.starts_with("XBackend ")
    }

    /// Where it says so.
    fn field(&self) -> &'static str {
        if self.is_xbackend() { "spec.tls.validation" } else { "spec.validation" }
    }

    /// Whether the chain would be accepted under other requirements, and if not, why.
    fn verify(&self, requirements: PeerRequirements) -> Result<(), TlsError> {
        verify(requirements, self.chain, self.now)
    }

    fn pins(&self) -> Vec<String> {
        let peer = &self.target.policy.settings().peer;
        let pinned = |summary: &CertificateSummary| {
            let changed = PeerRequirements { pins: vec![summary.pin], ..peer.clone() };
            (self.verify(changed) == Ok(())).then(|| STANDARD.encode(summary.pin.0))
        };
        let pins = self.summaries.iter().flatten().filter_map(|summary| Some((summary, pinned(summary)?)));
        let texts: Vec<String> = pins
            .map(|(summary, pin)| format!("lasthop.dev/spki-pins: {pin} (the key of {})", summary.subject))
            .collect();
        match texts.is_empty() {
            true => Vec::new(),
            false => vec![format!("spec.options, if the change of key was meant: {}", texts.join(", or "))],
        }
    }

    fn dates(&self) -> Vec<String> {
        let wrong = self.summaries.iter().flatten().filter_map(|summary| {
            let (from, until) = (certificate::day(summary.not_before), certificate::day(summary.not_after));
            if summary.not_after.as_secs() < self.now.as_secs() {
                Some(format!("{} expired on {until}", summary.subject))
            } else if summary.not_before.as_secs() > self.now.as_secs() {
                Some(format!("{} is valid from {from} on", summary.subject))
            } else {
                None
            }
        });
        let mut wrong: Vec<String> = wrong.collect();
        if wrong.is_empty() {
            wrong.push("a certificate of the chain is out of its dates".to_owned());
        }
        vec![format!(
            "{}: renew it, or set the clocks right; no policy that verifies accepts it",
            wrong.join(", ")
        )]
    }

    fn revocation_unknown(&self) -> Vec<String> {
        let mut issuers: Vec<&str> = Vec::new();
        for summary in self.summaries.iter().flatten() {
            if !issuers.contains(&&*summary.issuer) {
                issuers.push(&summary.issuer);
            }
        }
        vec![format!(
            "the lists of lasthop.dev/crl-ref must hold a current one of each issuer of the chain: {}",
            issuers.join(", ")
        )]
    }

    fn constraint(&self) -> Vec<String> {
        let peer = &self.target.policy.settings().peer;
        let depths = peer.max_depth.into_iter().flat_map(|depth| depth.saturating_add(1)..=16);
        let enough = depths.into_iter().find(|depth| {
            self.verify(PeerRequirements { max_depth: Some(*depth), ..peer.clone() }) == Ok(())
        });
        vec![match enough {
            Some(depth) => format!("spec.options: lasthop.dev/verify-depth: \"{depth}\""),
            None => "issue the certificate so that it keeps to its CA's constraints; no policy accepts it \
                     otherwise"
                .to_owned(),
        }]
    }

    fn versions(&self) -> Vec<String> {
        let settings = self.target.policy.settings();
        vec![match (settings.min_version, settings.max_version) {
            (TlsVersion::V1_3, _) => {
                "spec.options: lasthop.dev/min-version: \"1.2\", if the backend speaks TLS 1.2; \
                 otherwise enable TLS 1.3 there"
                    .to_owned()
            }
            (_, TlsVersion::V1_2) => {
                "spec.options: lasthop.dev/max-version: \"1.3\", if the backend speaks TLS 1.3 \
                 only; otherwise enable TLS 1.2 there"
                    .to_owned()
            }
            _ => "the backend speaks neither TLS 1.2 nor TLS 1.3: enable one of them there".to_owned(),
        }]
    }

    fn alpn(&self, offered: &[String], selected: Option<&str>) -> Vec<String> {
        let own = !self.target.policy.settings().alpn.is_empty();
        let only_http2 = offered.iter().all(|protocol| protocol == "h2");
        vec![match (selected, own, only_http2) {
            (None, true, _) if self.is_xbackend() => {
                format!("let the backend take {} by ALPN, or change spec.protocol", offered.join(" or "))
            }
            (Some(selected), ..) if self.is_xbackend() => {
                format!(
                    "the backend speaks {selected}, and {} is asked for: see spec.protocol",
                    offered.join(" or ")
                )
            }
            (None, true, _) => {
                "the backend takes none of the protocols of lasthop.dev/alpn: name one that it takes, \
                 or take the option away"
                    .to_owned()
            }
            (None, false, true) => {
                "let the backend take h2 by ALPN: a GRPCRoute, or the Service's appProtocol \
                 kubernetes.io/h2c, needs HTTP/2"
                    .to_owned()
            }
            (Some(selected), ..) if ["h2", "http/1.1"].contains(&selected) => format!(
                "the backend speaks {selected}, and these requests need {}: see the Service's appProtocol, and \
                 lasthop.dev/alpn",
                offered.join(" or ")
            ),
            _ => "let the backend take one of the protocols on offer by ALPN, or none at all".to_owned(),
        }]
    }

    fn client_certificate(&self, outcome: &Outcome) -> Vec<String> {
        let issued_by = issued_by(outcome);
        vec![match &self.target.policy.settings().client_certificate {
            None if self.is_xbackend() => format!(
                "the backend wants a client certificate{issued_by}: set spec.tls.mode to ClientAndServer and name its \
                 Secret in spec.tls.clientCertificateRef"
            ),
            None => format!(
                "the backend wants a client certificate{issued_by}: name its Secret with spec.options \
                 lasthop.dev/client-certificate-ref, or in the Gateway's spec.tls.backend.clientCertificateRef"
            ),
            Some(ours) => {
                let summary = ours.chain().first().and_then(CertificateSummary::of);
                let (subject, issuer) = summary
                    .map_or(("?".to_owned(), "?".to_owned()), |summary| (summary.subject, summary.issuer));
                let secret = self.target.described.client_certificate.as_deref().unwrap_or("?");
                format!(
                    "the backend refuses the client certificate of Secret {secret} ({subject}, issued by {issuer}): \
                     show one{}, or let the backend trust that issuer",
                    if issued_by.is_empty() { " that it accepts" } else { &issued_by }
                )
            }
        }]
    }

    fn server_name(&self) -> Vec<String> {
        vec![match self.target.server_name() {
            Some(name) if self.is_xbackend() => format!(
                "the backend does not know the server name {name}: write one that it knows into {}.hostname",
                self.field()
            ),
            Some(name) => format!(
                "the backend does not know the server name {name}: send another one with spec.options \
                 lasthop.dev/sni (a name, request-host or none)"
            ),
            None => "the backend wants a server name: send one with spec.options lasthop.dev/sni".to_owned(),
        }]
    }

    /// What the policy would require if this certificate were its CA.
    fn trusting(&self, anchor: &CertificateDer<'static>) -> Result<PeerRequirements, TlsError> {
        let peer = &self.target.policy.settings().peer;
        let (anchors, _) = TrustAnchors::from_der(vec![anchor.clone()])
            .map_err(|error| TlsError::BadCertificate(error.to_string()))?;
        Ok(PeerRequirements { anchors: Arc::new(anchors), ..peer.clone() })
    }
}

#[cfg(test)]
mod tests;
