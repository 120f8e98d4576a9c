//! What a worker serves: its compiled form of the snapshot.

use std::{rc::Rc, sync::Arc};

use lasthop_dataplane_api::{BackendKey, EndpointSet, EndpointsKey, ListenerKey};
use lasthop_tls_backends::DownstreamTls;

use super::QuickMap;
use crate::{metrics::ListenerCounters, routing::RouteTable, upstream::UpstreamBackend};

/// A worker's view. Changed between requests only; a request under way keeps the parts it began with.
#[derive(Default)]
pub(crate) struct View {
    /// From requests to rules.
    pub routes: RouteTable,
    /// The listeners.
    pub listeners: QuickMap<ListenerKey, Rc<ListenerView>>,
    /// TLS of the ports that terminate it.
    pub ports: QuickMap<u16, Rc<PortTls>>,
    /// The backends.
    pub backends: QuickMap<BackendKey, Rc<UpstreamBackend>>,
    /// The backends of each Service's port: whom changed endpoints concern.
    pub backends_of: QuickMap<EndpointsKey, Vec<BackendKey>>,
    /// The endpoints.
    pub endpoints: QuickMap<EndpointsKey, Arc<EndpointSet>>,
}

/// A listener.
pub(crate) struct ListenerView {
    /// Its name.
    pub key: ListenerKey,
    /// What it counts.
    pub counters: Arc<ListenerCounters>,
}

/// TLS of a port.
pub(crate) struct PortTls {
    /// Towards clients; `None`: it cannot be set up, connections are closed.
    pub tls: Option<Arc<dyn DownstreamTls>>,
    /// The listener of each entry of the settings.
    pub entries: Vec<ListenerKey>,
}
