//! Reads what Helm and the controller print: YAML documents without anchors and tags.

use saphyr_parser::{Event, Parser, ScalarStyle};
use serde_json::{Map, Value};

/// Every document of a text.
pub(crate) fn documents(text: &str) -> Vec<Value> {
    let mut documents = Vec::new();
    let mut open: Vec<(Value, Option<String>)> = Vec::new();
    for event in Parser::new_from_str(text) {
        let (event, at) = event.unwrap_or_else(|error| panic!("no YAML: {error}\n{text}"));
        let whole = match event {
            Event::MappingStart(..) => {
                open.push((Value::Object(Map::new()), None));
                continue;
            }
            Event::SequenceStart(..) => {
                open.push((Value::Array(Vec::new()), None));
                continue;
            }
            Event::Scalar(text, style, ..) => match open.last_mut() {
                // In an object, every other scalar is a key.
                Some((Value::Object(_), key @ None)) => {
                    *key = Some(text.into_owned());
                    continue;
                }
                _ => scalar(&text, style),
            },
            Event::MappingEnd | Event::SequenceEnd => open.pop().unwrap().0,
            Event::Alias(_) => panic!("an alias at {at:?}"),
            _ => continue,
        };
        match open.last_mut() {
            Some((Value::Object(object), key)) => {
                let key = key.take().unwrap();
                assert!(object.insert(key.clone(), whole).is_none(), "{key} is there twice");
            }
            Some((Value::Array(list), _)) => list.push(whole),
            _ => documents.push(whole),
        }
    }
    documents.retain(|document| !document.is_null());
    documents
}

fn scalar(text: &str, style: ScalarStyle) -> Value {
    if style != ScalarStyle::Plain {
        return Value::from(text);
    }
    match text {
        "" | "~" | "null" => Value::Null,
        "true" => Value::Bool(true),
        "false" => Value::Bool(false),
        _ => text.parse::<i64>().map_or_else(|_| Value::from(text), Value::from),
    }
}
