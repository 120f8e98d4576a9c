//! A case as x509-limbo writes it, and as a policy of ours.

use std::sync::Arc;

use lasthop_dataplane_api::{Group, Sni, UpstreamTlsSettings};
use lasthop_tls_verify::{Identity, PeerRequirements, TrustAnchors, VerifyMode};
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, UnixTime, pem::PemObject};
use serde::Deserialize;

#[derive(Deserialize)]
pub struct Limbo {
    pub testcases: Vec<Case>,
}

#[derive(Deserialize)]
pub struct Case {
    pub id: String,
    pub validation_kind: Kind,
    trusted_certs: Vec<String>,
    untrusted_intermediates: Vec<String>,
    peer_certificate: String,
    validation_time: Option<String>,
    pub expected_result: Expected,
    expected_peer_name: Option<PeerName>,
    max_chain_depth: Option<u8>,
    crls: Vec<String>,
}

#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "UPPERCASE")]
pub enum Kind {
    Server,
    Client,
}

#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "UPPERCASE")]
pub enum Expected {
    Success,
    Failure,
}

#[derive(Deserialize)]
struct PeerName {
    kind: String,
    value: String,
}

impl Case {
    pub fn is_bettertls(&self) -> bool {
        self.id.starts_with("bettertls::")
    }

    /// What the peer shows, leaf first.
    pub fn chain(&self) -> Vec<CertificateDer<'static>> {
        let pems = std::iter::once(&self.peer_certificate).chain(&self.untrusted_intermediates);
        pems.map(|pem| CertificateDer::from_pem_slice(pem.as_bytes()).unwrap()).collect()
    }

    /// When the case is judged.
    pub fn time(&self, now: UnixTime) -> UnixTime {
        let Some(text) = &self.validation_time else { return now };
        let seconds = text.parse::<jiff::Timestamp>().unwrap().as_second();
        UnixTime::since_unix_epoch(std::time::Duration::from_secs(seconds.try_into().unwrap()))
    }

    /// The CAs to trust; an error is a policy that is refused.
    pub fn anchors(&self) -> Result<Arc<TrustAnchors>, &'static str> {
        let bundle = self.trusted_certs.concat();
        TrustAnchors::from_pem(bundle.as_bytes())
            .map(|(anchors, _)| Arc::new(anchors))
            .map_err(|_| "NoAnchors")
    }

    /// The policy that a user would write for the case; an error is a policy that is refused.
    pub fn policy(&self) -> Result<UpstreamTlsSettings, &'static str> {
        let identity = match &self.expected_peer_name {
            None => None,
            Some(PeerName { kind, value }) if kind == "DNS" => {
                Some(Identity::dns(value).map_err(|_| "NoSuchName")?)
            }
            Some(PeerName { kind, value }) if kind == "IP" => Some(Identity::Ip(value.parse().unwrap())),
            Some(PeerName { kind, .. }) => panic!("{}: names of kind {kind}", self.id),
        };
        let mut peer = PeerRequirements::new(self.anchors()?, identity.clone().into_iter().collect());
        if identity.is_none() {
            peer.mode = VerifyMode::Chain;
        }
        peer.max_depth = self.max_chain_depth;
        let crls = self.crls.iter();
        let crls = crls.map(|pem| CertificateRevocationListDer::from_pem_slice(pem.as_bytes()).unwrap());
        peer.crls = crls.map(|der| Arc::from(der.as_ref())).collect();
        let sni = match identity {
            Some(Identity::Dns(name)) => Sni::Name(name),
            _ => Sni::None,
        };
        let mut settings = UpstreamTlsSettings::new(peer, sni);
        // The key exchange is not what is tested, and this is the quickest.
        settings.groups = vec![Group::X25519, Group::Secp256r1, Group::Secp384r1];
        Ok(settings)
    }
}
