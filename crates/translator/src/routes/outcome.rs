//! What came of a route.

use std::sync::Arc;

use lasthop_dataplane_api::HttpRule;

use crate::{index::RouteUses, status::Said};

/// What came of a route.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct RouteOutcome {
    /// What the dataplane gets.
    pub rules: Vec<Arc<HttpRule>>,
    /// What it uses.
    pub uses: RouteUses,
    /// What is said about it at each parent.
    pub said: Vec<Said>,
}
