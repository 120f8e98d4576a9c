//! Manifests with mistakes: the mistake is named with its place, and everything else serves.

use std::net::TcpListener;

use crate::support::{
    ANY_STACK, curl, manifests, ports,
    processes::Process,
    proxy::Proxy,
    server::Server,
    site::{Site, check},
};

/// A site whose one host answers, to stand beside the mistake.
fn site_that_serves() -> (Site, Server) {
    let site = Site::new();
    let server = Server::tls("shop", site.leaf().server(&[]));
    site.tls_backend("shop", server.port);
    (site, server)
}

/// `check` and `run` both name all of this; the host still answers.
fn named_and_the_rest_serves(site: &Site, told: &[&str]) -> Proxy {
    let checked = site.check(&[]);
    assert_eq!(checked.code, Some(1), "{checked:?}");
    let said = format!("{}{}", checked.out, checked.err);
    for text in told {
        assert!(said.contains(text), "{text:?} is not in\n{said}");
    }
    let proxy = site.start(ANY_STACK);
    proxy.wait_log(told);
    assert_eq!(site.get("shop.test", "/").status, 200);
    proxy
}

#[test]
fn malformed_yaml() {
    let (site, _server) = site_that_serves();
    site.write("broken.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: x\n  labels: {a: [\n");
    named_and_the_rest_serves(&site, &["broken.yaml:"]);
}

#[test]
fn malformed_document_leaves_those_before_it() {
    let (site, server) = site_that_serves();
    let good = manifests::route("more", "more.test", "shop", "");
    site.write("mixed.yaml", &format!("{good}---\n\tno: yaml\n"));
    let _proxy = named_and_the_rest_serves(&site, &["mixed.yaml:"]);
    drop(server);
}

#[test]
fn unknown_field() {
    let (site, _server) = site_that_serves();
    let wrong = manifests::route("wrong", "wrong.test", "shop", "").replace("hostnames:", "hostnamez:");
    site.write("wrong.yaml", &wrong);
    // The field stands in line 9 of the file.
    let _proxy = named_and_the_rest_serves(&site, &["wrong.yaml:9", "hostnamez", "hostnames"]);
    assert_eq!(site.get("wrong.test", "/").status, 404);
}

#[test]
fn wrong_type() {
    let (site, _server) = site_that_serves();
    site.write(
        "wrong.yaml",
        &manifests::route("wrong", "wrong.test", "shop", "").replace("port: 443", "port: many"),
    );
    let _proxy = named_and_the_rest_serves(&site, &["wrong.yaml:14", "port", "many"]);
}

#[test]
fn broken_rule() {
    let (site, _server) = site_that_serves();
    site.write("wrong.yaml", &manifests::route("wrong", "-wrong-.test", "shop", ""));
    let _proxy = named_and_the_rest_serves(&site, &["wrong.yaml:10", "hostnames"]);
}

#[test]
fn unknown_kind_is_passed_over() {
    let (site, _server) = site_that_serves();
    site.write("widget.yaml", "apiVersion: example.test/v1\nkind: Widget\nmetadata:\n  name: w\n");
    let checked = site.check(&[]);
    assert_eq!(checked.code, Some(0), "{checked:?}");
    assert!(format!("{}{}", checked.out, checked.err).contains("Widget"), "{checked:?}");
    let _proxy = site.start(ANY_STACK);
    assert_eq!(site.get("shop.test", "/").status, 200);
}

#[test]
fn gateway_without_a_certificate() {
    let (site, _server) = site_that_serves();
    let port = ports::free();
    let listener = format!(
        "  - name: bare\n    port: {port}\n    protocol: HTTPS\n    tls:\n      certificateRefs:\n      - name: nowhere\n"
    );
    site.write("gateway.yaml", &manifests::gateway(site.https, site.http, &listener));
    let _proxy = named_and_the_rest_serves(&site, &["InvalidCertificateRef", "nowhere"]);
    let answer = curl::https(&site.front_ca(), "shop.test", port, "/", &[]);
    assert_eq!(answer.status, 0, "a listener without a certificate answered: {answer:?}");
}

#[test]
fn unknown_protocol() {
    let (site, _server) = site_that_serves();
    let listener = format!("  - name: odd\n    port: {}\n    protocol: GOPHER\n", ports::free());
    site.write("gateway.yaml", &manifests::gateway(site.https, site.http, &listener));
    let _proxy = named_and_the_rest_serves(&site, &["UnsupportedProtocol", "odd"]);
}

#[test]
fn port_in_use() {
    let (site, _server) = site_that_serves();
    let port = ports::free();
    let _taken = TcpListener::bind(("0.0.0.0", port)).unwrap();
    let listener = format!("  - name: taken\n    port: {port}\n    protocol: HTTP\n");
    site.write("gateway.yaml", &manifests::gateway(site.https, site.http, &listener));
    let proxy = site.start(ANY_STACK);
    proxy.wait_log(&[&port.to_string()]);
    assert_eq!(site.get("shop.test", "/").status, 200);
    let status = proxy.page("/status").unwrap().1;
    assert!(status.contains("PortUnavailable"), "{status}");
}

#[test]
fn forbidden_reference() {
    let (site, _server) = site_that_serves();
    let route = manifests::route("far", "far.test", "shop", "")
        .replace("    - name: shop\n", "    - name: shop\n      namespace: elsewhere\n");
    site.write("far.yaml", &route);
    let _proxy = named_and_the_rest_serves(&site, &["RefNotPermitted", "far"]);
    assert_eq!(site.get("far.test", "/").status, 500);
}

/// The sentence, the exit status, and an end within a short time, for `run` and `check` alike.
fn refused(manifests: &std::path::Path, told: &[&str]) {
    let work = tempfile::tempdir().unwrap();
    let checked = check(manifests, &[]);
    assert!(!matches!(checked.code, Some(0) | None), "{checked:?}");
    let mut command = std::process::Command::new(crate::support::proxy::binary());
    command.args(["run", "--admin", "off", "--config"]).arg(manifests);
    let mut process = Process::start(command, work.path(), "proxy");
    let ended = process.wait(crate::support::PATIENCE);
    assert!(ended.is_some_and(|status| !status.success()), "{ended:?} {}", process.err());
    for said in [format!("{}{}", checked.out, checked.err), process.err()] {
        for text in told {
            assert!(said.contains(text), "{text:?} is not in {said:?}");
        }
        assert!(!said.contains("panicked"), "{said}");
    }
}

#[test]
fn config_that_is_not_there() {
    refused(std::path::Path::new("/nonexistent/manifests"), &["/nonexistent/manifests"]);
}

#[test]
fn config_without_a_manifest() {
    let folder = tempfile::tempdir().unwrap();
    refused(folder.path(), &[&folder.path().display().to_string()]);
}

#[test]
fn config_without_a_gateway() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("ca.yaml"), manifests::config_map("ca", "x")).unwrap();
    refused(folder.path(), &["Gateway"]);
}

#[test]
fn command_line_mistakes() {
    for (arguments, told) in [
        (&["run", "--confg", "x"][..], "--config"),
        (&["run", "--config", "x", "--tls-backend", "openssl"][..], "rustls"),
        (&["serve"][..], "run"),
        (&["run"][..], "--config"),
    ] {
        let output =
            std::process::Command::new(crate::support::proxy::binary()).args(arguments).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success(), "{arguments:?}");
        assert!(said.contains(told), "{arguments:?}: {told:?} is not in {said}");
        assert!(!said.contains("panicked"), "{said}");
    }
}
