use serde_json::{Value, json};

use super::*;

mod core_kinds;
mod differential;
mod fixtures;
mod gateways;
mod http_route_filters;
mod http_routes;
mod patterns;
mod published_crds;
mod routes;
mod shared_rules;
mod tls;
mod types;

/// Every error of an object, in the newest version of its kind, after defaults.
fn errors_of(kind: ResourceKind, json: &Value) -> Vec<FieldError> {
    let mut json = json.clone();
    let schema = KindSchema::of(kind, served_versions(kind)[0]);
    schema.take_status(&mut json);
    schema.check(&mut json)
}

/// Puts a value at a JSON pointer, making objects on the way; `null` takes the field out.
fn put(json: &mut Value, pointer: &str, value: Value) {
    let (parent, last) = pointer.rsplit_once('/').unwrap();
    let mut here = json;
    for step in parent.split('/').skip(1) {
        let step = step.replace("~1", "/");
        here = match here {
            Value::Array(list) => &mut list[step.parse::<usize>().unwrap()],
            other => {
                if !other.is_object() {
                    *other = json!({});
                }
                other.as_object_mut().unwrap().entry(step).or_insert(Value::Null)
            }
        };
    }
    let last = last.replace("~1", "/");
    match here {
        Value::Array(list) if last == "-" => list.push(value),
        Value::Array(list) => list[last.parse::<usize>().unwrap()] = value,
        other => {
            if !other.is_object() {
                *other = json!({});
            }
            let object = other.as_object_mut().unwrap();
            match value {
                Value::Null => drop(object.remove(&last)),
                value => drop(object.insert(last, value)),
            }
        }
    }
}

/// The full sample of the kind with these changes.
fn changed(kind: ResourceKind, changes: &[(&str, Value)]) -> Value {
    let mut json = samples::full(kind);
    for (pointer, value) in changes {
        put(&mut json, pointer, value.clone());
    }
    json
}

/// One change to the full sample breaks one rule: the error names this field and says this.
fn refuses(kind: ResourceKind, cases: &[(&str, Value, &str, &str)]) {
    for (pointer, value, field, says) in cases {
        refuses_all(kind, &[(pointer, value.clone())], field, says);
    }
}

fn refuses_all(kind: ResourceKind, changes: &[(&str, Value)], field: &str, says: &str) {
    let errors = errors_of(kind, &changed(kind, changes));
    let found = errors.iter().any(|error| error.field() == field && error.rule.contains(says));
    assert!(found, "{kind} with {changes:?}: expected {field}: {says}, found {errors:#?}");
    assert!(errors.iter().all(|error| !error.remedy.is_empty()));
}

fn accepts(kind: ResourceKind, cases: &[(&str, Value)]) {
    for case in cases {
        accepts_all(kind, std::slice::from_ref(case));
    }
}

fn accepts_all(kind: ResourceKind, changes: &[(&str, Value)]) {
    assert_eq!(errors_of(kind, &changed(kind, changes)), [], "{kind} with {changes:?}");
}

fn letters(count: usize) -> Value {
    Value::String("a".repeat(count))
}

fn many(count: usize, entry: impl Fn(usize) -> Value) -> Value {
    (0..count).map(entry).collect()
}

#[test]
fn every_sample_is_valid() {
    for &kind in ResourceKind::ALL {
        accepts_all(kind, &[]);
    }
}

#[test]
fn typed_objects_are_validated_too() {
    let mut route = crate::HttpRoute::default();
    route.metadata.name = Some("r".to_owned());
    route.metadata.namespace = Some("default".to_owned());
    route.spec.hostnames = vec!["UPPER".to_owned()];
    let errors = validate(&route.into());
    assert_eq!(errors.len(), 1);
    assert_eq!(errors[0].field(), "spec.hostnames[0]");
    assert!(errors[0].to_string().contains("must be a DNS name in lower case"), "{}", errors[0]);
}

#[test]
fn metadata_follows_the_api_server() {
    refuses(
        ResourceKind::HttpRoute,
        &[
            ("/metadata", json!({}), "metadata.name", "required"),
            ("/metadata/name", json!(""), "metadata.name", "empty"),
            ("/metadata/name", json!("A"), "metadata.name", "DNS name"),
            ("/metadata/name", json!("-a"), "metadata.name", "DNS name"),
            ("/metadata/name", letters(254), "metadata.name", "at most 253"),
            ("/metadata/name", json!(5), "metadata.name", "must be a string"),
            ("/metadata/namespace", json!("a.b"), "metadata.namespace", "DNS label"),
            ("/metadata/namespace", letters(64), "metadata.namespace", "at most 63"),
            ("/metadata/labels/a b", json!("x"), "metadata.labels[a b]", "key"),
            ("/metadata/labels/a", letters(64), "metadata.labels.a", "at most 63"),
            ("/metadata/labels/a", json!("b c"), "metadata.labels.a", "label value"),
            ("/metadata/labels/a", json!(true), "metadata.labels.a", "string"),
            ("/metadata/annotations/x~1y~1z", json!(""), "metadata.annotations[x/y/z]", "key"),
            ("/metadata/annotations/a", letters(262_144), "metadata.annotations", "256 KiB"),
            ("/metadata/creationTimestamp", json!("yesterday"), "metadata.creationTimestamp", "RFC 3339"),
            ("/metadata/finalisers", json!([]), "metadata.finalisers", "unknown field"),
        ],
    );
    accepts(
        ResourceKind::HttpRoute,
        &[
            ("/metadata/name", json!("a.b-c.9")),
            ("/metadata/labels/example.com~1A_b.c", json!("X_y.z")),
            ("/metadata/labels/a", json!("")),
            ("/metadata/annotations/Example.COM~1a", json!("any\nthing")),
            ("/metadata/creationTimestamp", json!("2026-01-31T12:00:00+01:00")),
        ],
    );
    refuses(
        ResourceKind::GatewayClass,
        &[("/metadata/namespace", json!("ns"), "metadata.namespace", "cluster-scoped")],
    );
}

#[test]
fn structure_is_checked_before_rules() {
    refuses(
        ResourceKind::HttpRoute,
        &[
            ("/spec", json!("x"), "spec", "must be an object"),
            ("/spec/rules", json!({}), "spec.rules", "must be a list"),
            ("/spec/rules/0/backendRefs/0/port", json!(80.5), "spec.rules[0].backendRefs[0].port", "integer"),
            (
                "/spec/rules/0/filters/5/cors/allowCredentials",
                json!("true"),
                "spec.rules[0].filters[5].cors.allowCredentials",
                "true or false",
            ),
            ("/spec/unknown", json!(1), "spec.unknown", "unknown field"),
        ],
    );
    let without_spec = json!({"metadata": {"name": "a"}});
    assert_eq!(errors_of(ResourceKind::Gateway, &without_spec)[0].field(), "spec");
    let mut null = samples::full(ResourceKind::GatewayClass);
    null["spec"]["description"] = Value::Null;
    assert_eq!(errors_of(ResourceKind::GatewayClass, &null), [], "null is absent");
    null["spec"]["controllerName"] = Value::Null;
    assert!(errors_of(ResourceKind::GatewayClass, &null)[0].rule.contains("required"));
    let entry = changed(ResourceKind::HttpRoute, &[("/spec/hostnames", json!([Value::Null]))]);
    assert!(errors_of(ResourceKind::HttpRoute, &entry)[0].rule.contains("not nothing (null)"));
}
