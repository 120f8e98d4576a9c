//! Reading YAML into plain values: the suite's report is written in it.

use saphyr_parser::{Event, Parser, ScalarStyle};
use serde_json::{Map, Value};

/// The first document of a text. Anchors and tags do not occur in what we read.
pub(crate) fn read(text: &str) -> Result<Value, String> {
    let mut open: Vec<(Value, Option<String>)> = Vec::new();
    for event in Parser::new_from_str(text) {
        let (event, _) = event.map_err(|error| format!("is not YAML: {error}"))?;
        let whole = match event {
            Event::MappingStart(..) => {
                open.push((Value::Object(Map::new()), None));
                continue;
            }
            Event::SequenceStart(..) => {
                open.push((Value::Array(Vec::new()), None));
                continue;
            }
            Event::Scalar(text, style, ..) => {
                // In an object, every other scalar is a key.
                if let Some((Value::Object(_), key @ None)) = open.last_mut() {
                    *key = Some(text.into_owned());
                    continue;
                }
                scalar(&text, style)
            }
            Event::MappingEnd | Event::SequenceEnd => match open.pop() {
                Some((value, _)) => value,
                None => continue,
            },
            Event::Alias(_) => return Err("has aliases".to_owned()),
            _ => continue,
        };
        match open.last_mut() {
            Some((Value::Object(object), key)) => {
                object.insert(key.take().unwrap_or_default(), whole);
            }
            Some((Value::Array(list), _)) => list.push(whole),
            _ => return Ok(whole),
        }
    }
    Err("is empty".to_owned())
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::read;

    #[test]
    fn reads_objects_lists_and_scalars() {
        let text = "a: 1\nb:\n- x: \"2\"\n  y: [p, q]\n- plain text\nc: {}\nd: true\n";
        let value = json!({ "a": 1, "b": [{ "x": "2", "y": ["p", "q"] }, "plain text"], "c": {}, "d": true });
        assert_eq!(read(text).unwrap(), value);
    }

    #[test]
    fn nothing_and_nonsense_are_errors() {
        assert!(read("").is_err());
        assert!(read("a: [1").is_err());
    }
}
