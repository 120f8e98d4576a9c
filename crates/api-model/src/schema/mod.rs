//! What an object may look like, as data: one tree for each kind, walked to fill in defaults and to find errors.
//!
//! The trees are written by hand in `validate`. They say what the schema of a published CRD says: types, required
//! fields, limits, patterns, enums, list keys, defaults and cross-field rules.

pub(crate) mod check;
pub(crate) mod path;
pub(crate) mod suggest;

use std::borrow::Cow;
use std::sync::Arc;

use serde_json::Value;

use path::FieldPath;

/// A node of the tree.
#[derive(Clone)]
pub(crate) struct Schema {
    pub(crate) shape: Shape,
    pub(crate) default: Option<Value>,
    /// Messages must not repeat the value.
    pub(crate) secret: bool,
    pub(crate) rules: Vec<Rule>,
}

#[derive(Clone)]
pub(crate) enum Shape {
    Object(Vec<Field>),
    Map { value: Box<Schema>, key: Option<Pattern>, min: usize, max: usize },
    List { item: Box<Schema>, min: usize, max: usize, unique: Unique },
    Text { min: usize, max: usize, pattern: Option<Pattern>, one_of: &'static [&'static str] },
    Integer { min: i64, max: i64, one_of: &'static [i64] },
    Boolean,
    IntegerOrText,
    Anything,
}

/// What makes two entries of a list the same.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Unique {
    /// Nothing: entries may repeat.
    No,
    /// The entry itself.
    Whole,
    /// One of its fields.
    By(&'static str),
}

#[derive(Clone)]
pub(crate) struct Field {
    pub(crate) name: &'static str,
    pub(crate) required: bool,
    pub(crate) schema: Schema,
}

/// The form a string must have.
#[derive(Clone, Copy)]
pub(crate) struct Pattern {
    pub(crate) accepts: fn(&str) -> bool,
    /// Completes "must be …".
    pub(crate) says: &'static str,
}

/// A rule over more than one field.
#[derive(Clone)]
pub(crate) struct Rule {
    /// Where the rule is broken, relative to the node it stands at; `None` when it is kept.
    pub(crate) broken_at: Arc<Test>,
    pub(crate) says: Cow<'static, str>,
    pub(crate) remedy: Cow<'static, str>,
}

type Test = dyn Fn(&Value) -> Option<FieldPath> + Send + Sync;

/// A rule that blames one place of the node.
pub(crate) fn blames(
    says: impl Into<Cow<'static, str>>,
    remedy: impl Into<Cow<'static, str>>,
    broken_at: impl Fn(&Value) -> Option<FieldPath> + Send + Sync + 'static,
) -> Rule {
    Rule { broken_at: Arc::new(broken_at), says: says.into(), remedy: remedy.into() }
}

/// A rule that blames the node as a whole.
pub(crate) fn holds(
    says: impl Into<Cow<'static, str>>,
    remedy: impl Into<Cow<'static, str>>,
    holds: impl Fn(&Value) -> bool + Send + Sync + 'static,
) -> Rule {
    blames(says, remedy, move |value| if holds(value) { None } else { Some(FieldPath::root()) })
}

/// A field is set when a discriminator has this value, and not set otherwise.
pub(crate) fn goes_with(field: &'static str, discriminator: &'static str, value: &'static str) -> [Rule; 2] {
    [
        blames(
            format!("must be set when {discriminator} is \"{value}\""),
            format!("add {field}, or change {discriminator}"),
            move |node| {
                (node.text(discriminator) == value && !node.has(field)).then(|| FieldPath::root().then(field))
            },
        ),
        blames(
            format!("must not be set unless {discriminator} is \"{value}\""),
            format!("take {field} out, or change {discriminator}"),
            move |node| {
                (node.text(discriminator) != value && node.has(field)).then(|| FieldPath::root().then(field))
            },
        ),
    ]
}

const NO_LIMIT: usize = usize::MAX;

fn schema(shape: Shape) -> Schema {
    Schema { shape, default: None, secret: false, rules: Vec::new() }
}

/// An object with these fields and no others.
pub(crate) fn object(fields: impl IntoIterator<Item = Field>) -> Schema {
    schema(Shape::Object(fields.into_iter().collect()))
}

/// A map from any string to this.
pub(crate) fn map(value: Schema) -> Schema {
    schema(Shape::Map { value: Box::new(value), key: None, min: 0, max: NO_LIMIT })
}

/// A list of this.
pub(crate) fn list(item: Schema) -> Schema {
    schema(Shape::List { item: Box::new(item), min: 0, max: NO_LIMIT, unique: Unique::No })
}

