//! Real servers as backends.

use std::{
    net::TcpStream,
    path::{Path, PathBuf},
    process::Command,
};

use super::{
    PATIENCE,
    certificates::{Authority, Leaf},
    ports,
    processes::{Process, program},
    within,
};

/// A running backend.
pub(crate) struct Peer {
    pub(crate) port: u16,
    process: Process,
}

/// What a backend shows, and which clients it takes.
pub(crate) struct Identity<'a> {
    pub(crate) leaf: &'a Leaf,
    /// Clients must show a certificate of this CA.
    pub(crate) clients: Option<&'a Authority>,
}

impl Peer {
    fn start(mut command: Command, folder: &Path, name: &str, port: u16) -> Self {
        command.current_dir(folder);
        let mut peer = Self { port, process: Process::start(command, folder, &format!("{name}-{port}")) };
        let listening = within(PATIENCE, || {
            if let Some(status) = peer.process.ended() {
                panic!("{name} ended ({status}): {}{}", peer.process.out(), peer.process.err());
            }
            TcpStream::connect(("127.0.0.1", port)).ok()
        });
        assert!(listening.is_some(), "{name} does not listen on {port}: {}", peer.process.err());
        peer
    }
}

/// nginx: says its name and the client certificate's subject; speaks HTTP/2 if asked to.
pub(crate) fn nginx(folder: &Path, identity: &Identity<'_>) -> Peer {
    let port = ports::free();
    let folder = subfolder(folder, "nginx", port);
    let (certificate, key) = identity.leaf.write(&folder, "nginx");
    let clients = identity.clients_file(&folder).map_or_else(String::new, |ca| {
        format!("ssl_client_certificate {}; ssl_verify_client on;", ca.display())
    });
    let configuration = format!(
        "daemon off; master_process off; pid {folder}/pid; error_log stderr info;
events {{}}
http {{
  access_log off;
  client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
  server {{
    listen 127.0.0.1:{port} ssl http2;
    ssl_certificate {}; ssl_certificate_key {}; ssl_protocols TLSv1.2 TLSv1.3; {clients}
    location / {{ return 200 \"nginx $server_protocol $ssl_protocol $ssl_server_name [$ssl_client_s_dn] $http_authorization\"; }}
  }}
}}
",
        certificate.display(),
        key.display(),
        folder = folder.display(),
    );
    let path = folder.join("nginx.conf");
    std::fs::write(&path, configuration).unwrap();
    let mut command = Command::new(needed("nginx"));
    command.arg("-p").arg(&folder).arg("-c").arg(&path).args(["-e", "stderr"]);
    Peer::start(command, &folder, "nginx", port)
}

/// nginx with HTTP/2 and no TLS.
pub(crate) fn nginx_h2c(folder: &Path) -> Peer {
    let port = ports::free();
    let folder = subfolder(folder, "nginx", port);
    let configuration = format!(
        "daemon off; master_process off; pid {folder}/pid; error_log stderr info;
events {{}}
http {{
  access_log off;
  client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
  server {{ listen 127.0.0.1:{port} http2; location / {{ return 200 \"nginx $server_protocol\"; }} }}
}}
",
        folder = folder.display(),
    );
    let path = folder.join("nginx.conf");
    std::fs::write(&path, configuration).unwrap();
    let mut command = Command::new(needed("nginx"));
    command.arg("-p").arg(&folder).arg("-c").arg(&path).args(["-e", "stderr"]);
    Peer::start(command, &folder, "nginx", port)
}

/// HAProxy: as [`nginx`].
pub(crate) fn haproxy(folder: &Path, identity: &Identity<'_>) -> Peer {
    let port = ports::free();
    let folder = subfolder(folder, "haproxy", port);
    let pair = folder.join("pair.pem");
    std::fs::write(&pair, format!("{}{}", identity.leaf.certificate_pem, identity.leaf.key_pem)).unwrap();
    let clients = identity
        .clients_file(&folder)
        .map_or_else(String::new, |ca| format!("verify required ca-file {}", ca.display()));
    let configuration = format!(
        "global
  nbthread 1
defaults
  mode http
  timeout client 30s
  timeout server 30s
  timeout connect 5s
frontend front
  bind 127.0.0.1:{port} ssl crt {} alpn h2,http/1.1 {clients}
  http-request return status 200 content-type text/plain lf-string \"haproxy %HV %sslv %[ssl_fc_sni] [%{{+Q}}[ssl_c_s_dn]]\"
",
        pair.display()
    );
    let path = folder.join("haproxy.cfg");
    std::fs::write(&path, configuration).unwrap();
    let mut command = Command::new(needed("haproxy"));
    command.args(["-db", "-f"]).arg(&path);
    Peer::start(command, &folder, "haproxy", port)
}

/// `openssl s_server`: its status page, HTTP/1.0, the connection closed after it.
pub(crate) fn openssl(folder: &Path, identity: &Identity<'_>, flags: &[&str]) -> Peer {
    let port = ports::free();
    let folder = subfolder(folder, "openssl", port);
    let (certificate, key) = identity.leaf.write(&folder, "openssl");
    let mut command = Command::new(needed("openssl"));
    command.args(["s_server", "-www", "-accept", &format!("127.0.0.1:{port}")]);
    command.arg("-cert").arg(certificate).arg("-key").arg(key).args(flags);
    if let Some(ca) = identity.clients_file(&folder) {
        command.args(["-Verify", "2", "-verify_return_error", "-CAfile"]).arg(ca);
    }
    Peer::start(command, &folder, "openssl", port)
}

/// Envoy, which answers by itself. `None` where it is not installed, which is a failure in CI.
pub(crate) fn envoy(folder: &Path, identity: &Identity<'_>) -> Option<Peer> {
    let linked = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../.lasthop/bin/envoy");
    let Some(binary) = program("envoy").or_else(|| linked.exists().then_some(linked)) else {
        assert!(std::env::var_os("CI").is_none(), "CI needs Envoy: cargo xtask setup");
        eprintln!("SKIPPED: there is no Envoy here; `cargo xtask setup` installs it");
        return None;
    };
    let port = ports::free();
    let folder = subfolder(folder, "envoy", port);
    let (certificate, key) = identity.leaf.write(&folder, "envoy");
    let mut tls = serde_json::json!({
        "alpn_protocols": ["h2", "http/1.1"],
        "tls_certificates": [{"certificate_chain": {"filename": certificate}, "private_key": {"filename": key}}],
    });
    if let Some(ca) = identity.clients_file(&folder) {
        tls["validation_context"] = serde_json::json!({"trusted_ca": {"filename": ca}});
    }
    let api = "type.googleapis.com/envoy.extensions";
    let configuration = serde_json::json!({"static_resources": {"listeners": [{
        "address": {"socket_address": {"address": "127.0.0.1", "port_value": port}},
        "filter_chains": [{
            "transport_socket": {"name": "tls", "typed_config": {
                "@type": format!("{api}.transport_sockets.tls.v3.DownstreamTlsContext"),
                "require_client_certificate": identity.clients.is_some(),
                "common_tls_context": tls,
            }},
            "filters": [{"name": "http", "typed_config": {
                "@type": format!("{api}.filters.network.http_connection_manager.v3.HttpConnectionManager"),
                "stat_prefix": "front",
                "route_config": {"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": [{
                    "match": {"prefix": "/"},
                    "direct_response": {"status": 200, "body": {"inline_string": "envoy"}},
                    "response_headers_to_add": [
                        {"header": {"key": "x-protocol", "value": "%PROTOCOL%"}},
                        {"header": {"key": "x-subject", "value": "%DOWNSTREAM_PEER_SUBJECT%"}},
                    ],
                }]}]},
                "http_filters": [{"name": "router", "typed_config": {
                    "@type": format!("{api}.filters.http.router.v3.Router"),
                }}],
            }}],
        }],
    }]}});
    let path = folder.join("envoy.json");
    std::fs::write(&path, configuration.to_string()).unwrap();
    let mut command = Command::new(binary);
    command.args(["--concurrency", "1", "--disable-hot-restart", "-l", "warning", "-c"]).arg(&path);
    Some(Peer::start(command, &folder, "envoy", port))
}

/// The server of grpc-go's interoperability tests, over TLS if there is a certificate. `None` where it is not installed,
/// which is a failure in CI.
pub(crate) fn grpc_interop(folder: &Path, leaf: Option<&Leaf>) -> Option<Peer> {
    let mut command = Command::new(interop_program("server")?);
    let port = ports::free();
    let folder = subfolder(folder, "grpc", port);
    command.args(["-port", &port.to_string()]);
    if let Some(leaf) = leaf {
        let (certificate, key) = leaf.write(&folder, "grpc");
        command.arg("-use_tls").arg("-tls_cert_file").arg(certificate).arg("-tls_key_file").arg(key);
    }
    Some(Peer::start(command, &folder, "grpc", port))
}

/// Where the client or server of grpc-go's interoperability tests is.
pub(crate) fn interop_program(side: &str) -> Option<PathBuf> {
    go_program(&format!("grpc-interop-{side}"))
}

/// Where a program is that the set-up builds.
pub(crate) fn go_program(name: &str) -> Option<PathBuf> {
    let built = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../.lasthop/bin").join(name);
    let found = built.exists().then_some(built);
    if found.is_none() {
        assert!(std::env::var_os("CI").is_none(), "CI needs {name}: cargo xtask setup");
        eprintln!("SKIPPED: there is no {name} here; `cargo xtask setup` builds it");
    }
    found
}

impl Identity<'_> {
    fn clients_file(&self, folder: &Path) -> Option<PathBuf> {
        let authority = self.clients?;
        let path = folder.join("clients.pem");
        std::fs::write(&path, authority.pem()).unwrap();
        Some(path)
    }
}

fn subfolder(folder: &Path, name: &str, port: u16) -> PathBuf {
    let folder = folder.join(format!("{name}-{port}"));
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

fn needed(name: &str) -> PathBuf {
    program(name).unwrap_or_else(|| panic!("{name} is needed: cargo xtask setup"))
}
