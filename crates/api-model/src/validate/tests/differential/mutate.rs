//! Changes to an object, each at one place.

use serde_json::{Value, json};

use super::generate::{MEANT, Random, strings, value};
use crate::schema::{Schema, Shape};

/// A place in an object: a JSON pointer, and the schema that holds there.
type Place<'a> = (String, &'a Schema);

/// What is not changed: the namespace belongs to the request's path, apiVersion and kind choose the schema.
const LEFT_ALONE: [&str; 3] = ["/metadata/namespace", "/apiVersion", "/kind"];

/// Every place of the object that its schema speaks of, optional fields that are missing included.
fn places<'a>(schema: &'a Schema, value: Option<&Value>, at: &str, found: &mut Vec<Place<'a>>) {
    if LEFT_ALONE.contains(&at) {
        return;
    }
    if !at.is_empty() {
        found.push((at.to_owned(), schema));
    }
    match (&schema.shape, value) {
        (Shape::Object(fields), Some(Value::Object(object))) => {
            for field in fields {
                places(&field.schema, object.get(field.name), &format!("{at}/{}", field.name), found);
            }
        }
        (Shape::Map { value: below, .. }, Some(Value::Object(object))) => {
            for (key, value) in object {
                places(below, Some(value), &format!("{at}/{}", escaped(key)), found);
            }
        }
        (Shape::List { item, .. }, Some(Value::Array(entries))) => {
            for (index, entry) in entries.iter().enumerate() {
                places(item, Some(entry), &format!("{at}/{index}"), found);
            }
        }
        _ => {}
    }
}

fn escaped(key: &str) -> String {
    key.replace('~', "~0").replace('/', "~1")
}

/// The sample with changes to each place: so many of those there are.
pub(super) fn every(
    schema: &Schema,
    sample: &Value,
    count: usize,
    random: &mut Random,
) -> Vec<(String, Value)> {
    let mut found = Vec::new();
    places(schema, Some(sample), "", &mut found);
    let mut all = Vec::new();
    for (at, schema) in &found {
        let here = sample.pointer(at);
        let mut changes = changes(schema, here, random);
        while changes.len() > count {
            let last = random.below(changes.len());
            changes.swap_remove(last);
        }
        for change in changes {
            let mut object = sample.clone();
            set(&mut object, at, change.clone());
            all.push((told(at, change.as_ref()), object));
        }
    }
    all
}

/// The sample with one to three changes, each to what the one before left.
pub(super) fn some(schema: &Schema, sample: &Value, random: &mut Random) -> (String, Value) {
    let mut object = sample.clone();
    let mut says = Vec::new();
    for _ in 0..=random.below(3) {
        let mut found = Vec::new();
        places(schema, Some(&object), "", &mut found);
        found.retain(|(at, _)| at.starts_with("/spec") || !at.starts_with("/metadata"));
        if found.is_empty() {
            break;
        }
        let (at, schema) = random.pick(&found).clone();
        let here = object.pointer(&at).cloned();
        let change = match random.below(8) {
            0..=3 => Some(value(schema, random, 3)),
            4 => None,
            _ => {
                let changes = changes(schema, here.as_ref(), random);
                if changes.is_empty() { None } else { random.pick(&changes).clone() }
            }
        };
        says.push(told(&at, change.as_ref()));
        set(&mut object, &at, change);
    }
    (says.join("; "), object)
}

fn told(at: &str, change: Option<&Value>) -> String {
    match change {
        None => format!("{at} taken out"),
        Some(value) => format!("{at} = {}", value.to_string().chars().take(160).collect::<String>()),
    }
}

