//! One XBackend.

use std::sync::Arc;

use lasthop_api_model::{
    ResourceKey, ResourceKind, SecretObjectReference, XBackend, XBackendProtocol, XBackendTlsMode,
    XBackendType,
};
use lasthop_dataplane_api::{AppProtocol, ObjectName};
use lasthop_tls_verify::CertifiedKey;

use super::{XBackendOutcome, XBackendTls};
use crate::{
    grants::{self, Referent, Referrer},
    index::Reader,
    names,
    problem::Problem,
    secrets,
    tls_policies::{self, Validation},
};

/// What comes of an XBackend; `None` when there is none.
pub(crate) fn translate(reader: &Reader<'_>, name: &ObjectName) -> Option<XBackendOutcome> {
    let backend = reader.object::<XBackend>(name)?;
    let key = names::key(ResourceKind::XBackend, name);
    let (tls, unresolved) = tls(reader, backend, name, &key);
    Some(XBackendOutcome { hostname: hostname(backend), protocol: protocol(backend), tls, unresolved })
}

fn unsupported(message: String) -> Problem {
    Problem::new("UnsupportedValue", message)
}

/// The host name, in lower case and without the dot of the root.
fn hostname(backend: &XBackend) -> Result<Arc<str>, Problem> {
    match &backend.spec.r#type {
        XBackendType::ExternalHostname => {}
        XBackendType::EndpointSelector => {
            return Err(unsupported(
                "spec.type: EndpointSelector selects pods, which this implementation does not read; write a Service with \
                 the same selector, and a BackendTLSPolicy for its TLS"
                    .to_owned(),
            ));
        }
        XBackendType::Other(text) => {
            let known = XBackendType::KNOWN.join(", ");
            return Err(unsupported(format!("spec.type: {text} is not known; use one of {known}")));
        }
    }
    let written = backend.spec.external_hostname.as_ref().map_or("", |external| external.hostname.as_str());
    let name = written.to_ascii_lowercase();
    let name = name.strip_suffix('.').unwrap_or(&name);
    let field = "spec.externalHostname.hostname";
    // A name of the gateway's own machine would let a route reach what only it may.
    if name == "localhost" || name.ends_with(".localhost") || name.ends_with(".cluster.local") {
        let message =
            format!("{field}: {written} is no external host; use a Service for what runs in the cluster");
        return Err(unsupported(message));
    }
    if name.is_empty() || name.parse::<std::net::IpAddr>().is_ok() {
        return Err(unsupported(format!(
            "{field}: {written:?} is no DNS name; write one such as api.example.com"
        )));
    }
    Ok(name.into())
}

/// What it speaks. The version of HTTP under TLS is ALPN's to settle, HTTP/2 and gRPC demand h2.
fn protocol(backend: &XBackend) -> Result<AppProtocol, Problem> {
    match &backend.spec.protocol {
        None
        | Some(
            XBackendProtocol::Tcp | XBackendProtocol::Http | XBackendProtocol::Http11 | XBackendProtocol::Mcp,
        ) => Ok(AppProtocol::Unspecified),
        Some(XBackendProtocol::Http2 | XBackendProtocol::H2c | XBackendProtocol::Grpc) => {
            Ok(AppProtocol::H2c)
        }
        Some(XBackendProtocol::Wss) => Ok(AppProtocol::WebSocketTls),
        Some(XBackendProtocol::Other(text)) => {
            let known = XBackendProtocol::KNOWN.join(", ");
            Err(unsupported(format!("spec.protocol: {text} is not known; use one of {known}")))
        }
    }
}

