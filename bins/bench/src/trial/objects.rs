//! The objects of the trials.

use std::net::IpAddr;

use serde_json::{Value, json};

/// The Gateway API's group and version.
pub(crate) const GATEWAY_API: &str = "gateway.networking.k8s.io/v1";
/// The namespace of the trials.
pub(crate) const NAMESPACE: &str = "lasthop-trial";
/// Where the controller is installed.
pub(crate) const SYSTEM: &str = "lasthop-system";
/// The field by which answers tell what configuration they were given under.
pub(crate) const MARK: &str = "x-mark";

fn object(version: &str, kind: &str, name: &str, more: Value) -> Value {
    let mut object = json!({
        "apiVersion": version,
        "kind": kind,
        "metadata": {"name": name, "namespace": NAMESPACE},
    });
    if let (Some(object), Value::Object(more)) = (object.as_object_mut(), more) {
        object.extend(more);
    }
    object
}

pub(crate) fn namespace() -> Value {
    json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}})
}

/// A Service whose endpoints are written by hand.
pub(crate) fn service(name: &str) -> Value {
    object("v1", "Service", name, json!({"spec": {"ports": [{"name": "web", "port": 80, "targetPort": 80}]}}))
}

/// One endpoint of a Service.
pub(crate) fn slice(service: &str, name: &str, node: IpAddr, port: u16, ready: bool) -> Value {
    let mut slice = object(
        "discovery.k8s.io/v1",
        "EndpointSlice",
        name,
        json!({
            "addressType": "IPv4",
            "ports": [{"name": "web", "port": port, "protocol": "TCP"}],
            "endpoints": [{"addresses": [node.to_string()], "conditions": {"ready": ready}}],
        }),
    );
    slice["metadata"]["labels"] = json!({"kubernetes.io/service-name": service});
    slice
}

/// A Gateway; with a Secret's name it listens for HTTPS at 443, without for HTTP at 80.
pub(crate) fn gateway(name: &str, secret: Option<&str>, parameters: Option<&str>) -> Value {
    let listener = match secret {
        None => json!({"name": "web", "port": 80, "protocol": "HTTP"}),
        Some(secret) => json!({
            "name": "web", "port": 443, "protocol": "HTTPS",
            "tls": {"certificateRefs": [{"name": secret}]},
        }),
    };
    let mut gateway = object(
        GATEWAY_API,
        "Gateway",
        name,
        json!({"spec": {"gatewayClassName": "lasthop", "listeners": [listener]}}),
    );
    if let Some(parameters) = parameters {
        gateway["spec"]["infrastructure"] = json!({
            "parametersRef": {"group": "lasthop.dev", "kind": "LasthopParameters", "name": parameters},
        });
    }
    gateway
}

/// A route for `/NAME` that marks its answers.
pub(crate) fn route(name: &str, gateway: &str, service: &str, mark: &str) -> Value {
    object(
        GATEWAY_API,
        "HTTPRoute",
        name,
        json!({"spec": {
            "parentRefs": [{"name": gateway}],
            "rules": [rule(name, service, mark)],
        }}),
    )
}

/// The rule of such a route.
pub(crate) fn rule(name: &str, service: &str, mark: &str) -> Value {
    json!({
        "matches": [{"path": {"type": "PathPrefix", "value": format!("/{name}")}}],
        "filters": [{
            "type": "ResponseHeaderModifier",
            "responseHeaderModifier": {"set": [{"name": MARK, "value": mark}]},
        }],
        "backendRefs": [{"name": service, "port": 80}],
    })
}

/// The Service's certificate must be of this CA and have this name.
pub(crate) fn tls_policy(service: &str, ca: &str, name: &str) -> Value {
    object(
        GATEWAY_API,
        "BackendTLSPolicy",
        service,
        json!({"spec": {
            "targetRefs": [{"group": "", "kind": "Service", "name": service}],
            "validation": {
                "caCertificateRefs": [{"group": "", "kind": "ConfigMap", "name": ca}],
                "hostname": name,
            },
        }}),
    )
}

pub(crate) fn ca(name: &str, pem: &str) -> Value {
    object("v1", "ConfigMap", name, json!({"data": {"ca.crt": pem}}))
}

pub(crate) fn secret(name: &str, certificate: &str, key: &str) -> Value {
    object(
        "v1",
        "Secret",
        name,
        json!({"type": "kubernetes.io/tls", "stringData": {"tls.crt": certificate, "tls.key": key}}),
    )
}

pub(crate) fn parameters(name: &str, replicas: u32) -> Value {
    object("lasthop.dev/v1alpha1", "LasthopParameters", name, json!({"spec": {"replicas": replicas}}))
}

/// Whether the condition is True and speaks of the object's newest generation.
pub(crate) fn holds(conditions: &Value, condition: &str, generation: &Value) -> bool {
    conditions.as_array().is_some_and(|all| {
        all.iter().any(|one| {
            one["type"] == condition && one["status"] == "True" && one["observedGeneration"] == *generation
        })
    })
}
