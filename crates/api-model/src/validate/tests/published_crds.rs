//! Our schemas beside the published CRDs of the experimental channel, field by field.
//!
//! The CRDs are not part of this project. The test looks for them under `LASTHOP_GATEWAY_API_DIR`, the root of the Go
//! module `sigs.k8s.io/gateway-api` v1.7.0, and says so when it finds none.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::{Value, json};

use super::*;
use crate::schema::{Look as _, Unique};

#[test]
fn schemas_say_what_the_published_crds_say() {
    let Some(root) = std::env::var_os("LASTHOP_GATEWAY_API_DIR") else {
        eprintln!("SKIPPED: LASTHOP_GATEWAY_API_DIR names no copy of sigs.k8s.io/gateway-api v1.7.0");
        return;
    };
    let mut compared = 0;
    let mut differences = Vec::new();
    for crd in read_crds(&Path::new(&root).join("config/crd/experimental")) {
        let (group, names) = (crd["spec"].text("group"), &crd["spec"]["names"]);
        let Some(kind) = ResourceKind::find(group, names.text("kind")) else { continue };
        for version in crd["spec"].list("versions") {
            let schema = KindSchema::of(kind, version.text("name"));
            let published = &version["schema"]["openAPIV3Schema"]["properties"];
            let at = format!("{kind} {}", version.text("name"));
            let Shape::Object(fields) = &schema.body().shape else { panic!("{at} is no object") };
            let spec = &fields.iter().find(|field| field.name == "spec").unwrap().schema;
            compare(spec, &published["spec"], &format!("{at} spec"), &mut differences);
            match schema.status_schema() {
                Some(status) => {
                    compare(status, &published["status"], &format!("{at} status"), &mut differences)
                }
                None => assert!(!published.has("status"), "{at} has a status"),
            }
            let mut rules = BTreeSet::new();
            collect_rules(&version["schema"]["openAPIV3Schema"], &mut rules);
            compare_rules(kind, version.text("name"), &rules, &mut differences);
            compared += 1;
        }
    }
    assert_eq!(compared, 20, "versions of our kinds in the published CRDs");
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}

fn read_crds(folder: &Path) -> Vec<Value> {
    let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let texts = files.iter().map(|file| std::fs::read_to_string(file).unwrap());
    let documents = texts.flat_map(|text| crate::read::yaml_values(&text));
    documents.filter(|document| document.text("kind") == "CustomResourceDefinition").collect()
}

/// What we knowingly say otherwise, by the end of the place and the facet.
const OTHERWISE: &[(&str, &str)] = &[
    // The standard channel takes an empty list beside well-known anchors.
    ("spec.validation.caCertificateRefs", "min"),
    // The standard channel does not look at header values.
    ("headers[].value", "pattern"),
    ("add[].value", "pattern"),
    ("set[].value", "pattern"),
    // Object defaults that fill themselves in, and the status an API server gives to new objects.
    ("status", "default"),
    ("status.conditions", "default"),
    // Rules of ours say the same with a better message.
    ("spec.port", "min"),
];

fn compare(ours: &Schema, published: &Value, at: &str, differences: &mut Vec<String>) {
    let mut differ = |facet: &str, ours: Value, theirs: Value| {
        let known = OTHERWISE.iter().any(|(end, of)| at.ends_with(end) && *of == facet);
        if ours != theirs && !known {
            differences.push(format!("{at}: {facet}: ours {ours}, theirs {theirs}"));
        }
    };
    let limit = |name: &str| published.get(name).cloned().unwrap_or(Value::Null);
    let at_least = |min: usize| if min == 0 { Value::Null } else { json!(min) };
    let at_most = |max: usize| if max == usize::MAX { Value::Null } else { json!(max) };
    let least = |name: &str| if limit(name) == json!(0) { Value::Null } else { limit(name) };
    differ("default", ours.default.clone().unwrap_or(Value::Null), limit("default"));
    match &ours.shape {
        Shape::Object(fields) => {
            differ("type", json!("object"), limit("type"));
            let sorted = |mut names: Vec<Value>| {
                names.sort_by_key(ToString::to_string);
                Value::Array(names)
            };
            let theirs = published.get("properties").and_then(Value::as_object).cloned().unwrap_or_default();
            let names = fields.iter().map(|field| json!(field.name)).collect();
            differ("fields", sorted(names), sorted(theirs.keys().map(|name| json!(name)).collect()));
            let required =
                fields.iter().filter(|field| field.required).map(|field| json!(field.name)).collect();
            differ("required", sorted(required), sorted(published.list("required").to_vec()));
            differ("min", Value::Null, least("minProperties"));
            for field in fields {
                let published = theirs.get(field.name).unwrap_or(&Value::Null);
                compare(&field.schema, published, &format!("{at}.{}", field.name), differences);
            }
        }
        Shape::Map { value, min, max, .. } => {
            differ("type", json!("object"), limit("type"));
            differ("min", at_least(*min), least("minProperties"));
            differ("max", at_most(*max), limit("maxProperties"));
            compare(value, &published["additionalProperties"], &format!("{at}{{}}"), differences);
        }
        Shape::List { item, min, max, unique } => {
            differ("type", json!("array"), limit("type"));
            differ("min", at_least(*min), least("minItems"));
            differ("max", at_most(*max), limit("maxItems"));
            let theirs = match (
                published.text("x-kubernetes-list-type"),
                published.list("x-kubernetes-list-map-keys"),
            ) {
                ("set", _) => json!("set"),
                ("map", [key]) => key.clone(),
                _ => Value::Null,
            };
            let unique = match unique {
                Unique::No => Value::Null,
                Unique::Whole => json!("set"),
                Unique::By(key) => json!(key),
            };
            differ("unique", unique, theirs);
            compare(item, &published["items"], &format!("{at}[]"), differences);
        }
        Shape::Text { min, max, pattern, one_of } => {
            differ("type", json!("string"), limit("type"));
            differ("min", at_least(*min), least("minLength"));
            differ("max", at_most(*max), limit("maxLength"));
            let set = |values: Vec<&str>| json!(values.into_iter().collect::<BTreeSet<_>>());
            differ(
                "enum",
                set(one_of.to_vec()),
                set(published.list("enum").iter().filter_map(Value::as_str).collect()),
            );
            let theirs =
                published.get("pattern").and_then(Value::as_str).map(|text| regex::Regex::new(text).unwrap());
            for text in super::fixtures::STRINGS {
                let is_time = published.text("format") == "date-time";
                let ours = pattern.is_none_or(|pattern| (pattern.accepts)(text));
                let theirs = theirs.as_ref().is_none_or(|theirs| theirs.is_match(text));
                if !is_time && ours != theirs {
                    differ("pattern", json!({*text: ours}), json!({*text: theirs}));
                }
            }
        }
        Shape::Integer { min, max, one_of } => {
            differ("type", json!("integer"), limit("type"));
            let theirs = published.list("enum").iter().filter_map(Value::as_i64).collect::<BTreeSet<_>>();
            differ("enum", json!(one_of.iter().collect::<BTreeSet<_>>()), json!(theirs));
            let bits = i64::from(i32::MAX);
            let widest =
                if published.text("format") == "int64" || !one_of.is_empty() { i64::MAX } else { bits };
            let narrowest =
                if published.text("format") == "int32" && one_of.is_empty() { -bits - 1 } else { i64::MIN };
            differ("min", json!(min), json!(published.number("minimum").unwrap_or(narrowest)));
            differ("max", json!(max), json!(published.number("maximum").unwrap_or(widest)));
        }
        Shape::Boolean => differ("type", json!("boolean"), limit("type")),
        Shape::IntegerOrText | Shape::Anything => differences.push(format!("{at}: has no type")),
    }
}

