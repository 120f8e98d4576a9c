//! Backends and their TLS policies.

use std::{net::IpAddr, sync::Arc};

use bytes::Bytes;
use lasthop_dataplane_api::{
    AppProtocol, Backend, BackendKey, BackendTls, CipherSuite, Group, PlaintextReason, Refusal, Sni,
    TlsVersion, UpstreamTlsPolicy, UpstreamTlsSettings,
};
use lasthop_tls_verify::{Identity, PeerRequirements, SpkiPin, VerifyMode};
use serde::{Deserialize, Serialize};

use super::{Blob, Blobs, DecodeError, Named, blob::refer, decode_plain, encode_plain};
use crate::kind::hex;

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct WireBackend {
    key: BackendKey,
    protocol: AppProtocol,
    tls: WireTls,
    proxy_protocol: bool,
}

#[derive(Serialize, Deserialize)]
enum WireTls {
    Plaintext(PlaintextReason),
    Policy(Box<WirePolicy>),
    Refused(Refusal),
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct WirePolicy {
    id: String,
    source: Arc<str>,
    peer: WirePeer,
    sni: WireSni,
    client_certificate: Option<String>,
    min_version: TlsVersion,
    max_version: TlsVersion,
    cipher_suites: Vec<CipherSuite>,
    groups: Vec<Group>,
    alpn: Vec<Arc<str>>,
    resumption: bool,
    bearer_token: Option<Arc<str>>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct WirePeer {
    anchors: String,
    identities: Vec<WireIdentity>,
    required: Vec<WireIdentity>,
    mode: WireMode,
    pins: Vec<[u8; 32]>,
    crls: Vec<String>,
    max_depth: Option<u8>,
}

#[derive(Serialize, Deserialize)]
enum WireIdentity {
    Dns(String),
    Ip(IpAddr),
    Uri(String),
}

#[derive(Serialize, Deserialize)]
enum WireMode {
    Full,
    Chain,
    None,
}

#[derive(Serialize, Deserialize)]
enum WireSni {
    Name(String),
    None,
    RequestHost,
}

/// The bytes of a backend, and what it refers to.
pub(crate) fn encode_backend(backend: &Backend) -> (Bytes, Vec<Named>) {
    let Backend { key, protocol, tls, proxy_protocol } = backend;
    let mut blobs = Vec::new();
    let tls = match tls {
        BackendTls::Plaintext(reason) => WireTls::Plaintext(*reason),
        BackendTls::Policy(policy) => WireTls::Policy(Box::new(encode_policy(policy, &mut blobs))),
        BackendTls::Refused(refusal) => WireTls::Refused(refusal.clone()),
    };
    let wire = WireBackend { key: key.clone(), protocol: *protocol, tls, proxy_protocol: *proxy_protocol };
    (encode_plain(&wire), blobs)
}

/// The inverse.
pub(crate) fn decode_backend(bytes: &[u8], blobs: &Blobs) -> Result<Backend, DecodeError> {
    let WireBackend { key, protocol, tls, proxy_protocol } = decode_plain(bytes)?;
    let tls = match tls {
        WireTls::Plaintext(reason) => BackendTls::Plaintext(reason),
        WireTls::Policy(policy) => BackendTls::Policy(Arc::new(decode_policy(*policy, blobs)?)),
        WireTls::Refused(refusal) => BackendTls::Refused(refusal),
    };
    Ok(Backend { key, protocol, tls, proxy_protocol })
}

fn encode_policy(policy: &UpstreamTlsPolicy, blobs: &mut Vec<Named>) -> WirePolicy {
    let UpstreamTlsSettings {
        peer,
        sni,
        client_certificate,
        min_version,
        max_version,
        cipher_suites,
        groups,
        alpn,
        resumption,
        bearer_token,
    } = policy.settings();
    WirePolicy {
        id: hex(&policy.id().content()),
        source: policy.source.clone(),
        peer: encode_peer(peer, blobs),
        sni: match sni {
            Sni::Name(name) => WireSni::Name(name.to_string()),
            Sni::None => WireSni::None,
            Sni::RequestHost => WireSni::RequestHost,
        },
        client_certificate: client_certificate
            .as_ref()
            .map(|certificate| refer(Blob::Certificate(certificate.clone()), blobs)),
        min_version: *min_version,
        max_version: *max_version,
        cipher_suites: cipher_suites.clone(),
        groups: groups.clone(),
        alpn: alpn.clone(),
        resumption: *resumption,
        bearer_token: bearer_token.clone(),
    }
}

fn decode_policy(wire: WirePolicy, blobs: &Blobs) -> Result<UpstreamTlsPolicy, DecodeError> {
    let WirePolicy {
        id,
        source,
        peer,
        sni,
        client_certificate,
        min_version,
        max_version,
        cipher_suites,
        groups,
        alpn,
        resumption,
        bearer_token,
    } = wire;
    let settings = UpstreamTlsSettings {
        peer: decode_peer(peer, blobs)?,
        sni: match sni {
            WireSni::Name(name) => Sni::Name(name.parse().map_err(|error| DecodeError::invalid(&error))?),
            WireSni::None => Sni::None,
            WireSni::RequestHost => Sni::RequestHost,
        },
        client_certificate: client_certificate.map(|id| blobs.certificate(&id)).transpose()?,
        min_version,
        max_version,
        cipher_suites,
        groups,
        alpn,
        resumption,
        bearer_token,
    };
    let policy = UpstreamTlsPolicy::new(source, settings);
    if hex(&policy.id().content()) == id { Ok(policy) } else { Err(DecodeError::WrongId(id)) }
}

fn encode_peer(peer: &PeerRequirements, blobs: &mut Vec<Named>) -> WirePeer {
    let PeerRequirements { anchors, identities, required, mode, pins, crls, max_depth } = peer;
    let names = |identities: &[Identity]| {
        let one = |identity: &Identity| match identity {
            Identity::Dns(name) => WireIdentity::Dns(name.to_string()),
            Identity::Ip(address) => WireIdentity::Ip(*address),
            Identity::Uri(uri) => WireIdentity::Uri(uri.to_string()),
        };
        identities.iter().map(one).collect()
    };
    WirePeer {
        anchors: refer(Blob::Anchors(anchors.clone()), blobs),
        identities: names(identities),
        required: names(required),
        mode: match mode {
            VerifyMode::Full => WireMode::Full,
            VerifyMode::Chain => WireMode::Chain,
            VerifyMode::None => WireMode::None,
        },
        pins: pins.iter().map(|pin| pin.0).collect(),
        crls: crls.iter().map(|der| refer(Blob::Crl(der.clone()), blobs)).collect(),
        max_depth: *max_depth,
    }
}

fn decode_peer(wire: WirePeer, blobs: &Blobs) -> Result<PeerRequirements, DecodeError> {
    let WirePeer { anchors, identities, required, mode, pins, crls, max_depth } = wire;
    let names = |wire: Vec<WireIdentity>| {
        let one = |identity: WireIdentity| match identity {
            WireIdentity::Dns(name) => Identity::dns(&name),
            WireIdentity::Ip(address) => Ok(Identity::Ip(address)),
            WireIdentity::Uri(uri) => Identity::uri(&uri),
        };
        wire.into_iter().map(one).collect::<Result<Vec<_>, _>>().map_err(|error| DecodeError::invalid(&error))
    };
    Ok(PeerRequirements {
        anchors: blobs.anchors(&anchors)?,
        identities: names(identities)?,
        required: names(required)?,
        mode: match mode {
            WireMode::Full => VerifyMode::Full,
            WireMode::Chain => VerifyMode::Chain,
            WireMode::None => VerifyMode::None,
        },
        pins: pins.into_iter().map(SpkiPin).collect(),
        crls: crls.iter().map(|id| blobs.crl(id)).collect::<Result<_, _>>()?,
        max_depth,
    })
}
