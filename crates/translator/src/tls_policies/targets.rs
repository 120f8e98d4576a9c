//! What a policy targets.

use lasthop_api_model::{BackendTlsPolicy, ResourceKey, Service};
use lasthop_dataplane_api::ObjectName;

use super::{Target, TargetState};
use crate::{
    index::Reader,
    problem::Problem,
    services::{is_tcp, is_udp, ports},
};

/// The Services a policy targets. What can never have a Gateway for an ancestor is told in a notice, since no status
/// has a place for it.
pub(super) fn resolve(reader: &Reader<'_>, policy: &BackendTlsPolicy, key: &ResourceKey) -> Vec<Target> {
    let mut targets = Vec::new();
    for (index, reference) in policy.spec.target_refs.iter().enumerate() {
        let field = format!("spec.targetRefs[{index}]");
        if !reference.group.is_empty() || reference.kind != "Service" {
            let message = format!(
                "kind {} cannot be targeted, the policy does not hold there; use a Service",
                reference.kind
            );
            reader.notice(key.clone(), field, message);
            continue;
        }
        let service = ObjectName::new(key.namespace.as_str(), reference.name.as_str());
        let section = reference.section_name.clone().filter(|name| !name.is_empty());
        let state = match state(reader, &service, section.as_deref()) {
            Ok(warning) => TargetState::Found(warning),
            Err(problem) => {
                reader.notice(key.clone(), field, problem.message.clone());
                TargetState::Bad(problem)
            }
        };
        targets.push(Target { service, section, state });
    }
    targets
}

fn state(reader: &Reader<'_>, name: &ObjectName, section: Option<&str>) -> Result<Option<String>, Problem> {
    let service = reader.object::<Service>(name).ok_or_else(|| {
        Problem::new(
            "TargetNotFound",
            format!("Service {name} does not exist; the policy holds for nothing there"),
        )
    })?;
    let ports = ports(service);
    if let Some(section) = section {
        let port = ports.iter().find(|port| port.name.as_deref() == Some(section)).ok_or_else(|| {
            let known: Vec<_> = ports.iter().filter_map(|port| port.name.as_deref()).collect();
            let message =
                format!("Service {name} has no port named {section}; its ports are: {}", known.join(", "));
            Problem::new("TargetNotFound", message)
        })?;
        if !is_tcp(port) {
            return Err(not_tcp(format!("port {section} of Service {name} is not TCP")));
        }
        return Ok(None);
    }
    match ports {
        [] => Ok(None),
        _ if ports.iter().all(|port| !is_tcp(port)) => {
            Err(not_tcp(format!("Service {name} has no TCP port")))
        }
        _ if ports.iter().any(is_udp) => {
            Ok(Some(format!("Service {name} has UDP ports; the policy holds for its TCP ports only")))
        }
        _ => Ok(None),
    }
}

fn not_tcp(what: String) -> Problem {
    Problem::new("Invalid", format!("{what}; TLS needs TCP, take it out of spec.targetRefs"))
}
