//! What a service decided, and what it wants changed.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Response, Uri, request::Parts};
use percent_encoding::{NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

use super::may_change;

/// What a service decided.
pub(super) enum Verdict {
    /// The request goes on, changed.
    Allow(Box<Changes>),
    /// This is the response.
    Deny(Response<Bytes>),
}

/// What is to be changed.
#[derive(Default)]
pub(super) struct Changes {
    pub request: FieldChanges,
    /// What the client's response gets.
    pub response: Vec<(HeaderName, HeaderValue, Manner)>,
    pub query: QueryChanges,
}

/// Fields that the client's response gets.
#[derive(Default)]
pub(crate) struct ResponseFields(FieldChanges);

/// How a field is set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Manner {
    /// Beside those that are there.
    Append,
    /// Only if there is none.
    AddIfAbsent,
    /// In place of those that are there.
    Overwrite,
    /// The same, only if there is one.
    OverwriteIfPresent,
}

/// Changes to the fields of a message: first `remove`, then `set`, in order.
#[derive(Default)]
pub(super) struct FieldChanges {
    pub remove: Vec<HeaderName>,
    pub set: Vec<(HeaderName, HeaderValue, Manner)>,
}

/// Changes to a query: first `set`, then `remove`, as Envoy does it.
#[derive(Default)]
pub(super) struct QueryChanges {
    pub set: Vec<(String, String)>,
    pub remove: Vec<String>,
}

impl FieldChanges {
    /// Makes them. What a service must not change stays.
    pub(super) fn apply(&self, headers: &mut HeaderMap) {
        for name in self.remove.iter().filter(|name| may_change(name)) {
            headers.remove(name);
        }
        for (name, value, manner) in self.set.iter().filter(|(name, ..)| may_change(name)) {
            let there = headers.contains_key(name);
            match manner {
                Manner::Append => drop(headers.append(name, value.clone())),
                Manner::AddIfAbsent if there => {}
                Manner::OverwriteIfPresent if !there => {}
                Manner::AddIfAbsent | Manner::Overwrite | Manner::OverwriteIfPresent => {
                    headers.insert(name, value.clone());
                }
            }
        }
    }
}

impl ResponseFields {
    /// Adds what another service wants.
    pub(super) fn extend(&mut self, fields: Vec<(HeaderName, HeaderValue, Manner)>) {
        self.0.set.extend(fields);
    }

    /// Gives them to a response.
    pub(crate) fn apply(&self, headers: &mut HeaderMap) {
        self.0.apply(headers);
    }
}

impl QueryChanges {
    /// Makes them. A path and query that would be none stays as it was.
    pub(super) fn apply(&self, parts: &mut Parts) {
        if self.set.is_empty() && self.remove.is_empty() {
            return;
        }
        let query = parts.uri.query().unwrap_or_default();
        let key = |pair: &str| {
            let key = pair.split('=').next().unwrap_or_default().replace('+', " ");
            percent_decode_str(&key).decode_utf8_lossy().into_owned()
        };
        let goes = |pair: &str| {
            let key = key(pair);
            self.set.iter().any(|(set, _)| *set == key) || self.remove.contains(&key)
        };
        let kept = query.split('&').filter(|pair| !pair.is_empty() && !goes(pair)).map(str::to_owned);
        let set = self.set.iter().filter(|(key, _)| !self.remove.contains(key)).map(|(key, value)| {
            let encode = |text| utf8_percent_encode(text, NON_ALPHANUMERIC);
            format!("{}={}", encode(key), encode(value))
        });
        let query = kept.chain(set).collect::<Vec<_>>().join("&");
        let path = parts.uri.path();
        let target = if query.is_empty() { path.to_owned() } else { format!("{path}?{query}") };
        let mut uri = parts.uri.clone().into_parts();
        if let Ok(target) = target.parse() {
            uri.path_and_query = Some(target);
            if let Ok(uri) = Uri::from_parts(uri) {
                parts.uri = uri;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    fn changed(changes: &FieldChanges, before: &[(&'static str, &'static str)]) -> Vec<String> {
        let mut headers = HeaderMap::new();
        for (name, value) in before {
            headers.append(*name, HeaderValue::from_static(value));
        }
        changes.apply(&mut headers);
        let mut all: Vec<String> =
            headers.iter().map(|(name, value)| format!("{name}: {}", value.to_str().unwrap())).collect();
        all.sort();
        all
    }

    #[test]
    fn fields_are_set_as_they_are_to_be() {
        let set = |manner| FieldChanges {
            set: vec![(HeaderName::from_static("x-user"), HeaderValue::from_static("b"), manner)],
            ..FieldChanges::default()
        };
        for (manner, with, without) in [
            (Manner::Append, &["x-user: a", "x-user: b"][..], &["x-user: b"][..]),
            (Manner::AddIfAbsent, &["x-user: a"], &["x-user: b"]),
            (Manner::Overwrite, &["x-user: b"], &["x-user: b"]),
            (Manner::OverwriteIfPresent, &["x-user: b"], &[]),
        ] {
            assert_eq!(changed(&set(manner), &[("x-user", "a")]), with, "{manner:?}");
            assert_eq!(changed(&set(manner), &[]), without, "{manner:?}");
        }
        let removed =
            FieldChanges { remove: vec![HeaderName::from_static("x-user")], ..set(Manner::AddIfAbsent) };
        assert_eq!(changed(&removed, &[("x-user", "a"), ("x-user", "c")]), ["x-user: b"]);
    }

    #[test]
    fn what_a_message_is_made_of_stays() {
        let value = || HeaderValue::from_static("evil");
        let names = ["host", "content-length", "transfer-encoding", "connection", "upgrade", "te"];
        let changes = FieldChanges {
            remove: names.map(HeaderName::from_static).to_vec(),
            set: names.map(|name| (HeaderName::from_static(name), value(), Manner::Overwrite)).to_vec(),
        };
        let before = [("content-length", "3"), ("host", "shop.test")];
        assert_eq!(changed(&changes, &before), ["content-length: 3", "host: shop.test"]);
    }

    #[test]
    fn parameters_of_a_query_are_set_and_removed() {
        let pair = |key: &str, value: &str| (key.to_owned(), value.to_owned());
        for (set, remove, before, after) in [
            (vec![pair("a", "1")], vec![], "/p", "/p?a=1"),
            (vec![pair("a", "x y&z")], vec![], "/p?a=1&b=2&a=3", "/p?b=2&a=x%20y%26z"),
            (vec![], vec!["a b".to_owned()], "/p?a+b=1&a%20b=2&c", "/p?c"),
            (vec![], vec!["a".to_owned()], "/p?a=1", "/p"),
            (vec![pair("a", "1")], vec!["a".to_owned()], "/p?a=0&b", "/p?b"),
            (vec![], vec![], "/p?&&x", "/p?&&x"),
        ] {
            let mut parts = Request::get(before).body(()).unwrap().into_parts().0;
            QueryChanges { set, remove }.apply(&mut parts);
            assert_eq!(parts.uri, after, "{before}");
        }
    }
}
