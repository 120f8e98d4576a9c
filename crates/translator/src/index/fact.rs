//! What can be read, and what reads.

use std::sync::Arc;

use lasthop_api_model::ResourceKey;
use lasthop_dataplane_api::{BackendKey, BackendKind, EndpointsKey, ObjectName, RouteKey};

/// Something a unit of translation can read.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Fact {
    /// An object, or that there is none.
    Object(ResourceKey),
    /// Whether there is any GatewayClass.
    AnyClass,
    /// The ReferenceGrants of a namespace.
    Grants(Arc<str>),
    /// The EndpointSlices of a Service.
    Slices(ObjectName),
    /// The ListenerSets that name a Gateway as their parent.
    ListenerSets(ObjectName),
    /// The BackendTLSPolicies that target a Service.
    Policies(ObjectName),
    /// The Gateways that routes without a parent of their own may ask for (GEP-3793).
    DefaultGateways,
    /// What routes see of a Gateway: its listeners and whom they admit.
    Admission(ObjectName),
    /// The certificate a Gateway shows to backends.
    ClientCertificate(ObjectName),
    /// All that came of a Gateway.
    Gateway(ObjectName),
    /// All that came of a BackendTLSPolicy.
    Policy(ObjectName),
    /// Which policy holds for which port of a Service.
    Claims(ObjectName),
    /// All that came of an XBackend.
    XBackend(ObjectName),
    /// The Gateways whose accepted routes lead to a Service or an XBackend.
    Users(BackendKind, ObjectName),
    /// How many routes are attached to the listeners of a Gateway.
    Attached(ObjectName),
    /// What the dataplane said about the listeners of a Gateway.
    Programmed(ObjectName),
    /// What the dataplane said about the backends of a policy, by the policy's source.
    Refusals(Arc<str>),
}

/// A unit of translation. The order is that of doing: a node reads only what comes of lower ones.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Node {
    /// A Gateway with its ListenerSets.
    Gateway(ObjectName),
    /// The ports of all Gateways together.
    Ports,
    /// A BackendTLSPolicy by itself.
    Policy(ObjectName),
    /// The policies of a Service against each other.
    Claims(ObjectName),
    /// An XBackend by itself.
    XBackend(ObjectName),
    /// A route.
    Route(RouteKey),
    /// A backend as one Gateway reaches it.
    Backend(BackendKey),
    /// The endpoints of a Service's port or of an XBackend.
    Endpoints(EndpointsKey),
    /// The status of a GatewayClass.
    ClassStatus(Arc<str>),
    /// The status of a Gateway.
    GatewayStatus(ObjectName),
    /// The status of a ListenerSet.
    ListenerSetStatus(ObjectName),
    /// The status of a BackendTLSPolicy.
    PolicyStatus(ObjectName),
    /// The status of an XBackend.
    XBackendStatus(ObjectName),
}

impl Node {
    /// Whether what it gives holds parsed certificates.
    pub(crate) fn holds_content(&self) -> bool {
        matches!(self, Self::Gateway(_) | Self::Ports | Self::Policy(_) | Self::XBackend(_))
    }

    /// Whether it gives nothing but a status.
    pub(super) fn is_status(&self) -> bool {
        match self {
            Self::Gateway(_)
            | Self::Ports
            | Self::Policy(_)
            | Self::Claims(_)
            | Self::XBackend(_)
            | Self::Route(_)
            | Self::Backend(_)
            | Self::Endpoints(_) => false,
            Self::ClassStatus(_)
            | Self::GatewayStatus(_)
            | Self::ListenerSetStatus(_)
            | Self::PolicyStatus(_)
            | Self::XBackendStatus(_) => true,
        }
    }
}
