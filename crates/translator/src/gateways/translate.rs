//! One Gateway.

use std::{collections::BTreeMap, sync::Arc};

use lasthop_api_model::{Gateway, Parameters};
use lasthop_dataplane_api::{Listener, ObjectName};

use super::{Admission, GatewayOutcome, addresses, client_certificate, frontend, ownership, proxy_protocol};
use crate::{
    index::Reader,
    listener_sets,
    listeners::{self, Draft},
    names,
    problem::Problem,
};

/// What comes of a Gateway; `None` when it is not ours.
pub(crate) fn translate(reader: &Reader<'_>, name: &ObjectName) -> Option<GatewayOutcome> {
    let gateway = reader.object::<Gateway>(name)?;
    let class = ownership::owns(reader, gateway)?;
    let (addresses, bad_address) = match addresses::requested(gateway) {
        Ok(addresses) => (addresses, None),
        Err(problem) => (Vec::new(), Some(problem)),
    };
    let bad_parameters = class.err().or_else(|| bad_parameters(gateway));
    // Where there are proxies, parameters say how they look, not what they serve: those that stand serve on until a slip
    // is mended.
    let placed = reader.options.services_of.is_some();
    let stops = bad_address.is_some() || (bad_parameters.is_some() && !placed);
    let refused = bad_parameters.or(bad_address);

    let sets = listener_sets::attached(reader, gateway, name);
    let mut drafts: Vec<Draft<'_>> =
        gateway.spec.listeners.iter().map(|spec| Draft::of_gateway(name, spec)).collect();
    for (rank, (set, object)) in sets.accepted.iter().enumerate() {
        drafts.extend(object.spec.listeners.iter().map(|spec| Draft::of_set(name, set, rank + 1, spec)));
    }
    let mut listeners = listeners::settle(reader, gateway, name, drafts);
    let proxy_protocol = proxy_protocol::expected(reader, gateway, name, &mut listeners);

    let mut serving = BTreeMap::new();
    let mut admissions = Vec::with_capacity(listeners.len());
    let mut outcomes = Vec::with_capacity(listeners.len());
    for settled in listeners {
        let serves = !stops && settled.outcome.serves();
        admissions.push(Admission {
            key: settled.outcome.key.clone(),
            port: settled.spec.port,
            hostname: settled.hostname.clone(),
            kinds: settled.outcome.kinds.clone(),
            from: settled.spec.allowed_routes.namespaces.from.clone(),
            selector: settled.spec.allowed_routes.namespaces.selector.clone(),
            passes_tls: settled.passes_tls(),
            serves,
        });
        if let Some(protocol) = settled.protocol.filter(|_| serves) {
            let listener = Listener {
                key: settled.outcome.key.clone(),
                port: settled.spec.port,
                // With Services of its own, the addresses are the Services', and not those of the proxies.
                addresses: match reader.options.services_of {
                    Some(_) => Vec::new(),
                    None => addresses.clone(),
                },
                protocol,
                hostname: settled.hostname,
                tls: settled.tls,
                proxy_protocol: proxy_protocol.on(settled.spec.port, protocol),
            };
            serving.insert(listener.key.clone(), Arc::new(listener));
        }
        outcomes.push(settled.outcome);
    }
    let parent_problem = refused.is_some().then(|| {
        Problem::new("ParentNotAccepted", format!("Gateway {name} is not accepted; see its status"))
    });
    Some(GatewayOutcome {
        created: names::created(&gateway.metadata),
        sets: sets.verdicts(parent_problem),
        refused,
        addresses,
        admissions,
        serving,
        listeners: outcomes,
        client_certificate: client_certificate::backend_certificate(reader, gateway, name),
        insecure_frontend: frontend::is_insecure(gateway),
    })
}

fn bad_parameters(gateway: &Gateway) -> Option<Problem> {
    let infrastructure = gateway.spec.infrastructure.as_ref()?;
    let parameters = infrastructure.parameters_ref.as_ref()?;
    match &infrastructure.parameters {
        Parameters::Good => return None,
        Parameters::Bad(why) => {
            let message = format!("spec.infrastructure.parametersRef: {why}");
            return Some(Problem::new("InvalidParameters", message));
        }
        Parameters::Unread => {}
    }
    Some(Problem::new(
        "InvalidParameters",
        format!(
            "spec.infrastructure.parametersRef names {} {}; no parameters are supported, remove the field",
            parameters.kind, parameters.name
        ),
    ))
}