/// What a place may become: another value, or nothing.
fn changes(schema: &Schema, here: Option<&Value>, random: &mut Random) -> Vec<Option<Value>> {
    let mut changes: Vec<Option<Value>> = vec![
        None,
        Some(Value::Null),
        Some(json!("x")),
        Some(json!(7)),
        Some(json!(true)),
        Some(json!({})),
        Some(json!([])),
    ];
    let mut may_be = |value: Value| changes.push(Some(value));
    match &schema.shape {
        Shape::Object(_) => {
            may_be(json!({"unknownField": 1}));
            if let Some(Value::Object(object)) = here {
                let mut more = object.clone();
                more.insert("unknownField".to_owned(), json!(1));
                may_be(Value::Object(more));
            }
            for _ in 0..4 {
                may_be(value(schema, random, 3));
            }
        }
        Shape::Map { max, .. } => {
            for key in strings() {
                may_be(json!({key: "x"}));
            }
            may_be(json!({"a": 1}));
            may_be(json!({"a": null}));
            may_be(json!({"a": "a".repeat(64)}));
            may_be(json!({"a".repeat(64): "a"}));
            if *max < 100 {
                for count in [*max, *max + 1] {
                    may_be(
                        (0..count)
                            .map(|index| (format!("k{index}"), json!("v")))
                            .collect::<serde_json::Map<_, _>>()
                            .into(),
                    );
                }
            }
        }
        Shape::List { item, max, .. } => {
            may_be(json!([null]));
            for _ in 0..4 {
                may_be(json!([value(item, random, 3)]));
            }
            if let Some(Value::Array(entries)) = here
                && let Some(first) = entries.first()
            {
                let mut twice = entries.clone();
                twice.push(first.clone());
                may_be(Value::Array(twice));
                may_be(entries.iter().rev().cloned().collect());
                may_be(json!([first]));
                if *max <= 128 {
                    for count in [*max, *max + 1] {
                        may_be((0..count).map(|index| renamed(first, index)).collect());
                    }
                }
            }
        }
        Shape::Text { min, max, one_of, .. } => {
            one_of.iter().for_each(|one| may_be(json!(one)));
            for one in one_of.iter().take(2) {
                may_be(json!(one.to_lowercase()));
                may_be(json!(one.to_uppercase()));
            }
            if one_of.is_empty() {
                strings().for_each(|text| may_be(json!(text)));
            } else {
                MEANT.iter().take(6).for_each(|text| may_be(json!(text)));
            }
            let lengths = [min.saturating_sub(1), *min, 63, 64, 253, 254, *max, max.saturating_add(1)];
            for length in lengths.into_iter().filter(|length| *length <= 8192) {
                may_be(json!("a".repeat(length)));
                may_be(json!(format!("/{}", "a".repeat(length.saturating_sub(1)))));
            }
            // Length is counted in characters.
            if *max <= 8192 {
                may_be(json!("ü".repeat(*max)));
            }
        }
        Shape::Integer { min, max, one_of } => {
            one_of.iter().for_each(|one| may_be(json!(one)));
            let bounds =
                [*min, min.saturating_sub(1), *max, max.saturating_add(1), 0, 1, -1, 80, 443, 65535, 65536];
            bounds.iter().for_each(|number| may_be(json!(number)));
            may_be(json!(i64::from(i32::MAX) + 1));
            may_be(json!(1.5));
            may_be(json!(80.0));
            may_be(json!("80"));
            may_be(json!(u64::MAX));
        }
        Shape::Boolean => {
            for value in [json!(false), json!("true"), json!(0)] {
                may_be(value);
            }
        }
        Shape::IntegerOrText => {
            for value in [json!(0), json!(65535), json!(65536), json!(-1), json!(1.5), json!(u64::MAX)] {
                may_be(value);
            }
            strings().for_each(|text| may_be(json!(text)));
        }
        Shape::Anything => {}
    }
    changes
}

/// An entry like this one that lists do not take for the same.
fn renamed(entry: &Value, index: usize) -> Value {
    match entry {
        Value::String(_) => json!(format!("a{index}.example.com")),
        Value::Object(object) => {
            let mut object = object.clone();
            if object.contains_key("name") {
                object.insert("name".to_owned(), json!(format!("n{index}")));
            }
            if object.contains_key("port") {
                object.insert("port".to_owned(), json!(1000 + index));
            }
            Value::Object(object)
        }
        other => other.clone(),
    }
}

/// Puts a value at a place, or takes out what is there.
fn set(object: &mut Value, at: &str, change: Option<Value>) {
    let (parent, last) = at.rsplit_once('/').unwrap();
    let key = last.replace("~1", "/").replace("~0", "~");
    match (object.pointer_mut(parent), change) {
        (Some(Value::Object(object)), Some(value)) => drop(object.insert(key, value)),
        (Some(Value::Object(object)), None) => drop(object.remove(&key)),
        (Some(Value::Array(entries)), change) => {
            let index: usize = key.parse().unwrap();
            match change {
                Some(value) if index < entries.len() => entries[index] = value,
                None if index < entries.len() => drop(entries.remove(index)),
                _ => {}
            }
        }
        _ => {}
    }
}
