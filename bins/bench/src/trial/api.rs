//! The API server, over one kept connection.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{Method, Request};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::SendRequest;
use hyper_util::rt::TokioIo;
use rustls::{
    ClientConfig, RootCertStore,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject},
};
use serde_json::Value;
use tokio::{net::TcpStream, sync::Mutex, time::timeout};
use tokio_rustls::TlsConnector;

use crate::{Cluster, Fault};

/// For one answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// The API server. Requests on one value go one after the other.
pub(crate) struct Api {
    address: SocketAddr,
    tls: Arc<ClientConfig>,
    connection: Mutex<Option<SendRequest<Full<Bytes>>>>,
}

impl Api {
    pub(crate) fn new(cluster: &Cluster) -> Result<Self, Fault> {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(&cluster.ca)?)?;
        let certificate = CertificateDer::from_pem_file(&cluster.certificate)?;
        let key = PrivateKeyDer::from_pem_file(&cluster.key)?;
        let tls = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_client_auth_cert(vec![certificate], key)?;
        Ok(Self { address: cluster.api, tls: Arc::new(tls), connection: Mutex::default() })
    }

    /// The same API server over a connection of its own.
    pub(crate) fn another(&self) -> Self {
        Self { address: self.address, tls: Arc::clone(&self.tls), connection: Mutex::default() }
    }

    pub(crate) async fn get(&self, path: &str) -> Result<Value, Fault> {
        self.fine(Method::GET, path, "", String::new()).await
    }

    /// Server-side apply of a whole object.
    pub(crate) async fn apply(&self, object: &Value) -> Result<Value, Fault> {
        let path = format!("{}?fieldManager=lasthop-trial&force=true", path_of(object));
        self.fine(Method::PATCH, &path, "application/apply-patch+yaml", object.to_string()).await
    }

    pub(crate) async fn merge(&self, path: &str, patch: &Value) -> Result<Value, Fault> {
        self.fine(Method::PATCH, path, "application/merge-patch+json", patch.to_string()).await
    }

    /// That there is nothing to delete is fine.
    pub(crate) async fn delete(&self, path: &str) -> Result<(), Fault> {
        let (status, said) = self.send(Method::DELETE, path, "", String::new()).await?;
        if status < 300 || status == 404 { Ok(()) } else { Err(refused("DELETE", path, status, &said)) }
    }

    async fn fine(&self, method: Method, path: &str, kind: &str, body: String) -> Result<Value, Fault> {
        let (status, said) = self.send(method.clone(), path, kind, body).await?;
        if status < 300 { Ok(said) } else { Err(refused(method.as_str(), path, status, &said)) }
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        kind: &str,
        body: String,
    ) -> Result<(u16, Value), Fault> {
        let mut connection = self.connection.lock().await;
        let exchange = async {
            let mut sender = match connection.take().filter(|sender| !sender.is_closed()) {
                Some(sender) => sender,
                None => self.connect().await?,
            };
            let mut request = Request::builder().method(method).uri(path);
            request = request.header("host", self.address.to_string()).header("accept", "application/json");
            if !kind.is_empty() {
                request = request.header("content-type", kind);
            }
            sender.ready().await?;
            let answer = sender.send_request(request.body(Full::from(body))?).await?;
            let status = answer.status().as_u16();
            let body = answer.into_body().collect().await?.to_bytes();
            Ok::<_, Fault>((status, serde_json::from_slice(&body).unwrap_or_default(), sender))
        };
        let (status, said, sender) = timeout(PATIENCE, exchange)
            .await
            .map_err(|_| format!("the API server did not answer {path} in {} s", PATIENCE.as_secs()))??;
        *connection = Some(sender);
        Ok((status, said))
    }

    async fn connect(&self) -> Result<SendRequest<Full<Bytes>>, Fault> {
        let stream = TcpStream::connect(self.address).await?;
        stream.set_nodelay(true)?;
        let name = ServerName::IpAddress(self.address.ip().into());
        let stream = TlsConnector::from(Arc::clone(&self.tls)).connect(name, stream).await?;
        let (sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
        tokio::spawn(connection);
        Ok(sender)
    }
}

fn refused(method: &str, path: &str, status: u16, said: &Value) -> Fault {
    format!("{method} {path}: {status} {}", said["message"].as_str().unwrap_or_default()).into()
}

/// Where an object is.
pub(crate) fn path_of(object: &Value) -> String {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let (version, kind) = (text(&object["apiVersion"]), text(&object["kind"]).to_lowercase());
    let plural = match kind.strip_suffix('y') {
        Some(stem) if kind.ends_with("cy") => format!("{stem}ies"),
        _ if kind.ends_with('s') => kind,
        _ => format!("{kind}s"),
    };
    let root = if version.contains('/') { format!("/apis/{version}") } else { format!("/api/{version}") };
    let name = text(&object["metadata"]["name"]);
    match object["metadata"]["namespace"].as_str() {
        Some(namespace) => format!("{root}/namespaces/{namespace}/{plural}/{name}"),
        None => format!("{root}/{plural}/{name}"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::path_of;

    #[test]
    fn objects_are_found_by_their_kind() {
        let object = |version: &str, kind: &str| json!({"apiVersion": version, "kind": kind, "metadata": {"name": "x", "namespace": "n"}});
        let api = "gateway.networking.k8s.io/v1";
        let path = "/apis/gateway.networking.k8s.io/v1/namespaces/n/";
        assert_eq!(path_of(&object(api, "HTTPRoute")), format!("{path}httproutes/x"));
        assert_eq!(path_of(&object(api, "BackendTLSPolicy")), format!("{path}backendtlspolicies/x"));
        assert_eq!(path_of(&object(api, "Gateway")), format!("{path}gateways/x"));
        assert_eq!(path_of(&object("v1", "Secret")), "/api/v1/namespaces/n/secrets/x");
        let parameters = object("lasthop.dev/v1alpha1", "LasthopParameters");
        assert!(path_of(&parameters).ends_with("/lasthopparameters/x"));
    }
}
