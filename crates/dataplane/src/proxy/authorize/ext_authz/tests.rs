use http::Request as HttpRequestMessage;
use lasthop_dataplane_api::{AppProtocol, BackendKey, EndpointsKey, ObjectName};

use super::{
    messages::{BoolValue, HttpStatus, QueryParameter, Status},
    *,
};
use crate::{metrics::Metrics, upstream::Hop};

fn backend() -> UpstreamBackend {
    let endpoints = EndpointsKey::service(ObjectName::new("security", "authz"), 9001);
    let key = BackendKey { gateway: ObjectName::new("infra", "edge"), endpoints };
    let counters = Metrics::new(1).backend(0, &key);
    UpstreamBackend::new(key, AppProtocol::Unspecified, Hop::Plaintext, false, counters)
}

fn asked(shown: &[HeaderName], body: &'static [u8]) -> (Request<Bytes>, AttributeContext) {
    let client = HttpRequestMessage::post("/cart?item=1")
        .header("host", "shop.test:8443")
        .header("cookie", "a=1")
        .header("cookie", "b=2")
        .header("content-length", "7")
        .header("x-request-id", "id-1")
        .body(())
        .unwrap();
    let context =
        FilterContext { scheme: "https", port: 8443, host: "shop.test", matched_path: None, origin: None };
    let between = ["192.0.2.7:50000".parse().unwrap(), "[2001:db8::1]:8443".parse().unwrap()];
    let (parts, ()) = client.into_parts();
    let request = request(&parts, shown, Bytes::from_static(body), &context, between, &backend()).unwrap();
    let message = request.body().slice(5..);
    let check = CheckRequest::decode(message).unwrap();
    (request, check.attributes.unwrap())
}

#[test]
fn a_request_is_described_whole() {
    let (request, attributes) = asked(&[], b"");
    assert_eq!((request.uri().path(), request.method().as_str()), (METHOD, "POST"));
    assert_eq!(request.headers()["host"], "authz.security");
    let length = u32::try_from(request.body().len() - 5).unwrap().to_be_bytes();
    assert_eq!(request.body()[..5], [&[0][..], &length].concat());
    let source = attributes.source.unwrap().address.unwrap().socket_address.unwrap();
    assert_eq!((source.address.as_str(), source.port_value), ("192.0.2.7", 50000));
    let destination = attributes.destination.unwrap().address.unwrap().socket_address.unwrap();
    assert_eq!((destination.address.as_str(), destination.port_value), ("2001:db8::1", 8443));
    let http = attributes.request.unwrap().http.unwrap();
    assert_eq!((http.method.as_str(), http.path.as_str()), ("POST", "/cart?item=1"));
    assert_eq!((http.host.as_str(), http.scheme.as_str(), http.size), ("shop.test:8443", "https", 7));
    assert_eq!((http.id.as_str(), http.protocol.as_str()), ("id-1", "HTTP/1.1"));
    assert_eq!(http.headers["cookie"], "a=1,b=2");
    assert_eq!(http.headers[":authority"], "shop.test:8443");
    assert!(http.body.is_empty() && http.raw_body.is_empty());
}

#[test]
fn only_the_fields_that_may_be_shown_are_shown() {
    let (_, attributes) = asked(&[HeaderName::from_static("x-request-id")], b"text");
    let http = attributes.request.unwrap().http.unwrap();
    assert_eq!(http.headers.len(), 1);
    assert_eq!((http.body.as_str(), http.raw_body.len()), ("text", 0));
    let (_, attributes) = asked(&[], b"\xff\x00");
    let http = attributes.request.unwrap().http.unwrap();
    assert_eq!((http.body.as_str(), &http.raw_body[..]), ("", &b"\xff\x00"[..]));
}

fn answer(response: &CheckResponse, grpc_status: &'static str) -> Answer {
    let message = response.encode_to_vec();
    let mut body = BytesMut::from(&b"\0"[..]);
    body.put_u32(u32::try_from(message.len()).unwrap());
    body.extend_from_slice(&message);
    let (head, ()) = Response::new(()).into_parts();
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", http::HeaderValue::from_static(grpc_status));
    Answer { head, body: body.freeze(), trailers: Some(trailers) }
}

fn field(key: &str, value: &str, append: Option<bool>, append_action: i32) -> HeaderValueOption {
    let header =
        messages::HeaderValue { key: key.to_owned(), value: value.to_owned(), raw_value: Vec::new() };
    let append = append.map(|value| BoolValue { value });
    HeaderValueOption { header: Some(header), append, append_action }
}

