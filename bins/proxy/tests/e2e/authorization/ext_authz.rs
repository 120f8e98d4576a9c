//! A service that speaks `envoy.service.auth.v3.Authorization`, served by tonic: it lets sessions pass.

use std::{
    collections::HashMap,
    convert::Infallible,
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context, Poll},
};

use prost::Message;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{
    Request, Response, Status,
    body::Body,
    server::Grpc,
    transport::{Identity, Server, ServerTlsConfig},
};
use tonic_prost::ProstCodec;
use tower_service::Service;

use crate::support::certificates::Leaf;

type Boxed<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// A running service; it ends with the test.
pub(super) struct Authz {
    pub(super) port: u16,
    asked: Arc<Mutex<Vec<HttpRequest>>>,
    _runtime: tokio::runtime::Runtime,
}

impl Authz {
    /// What it was shown.
    pub(super) fn asked(&self) -> Vec<HttpRequest> {
        self.asked.lock().unwrap().clone()
    }
}

pub(super) fn start(leaf: &Leaf) -> Authz {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let identity = Identity::from_pem(&leaf.certificate_pem, &leaf.key_pem);
    let server = Server::builder().tls_config(ServerTlsConfig::new().identity(identity)).unwrap();
    let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).unwrap();
    let port = listener.local_addr().unwrap().port();
    let asked = Arc::<Mutex<Vec<HttpRequest>>>::default();
    let service = Authorization(asked.clone());
    runtime.spawn(async move { server.serve_with_incoming(service, TcpListenerStream::new(listener)).await });
    Authz { port, asked, _runtime: runtime }
}

#[derive(Clone)]
struct Authorization(Arc<Mutex<Vec<HttpRequest>>>);

impl Service<http::Request<Body>> for Authorization {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = Boxed<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let check = Check(self.0.clone());
        Box::pin(async move {
            Ok(match request.uri().path() {
                "/envoy.service.auth.v3.Authorization/Check" => {
                    Grpc::new(ProstCodec::<CheckResponse, CheckRequest>::default())
                        .unary(check, request)
                        .await
                }
                _ => Status::unimplemented("no such method").into_http(),
            })
        })
    }
}

struct Check(Arc<Mutex<Vec<HttpRequest>>>);

impl Service<Request<CheckRequest>> for Check {
    type Response = Response<CheckResponse>;
    type Error = Status;
    type Future = Boxed<Result<Self::Response, Status>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Status>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<CheckRequest>) -> Self::Future {
        let asked = self.0.clone();
        Box::pin(async move {
            let attributes = request.into_inner().attributes;
            let http = attributes.and_then(|attributes| attributes.request?.http);
            let http = http.ok_or_else(|| Status::invalid_argument("nothing is described"))?;
            let session = http.headers.get("x-session").cloned();
            asked.lock().unwrap().push(http);
            Ok(Response::new(decide(session)))
        })
    }
}

fn field(key: &str, value: &str) -> HeaderValueOption {
    HeaderValueOption { header: Some(HeaderValue { key: key.to_owned(), value: value.to_owned() }) }
}

fn decide(session: Option<String>) -> CheckResponse {
    match session {
        Some(session) => CheckResponse {
            status: Some(RpcStatus { code: 0 }),
            denied_response: None,
            ok_response: Some(OkHttpResponse {
                headers: vec![field("x-user", "ada")],
                headers_to_remove: vec!["x-session".to_owned()],
                response_headers_to_add: vec![field("x-checked", "yes")],
                query_parameters_to_set: vec![QueryParameter { key: "tenant".to_owned(), value: session }],
                query_parameters_to_remove: vec!["token".to_owned()],
            }),
        },
        None => CheckResponse {
            status: Some(RpcStatus { code: 7 }),
            denied_response: Some(DeniedHttpResponse { headers: vec![field("x-why", "no session")] }),
            ok_response: None,
        },
    }
}

#[derive(Clone, PartialEq, Message)]
struct CheckRequest {
    #[prost(message, optional, tag = "1")]
    attributes: Option<AttributeContext>,
}

#[derive(Clone, PartialEq, Message)]
struct AttributeContext {
    #[prost(message, optional, tag = "4")]
    request: Option<ContextRequest>,
}

#[derive(Clone, PartialEq, Message)]
struct ContextRequest {
    #[prost(message, optional, tag = "2")]
    http: Option<HttpRequest>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct HttpRequest {
    #[prost(string, tag = "2")]
    pub(super) method: String,
    #[prost(map = "string, string", tag = "3")]
    headers: HashMap<String, String>,
    #[prost(string, tag = "4")]
    pub(super) path: String,
    #[prost(string, tag = "5")]
    pub(super) host: String,
    #[prost(string, tag = "6")]
    pub(super) scheme: String,
    #[prost(int64, tag = "9")]
    pub(super) size: i64,
    #[prost(string, tag = "11")]
    pub(super) body: String,
}

#[derive(Clone, PartialEq, Message)]
struct CheckResponse {
    #[prost(message, optional, tag = "1")]
    status: Option<RpcStatus>,
    #[prost(message, optional, tag = "2")]
    denied_response: Option<DeniedHttpResponse>,
    #[prost(message, optional, tag = "3")]
    ok_response: Option<OkHttpResponse>,
}

#[derive(Clone, PartialEq, Message)]
struct RpcStatus {
    #[prost(int32, tag = "1")]
    code: i32,
}

#[derive(Clone, PartialEq, Message)]
struct DeniedHttpResponse {
    #[prost(message, repeated, tag = "2")]
    headers: Vec<HeaderValueOption>,
}

#[derive(Clone, PartialEq, Message)]
struct OkHttpResponse {
    #[prost(message, repeated, tag = "2")]
    headers: Vec<HeaderValueOption>,
    #[prost(string, repeated, tag = "5")]
    headers_to_remove: Vec<String>,
    #[prost(message, repeated, tag = "6")]
    response_headers_to_add: Vec<HeaderValueOption>,
    #[prost(message, repeated, tag = "7")]
    query_parameters_to_set: Vec<QueryParameter>,
    #[prost(string, repeated, tag = "8")]
    query_parameters_to_remove: Vec<String>,
}

#[derive(Clone, PartialEq, Message)]
struct HeaderValueOption {
    #[prost(message, optional, tag = "1")]
    header: Option<HeaderValue>,
}

#[derive(Clone, PartialEq, Message)]
struct HeaderValue {
    #[prost(string, tag = "1")]
    key: String,
    #[prost(string, tag = "2")]
    value: String,
}

#[derive(Clone, PartialEq, Message)]
struct QueryParameter {
    #[prost(string, tag = "1")]
    key: String,
    #[prost(string, tag = "2")]
    value: String,
}
