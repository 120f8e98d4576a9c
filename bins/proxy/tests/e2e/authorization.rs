//! Requests that an authorization service decides about: nginx by HTTP, and one that speaks Envoy's protocol. The hop to
//! the service is verified like any other.

mod ext_authz;
mod reload;

use crate::{
    for_each_stack,
    support::{
        PATIENCE, Stack,
        certificates::Leaf,
        manifests, ports,
        processes::{Process, program},
        server::Server,
        site::{BACKEND, Site},
        within,
    },
};

for_each_stack!(nginx_decides, nobody_decides_who_does_not_prove_it, by_envoys_protocol);

/// nginx as a service: it wants basic authentication of the user, and says who it was. The file `said` in its folder has
/// each path that it was asked about, and the status.
fn nginx(site: &Site, leaf: &Leaf, user: &str) -> (u16, Process) {
    let port = ports::free();
    let folder = site.work().join(format!("authz-{port}"));
    std::fs::create_dir(&folder).unwrap();
    let (certificate, key) = leaf.write(&folder, "authz");
    std::fs::write(folder.join("users"), format!("{user}:{{PLAIN}}secret\n")).unwrap();
    let configuration = format!(
        "daemon off; master_process off; pid {folder}/pid; error_log stderr;
events {{}}
http {{
  access_log off; log_format said '$request_uri $status';
  client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
  server {{
    listen 127.0.0.1:{port} ssl;
    ssl_certificate {}; ssl_certificate_key {}; ssl_protocols TLSv1.2 TLSv1.3;
    access_log {folder}/said said;
    location / {{
      auth_basic shop; auth_basic_user_file {folder}/users;
      add_header x-user $remote_user;
      proxy_pass http://unix:{folder}/welcome:/;
    }}
  }}
  server {{ listen unix:{folder}/welcome; return 200; }}
}}
",
        certificate.display(),
        key.display(),
        folder = folder.display(),
    );
    let path = folder.join("nginx.conf");
    std::fs::write(&path, configuration).unwrap();
    let mut command = std::process::Command::new(program("nginx").expect("cargo xtask setup installs nginx"));
    command.arg("-p").arg(&folder).arg("-c").arg(&path).args(["-e", "stderr"]);
    let process = Process::start(command, &folder, "nginx");
    let listening = within(PATIENCE, || std::net::TcpStream::connect(("127.0.0.1", port)).ok());
    assert!(listening.is_some(), "{}", process.err());
    (port, process)
}

/// The route of the shop, with a filter that asks the Service `authz`.
fn authorized(site: &Site, auth: &str) {
    authorized_by(site, "authz", auth);
}

/// The same, with the Service that is asked.
fn authorized_by(site: &Site, service: &str, auth: &str) {
    let filter = format!(
        "    filters:
    - type: ExternalAuth
      externalAuth:
        backendRef: {{name: {service}, port: 443}}
{auth}"
    );
    site.write("route-shop.yaml", &manifests::route("shop", "shop.test", "shop", &filter));
}

const HTTP: &str = "        protocol: HTTP\n        http: {allowedResponseHeaders: [X-User]}\n";

fn service(site: &Site, port: u16) {
    site.write("service-authz.yaml", &manifests::service("authz", &[port], None));
    site.policy("authz", "");
}

fn nginx_decides(stack: Stack) {
    let (site, shop) = Site::shop();
    let (port, _nginx) = nginx(&site, &site.leaf(), "ada");
    service(&site, port);
    authorized(&site, HTTP);
    let proxy = site.start(stack);
    let refused = site.get("shop.test", "/cart");
    assert_eq!((refused.status, refused.header("www-authenticate")), (401, Some("Basic realm=\"shop\"")));
    assert!(shop.requests().is_empty());
    assert_eq!(proxy.record_of("shop.test", "/cart")["reason"], "AuthorizationDenied");

    let allowed =
        site.curl("shop.test", "/cart?item=1", &["--http1.1", "--user", "ada:secret", "-H", "x-user: root"]);
    assert_eq!(allowed.status, 200, "{allowed:?}");
    let head = shop.requests().pop().unwrap().to_lowercase();
    assert!(head.starts_with("get /cart?item=1") && head.contains("x-user: ada"), "{head}");
    assert!(!head.contains("root"), "{head}");
    // A body goes on although the service saw none of it.
    let posted = site.curl("shop.test", "/cart", &["--http1.1", "--user", "ada:secret", "--data", "item=1"]);
    assert_eq!(posted.status, 200, "{posted:?}");

    // Both hops are seen.
    let endpoints = proxy.page("/endpoints").unwrap().1;
    assert!(endpoints.contains(&format!("127.0.0.1:{port}")), "{endpoints}");
    let checked = site.check(&[]);
    assert!(checked.code == Some(0) && checked.out.contains("authz"), "{checked:?}");
}

