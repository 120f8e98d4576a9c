//! A service that is asked by the request itself (protocol `HTTP` of GEP-1494).

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Request, Response, StatusCode, Uri, header, request, uri::PathAndQuery};

use super::{
    Answer, may_change,
    verdict::{Changes, FieldChanges, Manner, Verdict},
};

/// Fields of the request that are shown whatever the route says.
const ALWAYS: [HeaderName; 2] = [header::HOST, header::AUTHORIZATION];
/// Fields that are about the answer itself, and mean nothing in a request.
const OWN: [HeaderName; 9] = [
    header::CONTENT_TYPE,
    header::CONTENT_ENCODING,
    header::CONTENT_LANGUAGE,
    header::CONTENT_RANGE,
    header::DATE,
    header::ETAG,
    header::SERVER,
    header::SET_COOKIE,
    header::TRAILER,
];

/// The request that asks; `None` if the path would be none.
pub(super) fn of(
    client: &request::Parts,
    prefix: &str,
    shown: &[HeaderName],
    body: Bytes,
) -> Option<Request<Bytes>> {
    let mut request = Request::new(body);
    *request.method_mut() = client.method.clone();
    *request.version_mut() = client.version;
    let mut uri = client.uri.clone().into_parts();
    if !prefix.is_empty() {
        let target = uri.path_and_query.as_ref().map_or("/", PathAndQuery::as_str);
        uri.path_and_query = Some(format!("{prefix}{target}").parse().ok()?);
    }
    *request.uri_mut() = Uri::from_parts(uri).ok()?;
    for name in ALWAYS.iter().chain(shown) {
        if *name == header::CONTENT_LENGTH || request.headers().contains_key(name) {
            continue;
        }
        for value in client.headers.get_all(name) {
            request.headers_mut().append(name, value.clone());
        }
    }
    // Of what is really sent, and said in any case.
    let length = HeaderValue::from(request.body().len());
    request.headers_mut().insert(header::CONTENT_LENGTH, length);
    Some(request)
}

/// What an answer decides: 200 lets the request go on.
pub(super) fn verdict(answer: Answer, taken: &[HeaderName]) -> Option<Verdict> {
    let Answer { head, body, trailers: _ } = answer;
    if head.status != StatusCode::OK {
        return Some(Verdict::Deny(Response::from_parts(head, body)));
    }
    let mut request = FieldChanges::default();
    let takes = |name: &HeaderName| match taken {
        [] => may_change(name) && !OWN.contains(name),
        taken => taken.contains(name),
    };
    // What the service speaks for, nobody else speaks for: not the client under the same name.
    request.remove.extend(taken.iter().cloned());
    let mut seen: Vec<&HeaderName> = Vec::new();
    for (name, value) in head.headers.iter().filter(|(name, _)| takes(name)) {
        let manner = if seen.contains(&name) { Manner::Append } else { Manner::Overwrite };
        seen.push(name);
        request.set.push((name.clone(), value.clone(), manner));
    }
    Some(Verdict::Allow(Box::new(Changes { request, ..Changes::default() })))
}

#[cfg(test)]
mod tests {
    use http::HeaderMap;

    use super::*;

    fn client() -> request::Parts {
        let request = Request::post("/cart?item=1")
            .header("host", "shop.test")
            .header("authorization", "Basic abc")
            .header("content-length", "500")
            .header("cookie", "secret")
            .header("x-request-id", "7");
        request.body(()).unwrap().into_parts().0
    }

    fn names(headers: &HeaderMap) -> Vec<String> {
        let mut names: Vec<String> = headers.keys().map(ToString::to_string).collect();
        names.sort();
        names
    }

    #[test]
    fn only_what_may_be_shown_is_shown() {
        let request = of(&client(), "", &[], Bytes::new()).unwrap();
        assert_eq!(
            (request.method().as_str(), request.uri().to_string()),
            ("POST", "/cart?item=1".to_owned())
        );
        assert_eq!(names(request.headers()), ["authorization", "content-length", "host"]);
        assert_eq!(request.headers()["content-length"], "0");

        let shown = [HeaderName::from_static("x-request-id"), header::CONTENT_LENGTH];
        let request = of(&client(), "/check", &shown, Bytes::from_static(b"abc")).unwrap();
        assert_eq!(request.uri(), "/check/cart?item=1");
        assert_eq!(names(request.headers()), ["authorization", "content-length", "host", "x-request-id"]);
        assert_eq!(request.headers()["content-length"], "3");
    }

    fn answer(status: u16, fields: &[(&'static str, &'static str)]) -> Answer {
        let mut response = Response::builder().status(status);
        for (name, value) in fields {
            response = response.header(*name, *value);
        }
        let (head, ()) = response.body(()).unwrap().into_parts();
        Answer { head, body: Bytes::from_static(b"told"), trailers: None }
    }

    fn allowed(answer: Answer, taken: &[HeaderName]) -> Vec<String> {
        let Some(Verdict::Allow(changes)) = verdict(answer, taken) else { panic!("not allowed") };
        let mut headers = client().headers;
        headers.insert("x-user", HeaderValue::from_static("forged"));
        changes.request.apply(&mut headers);
        headers.get_all("x-user").iter().map(|value| value.to_str().unwrap().to_owned()).collect()
    }

    #[test]
    fn what_the_service_says_takes_the_place_of_what_the_client_said() {
        let user = [HeaderName::from_static("x-user")];
        let said = [("x-user", "ada"), ("x-user", "grace"), ("content-type", "text/plain"), ("host", "evil")];
        assert_eq!(allowed(answer(200, &said), &user), ["ada", "grace"]);
        assert_eq!(allowed(answer(200, &said), &[]), ["ada", "grace"]);
        // It speaks for the field and says nothing: then nobody does.
        assert!(allowed(answer(200, &[]), &user).is_empty());
        assert_eq!(allowed(answer(200, &[]), &[]), ["forged"]);
        let Some(Verdict::Allow(changes)) = verdict(answer(200, &said), &[]) else { panic!("not allowed") };
        let mut headers = client().headers;
        changes.request.apply(&mut headers);
        assert_eq!(
            (&headers["host"], headers.get("content-type")),
            (&HeaderValue::from_static("shop.test"), None)
        );
    }

    #[test]
    fn any_other_status_is_the_clients_answer() {
        for status in [201, 204, 302, 401, 403, 500] {
            let Some(Verdict::Deny(denied)) = verdict(answer(status, &[("location", "/login")]), &[]) else {
                panic!("{status} is allowed")
            };
            assert_eq!(denied.status(), status);
            assert_eq!(denied.headers()["location"], "/login");
            assert_eq!(denied.body(), "told");
        }
    }
}