fn tls(
    reader: &Reader<'_>,
    backend: &XBackend,
    name: &ObjectName,
    key: &ResourceKey,
) -> (Result<XBackendTls, Problem>, Option<Problem>) {
    let tls = &backend.spec.tls;
    let shows = match &tls.mode {
        XBackendTlsMode::None if tls.validation.is_none() && tls.client_certificate_ref.is_none() => {
            return (needs_tls(backend).map_or(Ok(XBackendTls::None), Err), None);
        }
        XBackendTlsMode::None => {
            let message = "spec.tls.mode: None leaves validation and clientCertificateRef without effect; \
                           use ServerOnly or ClientAndServer, or take them out";
            return (Err(unsupported(message.to_owned())), None);
        }
        XBackendTlsMode::ServerOnly => false,
        XBackendTlsMode::ClientAndServer => true,
        XBackendTlsMode::Other(text) => {
            let known = XBackendTlsMode::KNOWN.join(", ");
            let message = format!("spec.tls.mode: {text} is not known; use one of {known}");
            return (Err(unsupported(message)), None);
        }
    };
    if backend.spec.protocol == Some(XBackendProtocol::H2c) {
        let message = "spec.protocol: H2C is HTTP/2 without TLS; use HTTP2".to_owned();
        return (Err(unsupported(message)), None);
    }
    let Some(validation) = &tls.validation else {
        let message = "spec.tls.validation is missing; say what the backend must prove".to_owned();
        return (Err(Problem::new("NoValidCACertificate", message)), None);
    };
    let alpn = alpn(backend);
    let validation = Validation { key, field: "spec.tls.validation", wanted: validation };
    let certificate = if shows {
        match certificate(reader, tls.client_certificate_ref.as_ref(), name) {
            Ok(certificate) => Some(certificate),
            Err(problem) => return (Err(problem), None),
        }
    } else {
        None
    };
    let (compiled, unresolved) =
        tls_policies::compile(reader, validation, format!("XBackend {name}"), |settings| {
            settings.alpn.extend(alpn.map(Into::into));
            let (reference, certificate) = certificate.unzip();
            settings.client_certificate = certificate;
            reference
        });
    (compiled.map(XBackendTls::Compiled), unresolved)
}

/// The protocol that must be among those on offer, if it has a name of its own: also a TCPRoute, which knows nothing of
/// its connections, offers it.
fn alpn(backend: &XBackend) -> Option<&'static str> {
    match backend.spec.protocol.as_ref()? {
        XBackendProtocol::Http2 | XBackendProtocol::Grpc => Some("h2"),
        XBackendProtocol::Http11 | XBackendProtocol::Wss => Some("http/1.1"),
        _ => None,
    }
}

/// What a protocol that is nothing without TLS says to mode `None`.
fn needs_tls(backend: &XBackend) -> Option<Problem> {
    let protocol = backend.spec.protocol.as_ref()?;
    matches!(protocol, XBackendProtocol::Http2 | XBackendProtocol::Wss).then(|| {
        unsupported(format!(
            "spec.tls.mode: None does not fit protocol {protocol}; use ServerOnly or ClientAndServer"
        ))
    })
}

fn certificate(
    reader: &Reader<'_>,
    reference: Option<&SecretObjectReference>,
    own: &ObjectName,
) -> Result<(Arc<str>, Arc<CertifiedKey>), Problem> {
    let field = "spec.tls.clientCertificateRef";
    let invalid = |message: &str| Problem::new("InvalidClientCertificateRef", format!("{field}: {message}"));
    let reference = reference.ok_or_else(|| invalid("is missing; mode ClientAndServer needs it"))?;
    let namespace = reference.namespace.as_deref().unwrap_or(&own.namespace);
    let from = Referrer { kind: ResourceKind::XBackend, namespace: &own.namespace };
    let to = Referent { group: &reference.group, kind: &reference.kind, namespace, name: &reference.name };
    if !grants::allows(reader, from, to) {
        return Err(Problem::new("RefNotPermitted", format!("{field}: {}", grants::remedy(from, to))));
    }
    if !reference.group.is_empty() || reference.kind != "Secret" {
        return Err(invalid(&format!("kind {} holds no certificate; name a Secret", reference.kind)));
    }
    let name = ObjectName::new(namespace, reference.name.as_str());
    let key = secrets::certified_key(reader, &name).map_err(|message| invalid(&message))?;
    Ok((format!("Secret {name}").into(), key))
}
