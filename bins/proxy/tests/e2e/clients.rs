//! Clients of every kind: curl with HTTP/1.1, HTTP/2 and HTTP/2 without TLS, and WebSockets.

use std::{io::Read, process::Command};

use crate::{
    for_each_stack,
    support::{
        Stack,
        certificates::Leaf,
        client::Client,
        curl, manifests,
        server::Server,
        site::Site,
        websocket::{Opcode, WebSocket},
    },
};

for_each_stack!(
    curl_over_tls,
    curl_without_tls,
    nghttp_with_many_streams,
    bodies_both_ways,
    expectation,
    trailers,
    websocket_to_tls,
    websocket_to_plaintext,
    certificates_by_server_name,
    unknown_host_and_path,
    forwarded_fields,
    no_endpoint,
);

fn curl_over_tls(stack: Stack) {
    let (site, server) = Site::shop();
    let proxy = site.start(stack);
    for (flag, version) in [("--http1.1", "1.1"), ("--http2", "2")] {
        let answer = site.curl("shop.test", "/", &[flag]);
        assert_eq!((answer.status, answer.version.as_str()), (200, version), "{answer:?}");
        assert_eq!(answer.header("x-backend"), Some("shop"), "{answer:?}");
    }
    // One connection to the backend did for both clients, or one for each worker.
    assert!(server.connections() <= 2, "{}", server.connections());
    let protocols: Vec<_> = proxy.access_log().iter().map(|record| record["protocol"].clone()).collect();
    assert!(protocols.iter().all(|protocol| protocol == "HTTP/1.1" || protocol == "HTTP/2"), "{protocols:?}");
}

fn curl_without_tls(stack: Stack) {
    let (site, _server) = Site::shop();
    let _proxy = site.start(stack);
    for (flag, version) in [("--http1.1", "1.1"), ("--http2-prior-knowledge", "2")] {
        let answer = curl::http("shop.test", site.http, "/", &[flag]);
        assert_eq!((answer.status, answer.version.as_str()), (200, version), "{answer:?}");
        assert_eq!(answer.header("x-backend"), Some("shop"), "{answer:?}");
    }
}

/// More requests at once on one connection than the proxy lets through at a time: they wait, and all are answered.
fn nghttp_with_many_streams(stack: Stack) {
    let (site, server) = Site::shop();
    let _proxy = site.start(stack);
    let output = Command::new("nghttp")
        .args(["-n", "-s", "-y", "-m", "250", "-H", ":authority: shop.test"])
        .arg(format!("https://127.0.0.1:{}/", site.https))
        .output()
        .expect("nghttp is needed: cargo xtask setup");
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    // "id  responseEnd  requestStart  process  code  size  path"
    let answered = printed.lines().filter(|line| line.split_whitespace().nth(4) == Some("200")).count();
    assert_eq!(answered, 250, "{printed}");
    assert_eq!(server.requests().len(), 250);
}

fn bodies_both_ways(stack: Stack) {
    let (site, _server) = Site::shop();
    let _proxy = site.start(stack);
    let body: String = (0..40_000).map(|number| format!("{number:07}\n")).collect();
    let file = site.work().join("body");
    std::fs::write(&file, &body).unwrap();
    let data = format!("@{}", file.display());
    for version in ["--http1.1", "--http2"] {
        for more in [&[][..], &["-H", "transfer-encoding: chunked"][..]] {
            let mut flags = vec![version, "--data-binary", &data];
            if version == "--http1.1" {
                flags.extend(more);
            }
            let answer = site.curl("shop.test", "/echo", &flags);
            assert_eq!(answer.status, 200, "{}", answer.complaint);
            assert!(answer.body == body, "{} bytes came back of {}", answer.body.len(), body.len());
        }
    }
}

fn expectation(stack: Stack) {
    let (site, _server) = Site::shop();
    let _proxy = site.start(stack);
    let mut client = site.connect("shop.test");
    client
        .send(b"POST /echo HTTP/1.1\r\nhost: shop.test\r\nexpect: 100-continue\r\ncontent-length: 4\r\n\r\n")
        .unwrap();
    // The body is only sent once the proxy says so.
    let mut said = [0; 25];
    client.stream().read_exact(&mut said).unwrap();
    assert_eq!(String::from_utf8_lossy(&said), "HTTP/1.1 100 Continue\r\n\r\n");
    let answer = client.exchange(b"body").unwrap();
    assert_eq!((answer.status, answer.body.as_str()), (200, "body"));
}

fn trailers(stack: Stack) {
    let (site, _server) = Site::shop();
    let _proxy = site.start(stack);
    let answer = site
        .connect("shop.test")
        .exchange(b"GET /trailers HTTP/1.1\r\nhost: shop.test\r\nte: trailers\r\n\r\n")
        .unwrap();
    assert_eq!(answer.status, 200);
    assert_eq!(answer.body, "hello\ntrailer x-sum: 5");
    let answer = site.curl("shop.test", "/trailers", &["--http2", "-H", "te: trailers"]);
    // curl writes the trailers of HTTP/2 behind the head or the body, by its version.
    assert!(
        answer.status == 200 && format!("{}{}", answer.head, answer.body).contains("hello"),
        "{answer:?}"
    );
}