#[test]
fn what_lets_a_request_go_on_may_change_it() {
    let ok = OkHttpResponse {
        headers: vec![
            field("x-user", "ada", None, 0),
            field("x-group", "b", Some(true), 0),
            field("x-once", "c", None, 1),
            field(":path", "/admin", None, 0),
            field("Host", "evil.test", None, 0),
        ],
        headers_to_remove: vec!["authorization".to_owned()],
        response_headers_to_add: vec![field("x-checked", "yes", None, 0)],
        query_parameters_to_set: vec![QueryParameter { key: "tenant".to_owned(), value: "7".to_owned() }],
        query_parameters_to_remove: vec!["token".to_owned()],
    };
    let response = CheckResponse { status: None, denied_response: None, ok_response: Some(ok) };
    let Some(Verdict::Allow(changes)) = verdict(answer(&response, "0")) else { panic!("not allowed") };
    let mut request = HttpRequestMessage::get("/p?token=t&x=1")
        .header("host", "shop.test")
        .header("x-user", "forged")
        .header("x-group", "a")
        .header("x-once", "client")
        .header("authorization", "secret")
        .body(())
        .unwrap()
        .into_parts()
        .0;
    let Changes { request: fields, response, query } = *changes;
    fields.apply(&mut request.headers);
    query.apply(&mut request);
    let all = |name: &str| -> Vec<&str> {
        request.headers.get_all(name).iter().map(|value| value.to_str().unwrap()).collect()
    };
    assert_eq!((all("x-user"), all("x-group"), all("x-once")), (vec!["ada"], vec!["a", "b"], vec!["client"]));
    assert_eq!((all("host"), all("authorization")), (vec!["shop.test"], vec![]));
    assert_eq!(request.uri, "/p?x=1&tenant=7");
    assert_eq!((response[0].0.as_str(), response[0].2), ("x-checked", Manner::Append));
}

#[test]
fn a_refusal_is_the_services_own() {
    let status = Some(Status { code: 16 });
    let denied = |code: i32| DeniedHttpResponse {
        status: (code != 0).then_some(HttpStatus { code }),
        headers: vec![field("www-authenticate", "Basic", None, 0)],
        body: "who are you".to_owned(),
    };
    for (code, expected) in [(401, 401), (0, 403), (7, 403), (100, 403), (999, 403), (302, 302)] {
        let response =
            CheckResponse { status: status.clone(), denied_response: Some(denied(code)), ok_response: None };
        let Some(Verdict::Deny(denied)) = verdict(answer(&response, "0")) else { panic!("not denied") };
        assert_eq!(denied.status(), expected, "{code}");
        assert_eq!(
            (&denied.headers()["www-authenticate"], &denied.body()[..]),
            (&"Basic".parse().unwrap(), &b"who are you"[..])
        );
    }
    let response = CheckResponse { status, denied_response: None, ok_response: None };
    let Some(Verdict::Deny(denied)) = verdict(answer(&response, "0")) else { panic!("not denied") };
    assert_eq!(denied.status(), 403);
}

#[test]
fn what_is_no_answer_lets_nothing_go_on() {
    let allows = CheckResponse { status: None, denied_response: None, ok_response: None };
    assert!(matches!(verdict(answer(&allows, "0")), Some(Verdict::Allow(_))));
    assert!(verdict(answer(&allows, "14")).is_none(), "the call failed");
    let both = CheckResponse {
        denied_response: Some(DeniedHttpResponse { status: None, headers: Vec::new(), body: String::new() }),
        ..allows.clone()
    };
    assert!(verdict(answer(&both, "0")).is_none(), "it says yes and no");
    let odd = CheckResponse {
        ok_response: Some(OkHttpResponse {
            headers: vec![field("no name", "x", None, 0)],
            ..OkHttpResponse::default()
        }),
        ..allows.clone()
    };
    assert!(verdict(answer(&odd, "0")).is_none());
    for cut in [0, 4, 5] {
        let mut short = answer(&both, "0");
        short.body = short.body.slice(..cut);
        assert!(verdict(short).is_none(), "{cut}");
    }
    let mut compressed = answer(&allows, "0");
    compressed.body = Bytes::from_static(b"\x01\0\0\0\0");
    assert!(verdict(compressed).is_none());
    let mut silent = answer(&allows, "0");
    silent.trailers = None;
    assert!(verdict(silent).is_none(), "no grpc-status at all");
    let mut html = answer(&allows, "0");
    html.head.status = StatusCode::BAD_GATEWAY;
    assert!(verdict(html).is_none());
}
