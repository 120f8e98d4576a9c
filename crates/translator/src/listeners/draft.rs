//! A listener on its way from the user's object to the snapshot.

use lasthop_api_model::{Listener, Protocol, ResourceKind, TlsMode};
use lasthop_dataplane_api::{HostPattern, ListenerKey, ListenerProtocol, ListenerTls, ObjectName};

use super::{ListenerOutcome, distinct::Medium};
use crate::problem::Problem;

/// A listener on its way from the user's object to the snapshot.
#[derive(Debug)]
pub(crate) struct Draft<'a> {
    /// What the user wrote.
    pub spec: &'a Listener,
    /// 0 for the Gateway's own listeners, then set by set in the order of precedence.
    pub rank: usize,
    /// What it speaks, if we speak it.
    pub protocol: Option<ListenerProtocol>,
    /// Its host name; `None` is every one.
    pub hostname: Option<HostPattern>,
    /// How it terminates TLS.
    pub tls: Option<ListenerTls>,
    /// What is said about it.
    pub outcome: ListenerOutcome,
}

impl<'a> Draft<'a> {
    /// A listener of the Gateway itself.
    pub(crate) fn of_gateway(gateway: &ObjectName, spec: &'a Listener) -> Self {
        Self::new(
            ListenerKey { gateway: gateway.clone(), set: None, name: spec.name.as_str().into() },
            0,
            spec,
        )
    }

    /// A listener of a ListenerSet.
    pub(crate) fn of_set(gateway: &ObjectName, set: &ObjectName, rank: usize, spec: &'a Listener) -> Self {
        let name = spec.name.as_str().into();
        Self::new(ListenerKey { gateway: gateway.clone(), set: Some(set.clone()), name }, rank, spec)
    }

    fn new(key: ListenerKey, rank: usize, spec: &'a Listener) -> Self {
        let mut outcome = ListenerOutcome::new(key);
        let protocol = match spec.protocol {
            Protocol::Http => Some(ListenerProtocol::HTTP),
            Protocol::Https => Some(ListenerProtocol::HTTPS),
            Protocol::Tls => Some(ListenerProtocol::TLS),
            Protocol::Tcp => Some(ListenerProtocol::TCP),
            Protocol::Udp => Some(ListenerProtocol::UDP),
            ref other => {
                outcome.refuse(Problem::new(
                    "UnsupportedProtocol",
                    format!("protocol {other} is not supported; use one of {}", Protocol::KNOWN.join(", ")),
                ));
                None
            }
        };
        let by_host = protocol.is_none_or(|protocol| Medium::of(protocol).has_hosts());
        let hostname = match spec.hostname.as_deref().filter(|text| !text.is_empty()) {
            None => None,
            Some(_) if !by_host => {
                outcome.refuse(Problem::new(
                    "UnsupportedValue",
                    format!("hostname: protocol {} carries no host names; remove the field", spec.protocol),
                ));
                None
            }
            Some(text) => match text.to_ascii_lowercase().parse() {
                Ok(pattern) => Some(pattern),
                Err(error) => {
                    outcome.refuse(Problem::new("UnsupportedValue", format!("hostname: {error}")));
                    None
                }
            },
        };
        Self { spec, rank, protocol, hostname, tls: None, outcome }
    }

    /// Whether clients' TLS goes through to the backends.
    pub(crate) fn passes_tls(&self) -> bool {
        let mode = self.spec.tls.as_ref().map(|tls| &tls.mode);
        self.protocol == Some(ListenerProtocol::TLS) && mode == Some(&TlsMode::Passthrough)
    }

    /// The kind of object it stands in: its references are that object's.
    pub(super) fn owner_kind(&self) -> ResourceKind {
        if self.outcome.key.set.is_some() { ResourceKind::ListenerSet } else { ResourceKind::Gateway }
    }

    /// The namespace of the object it stands in.
    pub(super) fn owner_namespace(&self) -> &str {
        &self.outcome.key.set.as_ref().unwrap_or(&self.outcome.key.gateway).namespace
    }
}
