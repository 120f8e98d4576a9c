//! What a translation gives.

use std::fmt;

use lasthop_api_model::{
    GatewayClassStatus, GatewayStatus, ListenerSetStatus, PolicyStatus, ResourceKey, RouteStatus,
};
use lasthop_dataplane_api::Update;

/// What came of some changes.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Output {
    /// For the dataplane. Empty when the changes do not concern it; the version then stays.
    pub update: Update,
    /// For the status sink.
    pub statuses: Vec<StatusChange>,
    /// For the log: things to know that no condition has a place for.
    pub notices: Vec<Notice>,
}

/// An object's new status, whole: our verdicts, and what others wrote there before.
///
/// The translator has no clock. A condition whose status did not change keeps the `lastTransitionTime` the object's
/// own status gives it; every other one carries the Unix epoch, for the sink to replace by the time of writing.
#[derive(Clone, Debug, PartialEq)]
pub struct StatusChange {
    /// The object.
    pub key: ResourceKey,
    /// Its status.
    pub status: Status,
}

/// A status, by the kind of its object.
#[derive(Clone, Debug, PartialEq)]
pub enum Status {
    /// Of a GatewayClass.
    GatewayClass(GatewayClassStatus),
    /// Of a Gateway.
    Gateway(GatewayStatus),
    /// Of a ListenerSet.
    ListenerSet(ListenerSetStatus),
    /// Of a route of any kind.
    Route(RouteStatus),
    /// Of a BackendTLSPolicy or an XBackend.
    Policy(PolicyStatus),
}

/// Something to know about an object.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Notice {
    /// The object.
    pub object: ResourceKey,
    /// Where in it, as a path such as `spec.validation.caCertificateRefs[0]`.
    pub field: String,
    /// What, and what to do about it.
    pub message: String,
}

impl fmt::Display for Notice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}: {}", self.object, self.field, self.message)
    }
}
