//! Policies that cannot be honoured: the status says so, `check` says so, and the backend gets not one byte.

use std::time::Duration;

use crate::{
    for_each_stack,
    refusals::{conceals, counts},
    support::{
        Stack,
        certificates::Authority,
        manifests,
        proxy::Proxy,
        server::Server,
        site::{BACKEND, Site},
    },
};

for_each_stack!(
    missing_ca,
    empty_ca,
    unparsable_ca,
    ca_of_unknown_kind,
    unknown_option,
    unknown_value_of_an_option,
    missing_client_certificate,
    hostname_beside_other_names,
    authorities_of_every_kind,
    the_systems_store,
    less_verified_with_the_operators_leave,
    options_reach_the_handshake,
    conflict,
    no_policy_is_plaintext,
    policy_added_later_ends_plaintext,
    connections_belong_to_one_policy,
    sessions_are_resumed,
    sessions_belong_to_one_policy,
);

fn missing_ca(stack: Stack) {
    refused_by_status(stack, "NoValidCACertificate", |site| site.remove("ca.yaml"));
}

fn empty_ca(stack: Stack) {
    refused_by_status(stack, "NoValidCACertificate", |site| {
        site.write("ca.yaml", &manifests::config_map("ca", ""))
    });
}

fn unparsable_ca(stack: Stack) {
    let text = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    refused_by_status(stack, "NoValidCACertificate", |site| {
        site.write("ca.yaml", &manifests::config_map("ca", text))
    });
}

fn ca_of_unknown_kind(stack: Stack) {
    refused_by_status(stack, "InvalidKind", |site| {
        let policy =
            manifests::policy("shop", "shop", BACKEND, "ca", "").replace("kind: ConfigMap", "kind: Bundle");
        site.write("policy-shop.yaml", &policy);
    });
}

fn unknown_option(stack: Stack) {
    refused_by_status(stack, "lasthop.dev/min-verzion", |site| {
        site.policy("shop", "  options:\n    lasthop.dev/min-verzion: \"1.3\"\n");
    });
}

fn unknown_value_of_an_option(stack: Stack) {
    refused_by_status(stack, "lasthop.dev/min-version", |site| {
        site.policy("shop", "  options:\n    lasthop.dev/min-version: \"1.4\"\n");
    });
}

fn missing_client_certificate(stack: Stack) {
    refused_by_status(stack, "lasthop.dev/client-certificate-ref", |site| {
        site.policy("shop", "  options:\n    lasthop.dev/client-certificate-ref: nowhere\n");
    });
}

/// A backend that proves one of the other names must prove the host name too, once the policy asks for it.
fn hostname_beside_other_names(stack: Stack) {
    let site = Site::new();
    let other = "    subjectAltNames: [{type: Hostname, hostname: other.test}]\n";
    let both = format!("{other}  options:\n    lasthop.dev/require-hostname: \"true\"\n");
    for (service, names) in [("right", &[BACKEND, "other.test"][..]), ("wrong", &["other.test"])] {
        let server = Server::tls(service, site.backends.leaf(names).server(&["http/1.1"]));
        site.plain_backend(service, server.port);
        site.policy(service, other);
    }
    let proxy = site.start(stack);
    for host in ["right.test", "wrong.test"] {
        assert_eq!(site.get(host, "/").status, 200, "{host}: one of the other names is enough");
    }
    site.policy("right", &both);
    site.policy("wrong", &both);
    let refused = crate::support::within(Duration::from_secs(5), || {
        (site.get("wrong.test", "/").status == 502).then_some(())
    });
    assert!(refused.is_some(), "a backend without the host name is still used");
    assert_eq!(site.get("right.test", "/").status, 200);
    let record = proxy.wait_access(|record| record["status"] == 502);
    assert_eq!(record["reason"], "NameMismatch", "{record}");
    let detail = record["detail"].as_str().unwrap();
    assert!(detail.contains("expected DNS:backend.test and one of DNS:other.test"), "{record}");
    let checked = site.check(&[]);
    assert!(checked.out.contains("name DNS:backend.test and DNS:other.test"), "{checked:?}");
}