fn websocket_to_tls(stack: Stack) {
    let site = Site::new();
    let server = Server::tls("chat", site.leaf().server(&["http/1.1"]));
    site.tls_backend("chat", server.port);
    let _proxy = site.start(stack);
    chat(site.connect("chat.test"));
    // And the proxy's side without TLS.
    chat(Client::plain(site.http).unwrap());
}

fn websocket_to_plaintext(stack: Stack) {
    let site = Site::new();
    let server = Server::plain("chat");
    site.plain_backend("chat", server.port);
    site.write("service-chat.yaml", &manifests::service("chat", &[server.port], Some("kubernetes.io/ws")));
    let _proxy = site.start(stack);
    chat(site.connect("chat.test"));
}

fn chat(client: Client) {
    let mut socket = WebSocket::open(client, "chat.test", "/chat").unwrap();
    let long = vec![b'x'; 100_000];
    for (opcode, payload) in
        [(Opcode::Text, &b"hello"[..]), (Opcode::Binary, &[0; 300]), (Opcode::Text, &long)]
    {
        socket.send(opcode, payload).unwrap();
        assert_eq!(socket.receive().unwrap(), (opcode, payload.to_vec()));
    }
    socket.send(Opcode::Ping, b"there?").unwrap();
    assert_eq!(socket.receive().unwrap(), (Opcode::Pong, b"there?".to_vec()));
    socket.send(Opcode::Close, &1000_u16.to_be_bytes()).unwrap();
    assert_eq!(socket.receive().unwrap().0, Opcode::Close);
}

/// Two listeners on one port, a certificate each: the name the client asks for decides.
fn certificates_by_server_name(stack: Stack) {
    let (site, _server) = Site::shop();
    let listener = |name: &str, host: &str, secret: &str| {
        format!(
            "  - name: {name}\n    port: {}\n    protocol: HTTPS\n    hostname: \"{host}\"\n    tls:\n      \
             certificateRefs:\n      - name: {secret}\n",
            site.https
        )
    };
    let mut gateway =
        manifests::gateway(site.https, site.http, &listener("special", "special.test", "special"));
    gateway = gateway.replace(
        "    protocol: HTTPS\n    tls:\n      mode",
        "    protocol: HTTPS\n    hostname: \"*.test\"\n    tls:\n      mode",
    );
    site.write("gateway.yaml", &gateway);
    let special: Leaf = site.front.leaf(&["special.test"]);
    site.write("special.yaml", &manifests::secret("special", &special));
    site.write("route-special.yaml", &manifests::route("special", "special.test", "shop", ""));
    let _proxy = site.start(stack);
    for host in ["special.test", "shop.test"] {
        let answer = site.curl(host, "/", &["--http1.1", "-v"]);
        assert_eq!(answer.status, 200, "{answer:?}");
        let shown = if host == "special.test" {
            "matched cert's \"special.test\""
        } else {
            "matched cert's \"shop.test\""
        };
        assert!(answer.complaint.contains(shown), "{shown} is not in {}", answer.complaint);
    }
}

fn unknown_host_and_path(stack: Stack) {
    let (site, server) = Site::shop();
    let proxy = site.start(stack);
    let answer = site.get("nobody.test", "/");
    assert_eq!(answer.status, 404, "{answer:?}");
    assert_eq!(proxy.record_of("nobody.test", "/")["reason"], "NoRoute");
    assert_eq!(server.connections(), 0);
}

fn forwarded_fields(stack: Stack) {
    let (site, _server) = Site::shop();
    let _proxy = site.start(stack);
    let request =
        b"GET /head HTTP/1.1\r\nhost: shop.test\r\nconnection: keep-alive, x-secret\r\nx-secret: 1\r\n\
        keep-alive: timeout=5\r\nproxy-connection: close\r\nx-forwarded-proto: gopher\r\nx-mine: yes\r\n\r\n";
    let head = site.connect("shop.test").exchange(request).unwrap().body.to_ascii_lowercase();
    assert!(head.contains("\r\nx-mine: yes"), "{head}");
    assert!(head.contains("\r\nhost: shop.test"), "{head}");
    assert!(head.contains("\r\nx-forwarded-for: 127.0.0.1"), "{head}");
    assert!(head.contains("\r\nx-forwarded-proto: https"), "{head}");
    for gone in ["x-secret", "keep-alive:", "proxy-connection", "gopher"] {
        assert!(!head.contains(gone), "{gone} was passed on: {head}");
    }
}

fn no_endpoint(stack: Stack) {
    let site = Site::new();
    site.tls_backend("shop", 1);
    site.write("service-shop.yaml", &manifests::service("shop", &[], None));
    let proxy = site.start(stack);
    let answer = site.get("shop.test", "/");
    assert_eq!(answer.status, 503, "{answer:?}");
    assert_eq!(proxy.record_of("shop.test", "/")["reason"], "NoEndpoint");
    crate::refusals::conceals(&answer, "NoEndpoint");
}
