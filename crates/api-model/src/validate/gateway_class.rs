//! GatewayClass. That `controllerName` never changes is a rule between two versions of an object, which one version
//! cannot break.

use super::KindSchema;
use super::metadata::cluster_scoped;
use super::patterns::DNS_NAME;
use super::references::object_reference;
use super::status::{conditions, controller_name};
use crate::schema::{list, object, optional, required, text};

pub(super) fn schema() -> KindSchema {
    let spec = object([
        required("controllerName", controller_name()),
        optional("parametersRef", object_reference()),
        optional("description", text().at_most(64)),
    ]);
    let features = list(object([required("name", text())])).at_most(64).unique_by("name");
    KindSchema::new(cluster_scoped(DNS_NAME, 253), spec)
        .status(object([optional("conditions", conditions()), optional("supportedFeatures", features)]))
}
