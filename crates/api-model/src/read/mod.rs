//! Reads manifests: YAML or JSON, many documents, `List`s.
//!
//! Every object stands for itself: one that is malformed or breaks a rule is reported, the others are read. A document
//! that is no YAML is lost alone as well, as far as the `---` lines around it tell where it begins and ends. The
//! verdict is the API server's under strict validation: unknown and repeated fields are refused, defaults filled in.
//!
//! Plain scalars read as they do in `kubectl` (YAML 1.1): `yes`, `no`, `on` and `off` are booleans, `010` is eight.
//!
//! Limits: a file of [`MAX_FILE_BYTES`], an object of 3 MiB, 64 levels of nesting, 16 MiB of text and nodes that come
//! from YAML aliases in one document.
//!
//! From metadata, `generation`, `resourceVersion`, `managedFields` and `selfLink` are dropped: they belong to an API
//! server. A missing namespace is `default`. `stringData` of a Secret goes into `data`. A status is kept, so that what
//! other controllers wrote survives; one that does not fit its schema is left out with a note, and the default status
//! of an API server ("waiting for controller") is not put in.

mod documents;
mod finish;
mod json;
mod located;
mod object;
mod refused_policy;
mod scalar;
mod served;
mod yaml;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use crate::{Resource, ResourceKey};
use located::Located;
pub use served::{Refused, read_served, versions};

/// The largest file that is read, in bytes.
pub const MAX_FILE_BYTES: usize = 64 * 1024 * 1024;

/// How many problems are given for one object at most; the last says how many more there are.
pub const MAX_PROBLEMS: usize = 20;

/// What a file held.
#[derive(Clone, Debug, Default)]
pub struct ReadOutcome {
    /// The objects that may take effect, in the order of the file.
    pub objects: Vec<(Resource, Origin)>,
    /// Policies that were refused and whose targets could be read all the same, with `spec.refused` set. Where no
    /// good version is in force, they keep their targets from being reached in plaintext.
    pub refused_policies: Vec<(Resource, Origin)>,
    /// What was refused, in the order of the file.
    pub problems: Vec<Problem>,
    /// What was left aside without being wrong.
    pub passed_over: Vec<PassedOver>,
}

/// Where an object stands.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
pub struct Origin {
    /// The file, as it was named to [`read_file_bytes`].
    pub file: Arc<str>,
    /// The line it begins in, from 1.
    pub line: usize,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file, self.line)
    }
}

/// A reason why an object, or a document, was refused.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Problem {
    /// The file, as it was named to [`read_file_bytes`].
    pub file: Arc<str>,
    /// The line, from 1; 0 when the file as a whole is meant.
    pub line: usize,
    /// The column, from 1; 0 when the line as a whole is meant.
    pub column: usize,
    /// Which object, when that much could be read: a last good version of it may stay in force. `None` when a
    /// document could not be read at all, so that any object last seen in the file may be meant.
    pub key: Option<ResourceKey>,
    /// The object as messages call it, such as `HTTPRoute default/shop`; empty when unknown.
    pub object: String,
    /// The field, such as `spec.rules[0].name`; empty when none in particular is meant.
    pub field: String,
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    pub remedy: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.file)?;
        for number in [self.line, self.column].into_iter().take_while(|&number| number > 0) {
            write!(f, ":{number}")?;
        }
        for part in [&self.object, &self.field].into_iter().filter(|part| !part.is_empty()) {
            write!(f, ": {part}")?;
        }
        write!(f, ": {}; {}", self.message, self.remedy)
    }
}

/// Something that was left aside without being wrong: a kind we do not read, a status that does not fit.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct PassedOver {
    /// Where it stands.
    pub origin: Origin,
    /// What it is.
    pub object: String,
    /// Why it was left aside.
    pub reason: String,
}

impl fmt::Display for PassedOver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}: {}", self.origin, self.object, self.reason)
    }
}

/// Reads all objects of a file. The name goes into the messages and is not opened.
pub fn read_file_bytes(file: &str, bytes: &[u8]) -> ReadOutcome {
    let mut reader =
        Reader { file: Arc::from(file), outcome: ReadOutcome::default(), first_lines: BTreeMap::new() };
    if bytes.len() > MAX_FILE_BYTES {
        let message = format!("the file has {} bytes, at most {MAX_FILE_BYTES} are read", bytes.len());
        reader.document_problem(0, 0, message, "split it into several files");
        return reader.outcome;
    }
    for document in documents::split(bytes) {
        reader.read_document(&document);
    }
    reader.outcome
}

/// Why a document could not be read at all.
#[derive(Debug, PartialEq, Eq)]
struct DocumentError {
    line: usize,
    column: usize,
    message: String,
    remedy: &'static str,
}

struct Reader {
    file: Arc<str>,
    outcome: ReadOutcome,
    /// Where each object of the file stands, to find repeated ones.
    first_lines: BTreeMap<ResourceKey, usize>,
}

impl Reader {
    fn document_problem(&mut self, line: usize, column: usize, message: String, remedy: &str) {
        self.outcome.problems.push(Problem {
            file: Arc::clone(&self.file),
            line,
            column,
            key: None,
            object: String::new(),
            field: String::new(),
            message,
            remedy: remedy.to_owned(),
        });
    }

    fn read_document(&mut self, document: &documents::Document<'_>) {
        let text = match std::str::from_utf8(document.bytes) {
            Ok(text) => text,
            Err(error) => {
                let before = document.bytes.get(..error.valid_up_to()).unwrap_or_default();
                let line = document.line + before.iter().filter(|&&byte| byte == b'\n').count();
                self.document_problem(line, 0, "is not UTF-8 text".to_owned(), "save the file as UTF-8");
                return;
            }
        };
        let parsed = if text.strip_prefix("---").unwrap_or(text).trim_start().starts_with(['{', '[']) {
            // YAML's flow style looks the same from outside; JSON that fails is tried as YAML.
            json::parse(text, document.line)
                .or_else(|error| yaml::parse(text, document.line).map_err(|_| error))
        } else {
            yaml::parse(text, document.line)
        };
        match parsed {
            Ok(values) => values.iter().for_each(|value| self.read_value(value, None)),
            Err(DocumentError { line, column, message, remedy }) => {
                self.document_problem(line, column, message, remedy);
            }
        }
    }

    fn read_value(&mut self, value: &Located, list_of: Option<(&str, &str)>) {
        if !value.is_null() {
            object::read(self, value, list_of);
        }
    }
}

/// The values of a YAML text, for tests that write objects down.
#[cfg(test)]
pub(crate) fn yaml_values(text: &str) -> Vec<serde_json::Value> {
    yaml::parse(text, 1).unwrap().iter().map(Located::to_json).collect()
}

#[cfg(test)]
mod tests;
