//! A service that speaks Envoy's `envoy.service.auth.v3.Authorization` (protocol `GRPC` of GEP-1494).

mod messages;

use std::{
    collections::HashMap,
    net::SocketAddr,
    time::{SystemTime, UNIX_EPOCH},
};

use bytes::{BufMut as _, Bytes, BytesMut};
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode, Version, header, request};
use prost::Message as _;

use self::messages::{
    Address, AttributeContext, CheckRequest, CheckResponse, DeniedHttpResponse, HeaderValueOption,
    HttpRequest, OkHttpResponse, Peer, SocketAddress, Timestamp,
};
use super::{
    Answer,
    verdict::{Changes, FieldChanges, Manner, QueryChanges, Verdict},
};
use crate::{filters::FilterContext, upstream::UpstreamBackend};

const METHOD: &str = "/envoy.service.auth.v3.Authorization/Check";
const CONTENT_TYPE: HeaderValue = HeaderValue::from_static("application/grpc");
/// How long the service is told that we wait; a little less than we do.
const TIMEOUT: HeaderValue = HeaderValue::from_static("9500m");

/// The call that asks; `None` if it cannot be written.
pub(super) fn request(
    client: &request::Parts,
    shown: &[HeaderName],
    body: Bytes,
    context: &FilterContext<'_>,
    between: [SocketAddr; 2],
    backend: &UpstreamBackend,
) -> Option<Request<Bytes>> {
    let message = CheckRequest { attributes: Some(attributes(client, shown, body, context, between)) };
    let mut framed = BytesMut::with_capacity(5 + message.encoded_len());
    framed.put_u8(0);
    framed.put_u32(message.encoded_len().try_into().ok()?);
    message.encode(&mut framed).ok()?;
    let mut request = Request::new(framed.freeze());
    *request.method_mut() = http::Method::POST;
    *request.version_mut() = Version::HTTP_2;
    *request.uri_mut() = METHOD.parse().ok()?;
    let headers = request.headers_mut();
    let service = &backend.key.endpoints.object;
    let host = format!("{}.{}", service.name, service.namespace);
    headers.insert(header::HOST, HeaderValue::try_from(host).ok()?);
    headers.insert(header::CONTENT_TYPE, CONTENT_TYPE);
    headers.insert(header::TE, HeaderValue::from_static("trailers"));
    headers.insert("grpc-timeout", TIMEOUT);
    Some(request)
}

fn attributes(
    client: &request::Parts,
    shown: &[HeaderName],
    body: Bytes,
    context: &FilterContext<'_>,
    [from, to]: [SocketAddr; 2],
) -> AttributeContext {
    let target = client.uri.path_and_query().map_or("/", |target| target.as_str());
    let host = client.headers.get(header::HOST).and_then(|host| host.to_str().ok());
    let host = host.or(client.uri.authority().map(|host| host.as_str())).unwrap_or(context.host);
    let mut headers = fields(&client.headers, shown);
    if shown.is_empty() {
        let pseudo = [
            (":method", client.method.as_str()),
            (":path", target),
            (":authority", host),
            (":scheme", context.scheme),
        ];
        headers.extend(pseudo.map(|(name, value)| (name.to_owned(), value.to_owned())));
    }
    let size =
        client.headers.get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
    let (text, raw_body) = match String::from_utf8(body.to_vec()) {
        Ok(text) => (text, Vec::new()),
        Err(_) => (String::new(), body.to_vec()),
    };
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let id = client.headers.get("x-request-id").and_then(|id| id.to_str().ok()).unwrap_or_default();
    AttributeContext {
        source: Some(peer(from)),
        destination: Some(peer(to)),
        request: Some(messages::Request {
            time: Some(Timestamp {
                seconds: i64::try_from(now.as_secs()).unwrap_or(i64::MAX),
                nanos: i32::try_from(now.subsec_nanos()).unwrap_or(0),
            }),
            http: Some(HttpRequest {
                id: id.to_owned(),
                method: client.method.to_string(),
                headers,
                path: target.to_owned(),
                host: host.to_owned(),
                scheme: context.scheme.to_owned(),
                size: size.unwrap_or(-1),
                protocol: match client.version {
                    Version::HTTP_2 => "HTTP/2",
                    Version::HTTP_10 => "HTTP/1.0",
                    _ => "HTTP/1.1",
                }
                .to_owned(),
                body: text,
                raw_body,
            }),
        }),
    }
}

