//! Statuses of routes.

use lasthop_api_model::RouteStatus;
use lasthop_dataplane_api::RouteKey;

use super::{Said, merge, types};
use crate::{index::Reader, routes};

/// The status of a route. `None` when there is nothing to say.
pub(crate) fn route_status(reader: &Reader<'_>, key: &RouteKey, said: &[Said]) -> Option<RouteStatus> {
    let route = routes::view(reader, key)?;
    let old = route.status.map_or(&[][..], |status| &status.parents);
    let controller = &reader.options.controller_name;
    if said.is_empty() && !old.iter().any(|entry| entry.controller_name == *controller) {
        return None;
    }
    let generation = route.metadata.generation;
    Some(RouteStatus { parents: merge::entries(old, controller, types::ROUTE, said, generation) })
}
