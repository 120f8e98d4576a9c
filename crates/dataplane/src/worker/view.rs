//! What a worker serves: its compiled form of the snapshot.

use std::{
    net::{IpAddr, SocketAddr},
    rc::Rc,
    sync::Arc,
};

use lasthop_dataplane_api::{
    BackendKey, BackendTarget, ClientValidation, EndpointSet, EndpointsKey, FailureReason, ListenerKey,
};
use lasthop_tls_backends::DownstreamTls;

use super::{NameView, QuickMap};
use crate::{
    l4::{L4Rules, PortFront},
    metrics::ListenerCounters,
    routing::RouteTable,
    upstream::UpstreamBackend,
};

/// A worker's view. Changed between requests only; a request under way keeps the parts it began with.
#[derive(Default)]
pub(crate) struct View {
    /// From requests to rules.
    pub routes: RouteTable,
    /// The listeners.
    pub listeners: QuickMap<ListenerKey, Rc<ListenerView>>,
    /// TLS of the ports that terminate it.
    pub ports: QuickMap<PortKey, Rc<PortTls>>,
    /// Ports that are not for HTTP alone.
    pub fronts: QuickMap<PortKey, Arc<PortFront>>,
    /// The listener of each UDP socket.
    pub datagrams: QuickMap<SocketAddr, ListenerKey>,
    /// From connections to rules.
    pub l4: L4Rules,
    /// The backends.
    pub backends: QuickMap<BackendKey, Rc<UpstreamBackend>>,
    /// The backends of each Service's port: whom changed endpoints concern.
    pub backends_of: QuickMap<EndpointsKey, Vec<BackendKey>>,
    /// The endpoints.
    pub endpoints: QuickMap<EndpointsKey, Arc<EndpointSet>>,
    /// The names that endpoints are reached by.
    pub names: QuickMap<Arc<str>, NameView>,
}

/// A port, of one address where listeners of it name that address. `None` is every other address.
pub(crate) type PortKey = (Option<IpAddr>, u16);

impl View {
    /// TLS of the address that a connection came to.
    pub(crate) fn port_tls(&self, local: SocketAddr) -> Option<Rc<PortTls>> {
        let at = |address| self.ports.get(&(address, local.port()));
        at(Some(local.ip())).or_else(|| at(None)).cloned()
    }
}

impl View {
    /// What connections to an address begin with; `None`: HTTP, or HTTPS.
    pub(crate) fn front(&self, local: SocketAddr) -> Option<Arc<PortFront>> {
        // Most views have none at all.
        if self.fronts.is_empty() {
            return None;
        }
        let at = |address| self.fronts.get(&(address, local.port()));
        at(Some(local.ip())).or_else(|| at(None)).cloned()
    }

    /// The backend that a rule names.
    pub(crate) fn backend(&self, target: &BackendTarget) -> Result<Rc<UpstreamBackend>, FailureReason> {
        match target {
            BackendTarget::Backend(key) => self.backends.get(key).cloned(),
            BackendTarget::Invalid(_) => None,
        }
        .ok_or(FailureReason::InvalidBackend)
    }
}

/// A listener.
pub(crate) struct ListenerView {
    /// Its name.
    pub key: ListenerKey,
    /// What it counts.
    pub counters: Arc<ListenerCounters>,
    /// What it asks of clients.
    pub validation: Option<ClientValidation>,
}

/// TLS of a port.
pub(crate) struct PortTls {
    /// Towards clients; `None`: it cannot be set up, connections are closed.
    pub tls: Option<Arc<dyn DownstreamTls>>,
    /// The listener of each entry of the settings, and what that asks of clients.
    pub entries: Vec<(ListenerKey, Option<ClientValidation>)>,
}
