//! Builds located values from the events of a YAML parser.

use std::collections::{HashMap, HashSet};

use saphyr_parser::{Event, Parser, ScalarStyle, Span, Tag};

use super::DocumentError;
use super::located::{Entry, Located, Node};
use super::scalar::resolve;

/// Levels of nesting.
pub(super) const MAX_DEPTH: usize = 64;
/// What aliases may add to a document, by [`Located::weight`].
const MAX_ALIASED: usize = 16 * 1024 * 1024;

/// All documents of a text whose first line has this number in its file.
pub(super) fn parse(text: &str, first_line: usize) -> Result<Vec<Located>, DocumentError> {
    let mut builder = Builder { first_line, ..Builder::default() };
    for event in Parser::new_from_str(text) {
        match event {
            Ok((event, span)) => builder.take(event, span)?,
            Err(error) => {
                let marker = error.marker();
                return Err(DocumentError {
                    line: first_line + marker.line().saturating_sub(1),
                    column: marker.col() + 1,
                    message: format!("is not YAML: {}", error.info()),
                    remedy: "correct the syntax; often the indentation of this line or the one before",
                });
            }
        }
    }
    Ok(builder.documents)
}

#[derive(Default)]
struct Builder {
    first_line: usize,
    documents: Vec<Located>,
    open: Vec<Open>,
    anchors: HashMap<usize, Located>,
    aliased: usize,
}

/// A list or object that has begun and not ended.
struct Open {
    anchor: usize,
    value: Located,
    /// In an object: the key whose value comes next.
    key: Option<(usize, usize, String)>,
    /// In an object: values of `<<`.
    merged: Vec<Located>,
}

impl Builder {
    fn take(&mut self, event: Event<'_>, span: Span) -> Result<(), DocumentError> {
        let (line, column) = (self.first_line + span.start.line().saturating_sub(1), span.start.col() + 1);
        match event {
            Event::DocumentStart(_) => {
                self.anchors.clear();
                self.aliased = 0;
            }
            Event::Scalar(text, style, anchor, tag) => {
                let node = scalar(&text, style, tag.as_deref())
                    .map_err(|message| failure(line, column, message, "write it in another way"))?;
                let is_merge = style == ScalarStyle::Plain && text == "<<";
                self.finish(Located { line, column, node }, anchor, is_merge)?;
            }
            Event::SequenceStart(anchor, _) => {
                self.begin(anchor, Located { line, column, node: Node::List(vec![]) })?
            }
            Event::MappingStart(anchor, _) => {
                self.begin(anchor, Located { line, column, node: Node::Object(vec![]) })?
            }
            Event::SequenceEnd | Event::MappingEnd => {
                if let Some(mut open) = self.open.pop() {
                    merge(&mut open);
                    self.finish(open.value, open.anchor, false)?;
                }
            }
            Event::Alias(anchor) => {
                let Some(target) = self.anchors.get(&anchor) else {
                    return Err(failure(
                        line,
                        column,
                        "uses an anchor inside itself".to_owned(),
                        "take the alias out",
                    ));
                };
                let value = Located { line, column, ..target.clone() };
                self.charge(&value)?;
                if self.open.len() + value.depth() > MAX_DEPTH {
                    return Err(too_deep(line, column));
                }
                self.finish(value, 0, false)?;
            }
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentEnd => {}
        }
        Ok(())
    }

    fn begin(&mut self, anchor: usize, value: Located) -> Result<(), DocumentError> {
        if self.open.len() >= MAX_DEPTH {
            return Err(too_deep(value.line, value.column));
        }
        self.open.push(Open { anchor, value, key: None, merged: vec![] });
        Ok(())
    }

    /// Puts a complete value where it belongs.
    fn finish(&mut self, value: Located, anchor: usize, is_merge: bool) -> Result<(), DocumentError> {
        if anchor > 0 {
            self.charge(&value)?;
            self.anchors.insert(anchor, value.clone());
        }
        let Some(open) = self.open.last_mut() else {
            self.documents.push(value);
            return Ok(());
        };
        match (&mut open.value.node, open.key.take()) {
            (Node::List(entries), _) => entries.push(value),
            (Node::Object(_), None) => {
                let (line, column) = (value.line, value.column);
                let key = if is_merge { MERGE.to_owned() } else { key_text(value)? };
                open.key = Some((line, column, key));
            }
            (Node::Object(_), Some((_, _, key))) if key == MERGE => open.merged.push(value),
            (Node::Object(entries), Some((line, column, key))) => {
                entries.push(Entry { line, column, key, value })
            }
            _ => {}
        }
        Ok(())
    }

    fn charge(&mut self, value: &Located) -> Result<(), DocumentError> {
        self.aliased += value.weight();
        if self.aliased > MAX_ALIASED {
            let message = "its anchors and aliases expand to more than 16 MiB".to_owned();
            return Err(failure(
                value.line,
                value.column,
                message,
                "write the values out where they are needed",
            ));
        }
        Ok(())
    }
}

/// Stands for a plain `<<`; no key of a manifest can hold a NUL.
const MERGE: &str = "\0<<";

fn failure(line: usize, column: usize, message: String, remedy: &'static str) -> DocumentError {
    DocumentError { line, column, message, remedy }
}

fn too_deep(line: usize, column: usize) -> DocumentError {
    failure(line, column, format!("nests more than {MAX_DEPTH} levels"), "no kind needs that many")
}

/// Fills an object from its `<<`: what it says itself wins, then the first that has the key.
fn merge(open: &mut Open) {
    let Node::Object(entries) = &mut open.value.node else { return };
    if open.merged.is_empty() {
        return;
    }
    let mut known: HashSet<String> = entries.iter().map(|entry| entry.key.clone()).collect();
    for source in open.merged.drain(..) {
        let sources = match source.node {
            Node::List(sources) => sources,
            _ => vec![source],
        };
        for source in sources {
            let Node::Object(more) = source.node else { continue };
            entries.extend(more.into_iter().filter(|entry| known.insert(entry.key.clone())));
        }
    }
}

fn key_text(key: Located) -> Result<String, DocumentError> {
    match key.node {
        Node::Text(text) => Ok(text),
        Node::Bool(value) => Ok(value.to_string()),
        Node::Number(number) => Ok(number.to_string()),
        Node::Null | Node::List(_) | Node::Object(_) => Err(failure(
            key.line,
            key.column,
            "has a key that is no string".to_owned(),
            "give keys as strings",
        )),
    }
}

fn scalar(text: &str, style: ScalarStyle, tag: Option<&Tag>) -> Result<Node, String> {
    let Some(tag) = tag else {
        return match style {
            ScalarStyle::Plain => resolve(text).map_err(str::to_owned),
            _ => Ok(Node::Text(text.to_owned())),
        };
    };
    let resolved = resolve(text);
    match (tag.is_yaml_core_schema(), tag.suffix.as_str(), resolved) {
        // A tag of somebody's own says nothing to us, nor to kubectl.
        (false, ..) | (true, "str", _) => Ok(Node::Text(text.to_owned())),
        (true, "bool", Ok(node @ Node::Bool(_)))
        | (true, "int" | "float", Ok(node @ Node::Number(_)))
        | (true, "null", Ok(node @ Node::Null)) => Ok(node),
        _ => Err(format!("has a scalar that is no {tag}")),
    }
}
