//! Conditions on requests.

use std::sync::Arc;

use lasthop_api_model::{
    GrpcMethodMatch, GrpcRouteMatch, HttpMethod, HttpPathMatch, HttpRouteMatch, MatchType, PathMatchType,
};
use lasthop_dataplane_api::{HttpMatch, KeyValueMatch, PathMatch, StringMatch};
use regex::Regex;

/// What a rule of an HTTPRoute matches.
pub(super) fn http(matches: &[HttpRouteMatch]) -> Result<Vec<HttpMatch>, String> {
    if matches.is_empty() {
        return Ok(vec![HttpMatch { path: Some(PathMatch::Prefix("/".into())), ..HttpMatch::default() }]);
    }
    let each = matches.iter().enumerate().map(|(index, one)| {
        let in_match = |message: String| format!("matches[{index}].{message}");
        let headers = one.headers.iter().map(|h| (&h.r#type, &*h.name, &*h.value));
        let query = one.query_params.iter().map(|q| (&q.r#type, &*q.name, &*q.value));
        Ok(HttpMatch {
            path: Some(path(&one.path).map_err(in_match)?),
            method: one.method.as_ref().map(method).transpose().map_err(in_match)?,
            headers: pairs("headers", headers, true).map_err(in_match)?,
            query: pairs("queryParams", query, false).map_err(in_match)?,
        })
    });
    each.collect()
}

/// What a rule of a GRPCRoute matches: service and method are the path (`/service/method`).
pub(super) fn grpc(matches: &[GrpcRouteMatch]) -> Result<Vec<HttpMatch>, String> {
    if matches.is_empty() {
        return Ok(vec![HttpMatch::default()]);
    }
    let each = matches.iter().enumerate().map(|(index, one)| {
        let in_match = |message: String| format!("matches[{index}].{message}");
        let headers = one.headers.iter().map(|h| (&h.r#type, &*h.name, &*h.value));
        Ok(HttpMatch {
            path: one.method.as_ref().map(grpc_path).transpose().map_err(in_match)?.flatten(),
            method: None,
            headers: pairs("headers", headers, true).map_err(in_match)?,
            query: Vec::new(),
        })
    });
    each.collect()
}

fn path(path: &HttpPathMatch) -> Result<PathMatch, String> {
    match &path.r#type {
        PathMatchType::Exact => Ok(PathMatch::Exact(path.value.as_str().into())),
        PathMatchType::PathPrefix => {
            // A slash at the end of a prefix says nothing.
            let trimmed = path.value.trim_end_matches('/');
            Ok(PathMatch::Prefix(if trimmed.is_empty() { "/" } else { trimmed }.into()))
        }
        PathMatchType::RegularExpression => regex("path.value", &path.value).map(PathMatch::Regex),
        PathMatchType::Other(text) => Err(unknown("path.type", text, PathMatchType::KNOWN)),
    }
}

fn method(method: &HttpMethod) -> Result<Arc<str>, String> {
    match method {
        HttpMethod::Other(text) => Err(unknown("method", text, HttpMethod::KNOWN)),
        known => Ok(known.as_str().into()),
    }
}

fn grpc_path(path: &GrpcMethodMatch) -> Result<Option<PathMatch>, String> {
    let service = path.service.as_deref().filter(|text| !text.is_empty());
    let method = path.method.as_deref().filter(|text| !text.is_empty());
    let part = |field: &str, text: Option<&str>| match (&path.r#type, text) {
        (_, None) => Ok(None),
        (MatchType::Exact, Some(text)) => Ok(Some(StringMatch::Exact(text.into()))),
        (MatchType::RegularExpression, Some(text)) => Ok(Some(StringMatch::Regex(regex(field, text)?))),
        (MatchType::Other(text), _) => Err(unknown("method.type", text, MatchType::KNOWN)),
    };
    Ok(match (part("method.service", service)?, part("method.method", method)?) {
        (None, None) => None,
        (Some(StringMatch::Exact(service)), Some(StringMatch::Exact(method))) => {
            Some(PathMatch::Exact(format!("/{service}/{method}").into()))
        }
        (Some(StringMatch::Exact(service)), None) => Some(PathMatch::Prefix(format!("/{service}").into())),
        (service, method) => Some(PathMatch::Grpc { service, method }),
    })
}

/// Of several entries of one name only the first counts.
fn pairs<'a>(
    field: &str,
    entries: impl Iterator<Item = (&'a MatchType, &'a str, &'a str)>,
    lower_case: bool,
) -> Result<Vec<KeyValueMatch>, String> {
    let mut pairs: Vec<KeyValueMatch> = Vec::new();
    for (index, (kind, name, value)) in entries.enumerate() {
        let name: Arc<str> = if lower_case { name.to_ascii_lowercase().into() } else { name.into() };
        let value = match kind {
            MatchType::Exact => StringMatch::Exact(value.into()),
            MatchType::RegularExpression => {
                StringMatch::Regex(regex(&format!("{field}[{index}].value"), value)?)
            }
            MatchType::Other(text) => {
                return Err(unknown(&format!("{field}[{index}].type"), text, MatchType::KNOWN));
            }
        };
        if !pairs.iter().any(|pair| pair.name == name) {
            pairs.push(KeyValueMatch { name, value });
        }
    }
    Ok(pairs)
}

/// The dataplane anchors expressions at both ends: they must be valid by themselves and in that form.
fn regex(field: &str, text: &str) -> Result<Arc<str>, String> {
    match Regex::new(text).and_then(|_| Regex::new(&format!("^(?:{text})$"))) {
        Ok(_) => Ok(text.into()),
        Err(regex::Error::CompiledTooBig(limit)) => {
            Err(format!("{field}: the regular expression needs more than {limit} bytes; make it smaller"))
        }
        Err(_) => Err(format!(
            "{field}: {text:?} is no regular expression of the syntax of Rust's regex crate (RE2-like, no \
             look-around, no back-references)"
        )),
    }
}

fn unknown(field: &str, text: &str, known: &[&str]) -> String {
    format!("{field}: {text} is not known; use one of {}", known.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grpc_one(kind: MatchType, service: Option<&str>, method: Option<&str>) -> Option<PathMatch> {
        let method = GrpcMethodMatch {
            r#type: kind,
            service: service.map(str::to_owned),
            method: method.map(str::to_owned),
        };
        let found = grpc(&[GrpcRouteMatch { method: Some(method), headers: vec![] }]).unwrap();
        found[0].path.clone()
    }

    #[test]
    fn a_grpc_method_is_a_path() {
        let exact = |s, m| grpc_one(MatchType::Exact, s, m);
        assert_eq!(exact(Some("a.B"), Some("C")), Some(PathMatch::Exact("/a.B/C".into())));
        assert_eq!(exact(Some("a.B"), None), Some(PathMatch::Prefix("/a.B".into())));
        let part = |text: &str| Some(StringMatch::Exact(text.into()));
        assert_eq!(exact(None, Some("C.")), Some(PathMatch::Grpc { service: None, method: part("C.") }));
        assert_eq!(exact(None, None), None);
        let regex = grpc_one(MatchType::RegularExpression, Some("a|b"), None);
        let service = Some(StringMatch::Regex("a|b".into()));
        assert_eq!(regex, Some(PathMatch::Grpc { service, method: None }));
    }

    #[test]
    fn the_first_of_two_headers_of_one_name_counts_and_bad_expressions_are_named() {
        let header = |name: &str, value: &str| (MatchType::Exact, name.to_owned(), value.to_owned());
        let all = [header("X-A", "1"), header("x-a", "2")];
        let found = pairs("headers", all.iter().map(|(t, n, v)| (t, &**n, &**v)), true).unwrap();
        assert_eq!(found, [KeyValueMatch { name: "x-a".into(), value: StringMatch::Exact("1".into()) }]);
        let bad = HttpRouteMatch {
            path: HttpPathMatch { r#type: PathMatchType::RegularExpression, value: "/(a".to_owned() },
            ..HttpRouteMatch::default()
        };
        let error = http(&[bad]).unwrap_err();
        assert!(error.starts_with("matches[0].path.value"), "{error}");
        // Two halves that are only valid together must not slip through the anchoring.
        assert!(regex("f", "a)|(?:b").is_err());
    }

    #[test]
    fn a_prefix_loses_its_last_slash() {
        let prefix = |value: &str| {
            path(&HttpPathMatch { r#type: PathMatchType::PathPrefix, value: value.to_owned() }).unwrap()
        };
        assert_eq!(prefix("/a/"), PathMatch::Prefix("/a".into()));
        assert_eq!(prefix("/"), PathMatch::Prefix("/".into()));
    }
}
