//! Listeners.

use std::net::IpAddr;

use bytes::Bytes;
use lasthop_dataplane_api::{
    ClientValidation, ClientValidationMode, HostPattern, Listener, ListenerKey, ListenerProtocol, ListenerTls,
};
use serde::{Deserialize, Serialize};

use super::{Blob, Blobs, DecodeError, Named, blob::refer, decode_plain, encode_plain};

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct WireListener {
    key: ListenerKey,
    port: u16,
    addresses: Vec<IpAddr>,
    protocol: ListenerProtocol,
    hostname: Option<HostPattern>,
    tls: Option<WireTls>,
    proxy_protocol: bool,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct WireTls {
    certificates: Vec<String>,
    client_validation: Option<WireValidation>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct WireValidation {
    anchors: String,
    mode: ClientValidationMode,
}

/// The bytes of a listener, and what it refers to.
pub(crate) fn encode_listener(listener: &Listener) -> (Bytes, Vec<Named>) {
    let Listener { key, port, addresses, protocol, hostname, tls, proxy_protocol } = listener;
    let mut blobs = Vec::new();
    let tls = tls.as_ref().map(|ListenerTls { certificates, client_validation }| WireTls {
        certificates: certificates
            .iter()
            .map(|one| refer(Blob::Certificate(one.clone()), &mut blobs))
            .collect(),
        client_validation: client_validation.as_ref().map(|ClientValidation { anchors, mode }| {
            WireValidation { anchors: refer(Blob::Anchors(anchors.clone()), &mut blobs), mode: *mode }
        }),
    });
    let wire = WireListener {
        key: key.clone(),
        port: *port,
        addresses: addresses.clone(),
        protocol: *protocol,
        hostname: hostname.clone(),
        tls,
        proxy_protocol: *proxy_protocol,
    };
    (encode_plain(&wire), blobs)
}

/// The inverse.
pub(crate) fn decode_listener(bytes: &[u8], blobs: &Blobs) -> Result<Listener, DecodeError> {
    let WireListener { key, port, addresses, protocol, hostname, tls, proxy_protocol } = decode_plain(bytes)?;
    let validation = |WireValidation { anchors, mode }: WireValidation| {
        Ok::<_, DecodeError>(ClientValidation { anchors: blobs.anchors(&anchors)?, mode })
    };
    let tls = tls.map(|WireTls { certificates, client_validation }| {
        Ok::<_, DecodeError>(ListenerTls {
            certificates: certificates.iter().map(|id| blobs.certificate(id)).collect::<Result<_, _>>()?,
            client_validation: client_validation.map(validation).transpose()?,
        })
    });
    Ok(Listener { key, port, addresses, protocol, hostname, tls: tls.transpose()?, proxy_protocol })
}
