//! Schemas and types say the same: a value with every field of a schema goes through its type and comes back whole.

use serde_json::{Map, Value, json};

use super::*;
use crate::schema::Pattern;

/// A value with every field, whether or not the rules allow them together.
fn everything(schema: &Schema) -> Value {
    match &schema.shape {
        Shape::Object(fields) => fields
            .iter()
            .map(|field| (field.name.to_owned(), everything(&field.schema)))
            .collect::<Map<_, _>>()
            .into(),
        Shape::Map { value, .. } => json!({"key": everything(value)}),
        Shape::List { item, .. } => json!([everything(item)]),
        Shape::Text { one_of, .. } if !one_of.is_empty() => json!(one_of.last()),
        Shape::Text { pattern, .. } => json!(fitting(pattern.as_ref())),
        Shape::Integer { one_of, .. } if !one_of.is_empty() => json!(one_of.last()),
        Shape::Integer { min, .. } => json!((*min).max(3)),
        Shape::Boolean => json!(true),
        Shape::IntegerOrText => json!("https"),
        Shape::Anything => json!({}),
    }
}

fn fitting(pattern: Option<&Pattern>) -> &'static str {
    let tried = ["a", "abcd", "2026-01-31T12:00:00Z", "a/b", "http://a", "1s", "System"];
    tried
        .into_iter()
        .find(|text| pattern.is_none_or(|pattern| (pattern.accepts)(text)))
        .expect("a string that fits")
}

fn through_type(kind: ResourceKind, json: &Value) -> Value {
    macro_rules! through {
        ($($kind:ident),+) => {
            match kind {
                $(ResourceKind::$kind => {
                    let typed: crate::$kind = serde_json::from_value(json.clone()).expect(stringify!($kind));
                    serde_json::to_value(typed).expect(stringify!($kind))
                })+
            }
        };
    }
    through!(
        GatewayClass,
        Gateway,
        ListenerSet,
        HttpRoute,
        GrpcRoute,
        TlsRoute,
        TcpRoute,
        UdpRoute,
        ReferenceGrant,
        BackendTlsPolicy,
        XBackend,
        Service,
        EndpointSlice,
        Secret,
        ConfigMap,
        Namespace,
        ClusterTrustBundle
    )
}

#[test]
fn types_have_every_field_of_their_schema() {
    for &kind in ResourceKind::ALL {
        let schema = KindSchema::of(kind, kind.version());
        let mut json = everything(schema.body());
        json["kind"] = json!(kind.as_str());
        json["apiVersion"] = match kind.group() {
            "" => json!(kind.version()),
            group => json!(format!("{group}/{}", kind.version())),
        };
        if let Some(status) = schema.status_schema() {
            let mut status = everything(status);
            if kind == ResourceKind::Service {
                status = json!({"loadBalancer": {"ingress": [{"ip": "a"}]}});
            }
            if kind == ResourceKind::Namespace {
                status = json!({"phase": "Active"});
            }
            json["status"] = status;
        }
        assert_eq!(through_type(kind, &json), json, "{kind}");
    }
}

#[test]
fn types_fill_in_the_defaults_of_their_schema() {
    for &kind in ResourceKind::ALL {
        if !kind.group().starts_with("gateway.networking.") {
            continue;
        }
        let mut json = samples::full(kind);
        json.as_object_mut().unwrap().remove("status");
        let typed = through_type(kind, &json);
        let schema = KindSchema::of(kind, kind.version());
        let mut filled = json.clone();
        fill_defaults(schema.body(), &mut filled);
        let drop_empty = |value: &Value| without_empty(value.clone());
        assert_eq!(drop_empty(&typed), drop_empty(&filled), "{kind}");
    }
}

/// Types leave empty lists and maps out when they write.
fn without_empty(value: Value) -> Value {
    match value {
        Value::Object(object) => object
            .into_iter()
            .map(|(key, value)| (key, without_empty(value)))
            .filter(|(_, value)| !matches!(value, Value::Array(list) if list.is_empty()))
            .collect::<Map<_, _>>()
            .into(),
        Value::Array(list) => list.into_iter().map(without_empty).collect(),
        other => other,
    }
}

#[test]
fn unknown_values_stay_with_their_field() {
    let protocol: crate::Protocol = serde_json::from_value(json!("QUIC")).unwrap();
    assert_eq!(protocol, crate::Protocol::Other("QUIC".to_owned()));
    assert_eq!(serde_json::to_value(&protocol).unwrap(), json!("QUIC"));
    assert_eq!(crate::Protocol::KNOWN, ["HTTP", "HTTPS", "TLS", "TCP", "UDP"]);
    assert_eq!(crate::Protocol::from("TLS"), crate::Protocol::Tls);
}
