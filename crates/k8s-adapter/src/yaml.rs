//! JSON as YAML that people can read.

use std::fmt::Write as _;

use serde_json::Value;

/// A value as a YAML document, ending with a line break.
pub fn to_yaml(value: &Value) -> String {
    let mut out = String::new();
    write(value, 0, &mut out);
    if !out.ends_with('\n') {
        out.push('\n');
    }
    out.trim_start_matches('\n').to_owned()
}

/// Writes what stands behind a key or a dash.
fn write(value: &Value, depth: usize, out: &mut String) {
    let indent = "  ".repeat(depth);
    match value {
        Value::Object(object) if !object.is_empty() => {
            for (index, (key, value)) in object.iter().enumerate() {
                // The first key of an entry of a list stands behind the dash.
                if index > 0 || !out.ends_with("- ") {
                    let _ = write!(out, "\n{indent}");
                }
                let _ = write!(out, "{}:", scalar(key));
                below(value, depth + 1, out);
            }
        }
        Value::Array(entries) if !entries.is_empty() => {
            for entry in entries {
                let _ = write!(out, "\n{indent}- ");
                write(entry, depth + 1, out);
            }
        }
        Value::Object(_) => out.push_str("{}"),
        Value::Array(_) => out.push_str("[]"),
        Value::String(text) => out.push_str(&scalar(text)),
        other => out.push_str(&other.to_string()),
    }
}

fn below(value: &Value, depth: usize, out: &mut String) {
    let is_nested = match value {
        Value::Object(object) => !object.is_empty(),
        Value::Array(entries) => !entries.is_empty(),
        _ => false,
    };
    if !is_nested {
        out.push(' ');
    }
    write(value, depth, out);
}

/// A text, in quotes where YAML would read something else.
fn scalar(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./".contains(c);
    let word = text.starts_with(|c: char| c.is_ascii_alphabetic()) && text.chars().all(plain);
    let reads_otherwise = ["true", "false", "yes", "no", "on", "off", "null", "y", "n"]
        .contains(&text.to_ascii_lowercase().as_str());
    // JSON's quoted form is YAML's.
    if word && !reads_otherwise { text.to_owned() } else { Value::from(text).to_string() }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_written_reads_the_same() {
        let value = json!({
            "kind": "X", "empty": {}, "none": [], "yes": "no", "number": 5, "text": "a: b\n\"c\"", "v": "1.5",
            "list": [{"a": 1, "b": [1, "x"]}, "plain", [true, null]],
        });
        let yaml = to_yaml(&value);
        assert!(yaml.starts_with("empty: {}\n"), "{yaml}");
        assert!(yaml.contains("- a: 1\n    b:\n      - 1\n      - x\n"), "{yaml}");
        assert!(yaml.contains("\"yes\": \"no\"\n") && yaml.contains("v: \"1.5\"\n"), "{yaml}");
    }
}