/// One policy trusts the CAs of a ConfigMap, a Secret and a ClusterTrustBundle together. A certificate that cannot be
/// used is named in the log and takes nothing away from the others.
fn authorities_of_every_kind(stack: Stack) {
    let site = Site::new();
    let (secret, bundle) = (Authority::new("secret CA"), Authority::new("bundle CA"));
    let spoilt = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    site.write("ca.yaml", &manifests::config_map("ca", &format!("{spoilt}{}", site.backends.pem())));
    let text = |pem: &str| serde_json::to_string(pem).unwrap();
    site.write(
        "authorities.yaml",
        &format!(
            "apiVersion: v1
kind: Secret
metadata: {{name: ca, namespace: default}}
stringData: {{ca-bundle.crt: {}}}
---
apiVersion: certificates.k8s.io/v1
kind: ClusterTrustBundle
metadata: {{name: ca}}
spec: {{trustBundle: {}}}
",
            text(&secret.pem()),
            text(&bundle.pem())
        ),
    );
    let more = "    - {group: \"\", kind: Secret, name: ca}
    - {group: certificates.k8s.io, kind: ClusterTrustBundle, name: ca}
  options:
    lasthop.dev/ca-key: ca-bundle.crt, ca.crt
";
    let stranger = Authority::new("stranger");
    let authorities = [("shop", &site.backends), ("a", &secret), ("b", &bundle), ("wrong", &stranger)];
    let servers = authorities.map(|(service, authority)| {
        let server = Server::tls(service, authority.leaf(&[BACKEND]).server(&["http/1.1"]));
        site.plain_backend(service, server.port);
        site.policy(service, more);
        server
    });
    let checked = site.check(&[]);
    for source in ["ConfigMap default/ca", "Secret default/ca", "ClusterTrustBundle ca"] {
        assert!(checked.out.contains(&format!("{source} (1 certificate)")), "{source}: {checked:?}");
    }
    let proxy = site.start(stack);
    proxy.wait_log(&["certificate 1 of ConfigMap default/ca", "passed over"]);
    for host in ["shop.test", "a.test", "b.test"] {
        assert_eq!(site.get(host, "/").status, 200, "{host}");
    }
    assert_eq!(site.get("wrong.test", "/").status, 502);
    assert_eq!(proxy.record_of("wrong.test", "/")["reason"], "UntrustedChain");
    assert!(servers[3].requests().is_empty());
}

/// The machine's own trust store, which the environment can put elsewhere.
fn the_systems_store(stack: Stack) {
    let site = Site::new();
    let server = Server::tls("good", site.leaf().server(&["http/1.1"]));
    site.plain_backend("shop", server.port);
    let policy = manifests::policy("shop", "shop", BACKEND, "ca", "");
    let (before, _) = policy.split_once("    caCertificateRefs").unwrap();
    site.write("policy-shop.yaml", &format!("{before}    wellKnownCACertificates: System\n"));
    let probe = |store: &str| {
        let file = site.work().join("system.pem");
        std::fs::write(&file, store).unwrap();
        let mut command = std::process::Command::new(crate::support::proxy::binary());
        command.arg("probe").arg("--config").arg(site.manifests()).args(["--tls-backend", stack.name()]);
        command.env("SSL_CERT_FILE", &file).env_remove("SSL_CERT_DIR");
        let output = command.output().unwrap();
        (output.status.code(), String::from_utf8_lossy(&output.stdout).into_owned())
    };
    let (code, out) = probe(&site.backends.pem());
    assert_eq!(code, Some(0), "{out}");
    let (code, out) = probe(&Authority::new("backend CA").pem());
    assert!(
        code == Some(1) && out.contains("System holds a CA named CN=backend CA that is not the one"),
        "{out}"
    );
    // Without any CA there is no policy, and no handshake.
    let connections = server.connections();
    let (code, out) = probe("");
    assert!(code == Some(1) && out.contains("the system's trust store could not be read"), "{out}");
    assert_eq!(server.connections(), connections);
}

/// `verify: chain` and `verify: none` mean something only where the operator of the proxy says so.
fn less_verified_with_the_operators_leave(stack: Stack) {
    let site = Site::new();
    let stranger = Authority::new("stranger");
    let named =
        |authority: &Authority, names| Server::tls("some", authority.leaf(names).server(&["http/1.1"]));
    let servers = [
        ("right", "chain", named(&site.backends, &["other.test"])),
        ("wrong", "chain", named(&stranger, &[BACKEND])),
        ("shop", "none", named(&stranger, &["other.test"])),
    ];
    for (service, mode, server) in &servers {
        site.plain_backend(service, server.port);
        site.policy(service, &format!("  options:\n    lasthop.dev/verify: {mode}\n"));
    }
    let checked = site.check(&[]);
    assert_eq!(checked.code, Some(1), "{checked:?}");
    assert!(checked.out.contains("the operator of the gateway has not allowed that"), "{checked:?}");
    let checked = site.check(&["--allow-insecure-verify"]);
    assert_eq!(checked.code, Some(0), "{checked:?}");
    for wanted in ["(1 certificate), any name;", "not verified;"] {
        assert!(checked.out.contains(wanted), "{wanted}: {checked:?}");
    }
    {
        let _proxy = site.start(stack);
        for host in ["right.test", "wrong.test", "shop.test"] {
            assert_eq!(site.get(host, "/").status, 502, "{host}");
        }
        assert!(servers.iter().all(|(_, _, server)| server.connections() == 0));
    }
    let flags = ["--allow-insecure-verify"];
    let mut proxy = Proxy::start_without_waiting(stack, &site.manifests(), site.work(), &flags);
    proxy.wait_ready(&[site.https, site.http]);
    let statuses = ["right.test", "wrong.test", "shop.test"].map(|host| site.get(host, "/").status);
    assert_eq!(statuses, [200, 502, 200]);
    assert_eq!(proxy.record_of("wrong.test", "/")["reason"], "UntrustedChain");
}

