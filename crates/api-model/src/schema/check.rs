//! Walks a value along its schema: fills in defaults, then finds every error.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::path::FieldPath;
use super::suggest::nearest;
use super::{Field, Rule, Schema, Shape, Unique};
use crate::validate::FieldError;

/// Fills in what is absent and has a default, all the way down. A field that is `null` counts as absent; an entry of
/// a list does not.
pub(crate) fn fill_defaults(schema: &Schema, value: &mut Value) {
    match (&schema.shape, value) {
        (Shape::Object(fields), Value::Object(object)) => {
            for field in fields {
                fill_field(field, object);
            }
        }
        (Shape::Map { value: below, .. }, Value::Object(object)) => {
            object.retain(|_, value| !value.is_null());
            object.values_mut().for_each(|value| fill_defaults(below, value));
        }
        (Shape::List { item, .. }, Value::Array(entries)) => {
            entries.iter_mut().for_each(|entry| fill_defaults(item, entry));
        }
        _ => {}
    }
}

fn fill_field(field: &Field, object: &mut Map<String, Value>) {
    let Field { name, schema, .. } = field;
    if object.get(*name).is_some_and(Value::is_null) {
        object.remove(*name);
    }
    if let (None, Some(default)) = (object.get(*name), &schema.default) {
        object.insert((*name).to_owned(), default.clone());
    }
    if let Some(value) = object.get_mut(*name) {
        fill_defaults(schema, value);
    }
}

/// Finds every error of a value that has its defaults. Rules over several fields are looked at only where the fields
/// themselves are sound.
pub(crate) fn find_errors(schema: &Schema, value: &Value, path: &FieldPath, errors: &mut Vec<FieldError>) {
    let before = errors.len();
    match (&schema.shape, value) {
        (Shape::Object(fields), Value::Object(object)) => object_errors(fields, object, path, errors),
        (Shape::Map { value: below, key, min, max }, Value::Object(object)) => {
            count_errors(object.len(), *min, *max, "entries", path, errors);
            for (name, value) in object {
                let path = path.clone().then(name.as_str());
                if let Some(pattern) = key
                    && !(pattern.accepts)(name)
                {
                    errors.push(FieldError::new(
                        &path,
                        format!("the key must be {}", pattern.says),
                        "rename it",
                    ));
                }
                find_errors(below, value, &path, errors);
            }
        }
        (Shape::List { item, min, max, unique }, Value::Array(entries)) => {
            count_errors(entries.len(), *min, *max, "entries", path, errors);
            // A list over its limit may be huge; its entries are not worth the time.
            if entries.len() <= *max {
                for (index, entry) in entries.iter().enumerate() {
                    find_errors(item, entry, &path.clone().then(index), errors);
                }
                unique_errors(*unique, entries, path, errors);
            }
        }
        (Shape::Text { .. }, Value::String(text)) => text_errors(schema, text, path, errors),
        (&Shape::Integer { min, max, one_of }, Value::Number(number)) => match whole(number) {
            Some(number) => integer_errors(number, min, max, one_of, path, errors),
            None => errors.push(wrong_type(schema, value, path)),
        },
        (Shape::Boolean, Value::Bool(_))
        | (Shape::Anything, _)
        | (Shape::IntegerOrText, Value::String(_)) => {}
        (Shape::IntegerOrText, Value::Number(number)) if whole(number).is_some() => {}
        _ => errors.push(wrong_type(schema, value, path)),
    }
    if errors.len() == before {
        for Rule { broken_at, says, remedy } in &schema.rules {
            if let Some(place) = broken_at(value) {
                errors.push(FieldError::new(&path.join(&place), says.as_ref(), remedy.as_ref()));
            }
        }
    }
}

fn object_errors(
    fields: &[Field],
    object: &Map<String, Value>,
    path: &FieldPath,
    errors: &mut Vec<FieldError>,
) {
    for name in object.keys().filter(|name| !fields.iter().any(|field| field.name == name.as_str())) {
        let known = fields.iter().map(|field| field.name);
        let remedy = match nearest(name, known.clone()) {
            Some(near) => format!("did you mean \"{near}\"?"),
            None => format!("take it out; the fields here are {}", known.collect::<Vec<_>>().join(", ")),
        };
        errors.push(FieldError::new(&path.clone().then(name.as_str()), "unknown field", remedy));
    }
    for Field { name, required, schema } in fields {
        match object.get(*name) {
            Some(value) => find_errors(schema, value, &path.clone().then(*name), errors),
            None if *required => {
                let path = path.clone().then(*name);
                errors.push(FieldError::new(&path, "required field is missing", what_to_add(schema)));
            }
            None => {}
        }
    }
}

fn count_errors(
    count: usize,
    min: usize,
    max: usize,
    what: &str,
    path: &FieldPath,
    errors: &mut Vec<FieldError>,
) {
    if count < min {
        let says = format!("has {count} {what}, at least {min} needed");
        errors.push(FieldError::new(
            path,
            says,
            "add what is missing, or leave the field out where it is optional",
        ));
    } else if count > max {
        errors.push(FieldError::new(
            path,
            format!("has {count} {what}, at most {max} allowed"),
            "take some out",
        ));
    }
}

fn unique_errors(unique: Unique, entries: &[Value], path: &FieldPath, errors: &mut Vec<FieldError>) {
    let mut seen = BTreeSet::new();
    for (index, entry) in entries.iter().enumerate() {
        let (key, path) = match unique {
            Unique::No => return,
            Unique::Whole => (Some(entry), path.clone().then(index)),
            Unique::By(field) => (entry.get(field), path.clone().then(index).then(field)),
        };
        if let Some(key) = key
            && !seen.insert(key.to_string())
        {
            let says = format!("{} is there already; entries of this list must differ in it", excerpt(key));
            let says =
                if unique == Unique::Whole { format!("{} is there already", excerpt(key)) } else { says };
            errors.push(FieldError::new(&path, says, "take one of the two out, or change it"));
        }
    }
}

