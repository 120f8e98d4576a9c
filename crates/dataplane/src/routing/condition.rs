//! The conditions of one match, compiled.

use std::sync::Arc;

use http::{HeaderName, Method, header, request::Parts};
use lasthop_dataplane_api::{HttpMatch, KeyValueMatch, PathMatch, StringMatch};
use regex::bytes::Regex;

use super::{query, text};
use crate::hygiene;

/// A match in the form that requests are tested against.
#[derive(Debug)]
pub(super) struct CompiledMatch {
    pub(super) path: PathCondition,
    pub(super) method: Option<Method>,
    pub(super) headers: Vec<(HeaderName, TextCondition)>,
    pub(super) query: Vec<(Arc<str>, TextCondition)>,
}

/// A condition on the path.
#[derive(Clone, Debug)]
pub(super) enum PathCondition {
    Exact(Arc<str>),
    /// Without trailing slashes: `/` is "".
    Prefix(Arc<str>),
    Regex(Regex),
    /// Service and method of a gRPC call.
    Grpc(Regex, GrpcRank),
    /// Some condition of the match cannot be compiled.
    Never,
}

/// How precise a condition on a gRPC method is; greater goes first. Whatever names the service goes before what names
/// the method only; then exact texts go before expressions, and longer ones before shorter ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct GrpcRank {
    service: (bool, bool, usize),
    method: (bool, bool, usize),
}

impl GrpcRank {
    fn new(service: Option<&StringMatch>, method: Option<&StringMatch>) -> Self {
        let part = |part: Option<&StringMatch>| match part {
            None => (false, false, 0),
            Some(StringMatch::Regex(text)) => (true, false, text.len()),
            Some(StringMatch::Exact(text)) => (true, true, text.len()),
        };
        Self { service: part(service), method: part(method) }
    }

    /// Whether both parts are given.
    pub(super) fn is_whole(self) -> bool {
        self.service.0 && self.method.0
    }
}

/// A condition on a value.
#[derive(Debug)]
pub(super) enum TextCondition {
    Exact(Arc<str>),
    Regex(Regex),
}

impl CompiledMatch {
    /// Compiles a match; what cannot be compiled makes it one that never holds.
    pub(super) fn compile(source: &HttpMatch, problems: &mut Vec<String>) -> Self {
        let before = problems.len();
        let mut headers: Vec<(HeaderName, TextCondition)> = Vec::with_capacity(source.headers.len());
        for KeyValueMatch { name, value } in &source.headers {
            let Ok(name) = HeaderName::from_bytes(name.as_bytes()) else {
                problems.push(format!("{name:?} is no name of a header field; its match never holds"));
                continue;
            };
            // Of a name given twice the first entry counts.
            if !headers.iter().any(|(other, _)| *other == name)
                && let Some(value) = TextCondition::compile(value, problems)
            {
                headers.push((name, value));
            }
        }
        let mut query: Vec<(Arc<str>, TextCondition)> = Vec::with_capacity(source.query.len());
        for KeyValueMatch { name, value } in &source.query {
            if !query.iter().any(|(other, _)| other == name)
                && let Some(value) = TextCondition::compile(value, problems)
            {
                query.push((name.clone(), value));
            }
        }
        let method = source.method.as_deref().and_then(|method| {
            let compiled = Method::from_bytes(method.as_bytes());
            if compiled.is_err() {
                problems.push(format!("{method:?} is no method; its match never holds"));
            }
            compiled.ok()
        });
        let path = match &source.path {
            None => PathCondition::Prefix("".into()),
            Some(PathMatch::Exact(path)) => normal(path, problems, |path| PathCondition::Exact(path.into())),
            Some(PathMatch::Prefix(prefix)) => {
                normal(prefix, problems, |prefix| PathCondition::Prefix(prefix.trim_end_matches('/').into()))
            }
            Some(PathMatch::Regex(pattern)) => {
                text::whole(pattern, problems).map_or(PathCondition::Never, PathCondition::Regex)
            }
            Some(PathMatch::Grpc { service, method }) => {
                let part = |part: &Option<StringMatch>, problems: &mut Vec<String>| match part {
                    None => Some("[^/]+".to_owned()),
                    Some(StringMatch::Exact(text)) => Some(regex::escape(text)),
                    // Alone first, for the same reason as in `whole`.
                    Some(StringMatch::Regex(text)) => text::whole(text, problems).map(|_| text.to_string()),
                };
                let rank = GrpcRank::new(service.as_ref(), method.as_ref());
                part(service, problems)
                    .zip(part(method, problems))
                    .and_then(|(service, method)| {
                        text::whole(&format!("/(?:{service})/(?:{method})"), problems)
                    })
                    .map_or(PathCondition::Never, |regex| PathCondition::Grpc(regex, rank))
            }
        };
        let path = if problems.len() == before { path } else { PathCondition::Never };
        Self { path, method, headers, query }
    }