/// Wrong name, unknown CA, no TLS at all: nothing is asked, and nothing goes on.
fn nobody_decides_who_does_not_prove_it(stack: Stack) {
    let (site, shop) = Site::shop();
    let plain = Server::plain("plain");
    let wrong = Server::tls("wrong", site.backends.leaf(&["else.test"]).server(&["http/1.1"]));
    let stranger = Server::tls("stranger", Leaf::self_signed(&[BACKEND]).server(&["http/1.1"]));
    authorized(&site, HTTP);
    service(&site, wrong.port);
    let proxy = site.start(stack);
    for (server, reasons) in [
        (&wrong, &["NameMismatch"][..]),
        (&stranger, &["UntrustedChain", "BadCertificate"]),
        (&plain, &["NotTls", "HandshakeTimeout"]),
    ] {
        service(&site, server.port);
        let mut tries = 0;
        let refused = within(PATIENCE, || {
            tries += 1;
            let path = format!("/{}/{tries}", server.port);
            let answer = site.curl("shop.test", &path, &["--http1.1", "--user", "ada:secret"]);
            assert!(answer.status >= 500, "{answer:?}");
            let record = proxy.record_of("shop.test", &path);
            let reason = record["reason"].as_str().unwrap_or_default();
            (server.connections() > 0 && reasons.contains(&reason)).then_some(record)
        });
        let record = refused.unwrap_or_else(|| panic!("{reasons:?}: {}", proxy.log()));
        assert!(record["backend"].as_str().unwrap().contains("authz"), "{record}");
        assert!(server.requests().is_empty(), "{:?}", server.requests());
    }
    assert!(shop.requests().is_empty(), "{:?}", shop.requests());
    // Without a policy that can be honoured nobody is asked at all.
    site.write("policy-authz.yaml", &manifests::policy("authz", "authz", BACKEND, "nothing", ""));
    let mut tries = 0;
    let refused = within(PATIENCE, || {
        tries += 1;
        let path = format!("/last/{tries}");
        site.get("shop.test", &path);
        (proxy.record_of("shop.test", &path)["reason"] == "PolicyRefused").then_some(())
    });
    assert!(refused.is_some());
    assert!(shop.requests().is_empty());
}

fn by_envoys_protocol(stack: Stack) {
    let (site, shop) = Site::shop();
    let authz = ext_authz::start(&site.leaf());
    service(&site, authz.port);
    authorized(&site, "        protocol: GRPC\n        grpc: {}\n        forwardBody: {maxSize: 100}\n");
    let proxy = site.start(stack);
    let refused = site.get("shop.test", "/cart");
    assert_eq!((refused.status, refused.header("x-why")), (403, Some("no session")), "{refused:?}");
    assert!(shop.requests().is_empty());

    let flags = ["--http1.1", "-H", "x-session: 7", "-H", "x-user: root", "--data", "item=1"];
    let allowed = site.curl("shop.test", "/cart?token=t", &flags);
    assert_eq!((allowed.status, allowed.header("x-checked")), (200, Some("yes")), "{allowed:?}");
    let head = shop.requests().pop().unwrap().to_lowercase();
    assert!(head.starts_with("post /cart?tenant=7") && head.contains("x-user: ada"), "{head}");
    assert!(!head.contains("root") && !head.contains("x-session"), "{head}");
    let asked = authz.asked();
    let last = asked.last().unwrap();
    assert_eq!(
        (last.method.as_str(), last.path.as_str(), last.body.as_str()),
        ("POST", "/cart?token=t", "item=1")
    );
    assert_eq!(
        (last.host.as_str(), last.scheme.as_str()),
        (format!("shop.test:{}", site.https).as_str(), "https")
    );

    // It sees all of a body, or the request goes nowhere.
    let (asked, served) = (authz.asked().len(), shop.requests().len());
    let file = site.work().join("large");
    std::fs::write(&file, "x".repeat(300_000)).unwrap();
    let data = format!("@{}", file.display());
    for (path, framed) in [("/large", "x-framed: by its length"), ("/chunked", "transfer-encoding: chunked")]
    {
        let flags = ["--http1.1", "-H", "x-session: 7", "-H", framed, "--data-binary", &data];
        assert_eq!(site.curl("shop.test", path, &flags).status, 413);
        assert_eq!(proxy.record_of("shop.test", path)["reason"], "BodyTooLarge");
    }
    assert_eq!((authz.asked().len(), shop.requests().len()), (asked, served));

    // A gRPC client hears it in its own terms.
    let head = ["--http2", "-XPOST", "-H", "content-type: application/grpc", "-H", "te: trailers"];
    let refused = site.curl("shop.test", "/a.B/C", &head);
    assert_eq!((refused.status, refused.header("grpc-status")), (200, Some("7")), "{refused:?}");
    assert_eq!(proxy.record_of("shop.test", "/a.B/C")["reason"], "AuthorizationDenied");
    let probed = std::process::Command::new(crate::support::proxy::binary())
        .args(["probe", "--tls-backend", stack.name(), "--config"])
        .arg(site.manifests())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&probed.stdout);
    assert!(probed.status.success() && said.contains("default/authz:443"), "{said}");
}
