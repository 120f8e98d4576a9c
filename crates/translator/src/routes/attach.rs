//! Where a route attaches.

use lasthop_api_model::{GROUP, GatewayDefaultScope, ListenerSet, ParentReference};
use lasthop_dataplane_api::{AttachedHost, HostPattern, ListenerKey, ObjectName, RouteKey};

use super::view::RouteView;
use crate::{
    gateways::{self, Admission},
    index::Reader,
    listeners::kind_name,
    namespaces,
    problem::Problem,
};

/// A parent that is ours to answer for.
#[derive(Debug)]
pub(super) struct Parent<'a> {
    /// As the route names it.
    pub reference: &'a ParentReference,
    /// The Gateway it is, or belongs to.
    pub gateway: ObjectName,
    /// The listeners the route is attached to, never none, or why there are none.
    pub attached: Result<Vec<AttachedListener>, Problem>,
}

/// A listener a route is attached to.
#[derive(Debug)]
pub(super) struct AttachedListener {
    pub key: ListenerKey,
    pub serves: bool,
    pub passes_tls: bool,
    pub hosts: Vec<AttachedHost>,
}

/// The Gateways a route has for parents without naming them: those with `defaultScope: All`, if it asks for them
/// (GEP-3793). One that it names as well counts as it names it.
pub(super) fn default_parents(
    reader: &Reader<'_>,
    key: &RouteKey,
    route: &RouteView<'_>,
) -> Vec<ParentReference> {
    if route.default_gateways != Some(&GatewayDefaultScope::All) {
        return Vec::new();
    }
    let is_named = |gateway: &ObjectName| {
        route.parent_refs.iter().any(|reference| {
            let namespace = reference.namespace.as_deref().unwrap_or(&key.object.namespace);
            reference.group == GROUP
                && reference.kind == "Gateway"
                && *reference.name == *gateway.name
                && *namespace == *gateway.namespace
        })
    };
    let gateways = reader.default_gateways().into_iter().filter(|gateway| !is_named(gateway));
    gateways
        .map(|gateway| ParentReference {
            namespace: Some(gateway.namespace.to_string()),
            name: gateway.name.to_string(),
            ..ParentReference::default()
        })
        .collect()
}

/// The parent behind a reference; `None` when somebody else answers for it, or nobody.
pub(super) fn parent<'a>(
    reader: &Reader<'_>,
    key: &RouteKey,
    route: &RouteView<'_>,
    reference: &'a ParentReference,
) -> Option<Parent<'a>> {
    if reference.group != GROUP {
        return None;
    }
    let namespace = reference.namespace.as_deref().unwrap_or(&key.object.namespace);
    let named = ObjectName::new(namespace, reference.name.as_str());
    let (gateway, set) = match reference.kind.as_str() {
        "Gateway" => (named, None),
        "ListenerSet" => {
            let Some(set) = reader.object::<ListenerSet>(&named) else {
                return missing(reader, reference, named);
            };
            let parent = &set.spec.parent_ref;
            let namespace = parent.namespace.as_deref().unwrap_or(&named.namespace);
            (ObjectName::new(namespace, parent.name.as_str()), Some(named))
        }
        _ => return None,
    };
    let Some(outcome) = reader.admission(&gateway) else {
        return missing(reader, reference, gateway);
    };
    let doors: Vec<&Admission> = outcome.admissions.iter().filter(|door| door.key.set == set).collect();
    let attached = attach(reader, key, route, reference, &doors);
    Some(Parent { reference, gateway, attached })
}

/// A parent that does not exist: where every Gateway is ours, so is the word about it.
fn missing<'a>(
    reader: &Reader<'_>,
    reference: &'a ParentReference,
    gateway: ObjectName,
) -> Option<Parent<'a>> {
    gateways::owns_everything(reader).then(|| {
        let message =
            format!("there is no {} {}; create it or change parentRefs", reference.kind, reference.name);
        Parent { reference, gateway, attached: Err(Problem::new("NoMatchingParent", message)) }
    })
}

/// Name and port first, then who may, then which hosts: the reason names the last hurdle that some listener got to.
fn attach(
    reader: &Reader<'_>,
    key: &RouteKey,
    route: &RouteView<'_>,
    reference: &ParentReference,
    doors: &[&Admission],
) -> Result<Vec<AttachedListener>, Problem> {
    let section = reference.section_name.as_deref().filter(|name| !name.is_empty());
    let matching: Vec<&&Admission> = doors
        .iter()
        .filter(|door| section.is_none_or(|name| *door.key.name == *name))
        .filter(|door| reference.port.is_none_or(|port| port == door.port))
        .collect();
    if matching.is_empty() {
        return Err(no_match(reference, section, doors));
    }
    let admitting: Vec<&&&Admission> = matching.iter().filter(|door| admits(reader, door, key)).collect();
    if admitting.is_empty() {
        return Err(Problem::new(
            "NotAllowedByListeners",
            format!(
                "{} {} takes no {} of namespace {}; see allowedRoutes of its listeners",
                reference.kind,
                reference.name,
                kind_name(key.kind),
                key.object.namespace
            ),
        ));
    }
    let own: Vec<HostPattern> =
        route.hostnames.iter().filter_map(|host| host.to_ascii_lowercase().parse().ok()).collect();
    let attached: Vec<AttachedListener> = admitting
        .into_iter()
        .filter_map(|door| {
            let hosts = hosts(&own, door.hostname.as_ref(), route.hostnames.is_empty())?;
            Some(AttachedListener {
                key: door.key.clone(),
                serves: door.serves,
                passes_tls: door.passes_tls,
                hosts,
            })
        })
        .collect();
    if attached.is_empty() {
        return Err(Problem::new(
            "NoMatchingListenerHostname",
            format!(
                "no listener of {} {} that takes the route has a host name in common with {}",
                reference.kind,
                reference.name,
                route.hostnames.join(", ")
            ),
        ));
    }
    Ok(attached)
}

fn no_match(reference: &ParentReference, section: Option<&str>, doors: &[&Admission]) -> Problem {
    let mut wanted = String::new();
    if let Some(section) = section {
        wanted.push_str(&format!(" named {section}"));
    }
    if let Some(port) = reference.port {
        wanted.push_str(&format!(" on port {port}"));
    }
    let known: Vec<String> = doors.iter().map(|door| format!("{} ({})", door.key.name, door.port)).collect();
    let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
    Problem::new(
        "NoMatchingParent",
        format!("{} {} has no listener{wanted}; its listeners: {known}", reference.kind, reference.name),
    )
}

fn admits(reader: &Reader<'_>, door: &Admission, key: &RouteKey) -> bool {
    door.kinds.contains(&key.kind)
        && namespaces::admits(
            reader,
            &door.from,
            door.selector.as_ref(),
            door.namespace(),
            &key.object.namespace,
        )
}

/// The route's hosts as far as a listener takes them; `None` when it takes none.
fn hosts(own: &[HostPattern], listener: Option<&HostPattern>, all: bool) -> Option<Vec<AttachedHost>> {
    if all {
        return Some(Vec::new());
    }
    let mut hosts: Vec<AttachedHost> = Vec::new();
    for pattern in own {
        let effective = match listener {
            None => Some(pattern.clone()),
            Some(listener) => pattern.intersect(listener),
        };
        if let Some(effective) = effective {
            let host = AttachedHost { own: pattern.clone(), effective };
            if !hosts.contains(&host) {
                hosts.push(host);
            }
        }
    }
    (!hosts.is_empty()).then_some(hosts)
}