    /// Whether the request fulfils everything but an exact or prefix path, which the caller has looked up.
    pub(super) fn rest_holds(&self, request: &RequestView<'_>) -> bool {
        let path = match &self.path {
            PathCondition::Exact(_) | PathCondition::Prefix(_) => true,
            PathCondition::Regex(regex) | PathCondition::Grpc(regex, _) => {
                regex.is_match(request.path().as_bytes())
            }
            PathCondition::Never => false,
        };
        path && self.method.as_ref().is_none_or(|method| *method == request.parts.method)
            && self.headers.iter().all(|(name, condition)| request.header_holds(name, condition))
            && self.query.iter().all(|(name, condition)| request.query_holds(name, condition))
    }
}

/// A condition on a path in the form that requests' paths have.
fn normal(path: &str, problems: &mut Vec<String>, condition: fn(&str) -> PathCondition) -> PathCondition {
    match hygiene::normal(path) {
        Ok(path) => condition(&path),
        Err(problem) => {
            problems.push(format!("no request has the path {path:?}: {problem}"));
            PathCondition::Never
        }
    }
}

impl TextCondition {
    fn compile(source: &StringMatch, problems: &mut Vec<String>) -> Option<Self> {
        match source {
            StringMatch::Exact(value) => Some(Self::Exact(value.clone())),
            StringMatch::Regex(pattern) => text::whole(pattern, problems).map(Self::Regex),
        }
    }

    fn holds(&self, value: &[u8]) -> bool {
        match self {
            Self::Exact(expected) => expected.as_bytes() == value,
            Self::Regex(regex) => regex.is_match(value),
        }
    }
}

/// A request as matches see it.
pub(super) struct RequestView<'a> {
    parts: &'a Parts,
}

impl<'a> RequestView<'a> {
    pub(super) fn new(parts: &'a Parts) -> Self {
        Self { parts }
    }

    pub(super) fn path(&self) -> &'a str {
        self.parts.uri.path()
    }

    /// A field given on several lines counts as one with its values joined (RFC 9110 §5.3).
    fn header_holds(&self, name: &HeaderName, condition: &TextCondition) -> bool {
        if *name == header::HOST {
            // HTTP/2 has it in `:authority`.
            return hygiene::authority(self.parts).is_some_and(|authority| condition.holds(authority));
        }
        let mut values = self.parts.headers.get_all(name).iter();
        let Some(first) = values.next() else { return false };
        if values.next().is_none() {
            return condition.holds(first.as_bytes());
        }
        let separator: &[u8] = if *name == header::COOKIE { b"; " } else { b", " };
        let lines = self.parts.headers.get_all(name).iter().map(http::HeaderValue::as_bytes);
        match condition {
            TextCondition::Exact(expected) => text::equals_joined(expected.as_bytes(), lines, separator),
            TextCondition::Regex(regex) => regex.is_match(&text::join(lines, separator)),
        }
    }

    /// Of a parameter given twice the first value counts.
    fn query_holds(&self, name: &str, condition: &TextCondition) -> bool {
        let Some(value) = self.parts.uri.query().and_then(|query| query::first(query, name)) else {
            return false;
        };
        match condition {
            TextCondition::Exact(expected) => query::equals(value, expected),
            TextCondition::Regex(regex) => regex.is_match(&query::decoded(value)),
        }
    }
}