/// A string.
pub(crate) fn text() -> Schema {
    schema(Shape::Text { min: 0, max: NO_LIMIT, pattern: None, one_of: &[] })
}

/// One of these strings.
pub(crate) fn one_of(values: &'static [&'static str]) -> Schema {
    schema(Shape::Text { min: 0, max: NO_LIMIT, pattern: None, one_of: values })
}

/// An integer between these, both included.
pub(crate) fn integer(min: i64, max: i64) -> Schema {
    schema(Shape::Integer { min, max, one_of: &[] })
}

/// One of these integers.
pub(crate) fn one_of_integers(values: &'static [i64]) -> Schema {
    schema(Shape::Integer { min: i64::MIN, max: i64::MAX, one_of: values })
}

/// `true` or `false`.
pub(crate) fn boolean() -> Schema {
    schema(Shape::Boolean)
}

/// An integer or a string, as a target port is.
pub(crate) fn integer_or_text() -> Schema {
    schema(Shape::IntegerOrText)
}

/// Whatever it is.
pub(crate) fn anything() -> Schema {
    schema(Shape::Anything)
}

/// A field that must be there.
pub(crate) fn required(name: &'static str, schema: Schema) -> Field {
    Field { name, required: true, schema }
}

/// A field that may be missing.
pub(crate) fn optional(name: &'static str, schema: Schema) -> Field {
    Field { name, required: false, schema }
}

impl Schema {
    /// At least `low` and at most `high` characters, entries or keys.
    pub(crate) fn between(mut self, low: usize, high: usize) -> Self {
        match &mut self.shape {
            Shape::Text { min, max, .. } | Shape::List { min, max, .. } | Shape::Map { min, max, .. } => {
                (*min, *max) = (low, high);
            }
            _ => debug_assert!(false, "only strings, lists and maps have a length"),
        }
        self
    }

    /// At most `high` characters, entries or keys.
    pub(crate) fn at_most(self, high: usize) -> Self {
        self.between(0, high)
    }

    /// The form of a string, or of the keys of a map.
    pub(crate) fn pattern(mut self, form: Pattern) -> Self {
        match &mut self.shape {
            Shape::Text { pattern, .. } => *pattern = Some(form),
            Shape::Map { key, .. } => *key = Some(form),
            _ => debug_assert!(false, "only strings and maps have a pattern"),
        }
        self
    }

    /// No entry of the list may repeat.
    pub(crate) fn unique(self) -> Self {
        self.uniqueness(Unique::Whole)
    }

    /// No two entries of the list may have the same value in this field.
    pub(crate) fn unique_by(self, field: &'static str) -> Self {
        self.uniqueness(Unique::By(field))
    }

    fn uniqueness(mut self, wanted: Unique) -> Self {
        match &mut self.shape {
            Shape::List { unique, .. } => *unique = wanted,
            _ => debug_assert!(false, "only lists have entries"),
        }
        self
    }

    /// What an absent value is taken to be.
    pub(crate) fn default(mut self, value: impl Into<Value>) -> Self {
        self.default = Some(value.into());
        self
    }

    /// Messages must not repeat the value.
    pub(crate) fn secret(mut self) -> Self {
        self.secret = true;
        self
    }

    /// A rule that holds for the node as a whole.
    pub(crate) fn rule(mut self, rule: Rule) -> Self {
        self.rules.push(rule);
        self
    }

    /// Several of them.
    pub(crate) fn rules(mut self, rules: impl IntoIterator<Item = Rule>) -> Self {
        self.rules.extend(rules);
        self
    }
}

/// Looks into JSON the way the rules of an API do: what has the wrong type counts as absent.
pub(crate) trait Look {
    /// Whether the field is there.
    fn has(&self, field: &str) -> bool;
    /// The field's string; empty when it is absent.
    fn text(&self, field: &str) -> &str;
    /// The field's integer.
    fn number(&self, field: &str) -> Option<i64>;
    /// The field's entries; none when it is absent.
    fn list(&self, field: &str) -> &[Value];
    /// Its own entries.
    fn entries(&self) -> &[Value];
}

impl Look for Value {
    fn has(&self, field: &str) -> bool {
        self.get(field).is_some_and(|value| !value.is_null())
    }

    fn text(&self, field: &str) -> &str {
        self.get(field).and_then(Self::as_str).unwrap_or_default()
    }

    fn number(&self, field: &str) -> Option<i64> {
        self.get(field).and_then(Self::as_i64)
    }

    fn list(&self, field: &str) -> &[Value] {
        self.get(field).map(Look::entries).unwrap_or_default()
    }

    fn entries(&self) -> &[Value] {
        self.as_array().map(Vec::as_slice).unwrap_or_default()
    }
}