/// What the options say about the protocol is what a handshake comes to.
fn options_reach_the_handshake(stack: Stack) {
    let site = Site::new();
    let server = Server::tls("good", site.leaf().server(&["http/1.1"]));
    site.plain_backend("shop", server.port);
    let handshake = |options: &[(&str, &str)]| {
        let lines = options.iter().map(|(key, value)| format!("    lasthop.dev/{key}: \"{value}\"\n"));
        site.policy("shop", &format!("  options:\n{}", lines.collect::<String>()));
        let mut command = std::process::Command::new(crate::support::proxy::binary());
        command.arg("probe").arg("--config").arg(site.manifests()).args(["--tls-backend", stack.name()]);
        let output = command.args(["--output", "json"]).output().unwrap();
        let value: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        let endpoint = &value["endpoints"][0];
        assert_eq!(endpoint["verdict"], "ok", "{value:#}");
        ["version", "group", "cipherSuite"]
            .map(|key| endpoint["tls"][key].as_str().unwrap_or_default().to_owned())
    };
    let [version, group, _] = handshake(&[("session-resumption", "true")]);
    assert_eq!((&*version, &*group), ("1.3", "X25519MLKEM768"));
    let [version, group, _] = handshake(&[("min-version", "1.3"), ("groups", "secp384r1, x25519")]);
    assert_eq!((&*version, &*group), ("1.3", "secp384r1"));
    for suite in ["TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384", "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256"]
    {
        let told = handshake(&[("max-version", "1.2"), ("cipher-suites", suite), ("groups", "secp256r1")]);
        assert_eq!(told, ["1.2", "secp256r1", suite]);
    }
    handshake(&[("sni", "none")]);
    handshake(&[("sni", "another.test")]);
    let names = server.seen.server_names.lock().unwrap().clone();
    assert_eq!(names[names.len() - 2..], [None, Some("another.test".to_owned())]);

    handshake(&[("session-resumption", "false")]);
    let proxy = site.start(stack);
    let mut client = site.connect("shop.test");
    for _ in 0..5 {
        assert_eq!(client.get("shop.test", "/close").unwrap().status, 200);
    }
    let resumed = crate::support::within(Duration::from_secs(5), || {
        let records = proxy.access_log();
        (records.len() == 5).then(|| records.iter().filter(|record| record["resumed"] == true).count())
    });
    assert_eq!(resumed, Some(0));
}

/// Of two policies for one Service the older is in force, and the other one is told that it is not.
fn conflict(stack: Stack) {
    let site = Site::new();
    let server = Server::tls("good", site.leaf().server(&[]));
    site.plain_backend("shop", server.port);
    let other = Authority::new("other CA");
    site.write("other-ca.yaml", &manifests::config_map("other-ca", &other.pem()));
    let dated = |name: &str, ca: &str, date: &str| {
        manifests::policy(name, "shop", BACKEND, ca, "").replace(
            "  namespace: default\n",
            &format!("  namespace: default\n  creationTimestamp: {date}\n"),
        )
    };
    site.write("policy-a.yaml", &dated("a-newer", "other-ca", "2026-02-01T00:00:00Z"));
    site.write("policy-b.yaml", &dated("b-older", "ca", "2026-01-01T00:00:00Z"));
    let checked = site.check(&["--output", "json"]);
    assert_eq!(checked.code, Some(1), "{checked:?}");
    assert!(checked.out.contains("Conflicted"), "{checked:?}");
    let _proxy = site.start(stack);
    assert_eq!(site.get("shop.test", "/").status, 200);
    // The other way round, the older one trusts a CA that did not sign: the newer must not help.
    site.write("policy-b.yaml", &dated("b-older", "ca", "2026-03-01T00:00:00Z"));
    let refused = crate::support::within(Duration::from_secs(5), || {
        (site.get("shop.test", "/").status == 502).then_some(())
    });
    assert!(refused.is_some(), "the younger policy is in force");
}

/// The control for the tests here: without a policy the same backend is spoken to in plaintext.
fn no_policy_is_plaintext(stack: Stack) {
    let site = Site::new();
    let server = Server::plain("plain");
    site.plain_backend("shop", server.port);
    let proxy = site.start(stack);
    assert_eq!(site.get("shop.test", "/").status, 200);
    assert!(proxy.record_of("shop.test", "/")["tls"].is_null());
}