fn peer(address: SocketAddr) -> Peer {
    Peer {
        address: Some(Address {
            socket_address: Some(SocketAddress {
                address: address.ip().to_string(),
                port_value: address.port().into(),
            }),
        }),
    }
}

/// The fields that are shown, several of one name as one.
fn fields(headers: &HeaderMap, shown: &[HeaderName]) -> HashMap<String, String> {
    let mut fields: HashMap<String, String> = HashMap::with_capacity(headers.keys_len() + 4);
    for (name, value) in headers {
        if !(shown.is_empty() || shown.contains(name)) {
            continue;
        }
        let text = String::from_utf8_lossy(value.as_bytes());
        match fields.get_mut(name.as_str()) {
            Some(known) => {
                known.push(',');
                known.push_str(&text);
            }
            None => drop(fields.insert(name.to_string(), text.into_owned())),
        }
    }
    fields
}

/// What an answer decides; `None` if it is no answer.
pub(super) fn verdict(answer: Answer) -> Option<Verdict> {
    let Answer { head, body, trailers } = answer;
    let status = trailers.as_ref().unwrap_or(&head.headers).get("grpc-status");
    if head.status != StatusCode::OK || status.is_none_or(|status| status.as_bytes() != b"0") {
        tracing::debug!(http = %head.status, grpc = ?status, "the authorization service failed");
        return None;
    }
    let (prefix, message) = body.split_at_checked(5)?;
    let [compressed, length @ ..] = prefix else { return None };
    let length = u32::from_be_bytes(length.try_into().ok()?);
    if *compressed != 0 || usize::try_from(length) != Ok(message.len()) {
        return None;
    }
    let response = CheckResponse::decode(message).ok()?;
    let allows = response.status.as_ref().is_none_or(|status| status.code == 0);
    match (allows, response.ok_response, response.denied_response) {
        (true, _, Some(_)) => None,
        (true, ok, None) => Some(Verdict::Allow(Box::new(changes(ok.unwrap_or_default())?))),
        (false, _, denied) => Some(Verdict::Deny(refusal(denied.unwrap_or_default())?)),
    }
}

fn changes(ok: OkHttpResponse) -> Option<Changes> {
    let parameters = ok.query_parameters_to_set.into_iter().map(|parameter| (parameter.key, parameter.value));
    let remove = ok.headers_to_remove.iter().map(|name| name.parse().ok()).collect::<Option<Vec<_>>>()?;
    Some(Changes {
        request: FieldChanges { remove, set: options(ok.headers, Manner::Overwrite)? },
        response: options(ok.response_headers_to_add, Manner::Append)?,
        query: QueryChanges { set: parameters.collect(), remove: ok.query_parameters_to_remove },
    })
}

/// Fields as they are to be set; `None` if one is no field. `otherwise` is what nothing was said about how.
fn options(
    options: Vec<HeaderValueOption>,
    otherwise: Manner,
) -> Option<Vec<(HeaderName, HeaderValue, Manner)>> {
    options
        .into_iter()
        .filter_map(|option| Some((option.header?, option.append, option.append_action)))
        // Not a field of HTTP/1.1: nobody may change them.
        .filter(|(header, ..)| !header.key.starts_with(':'))
        .map(|(header, append, action)| {
            let manner = match (append, action) {
                (Some(append), _) if append.value => Manner::Append,
                (Some(_), _) => Manner::Overwrite,
                (None, 1) => Manner::AddIfAbsent,
                (None, 2) => Manner::Overwrite,
                (None, 3) => Manner::OverwriteIfPresent,
                (None, _) => otherwise,
            };
            let value = match header.raw_value.is_empty() {
                true => header.value.into_bytes(),
                false => header.raw_value,
            };
            Some((header.key.parse().ok()?, HeaderValue::try_from(value).ok()?, manner))
        })
        .collect()
}

fn refusal(denied: DeniedHttpResponse) -> Option<Response<Bytes>> {
    let status = denied.status.and_then(|status| u16::try_from(status.code).ok());
    let status = status.filter(|status| (200..600).contains(status)).unwrap_or(403);
    let mut response = Response::new(Bytes::from(denied.body));
    *response.status_mut() = StatusCode::from_u16(status).ok()?;
    FieldChanges { remove: Vec::new(), set: options(denied.headers, Manner::Append)? }
        .apply(response.headers_mut());
    Some(response)
}

#[cfg(test)]
mod tests;