fn collect_rules(published: &Value, rules: &mut BTreeSet<String>) {
    match published {
        Value::Object(object) => {
            let own = published.list("x-kubernetes-validations").iter();
            rules.extend(own.map(|rule| rule.text("rule").split_whitespace().collect::<Vec<_>>().join(" ")));
            object.values().for_each(|value| collect_rules(value, rules));
        }
        Value::Array(list) => list.iter().for_each(|value| collect_rules(value, rules)),
        _ => {}
    }
}

/// How many distinct CEL rules each kind has, and a hash of their texts: each was looked at and has its counterpart in
/// our schema. A new version of the CRDs that changes one of them fails here.
const RULES: &[(&str, usize, u64)] = &[
    ("BackendTLSPolicy/v1", 7, 0x1647_5bc3_6fe2_f3d6),
    ("BackendTLSPolicy/v1alpha3", 7, 0x1647_5bc3_6fe2_f3d6),
    ("GatewayClass/v1", 1, 0x8f23_0015_40db_8498),
    ("GatewayClass/v1beta1", 1, 0x8f23_0015_40db_8498),
    ("Gateway/v1", 27, 0x7c98_1147_d8ce_73bd),
    ("Gateway/v1beta1", 27, 0x7c98_1147_d8ce_73bd),
    ("GRPCRoute/v1", 26, 0xe139_3ffb_3f17_ae94),
    ("HTTPRoute/v1", 61, 0x228e_5fa6_98dd_9eba),
    ("HTTPRoute/v1beta1", 61, 0x228e_5fa6_98dd_9eba),
    ("ListenerSet/v1", 17, 0xfa60_a4ae_86a1_3cc1),
    ("ReferenceGrant/v1", 0, 0xcbf2_9ce4_8422_2325),
    ("ReferenceGrant/v1beta1", 0, 0xcbf2_9ce4_8422_2325),
    ("TCPRoute/v1", 4, 0xbe8a_1498_2a10_6898),
    ("TCPRoute/v1alpha2", 5, 0x10b1_e312_9b2a_19e4),
    ("TLSRoute/v1", 7, 0x04f2_1409_fe74_21b5),
    ("TLSRoute/v1alpha2", 5, 0x10b1_e312_9b2a_19e4),
    ("TLSRoute/v1alpha3", 7, 0x04f2_1409_fe74_21b5),
    ("UDPRoute/v1", 4, 0xbe8a_1498_2a10_6898),
    ("UDPRoute/v1alpha2", 5, 0x10b1_e312_9b2a_19e4),
    ("XBackend/v1alpha1", 20, 0x9171_e7d5_e985_678f),
];

fn compare_rules(kind: ResourceKind, version: &str, rules: &BTreeSet<String>, differences: &mut Vec<String>) {
    let bytes = rules.iter().flat_map(|rule| rule.bytes().chain([0]));
    let hash = bytes
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3));
    let name = format!("{kind}/{version}");
    if !RULES.contains(&(name.as_str(), rules.len(), hash)) {
        differences.push(format!("(\"{name}\", {}, {hash:#018x}),", rules.len()));
    }
}