/// Once a policy is there, no pooled plaintext connection is used.
fn policy_added_later_ends_plaintext(stack: Stack) {
    let site = Site::new();
    let server = Server::plain("plain");
    site.plain_backend("shop", server.port);
    let _proxy = site.start(stack);
    assert_eq!(site.get("shop.test", "/").status, 200);
    site.write("ca.yaml", &manifests::config_map("ca", "nonsense"));
    site.policy("shop", "");
    let refused = crate::support::within(Duration::from_secs(5), || {
        (site.get("shop.test", "/").status == 502).then_some(())
    });
    assert!(refused.is_some(), "plaintext goes on under a policy");
    let requests = server.requests().len();
    assert_eq!(site.get("shop.test", "/").status, 502);
    assert_eq!(server.requests().len(), requests);
}

/// Two Services with the same endpoint, each with a policy; one trusts a CA that did not sign. What the other one has
/// proved and keeps open is of no use to it.
fn connections_belong_to_one_policy(stack: Stack) {
    let site = Site::new();
    let server = Server::tls("good", site.leaf().server(&["http/1.1"]));
    site.tls_backend("right", server.port);
    site.plain_backend("wrong", server.port);
    site.write("wrong-ca.yaml", &manifests::config_map("wrong-ca", &Authority::new("backend CA").pem()));
    site.write("policy-wrong.yaml", &manifests::policy("wrong", "wrong", BACKEND, "wrong-ca", ""));
    let _proxy = site.start(stack);
    let mut client = site.connect("right.test");
    for _ in 0..20 {
        assert_eq!(client.get("right.test", "/").unwrap().status, 200);
        assert_eq!(client.get("wrong.test", "/").unwrap().status, 502);
    }
    assert_eq!(server.requests().len(), 20);
}

/// A second connection under the same policy resumes the first one's session.
fn sessions_are_resumed(stack: Stack) {
    let site = Site::new();
    let server = Server::tls("good", site.leaf().server(&["http/1.1"]));
    site.tls_backend("shop", server.port);
    let proxy = site.start(stack);
    let mut client = site.connect("shop.test");
    for _ in 0..10 {
        assert_eq!(client.get("shop.test", "/close").unwrap().status, 200);
    }
    assert!(server.connections() >= 10, "{}", server.connections());
    let resumed = crate::support::within(Duration::from_secs(5), || {
        let records = proxy.access_log();
        (records.len() == 10).then(|| records.iter().filter(|record| record["resumed"] == true).count())
    });
    assert!(resumed.is_some_and(|resumed| resumed >= 8), "{resumed:?} of 10");
}

/// As [`connections_belong_to_one_policy`], for sessions: no connection is ever left open to be shared.
fn sessions_belong_to_one_policy(stack: Stack) {
    let site = Site::new();
    let server = Server::tls("good", site.leaf().server(&["http/1.1"]));
    site.tls_backend("right", server.port);
    site.plain_backend("wrong", server.port);
    site.write("policy-wrong.yaml", &manifests::policy("wrong", "wrong", "other.test", "ca", ""));
    let proxy = site.start(stack);
    let mut client = site.connect("right.test");
    for _ in 0..5 {
        assert_eq!(client.get("right.test", "/close").unwrap().status, 200);
        assert_eq!(client.get("wrong.test", "/close").unwrap().status, 502);
    }
    assert_eq!(server.requests().len(), 5);
    assert_eq!(proxy.wait_access(|record| record["status"] == 502)["reason"], "NameMismatch");
}

/// With a policy that `spoil` breaks: `check` exits with 1 and names `told`; the backend gets no connection.
fn refused_by_status(stack: Stack, told: &str, spoil: impl Fn(&Site)) {
    let site = Site::new();
    let server = Server::silent();
    site.tls_backend("shop", server.port);
    let fine = site.check(&[]);
    assert_eq!(fine.code, Some(0), "before it was spoilt: {fine:?}");
    spoil(&site);
    for flags in [&["--output", "json"][..], &[]] {
        let checked = site.check(flags);
        assert_eq!(checked.code, Some(1), "{checked:?}");
        assert!(checked.out.contains(told), "{told:?} is not in {checked:?}");
        assert!(checked.out.contains("shop"), "{checked:?}");
    }
    let proxy = site.start(stack);
    for version in ["--http1.1", "--http2"] {
        let answer = site.curl("shop.test", "/", &[version]);
        assert!((500..600).contains(&answer.status), "{answer:?}");
        conceals(&answer, "PolicyRefused");
    }
    assert_eq!(proxy.record_of("shop.test", "/")["reason"], "PolicyRefused");
    counts(&proxy, "PolicyRefused");
    assert_eq!((server.connections(), server.bytes()), (0, 0), "the backend was spoken to");
}
