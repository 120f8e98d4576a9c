//! A real API server, behind `kubectl proxy`: plain HTTP, and no client library in this crate.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};

use crate::ResourceKind;
use crate::schema::Look as _;

/// The namespace of the objects.
pub(super) const NAMESPACE: &str = "ns";

/// What the server says to an object.
pub(super) struct Verdict {
    /// Its message, unless it would take it.
    pub(super) refused: Option<String>,
    /// It spoke of something else than the object: of another one in its place, of itself.
    pub(super) beside_the_point: bool,
}

pub(super) struct Server {
    proxy: Child,
    address: String,
    /// An address of the range of its Services that is free.
    pub(super) service_address: String,
    /// A CA certificate, in PEM form: its own.
    pub(super) authority: String,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.proxy.kill();
        let _ = self.proxy.wait();
    }
}

impl Server {
    pub(super) fn start(kubeconfig: &OsStr) -> Self {
        let mut proxy = Command::new("kubectl")
            .args(["proxy", "--port=0"])
            .arg({
                let mut flag = std::ffi::OsString::from("--kubeconfig=");
                flag.push(kubeconfig);
                flag
            })
            .stdout(Stdio::piped())
            .spawn()
            .expect("kubectl must be in the path");
        let mut line = String::new();
        BufReader::new(proxy.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        let address = line.trim().rsplit(' ').next().unwrap_or_default().to_owned();
        assert!(address.contains(':'), "kubectl proxy says {line:?}; see above for why");
        let mut server = Self { proxy, address, service_address: String::new(), authority: String::new() };
        let mut client = server.connect();
        let (_, service) = client.request("GET", "/api/v1/namespaces/default/services/kubernetes", None);
        let address = service["spec"].text("clusterIP").to_owned();
        let (front, _) = address.rsplit_once('.').expect("the API server's Service has an IPv4 address");
        server.service_address = format!("{front}.250");
        let (_, map) = client.request(
            "GET",
            "/api/v1/namespaces/kube-system/configmaps/extension-apiserver-authentication",
            None,
        );
        server.authority = map["data"].text("client-ca-file").to_owned();
        assert!(server.authority.contains("BEGIN CERTIFICATE"), "{map}");
        server
    }

    pub(super) fn connect(&self) -> Client {
        Client { address: self.address.clone(), connection: None }
    }

    pub(super) fn create_namespace(&self) {
        let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}});
        let (status, answer) = self.connect().request("POST", "/api/v1/namespaces", Some(&namespace));
        assert!(status == 201 || status == 409, "{status}: {answer}");
    }

    /// What objects of the kind are posted to; `None` when this version of it is not served.
    pub(super) fn path(&self, kind: ResourceKind, version: &str) -> Option<String> {
        let base = match kind.group() {
            "" => format!("/api/{version}"),
            group => format!("/apis/{group}/{version}"),
        };
        let (_, answer) = self.connect().request("GET", &base, None);
        let mut resources = answer.list("resources").iter();
        let resource = resources.find(|resource| resource.text("kind") == kind.as_str())?;
        let namespace = if kind.is_namespaced() { format!("/namespaces/{NAMESPACE}") } else { String::new() };
        Some(format!("{base}{namespace}/{}?dryRun=All&fieldValidation=Strict", resource.text("name")))
    }
}

/// One connection.
pub(super) struct Client {
    address: String,
    connection: Option<BufReader<TcpStream>>,
}

impl Client {
    /// Whether the server would make this object.
    pub(super) fn ask(&mut self, path: &str, object: &Value) -> Verdict {
        let (status, answer) = self.request("POST", path, Some(object));
        let message = || format!("{status}: {}", answer.text("message"));
        Verdict {
            refused: (status != 201).then(message),
            beside_the_point: !matches!(status, 201 | 400 | 413 | 422),
        }
    }

    fn request(&mut self, method: &str, path: &str, body: Option<&Value>) -> (u16, Value) {
        let body = body.map(ToString::to_string).unwrap_or_default();
        let connection = self.connection.get_or_insert_with(|| {
            let stream = TcpStream::connect(&self.address).unwrap();
            stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
            stream.set_nodelay(true).unwrap();
            BufReader::new(stream)
        });
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: localhost\r\nAccept: application/json\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        connection.get_mut().write_all((head + &body).as_bytes()).unwrap();
        let (status, bytes, keep) = response(connection);
        if !keep {
            self.connection = None;
        }
        (status, serde_json::from_slice(&bytes).unwrap_or(Value::Null))
    }
}

fn line(connection: &mut BufReader<TcpStream>) -> String {
    let mut line = String::new();
    connection.read_line(&mut line).unwrap();
    line.trim_end().to_owned()
}

/// Status, body, and whether the connection stays.
fn response(connection: &mut BufReader<TcpStream>) -> (u16, Vec<u8>, bool) {
    let status = line(connection);
    let status: u16 = status.split(' ').nth(1).unwrap_or_default().parse().expect(&status);
    let (mut length, mut chunked, mut keep) = (0, false, true);
    loop {
        let header = line(connection).to_ascii_lowercase();
        match header.split_once(':').map(|(name, value)| (name, value.trim())) {
            None => break,
            Some(("content-length", value)) => length = value.parse().unwrap(),
            Some(("transfer-encoding", "chunked")) => chunked = true,
            Some(("connection", "close")) => keep = false,
            Some(_) => {}
        }
    }
    let mut body = Vec::new();
    if chunked {
        loop {
            let size = usize::from_str_radix(&line(connection), 16).unwrap();
            let start = body.len();
            body.resize(start + size, 0);
            connection.read_exact(&mut body[start..]).unwrap();
            line(connection);
            if size == 0 {
                break;
            }
        }
    } else {
        body.resize(length, 0);
        connection.read_exact(&mut body).unwrap();
    }
    (status, body, keep)
}
