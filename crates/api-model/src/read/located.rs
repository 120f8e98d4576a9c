//! A value of YAML or JSON that remembers where it stood.

use std::collections::BTreeSet;

use serde_json::{Map, Number, Value};

use crate::schema::path::{FieldPath, Step};

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Located {
    pub(super) line: usize,
    pub(super) column: usize,
    pub(super) node: Node,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Node {
    Null,
    Bool(bool),
    Number(Number),
    Text(String),
    List(Vec<Located>),
    /// Entries in their order; a key may repeat.
    Object(Vec<Entry>),
}

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Entry {
    pub(super) line: usize,
    pub(super) column: usize,
    pub(super) key: String,
    pub(super) value: Located,
}

impl Located {
    /// The value as if it stood in one line.
    pub(super) fn from_json(json: &Value) -> Self {
        let node = match json {
            Value::Null => Node::Null,
            Value::Bool(value) => Node::Bool(*value),
            Value::Number(number) => Node::Number(number.clone()),
            Value::String(text) => Node::Text(text.clone()),
            Value::Array(entries) => Node::List(entries.iter().map(Self::from_json).collect()),
            Value::Object(object) => {
                let entry = |(key, value): (&String, &Value)| Entry {
                    line: 1,
                    column: 1,
                    key: key.clone(),
                    value: Self::from_json(value),
                };
                Node::Object(object.iter().map(entry).collect())
            }
        };
        Self { line: 1, column: 1, node }
    }

    pub(super) fn is_null(&self) -> bool {
        self.node == Node::Null
    }

    pub(super) fn text(&self) -> Option<&str> {
        match &self.node {
            Node::Text(text) => Some(text),
            _ => None,
        }
    }

    pub(super) fn list(&self) -> Option<&[Self]> {
        match &self.node {
            Node::List(entries) => Some(entries),
            _ => None,
        }
    }

    pub(super) fn get(&self, key: &str) -> Option<&Self> {
        self.entry(key).map(|entry| &entry.value)
    }

    fn entry(&self, key: &str) -> Option<&Entry> {
        match &self.node {
            Node::Object(entries) => entries.iter().find(|entry| entry.key == key),
            _ => None,
        }
    }

    /// The value without its places. Of repeated keys, the first counts.
    pub(super) fn to_json(&self) -> Value {
        match &self.node {
            Node::Null => Value::Null,
            Node::Bool(value) => Value::Bool(*value),
            Node::Number(number) => Value::Number(number.clone()),
            Node::Text(text) => Value::String(text.clone()),
            Node::List(entries) => entries.iter().map(Self::to_json).collect(),
            Node::Object(entries) => {
                let mut object = Map::new();
                for Entry { key, value, .. } in entries {
                    object.entry(key.as_str()).or_insert_with(|| value.to_json());
                }
                Value::Object(object)
            }
        }
    }

    /// Line and column of a field, or of the nearest thing above it that is there.
    pub(super) fn place_of(&self, path: &FieldPath) -> (usize, usize) {
        let mut place = (self.line, self.column);
        let mut here = self;
        for step in &path.0 {
            let next = match step {
                Step::Key(key) => here.entry(key).map(|entry| ((entry.line, entry.column), &entry.value)),
                Step::Index(index) => here
                    .list()
                    .and_then(|list| list.get(*index))
                    .map(|entry| ((entry.line, entry.column), entry)),
            };
            let Some((found, below)) = next else { break };
            (place, here) = (found, below);
        }
        place
    }

    /// Every key that repeats one before it, with its place.
    pub(super) fn repeated_keys(&self, path: &FieldPath, found: &mut Vec<(FieldPath, usize, usize)>) {
        match &self.node {
            Node::List(entries) => {
                for (index, entry) in entries.iter().enumerate() {
                    entry.repeated_keys(&path.clone().then(index), found);
                }
            }
            Node::Object(entries) => {
                let mut seen = BTreeSet::new();
                for Entry { line, column, key, value } in entries {
                    let path = path.clone().then(key.as_str());
                    if !seen.insert(key) {
                        found.push((path.clone(), *line, *column));
                    }
                    value.repeated_keys(&path, found);
                }
            }
            _ => {}
        }
    }

    /// How many levels of lists and objects it has.
    pub(super) fn depth(&self) -> usize {
        match &self.node {
            Node::List(entries) => 1 + entries.iter().map(Self::depth).max().unwrap_or(0),
            Node::Object(entries) => 1 + entries.iter().map(|entry| entry.value.depth()).max().unwrap_or(0),
            _ => 0,
        }
    }

    /// What the value weighs against the limits: its text, and 16 bytes for each node.
    pub(super) fn weight(&self) -> usize {
        16 + match &self.node {
            Node::Text(text) => text.len(),
            Node::List(entries) => entries.iter().map(Self::weight).sum(),
            Node::Object(entries) => entries.iter().map(|entry| entry.key.len() + entry.value.weight()).sum(),
            _ => 0,
        }
    }
}
