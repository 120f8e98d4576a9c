//! Changes to the path.

use std::{borrow::Cow, sync::Arc};

use lasthop_dataplane_api::{PathMatch, PathModifier};
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};

use crate::hygiene;

/// What a policy's path cannot have as it stands: a path modifier does not reach into the query.
const NOT_IN_PATHS: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'#')
    .add(b'<')
    .add(b'>')
    .add(b'?')
    .add(b'\\')
    .add(b'`')
    .add(b'{')
    .add(b'}');

/// A path modifier whose text is a path.
#[derive(Debug)]
pub(super) enum CompiledPath {
    Full(Arc<str>),
    /// Without trailing slashes.
    Prefix(Arc<str>),
}

impl CompiledPath {
    pub(super) fn compile(source: &PathModifier) -> Self {
        let encode = |path: &str| {
            let slash = if path.is_empty() || path.starts_with('/') { "" } else { "/" };
            format!("{slash}{}", utf8_percent_encode(path, NOT_IN_PATHS))
        };
        match source {
            PathModifier::ReplaceFullPath(path) if path.is_empty() => Self::Full("/".into()),
            PathModifier::ReplaceFullPath(path) => Self::Full(encode(path).into()),
            PathModifier::ReplacePrefixMatch(prefix) => {
                Self::Prefix(encode(prefix).trim_end_matches('/').into())
            }
        }
    }

    /// The new path. `None` if there is no matched prefix to replace.
    pub(super) fn apply(&self, path: &str, matched: Option<&PathMatch>) -> Option<String> {
        let replacement = match self {
            Self::Full(path) => return Some(path.as_ref().to_owned()),
            Self::Prefix(replacement) => replacement,
        };
        let prefix = match matched {
            None => Cow::Borrowed(""),
            // The request's path has its one form already.
            Some(PathMatch::Prefix(prefix)) => hygiene::normal(prefix).ok()?,
            Some(PathMatch::Exact(_) | PathMatch::Regex(_) | PathMatch::Grpc { .. }) => return None,
        };
        // An earlier filter may have changed the path.
        let rest = path
            .strip_prefix(prefix.trim_end_matches('/'))
            .filter(|rest| rest.is_empty() || rest.starts_with('/'))?;
        let path = format!("{replacement}{rest}");
        Some(if path.is_empty() { "/".to_owned() } else { path })
    }
}