fn text_errors(schema: &Schema, text: &str, path: &FieldPath, errors: &mut Vec<FieldError>) {
    let Shape::Text { min, max, pattern, one_of } = &schema.shape else { return };
    let count = text.chars().count();
    let shown = if schema.secret { String::new() } else { format!(", not {}", quoted(text)) };
    if !one_of.is_empty() && !one_of.contains(&text) {
        let remedy = match nearest(text, one_of.iter().copied()) {
            Some(near) => format!("did you mean \"{near}\"?"),
            None => "give one of these".to_owned(),
        };
        let says = format!("must be {}{shown}", alternatives(one_of.iter().map(|one| format!("\"{one}\""))));
        errors.push(FieldError::new(path, says, remedy));
    } else if count < *min {
        let says = if count == 0 {
            "must not be empty".to_owned()
        } else {
            format!("has {count} characters, at least {min} needed")
        };
        errors.push(FieldError::new(
            path,
            says,
            "give a longer value, or leave the field out where it is optional",
        ));
    } else if count > *max {
        let says = format!("has {count} characters, at most {max} allowed");
        errors.push(FieldError::new(path, says, "shorten it"));
    } else if let Some(pattern) = pattern
        && !(pattern.accepts)(text)
    {
        let says = format!("must be {}{shown}", pattern.says);
        errors.push(FieldError::new(path, says, "change the value to this form"));
    }
}

fn integer_errors(
    number: i64,
    min: i64,
    max: i64,
    one_of: &[i64],
    path: &FieldPath,
    errors: &mut Vec<FieldError>,
) {
    if !one_of.is_empty() && !one_of.contains(&number) {
        let says = format!("must be {}, not {number}", alternatives(one_of.iter().map(i64::to_string)));
        errors.push(FieldError::new(path, says, "give one of these"));
    } else if number < min || number > max {
        let says = if max == i64::MAX || max == i64::from(i32::MAX) && number < min {
            format!("must be {min} or more, not {number}")
        } else {
            format!("must be between {min} and {max}, not {number}")
        };
        errors.push(FieldError::new(path, says, "give a number in the range"));
    }
}

/// The number, when it is an integer (`8080.0` is one, as for the API server).
fn whole(number: &serde_json::Number) -> Option<i64> {
    number.as_i64()
}

fn wrong_type(schema: &Schema, value: &Value, path: &FieldPath) -> FieldError {
    let found = match value {
        Value::Null => "nothing (null)".to_owned(),
        Value::Object(_) => "an object".to_owned(),
        Value::Array(_) => "a list".to_owned(),
        Value::String(_) if schema.secret => "a string".to_owned(),
        Value::String(text) => format!("the string {}", quoted(text)),
        _ if schema.secret => "a number or boolean".to_owned(),
        Value::Bool(value) => format!("the boolean {value}"),
        Value::Number(number) => format!("the number {number}"),
    };
    let remedy = match (&schema.shape, value) {
        (Shape::Text { .. }, Value::Bool(_) | Value::Number(_)) => {
            "put it in quotes; YAML reads true, yes, on, 1 and the like as booleans and numbers"
        }
        (Shape::Integer { .. }, Value::String(text)) if text.parse::<i64>().is_ok() => {
            "write it without quotes"
        }
        (Shape::Boolean, Value::String(text)) if text == "true" || text == "false" => {
            "write it without quotes"
        }
        (Shape::List { .. }, _) => "write a list, each entry with \"- \" in front",
        (_, Value::Null) => "give a value, or leave the field out",
        _ => "give a value of this type",
    };
    FieldError::new(path, format!("must be {}, not {found}", wanted(schema)), remedy)
}

fn what_to_add(schema: &Schema) -> String {
    match &schema.shape {
        Shape::Text { one_of, .. } if !one_of.is_empty() => {
            format!("add {}", alternatives(one_of.iter().map(|one| format!("\"{one}\""))))
        }
        Shape::Text { pattern: Some(pattern), .. } => format!("add {}", pattern.says),
        _ => format!("add {}", wanted(schema)),
    }
}

fn wanted(schema: &Schema) -> &'static str {
    match schema.shape {
        Shape::Object(_) => "an object",
        Shape::Map { .. } => "a map",
        Shape::List { .. } => "a list",
        Shape::Text { .. } => "a string",
        Shape::Integer { .. } => "an integer",
        Shape::Boolean => "true or false",
        Shape::IntegerOrText => "an integer or a string",
        Shape::Anything => "a value",
    }
}

fn alternatives(values: impl Iterator<Item = String>) -> String {
    let mut values: Vec<String> = values.collect();
    let last = values.pop().unwrap_or_default();
    if values.is_empty() { last } else { format!("{} or {last}", values.join(", ")) }
}

/// A string in quotes, shortened, with control characters made visible.
pub(crate) fn quoted(text: &str) -> String {
    const SHOWN: usize = 64;
    let cut: String = text.chars().take(SHOWN).collect();
    let dots = if text.chars().nth(SHOWN).is_some() { "…" } else { "" };
    format!("\"{}{dots}\"", cut.escape_debug())
}

fn excerpt(value: &Value) -> String {
    match value {
        Value::String(text) => quoted(text),
        other => other.to_string(),
    }
}
