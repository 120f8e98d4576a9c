//! What keeps proxies from running.

use std::{collections::BTreeMap, sync::Arc};

use serde_json::Value;

use crate::infrastructure::{GATEWAY_LABEL, label_value};

/// Why a container waits that nothing will start by itself. A container that is about to start waits, too.
const STUCK: [&str; 8] = [
    "ErrImagePull",
    "ImagePullBackOff",
    "InvalidImageName",
    "ErrImageNeverPull",
    "CreateContainerConfigError",
    "CreateContainerError",
    "RunContainerError",
    "CrashLoopBackOff",
];

/// By namespace and name of what has it: the Gateway's label, and what is wrong.
type Troubles = BTreeMap<(String, String), (String, Arc<str>)>;

/// The proxies that cannot run, and the Deployments that cannot make any.
#[derive(Debug, Default)]
pub(super) struct Proxies {
    stuck: Troubles,
    refused: Troubles,
}

/// What proxies run by.
#[derive(Clone, Copy, Debug)]
pub(super) enum Part {
    Pod,
    Deployment,
}

impl Proxies {
    fn of(&mut self, part: Part) -> &mut Troubles {
        match part {
            Part::Pod => &mut self.stuck,
            Part::Deployment => &mut self.refused,
        }
    }

    /// Takes over one. Whether something changed.
    pub(super) fn put(&mut self, part: Part, object: &Value) -> bool {
        let why = match part {
            Part::Pod => why_stuck(object).map(|why| ("a proxy cannot run: Pod", why)),
            Part::Deployment => why_refused(object).map(|why| ("no proxy can be made: Deployment", why)),
        };
        put(self.of(part), object, why)
    }

    /// Takes over all that there are.
    pub(super) fn set(&mut self, part: Part, objects: &[Value]) {
        self.of(part).clear();
        objects.iter().for_each(|object| {
            self.put(part, object);
        });
    }

    /// Forgets one. Whether something changed.
    pub(super) fn remove(&mut self, part: Part, object: &Value) -> bool {
        key_of(object).is_some_and(|key| self.of(part).remove(&key).is_some())
    }

    /// What keeps a Gateway's proxies from running.
    pub(super) fn trouble(&self, namespace: &str, gateway: &str) -> Option<Arc<str>> {
        let first = (namespace.to_owned(), String::new());
        let label = label_value(gateway);
        let of = |troubles: &Troubles| {
            let mut own = troubles.range(first.clone()..).take_while(|((of, _), _)| of == namespace);
            own.find(|(_, (gateway, _))| *gateway == label).map(|(_, (_, why))| why.clone())
        };
        of(&self.refused).or_else(|| of(&self.stuck))
    }
}

fn put(troubles: &mut Troubles, object: &Value, why: Option<(&str, String)>) -> bool {
    let Some(key) = key_of(object) else { return false };
    let labels = object.pointer("/metadata/labels");
    let gateway = labels.and_then(|labels| labels.get(GATEWAY_LABEL)).and_then(Value::as_str);
    let trouble = gateway.zip(why).map(|(gateway, (what, why))| {
        (gateway.to_owned(), Arc::from(format!("{what} {}/{}: {why}", key.0, key.1)))
    });
    match trouble {
        Some(trouble) => troubles.insert(key, trouble.clone()) != Some(trouble),
        None => troubles.remove(&key).is_some(),
    }
}

/// Why a Deployment's pods are refused: a quota, Pod Security, an admission policy.
fn why_refused(deployment: &Value) -> Option<String> {
    let refused = list(deployment, "/status/conditions").iter().find(|condition| {
        text(condition, "type") == "ReplicaFailure" && text(condition, "status") == "True"
    })?;
    Some(format!("{}: {}", text(refused, "reason"), unnamed(text(refused, "message"))))
}

/// Without the name of the pod that was refused last: it changes with every attempt.
fn unnamed(message: &str) -> &str {
    match message.split_once("\" is forbidden: ") {
        Some((pods, why)) if pods.starts_with("pods \"") => why,
        _ => message,
    }
}

