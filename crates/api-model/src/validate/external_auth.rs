//! The external authorisation filter.

use super::patterns::URI_PATH;
use super::references::backend_object;
use crate::schema::{Schema, goes_with, integer, list, object, one_of, optional, required, text};

pub(super) fn external_auth() -> Schema {
    let headers = || list(text()).at_most(64).unique();
    let http = object([
        optional("path", text().at_most(1024).pattern(URI_PATH)),
        optional("allowedHeaders", headers()),
        optional("allowedResponseHeaders", headers()),
    ]);
    object([
        required("protocol", one_of(&["HTTP", "GRPC"])),
        required("backendRef", backend_object()),
        optional("grpc", object([optional("allowedHeaders", headers())])),
        optional("http", http),
        optional("forwardBody", object([optional("maxSize", integer(0, i64::from(i32::MAX)))])),
    ])
    .rules(goes_with("grpc", "protocol", "GRPC"))
    .rules(goes_with("http", "protocol", "HTTP"))
}
