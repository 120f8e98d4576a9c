//! Where the two verdicts differ, and are meant to.

use super::{Case, Verdict};
use crate::ResourceKind;

/// Fields of a Service that nobody here reads; a server compares them with its own ranges and with each other.
const UNREAD: [&str; 14] = [
    "spec.allocateLoadBalancerNodePorts",
    "spec.clusterIP",
    "spec.clusterIPs",
    "spec.externalIPs",
    "spec.externalTrafficPolicy",
    "spec.healthCheckNodePort",
    "spec.internalTrafficPolicy",
    "spec.ipFamilies",
    "spec.ipFamilyPolicy",
    "spec.loadBalancerClass",
    "spec.loadBalancerIP",
    "spec.loadBalancerSourceRanges",
    "spec.sessionAffinityConfig",
    "spec.type",
];

/// Why this difference is meant; `None` when it is not.
pub(super) fn reason(case: &Case, ours: Option<&str>, theirs: &Verdict) -> Option<&'static str> {
    match (ours, theirs.refused.as_deref()) {
        (None, Some(theirs)) => we_take(case, theirs),
        (Some(ours), None) => we_refuse(case, ours),
        _ => None,
    }
}

/// What the server refuses and we take.
fn we_take(case: &Case, theirs: &str) -> Option<&'static str> {
    let says = |text: &str| theirs.contains(text);
    if case.made_by.contains("80.0") && (says("got float64") || says("cannot unmarshal number 80.0")) {
        return Some("kubectl sends 80.0 as 80, and so reads a file");
    }
    if says("should match '^[!-~]+([\\t ]?[!-~]+)*$'") {
        return Some("the standard channel does not look at header values");
    }
    if says("caCertificateRefs in body should have at least 1 items") {
        return Some("the standard channel takes an empty list beside well-known anchors");
    }
    if says("sectionName or port must be") {
        return Some("the standard channel knows no port of a parent");
    }
    if says("name is neither a standard finalizer name") {
        return Some("finalizers of Kubernetes' own kinds are not read");
    }
    match case.kind {
        ResourceKind::EndpointSlice if says("may not be in the loopback range") || says("link-local") => {
            Some("a folder of manifests may name endpoints of this machine")
        }
        ResourceKind::ClusterTrustBundle if says("metadata.generateName") => {
            Some("an object without a name is refused anyway")
        }
        ResourceKind::Service if unread(theirs) => Some("fields that nobody here reads"),
        _ => None,
    }
}

/// Whether all that the server blames is of no interest here. It names a field before a colon.
fn unread(theirs: &str) -> bool {
    let words = theirs.split([' ', ',']).filter_map(|word| word.strip_suffix(':'));
    let mut paths =
        words.map(|word| word.trim_start_matches('[')).filter(|word| word.starts_with("spec.")).peekable();
    let is_unread = |path: &str| {
        let path = path.replace("LoadBalancerSourceRanges", "loadBalancerSourceRanges");
        let of_ports = path.starts_with("spec.ports[") && path.ends_with(".nodePort");
        of_ports || UNREAD.contains(&path.split('[').next().unwrap_or_default())
    };
    paths.peek().is_some() && paths.all(is_unread)
}

/// What we refuse and the server takes.
fn we_refuse(case: &Case, ours: &str) -> Option<&'static str> {
    let says = |text: &str| ours.contains(text);
    // Go's own types take much for nothing, or for a list of bytes.
    let is_kubernetes = !case.kind.group().starts_with("gateway.networking.");
    match case.kind {
        _ if is_kubernetes && (says("not nothing (null)") || says("binaryData")) => {
            Some("what nobody means: an entry that is nothing, bytes as a list of numbers")
        }
        ResourceKind::EndpointSlice if says("ports[") && says("must be between 1 and 65535") => {
            Some("a port that nobody can connect to")
        }
        ResourceKind::EndpointSlice if says("addresses[") && says("is there already") => {
            Some("a set by its schema, which a server does not look at here")
        }
        _ if says("metadata.generation") => Some("a server counts by itself, whatever is written"),
        _ if says("metadata.managedFields") => Some("managed fields are dropped"),
        ResourceKind::Service if says(", not \"\"") => {
            Some("an empty word where one of several is asked for")
        }
        ResourceKind::Service if says("nodePort") => Some("a port below zero is replaced by a server"),
        ResourceKind::Secret
            if says("Secret of type kubernetes.io/tls needs it") && case.made_by.contains("= null") =>
        {
            Some("an entry without content is of no use to anybody")
        }
        _ => None,
    }
}