fn key_of(pod: &Value) -> Option<(String, String)> {
    let text = |path: &str| pod.pointer(path).and_then(Value::as_str).map(str::to_owned);
    Some((text("/metadata/namespace")?, text("/metadata/name")?))
}

fn list<'a>(pod: &'a Value, path: &str) -> &'a [Value] {
    pod.pointer(path).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

fn text<'a>(of: &'a Value, field: &str) -> &'a str {
    of.get(field).and_then(Value::as_str).unwrap_or_default()
}

fn why_stuck(pod: &Value) -> Option<String> {
    // On its way out, whatever it says.
    if pod.pointer("/metadata/deletionTimestamp").is_some() {
        return None;
    }
    let containers = list(pod, "/status/containerStatuses").iter();
    let mut waiting = containers.filter_map(|status| Some((status, status.pointer("/state/waiting")?)));
    if let Some((status, waiting)) = waiting.find(|(_, waiting)| STUCK.contains(&text(waiting, "reason"))) {
        // What Kubernetes says of these changes with every attempt.
        return Some(match text(waiting, "reason") {
            "ErrImagePull" | "ImagePullBackOff" => {
                format!("ImagePullBackOff: the image {} cannot be pulled", text(status, "image"))
            }
            "CrashLoopBackOff" => "CrashLoopBackOff: it ends again and again; see its log".to_owned(),
            reason => format!("{reason}: {}", text(waiting, "message")),
        });
    }
    let unscheduled = list(pod, "/status/conditions").iter().find(|condition| {
        text(condition, "type") == "PodScheduled" && text(condition, "reason") == "Unschedulable"
    })?;
    Some(format!("Unschedulable: {}", text(unscheduled, "message")))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn pod(status: Value) -> Value {
        json!({"metadata": {"name": "edge-1", "namespace": "infra", "labels": {GATEWAY_LABEL: "edge"}}, "status": status})
    }

    #[test]
    fn a_pod_that_cannot_start_is_its_gateways_trouble_until_it_can() {
        let mut proxies = Proxies::default();
        let waits = |reason: &str| {
            pod(
                json!({"containerStatuses": [{"state": {"waiting": {"reason": reason, "message": "no"}}, "image": "none:1"}]}),
            )
        };
        assert!(!proxies.put(Part::Pod, &waits("ContainerCreating")), "it is on its way");
        assert!(proxies.put(Part::Pod, &waits("ImagePullBackOff")));
        assert!(!proxies.put(Part::Pod, &waits("ErrImagePull")), "nothing new");
        let said = proxies.trouble("infra", "edge").unwrap();
        assert!(said.contains("infra/edge-1") && said.contains("image none:1 cannot be pulled"), "{said}");
        assert_eq!((proxies.trouble("infra", "other"), proxies.trouble("far", "edge")), (None, None));
        assert!(proxies.put(Part::Pod, &pod(json!({"containerStatuses": [{"state": {"running": {}}}]}))));
        assert_eq!(proxies.trouble("infra", "edge"), None);
        let deployment = |conditions: Value| {
            json!({"metadata": {"name": "lasthop-edge", "namespace": "infra", "labels": {GATEWAY_LABEL: "edge"}},
                "status": {"conditions": conditions}})
        };
        let refused = |pod: &str| {
            let message = format!("pods \"lasthop-edge-{pod}\" is forbidden: exceeded quota: none");
            deployment(
                json!([{"type": "ReplicaFailure", "status": "True", "reason": "FailedCreate", "message": message}]),
            )
        };
        assert!(proxies.put(Part::Deployment, &refused("x1")));
        assert!(!proxies.put(Part::Deployment, &refused("x2")), "another attempt, and nothing new");
        let said = proxies.trouble("infra", "edge").unwrap();
        assert_eq!(
            &*said,
            "no proxy can be made: Deployment infra/lasthop-edge: FailedCreate: exceeded quota: none"
        );
        assert!(proxies.put(Part::Deployment, &deployment(json!([]))));
        let unschedulable = pod(json!({"conditions": [{"type": "PodScheduled", "status": "False",
            "reason": "Unschedulable", "message": "0/1 nodes are available"}]}));
        assert!(proxies.put(Part::Pod, &unschedulable) && proxies.remove(Part::Pod, &unschedulable));
    }
}
