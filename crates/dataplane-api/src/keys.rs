//! The names things have in a snapshot.

mod parse;

use std::{fmt, sync::Arc};

use serde::{Serialize, Serializer};

pub use parse::KeyError;

/// Namespace and name of an object.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectName {
    /// The namespace.
    pub namespace: Arc<str>,
    /// The name.
    pub name: Arc<str>,
}

/// A listener of a Gateway, or of a ListenerSet attached to it.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ListenerKey {
    /// The Gateway.
    pub gateway: ObjectName,
    /// The ListenerSet, if the listener comes from one.
    pub set: Option<ObjectName>,
    /// The listener's name.
    pub name: Arc<str>,
}

/// The kinds of routes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[expect(missing_docs, reason = "the kinds' own names")]
pub enum RouteKind {
    HTTPRoute,
    GRPCRoute,
    TLSRoute,
    TCPRoute,
    UDPRoute,
}

/// A route.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RouteKey {
    /// Its kind.
    pub kind: RouteKind,
    /// Its name.
    pub object: ObjectName,
}

/// One rule of a route at one Gateway: the grain at which routes change. The Gateway is part of it because a backend is
/// reached with its Gateway's client certificate.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RuleKey {
    /// The route.
    pub route: RouteKey,
    /// The Gateway.
    pub gateway: ObjectName,
    /// The rule's place in the route, from 0; an earlier rule wins over a later one with the same matches.
    pub index: u32,
}

/// A backend as one Gateway reaches it: a port of a Service, or an XBackend. The Gateway is part of it because a Gateway
/// shows its own client certificate.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BackendKey {
    /// The Gateway.
    pub gateway: ObjectName,
    /// What it reaches.
    pub endpoints: EndpointsKey,
}

/// A port of a Service, or an XBackend: the grain at which endpoints change.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EndpointsKey {
    /// The object's kind.
    pub kind: BackendKind,
    /// The object.
    pub object: ObjectName,
    /// The Service's port, not the endpoints'; or the XBackend's.
    pub port: u16,
    /// A Service may have the same port number for both transports.
    pub transport: Transport,
}

/// The kinds of objects that a route may name as a backend.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub enum BackendKind {
    /// A Service.
    Service,
    /// An XBackend (GEP-4894).
    XBackend,
}

/// The transport protocols.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub enum Transport {
    /// TCP.
    TCP,
    /// UDP.
    UDP,
}

impl ObjectName {
    /// A name from its two parts.
    pub fn new(namespace: impl Into<Arc<str>>, name: impl Into<Arc<str>>) -> Self {
        Self { namespace: namespace.into(), name: name.into() }
    }
}

impl fmt::Display for ObjectName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

impl fmt::Display for ListenerKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.set {
            None => write!(f, "{}/{}", self.gateway, self.name),
            Some(set) => write!(f, "{}/{} (ListenerSet {set})", self.gateway, self.name),
        }
    }
}

impl fmt::Display for RouteKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

impl fmt::Display for RouteKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.kind, self.object)
    }
}

impl fmt::Display for RuleKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{} via {}", self.route, self.index, self.gateway)
    }
}

impl EndpointsKey {
    /// A TCP port of a Service.
    pub fn service(object: ObjectName, port: u16) -> Self {
        Self { kind: BackendKind::Service, object, port, transport: Transport::TCP }
    }
}

/// `namespace/name:port`; what is not a Service or not TCP says so.
impl fmt::Display for EndpointsKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.kind != BackendKind::Service {
            write!(f, "{:?}/", self.kind)?;
        }
        write!(f, "{}:{}", self.object, self.port)?;
        match self.transport {
            Transport::TCP => Ok(()),
            Transport::UDP => f.write_str("/UDP"),
        }
    }
}

impl fmt::Display for BackendKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} via {}", self.endpoints, self.gateway)
    }
}

macro_rules! text_form {
    ($($name:ident),*) => {$(
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }
        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }
    )*};
}

text_form!(ObjectName, ListenerKey, RouteKey, RuleKey, EndpointsKey, BackendKey);
