//! TLSRoute, TCPRoute and UDPRoute, and the wider forms of v1alpha2.

use std::net::IpAddr;

use super::KindSchema;
use super::filters::unique_rule_names;
use super::metadata::namespaced;
use super::parent_refs::route_fields;
use super::patterns::DNS_NAME_OR_WILDCARD;
use super::references::{backend, section_name};
use super::status::route_status;
use crate::schema::path::FieldPath;
use crate::schema::{Field, Look as _, Schema, blames, list, object, optional, required, text};

/// TCPRoute and UDPRoute.
pub(super) fn stream_route() -> KindSchema {
    route([required("rules", list(rule()).between(1, 1))])
}

/// TCPRoute and UDPRoute as v1alpha2 had them.
pub(super) fn stream_route_v1alpha2() -> KindSchema {
    route([required("rules", many_rules())])
}

/// TLSRoute, v1 and v1alpha3.
pub(super) fn tls_route() -> KindSchema {
    let no_address =
        blames("must not be an IP address: SNI carries names only", "give a DNS name", |hostnames| {
            let is_address =
                |host: &serde_json::Value| host.as_str().is_some_and(|host| host.parse::<IpAddr>().is_ok());
            hostnames.entries().iter().position(is_address).map(|index| FieldPath::root().then(index))
        });
    let hostnames = hostnames().between(1, 1024).rule(no_address);
    route([required("hostnames", hostnames), required("rules", list(rule()).between(1, 1))])
}

/// TLSRoute as v1alpha2 had it.
pub(super) fn tls_route_v1alpha2() -> KindSchema {
    route([optional("hostnames", hostnames().at_most(1024)), required("rules", many_rules())])
}

fn route<const N: usize>(own: [Field; N]) -> KindSchema {
    KindSchema::new(namespaced(), object(route_fields().into_iter().chain(own))).status(route_status())
}

fn hostnames() -> Schema {
    list(text().between(1, 253).pattern(DNS_NAME_OR_WILDCARD))
}

fn many_rules() -> Schema {
    list(rule()).between(1, 16).rule(unique_rule_names())
}

fn rule() -> Schema {
    object([optional("name", section_name()), required("backendRefs", list(backend([])).between(1, 16))])
}
