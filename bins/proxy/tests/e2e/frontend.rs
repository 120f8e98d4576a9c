//! What a Gateway asks of its clients (`spec.tls.frontend`), and what it shows them.

use ::rustls::{
    SupportedProtocolVersion,
    version::{TLS12, TLS13},
};
use rcgen::ExtendedKeyUsagePurpose;

use crate::{
    for_each_stack,
    support::{
        PATIENCE, Stack,
        certificates::{Authority, Leaf, Validity},
        client::Client,
        curl, manifests,
        openssl::{self, Said},
        ports,
        proxy::Proxy,
        server::Server,
        site::{HOSTS, Site},
        within,
    },
};

for_each_stack!(
    valid_certificates_only,
    insecure_fallback,
    per_port,
    authority_of_another_namespace,
    authority_that_is_none,
    authority_that_breaks_while_serving,
    one_bad_authority_of_two,
    sessions_from_before_validation,
    sessions_from_before_another_authority,
    sessions_of_a_port_that_asks_for_nothing,
    connections_from_before_validation,
    certificates_by_name_and_key,
    staple,
);

const VERSIONS: [&SupportedProtocolVersion; 2] = [&TLS12, &TLS13];
const GATEWAY: (&str, &str) = ("Gateway", "front");

/// `spec.tls.frontend` with a default validation by the ConfigMap.
fn asks(config_map: &str, mode: &str) -> String {
    format!("  tls:\n    frontend:\n      default:\n{}", validation(8, config_map, mode))
}

fn validation(indent: usize, config_map: &str, mode: &str) -> String {
    let space = " ".repeat(indent);
    format!(
        "{space}validation:\n{space}  mode: {mode}\n{space}  caCertificateRefs:\n{space}  - group: \"\"\n\
         {space}    kind: ConfigMap\n{space}    name: {config_map}\n"
    )
}

/// A site whose shop answers, and who signs the certificates of its clients: the ConfigMap `clients`.
struct Front {
    site: Site,
    server: Server,
    clients: Authority,
}

impl Front {
    fn new(gateway: &str) -> Self {
        let site = Site::with_gateway(gateway);
        let server = Server::tls("shop", site.leaf().server(&["http/1.1"]));
        site.tls_backend("shop", server.port);
        let clients = Authority::new("clients CA");
        site.write("clients.yaml", &manifests::config_map("clients", &clients.pem()));
        Self { site, server, clients }
    }

    fn gateway(&self, more: &str) {
        self.site.write("gateway.yaml", &manifests::gateway(self.site.https, self.site.http, more));
    }

    fn right(&self) -> Leaf {
        self.clients.leaf(&["client.test"])
    }

    /// Certificates that prove nothing, and the reason for which each is refused.
    fn wrong(&self) -> Vec<(Option<Leaf>, &'static str)> {
        let names = &["client.test"][..];
        let for_servers = self.clients.leaf_with(names, |params| {
            params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        });
        vec![
            (None, "NoPeerCertificate"),
            (Some(Authority::new("strange CA").leaf(names)), "UntrustedChain"),
            (Some(Authority::new("clients CA").leaf(names)), "BadCertificate"),
            (Some(Leaf::self_signed(names)), "UntrustedChain"),
            (Some(self.clients.leaf_valid(names, Validity::Over)), "Expired"),
            (Some(self.clients.leaf_valid(names, Validity::NotYet)), "NotYetValid"),
            (Some(for_servers), "WrongPurpose"),
        ]
    }

    /// A GET on the HTTPS port.
    fn ask(&self, version: &'static SupportedProtocolVersion, certificate: Option<&Leaf>) -> Answer {
        self.ask_at(self.site.https, version, certificate)
    }

    fn ask_at(
        &self,
        port: u16,
        version: &'static SupportedProtocolVersion,
        certificate: Option<&Leaf>,
    ) -> Answer {
        let config = self.site.front.client_speaking(&[version], &["http/1.1"], certificate);
        let answer = Client::tls(port, "shop.test", &config)
            .and_then(|mut client| client.get("shop.test", "/"))
            .map_err(|error| error.to_string());
        answer.map(|answer| answer.status)
    }

    /// Waits until the port serves clients without a certificate, or does not.
    fn becomes(&self, port: u16, serves: bool) {
        let became = within(PATIENCE, || (self.ask_at(port, &TLS13, None).is_ok() == serves).then_some(()));
        assert!(became.is_some(), "without a certificate: {:?}", self.ask_at(port, &TLS13, None));
    }

    /// Whoever it is, the HTTPS port serves nobody; the HTTP port does.
    fn serves_nobody(&self) {
        let requests = self.server.requests().len();
        let right = self.right();
        for version in VERSIONS {
            for certificate in [None, Some(&right)] {
                let answer = self.ask(version, certificate);
                assert!(answer.is_err(), "{answer:?}");
            }
        }
        assert_eq!(self.server.requests().len(), requests, "a request reached the backend");
        assert_eq!(curl::http("shop.test", self.site.http, "/", &[]).status, 200);
    }

    /// The right certificate is let in, with both versions; nobody else.
    fn serves_the_right_ones(&self) {
        let right = self.right();
        for version in VERSIONS {
            assert_eq!(self.ask(version, Some(&right)), Ok(200));
            for (certificate, reason) in self.wrong() {
                let answer = self.ask(version, certificate.as_ref());
                assert!(answer.is_err(), "{reason}: {answer:?}");
            }
        }
    }
}

type Answer = Result<u16, String>;

/// Handshakes with clients that ended like this.
fn handshakes(proxy: &Proxy, result: &str) -> f64 {
    proxy.metric("lasthop_tls_handshakes_total", &[("side", "downstream"), ("result", result)])
}

fn valid_certificates_only(stack: Stack) {
    let front = Front::new(&asks("clients", "AllowValidOnly"));
    let proxy = front.site.start(stack);
    let right = front.right();
    for version in VERSIONS {
        assert_eq!(front.ask(version, Some(&right)), Ok(200));
        for (certificate, reason) in front.wrong() {
            let (requests, before) = (front.server.requests().len(), handshakes(&proxy, reason));
            let answer = front.ask(version, certificate.as_ref());
            assert!(answer.is_err(), "{reason}: {answer:?}");
            let counted = within(PATIENCE, || (handshakes(&proxy, reason) == before + 1.0).then_some(()));
            assert!(counted.is_some(), "{version:?} {reason}: {}", proxy.metrics());
            assert_eq!(front.server.requests().len(), requests, "a request reached the backend");
        }
    }
    // The same with another client, and over HTTP/2.
    let (certificate, key) = right.write(front.site.work(), "right");
    let flags = ["--http2", "--cert", certificate.to_str().unwrap(), "--key", key.to_str().unwrap()];
    assert_eq!(front.site.curl("shop.test", "/", &flags).status, 200);
    let refused = front.site.curl("shop.test", "/", &["--http2"]);
    assert_eq!(refused.status, 0, "{refused:?}");
    assert!(refused.complaint.starts_with("curl: ("), "{refused:?}");
    assert_eq!(curl::http("shop.test", front.site.http, "/", &[]).status, 200);
    proxy.wait_condition(GATEWAY, ("listener https", "ResolvedRefs"), ("True", "ResolvedRefs"));
}

/// Everybody is served, but the certificate is asked for, and the status warns.
fn insecure_fallback(stack: Stack) {
    let front = Front::new(&asks("clients", "AllowInsecureFallback"));
    let proxy = front.site.start(stack);
    for version in VERSIONS {
        assert_eq!(front.ask(version, Some(&front.right())), Ok(200));
        for (certificate, reason) in front.wrong() {
            assert_eq!(front.ask(version, certificate.as_ref()), Ok(200), "{version:?} {reason}");
        }
    }
    for version in ["-tls1_2", "-tls1_3"] {
        let said = openssl::client(front.site.https, "shop.test", &[version]);
        assert_eq!(said.status(), Some(200), "{said:?}");
        assert!(said.out.contains("Acceptable client certificate CA names\nCN = clients CA"), "{said:?}");
    }
    let insecure = ("", "InsecureFrontendValidationMode");
    proxy.wait_condition(GATEWAY, insecure, ("True", "ConfigurationChanged"));
    front.gateway(&asks("clients", "AllowValidOnly"));
    front.becomes(front.site.https, false);
    front.serves_the_right_ones();
    let status = proxy.page("/status").unwrap().1;
    assert!(!status.contains("InsecureFrontendValidationMode"), "{status}");
}

/// An entry for a port replaces the default there: by another CA, or by nothing.
fn per_port(stack: Stack) {
    let (other, open) = (ports::free(), ports::free());
    let listener = |name: &str, port: u16| {
        format!(
            "  - name: {name}\n    port: {port}\n    protocol: HTTPS\n    tls:\n      certificateRefs:\n      - name: front\n"
        )
    };
    let front = Front::new("");
    let others = Authority::new("others CA");
    front.site.write("others.yaml", &manifests::config_map("others", &others.pem()));
    front.gateway(&format!(
        "{}{}{}      perPort:\n      - port: {other}\n        tls:\n{}      - port: {open}\n        tls: {{}}\n      - port: {http}\n        tls:\n{}",
        listener("other", other),
        listener("open", open),
        asks("clients", "AllowValidOnly"),
        validation(10, "others", "AllowValidOnly"),
        validation(10, "clients", "AllowValidOnly"),
        http = front.site.http,
    ));
    let _proxy = front.site.start(stack);
    let (right, of_others) = (front.right(), others.leaf(&["client.test"]));
    for version in VERSIONS {
        let ask = |port, certificate| front.ask_at(port, version, certificate);
        let served = [
            (front.site.https, Some(&right)),
            (other, Some(&of_others)),
            (open, None),
            (open, Some(&right)),
            (open, Some(&of_others)),
        ];
        for (port, certificate) in served {
            assert_eq!(ask(port, certificate), Ok(200), "{version:?} {port}");
        }
        let refused = [
            (front.site.https, None),
            (front.site.https, Some(&of_others)),
            (other, None),
            (other, Some(&right)),
        ];
        for (port, certificate) in refused {
            let answer = ask(port, certificate);
            assert!(answer.is_err(), "{version:?} {port}: {answer:?}");
        }
    }
    assert_eq!(curl::http("shop.test", front.site.http, "/", &[]).status, 200);
}

fn authority_of_another_namespace(stack: Stack) {
    let front =
        Front::new(&format!("{}            namespace: elsewhere\n", asks("clients", "AllowValidOnly")));
    front.site.remove("clients.yaml");
    let far = manifests::config_map("clients", &front.clients.pem())
        .replace("namespace: default", "namespace: elsewhere");
    front.site.write("far.yaml", &far);
    // A grant for something else is none.
    front.site.write("grant.yaml", &manifests::grant_to_gateways("Secret"));
    let proxy = Proxy::start(stack, &front.site.manifests(), front.site.work(), &[front.site.http]);
    let refused = |proxy: &Proxy| {
        proxy.wait_condition(GATEWAY, ("listener https", "ResolvedRefs"), ("False", "RefNotPermitted"));
        proxy.wait_condition(GATEWAY, ("listener https", "Accepted"), ("False", "NoValidCACertificate"));
        proxy.wait_condition(GATEWAY, ("listener https", "Programmed"), ("False", "Invalid"));
        proxy.wait_condition(GATEWAY, ("listener http", "Programmed"), ("True", "Programmed"));
        front.serves_nobody();
    };
    refused(&proxy);
    front.site.write("grant.yaml", &manifests::grant_to_gateways("ConfigMap"));
    proxy.wait_condition(GATEWAY, ("listener https", "ResolvedRefs"), ("True", "ResolvedRefs"));
    proxy.wait_condition(GATEWAY, ("listener https", "Programmed"), ("True", "Programmed"));
    front.serves_the_right_ones();
    // Taken back, it is as before.
    front.site.remove("grant.yaml");
    refused(&proxy);
}

fn authority_that_is_none(stack: Stack) {
    let garbage = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    for (content, reason) in [
        (None, "InvalidCACertificateRef"),
        (Some(manifests::config_map("clients", "")), "InvalidCACertificateRef"),
        (Some(manifests::config_map("clients", "nonsense")), "InvalidCACertificateRef"),
        (Some(manifests::config_map("clients", garbage)), "InvalidCACertificateRef"),
        (Some(manifests::config_map("clients", "x").replace("ca.crt", "other")), "InvalidCACertificateRef"),
    ] {
        let front = Front::new(&asks("clients", "AllowValidOnly"));
        match &content {
            None => front.site.remove("clients.yaml"),
            Some(text) => front.site.write("clients.yaml", text),
        }
        refused_by_status(stack, &front, reason);
    }
    // Insecure is what a client may be, not the Gateway's idea of its CA.
    let front = Front::new(&asks("nowhere", "AllowInsecureFallback"));
    refused_by_status(stack, &front, "InvalidCACertificateRef");
    let front = Front::new(&asks("clients", "AllowValidOnly").replace("kind: ConfigMap", "kind: Service"));
    refused_by_status(stack, &front, "InvalidCACertificateKind");
}

fn refused_by_status(stack: Stack, front: &Front, reason: &str) {
    let proxy = Proxy::start(stack, &front.site.manifests(), front.site.work(), &[front.site.http]);
    proxy.wait_condition(GATEWAY, ("listener https", "ResolvedRefs"), ("False", reason));
    proxy.wait_condition(GATEWAY, ("listener https", "Accepted"), ("False", "NoValidCACertificate"));
    proxy.wait_condition(GATEWAY, ("listener https", "Programmed"), ("False", "Invalid"));
    proxy.wait_condition(GATEWAY, ("", "Programmed"), ("True", "Programmed"));
    front.serves_nobody();
}

/// The CA's content goes bad, and comes back, while the proxy runs.
fn authority_that_breaks_while_serving(stack: Stack) {
    let front = Front::new(&asks("clients", "AllowValidOnly"));
    let proxy = front.site.start(stack);
    front.serves_the_right_ones();
    for _ in 0..2 {
        front.site.write("clients.yaml", &manifests::config_map("clients", "nonsense"));
        proxy.wait_condition(GATEWAY, ("listener https", "Programmed"), ("False", "Invalid"));
        front.serves_nobody();
        front.site.write("clients.yaml", &manifests::config_map("clients", &front.clients.pem()));
        proxy.wait_condition(GATEWAY, ("listener https", "Programmed"), ("True", "Programmed"));
        front.serves_the_right_ones();
    }
}

/// The good one counts; nothing is opened for the bad one.
fn one_bad_authority_of_two(stack: Stack) {
    let front = Front::new(&format!(
        "{}          - group: \"\"\n            kind: ConfigMap\n            name: nowhere\n",
        asks("clients", "AllowValidOnly")
    ));
    let proxy = front.site.start(stack);
    proxy.wait_condition(GATEWAY, ("listener https", "ResolvedRefs"), ("False", "InvalidCACertificateRef"));
    proxy.wait_condition(GATEWAY, ("listener https", "Programmed"), ("True", "Programmed"));
    front.serves_the_right_ones();
}

/// A session in a file, as openssl keeps it.
struct Session {
    path: String,
    version: &'static str,
}

impl Session {
    fn new(front: &Front, version: &'static str) -> Self {
        let path = front.site.work().join(format!("session{version}"));
        Self { path: path.to_str().unwrap().to_owned(), version }
    }

    /// Makes the session, showing a certificate or not; whether there is one to resume.
    fn make(&self, port: u16, flags: &[&str]) -> bool {
        let _ = std::fs::remove_file(&self.path);
        let said =
            openssl::client(port, "shop.test", &[&[self.version, "-sess_out", &self.path], flags].concat());
        assert_eq!(said.status(), Some(200), "{said:?}");
        assert_eq!(said.resumed(), Some(false), "{said:?}");
        std::fs::metadata(&self.path).is_ok_and(|file| file.len() > 0)
    }

    fn resume(&self, port: u16, flags: &[&str]) -> Said {
        openssl::client(port, "shop.test", &[&[self.version, "-sess_in", &self.path], flags].concat())
    }

    /// Makes a session and resumes it, which must work; leaves another one to be resumed.
    fn make_good(&self, port: u16) {
        assert!(self.make(port, &[]), "no session");
        let said = self.resume(port, &[]);
        assert_eq!((said.resumed(), said.status()), (Some(true), Some(200)), "{said:?}");
        assert!(self.make(port, &[]), "no session");
    }
}

const OPENSSL_VERSIONS: [&str; 2] = ["-tls1_2", "-tls1_3"];

/// Nobody gets in with a session in place of a certificate: neither one from before any validation, nor one from when
/// it was a matter of choice.
fn sessions_from_before_validation(stack: Stack) {
    for (before, resumable) in [(String::new(), true), (asks("clients", "AllowInsecureFallback"), false)] {
        let front = Front::new(&before);
        let proxy = front.site.start(stack);
        let sessions = OPENSSL_VERSIONS.map(|version| Session::new(&front, version));
        for session in &sessions {
            match resumable {
                true => session.make_good(front.site.https),
                false => drop(session.make(front.site.https, &[])),
            }
        }
        front.gateway(&asks("clients", "AllowValidOnly"));
        front.becomes(front.site.https, false);
        let requests = front.server.requests().len();
        for session in sessions.iter().filter(|session| std::fs::metadata(&session.path).is_ok()) {
            let said = session.resume(front.site.https, &[]);
            assert_eq!(said.status(), None, "{} let in with an old session: {said:?}", session.version);
            assert_ne!(said.resumed(), Some(true), "{} {said:?}", session.version);
        }
        assert_eq!(front.server.requests().len(), requests, "a request reached the backend");
        // The control: with a certificate the same old session does no harm.
        let (certificate, key) = front.right().write(front.site.work(), "right");
        let flags = ["-cert", certificate.to_str().unwrap(), "-key", key.to_str().unwrap()];
        for session in sessions.iter().filter(|session| std::fs::metadata(&session.path).is_ok()) {
            let said = session.resume(front.site.https, &flags);
            assert_eq!((said.resumed(), said.status()), (Some(false), Some(200)), "{said:?}");
        }
        drop(proxy);
    }
}

/// What was proved to one CA counts for nothing under another.
fn sessions_from_before_another_authority(stack: Stack) {
    let front = Front::new(&asks("clients", "AllowValidOnly"));
    let proxy = front.site.start(stack);
    let (certificate, key) = front.right().write(front.site.work(), "right");
    let flags = ["-cert", certificate.to_str().unwrap(), "-key", key.to_str().unwrap()];
    let sessions = OPENSSL_VERSIONS.map(|version| Session::new(&front, version));
    for session in &sessions {
        session.make(front.site.https, &flags);
    }
    let others = Authority::new("others CA");
    front.site.write("clients.yaml", &manifests::config_map("clients", &others.pem()));
    let of_others = others.leaf(&["client.test"]);
    let took = within(PATIENCE, || front.ask(&TLS13, Some(&of_others)).ok());
    assert_eq!(took, Some(200));
    for session in sessions.iter().filter(|session| std::fs::metadata(&session.path).is_ok()) {
        for flags in [&flags[..], &[]] {
            let said = session.resume(front.site.https, flags);
            assert_eq!(said.status(), None, "{} {flags:?}: {said:?}", session.version);
        }
    }
    assert!(front.ask(&TLS12, Some(&front.right())).is_err());
    drop(proxy);
}

/// Two ports of one Gateway, one of which asks for certificates.
fn sessions_of_a_port_that_asks_for_nothing(stack: Stack) {
    let open = ports::free();
    let front = Front::new("");
    front.gateway(&format!(
        "  - name: open\n    port: {open}\n    protocol: HTTPS\n    tls:\n      certificateRefs:\n      - name: front\n\
         {}      perPort:\n      - port: {open}\n        tls: {{}}\n",
        asks("clients", "AllowValidOnly")
    ));
    let _proxy = front.site.start(stack);
    for version in OPENSSL_VERSIONS {
        let session = Session::new(&front, version);
        session.make_good(open);
        let said = session.resume(front.site.https, &[]);
        assert_eq!(said.status(), None, "{version} let in with another port's session: {said:?}");
        assert_ne!(said.resumed(), Some(true), "{version} {said:?}");
    }
}

/// A connection that nobody asked for a certificate is of no more use once one is asked for.
fn connections_from_before_validation(stack: Stack) {
    let front = Front::new("");
    let _proxy = front.site.start(stack);
    let mut kept = front.site.connect("shop.test");
    assert_eq!(kept.get("shop.test", "/").unwrap().status, 200);
    front.gateway(&asks("clients", "AllowValidOnly"));
    front.becomes(front.site.https, false);
    let requests = front.server.requests().len();
    // It was closed, or says that it cannot be used.
    let answer = kept.get("shop.test", "/");
    assert!(
        answer.as_ref().map_or(true, |answer| answer.status == 421),
        "an old connection is served: {answer:?}"
    );
    assert_eq!(front.server.requests().len(), requests, "a request reached the backend");
    // A renewed certificate of the Gateway's ends no connection.
    let config = front.site.front.client(&["http/1.1"], Some(&front.right()));
    let mut kept = Client::tls(front.site.https, "shop.test", &config).unwrap();
    assert_eq!(kept.get("shop.test", "/").unwrap().status, 200);
    let renewed = front.site.front.leaf_with_common_name("renewed", HOSTS);
    front.site.write("front.yaml", &manifests::secret("front", &renewed));
    let (certificate, key) = front.right().write(front.site.work(), "right");
    let flags = ["-cert", certificate.to_str().unwrap(), "-key", key.to_str().unwrap()];
    let shown = within(PATIENCE, || {
        let said = openssl::client(front.site.https, "shop.test", &flags);
        said.subject().is_some_and(|subject| subject.contains("renewed")).then_some(())
    });
    assert!(shown.is_some(), "the renewed certificate is not shown");
    assert_eq!(kept.get("shop.test", "/").unwrap().status, 200);
}

/// Of a listener's certificates, the one for the server name: the exact one before the wildcard; of those the one whose
/// key the client can verify; without a name, or with a strange one, the first.
fn certificates_by_name_and_key(stack: Stack) {
    let site = Site::new();
    let named = |text: &'static str| {
        move |params: &mut rcgen::CertificateParams| {
            params.distinguished_name.push(rcgen::DnType::CommonName, text);
        }
    };
    let certificates = [
        ("first", site.front.leaf_with(&["first.test"], named("first"))),
        ("wild-ec", site.front.leaf_with(&["*.shop.test"], named("wild-ec"))),
        ("wild-rsa", site.front.leaf_rsa(&["*.shop.test"], named("wild-rsa"))),
        ("exact-ec", site.front.leaf_with(&["a.shop.test"], named("exact-ec"))),
        ("exact-rsa", site.front.leaf_rsa(&["a.shop.test"], named("exact-rsa"))),
        ("only-rsa", site.front.leaf_rsa(&["rsa.test"], named("only-rsa"))),
    ];
    let mut refs = String::new();
    for (name, leaf) in &certificates {
        site.write(&format!("secret-{name}.yaml"), &manifests::secret(name, leaf));
        refs.push_str(&format!("      - name: {name}\n"));
    }
    let gateway = manifests::gateway(site.https, site.http, "").replace("      - name: front\n", &refs);
    site.write("gateway.yaml", &gateway);
    let _proxy = site.start(stack);
    let ec = "ECDSA+SHA256";
    let rsa = "RSA-PSS+SHA256:RSA+SHA256";
    let either = "ECDSA+SHA256:RSA-PSS+SHA256:RSA+SHA256";
    for version in OPENSSL_VERSIONS {
        for (host, signatures, wanted) in [
            ("a.shop.test", ec, "exact-ec"),
            ("a.shop.test", rsa, "exact-rsa"),
            ("a.shop.test", either, "exact-ec"),
            ("A.Shop.Test", either, "exact-ec"),
            ("b.shop.test", ec, "wild-ec"),
            ("b.shop.test", rsa, "wild-rsa"),
            // A wildcard stands for one label.
            ("b.a.shop.test", either, "first"),
            ("shop.test", either, "first"),
            ("rsa.test", either, "only-rsa"),
            ("strange.test", either, "first"),
        ] {
            let said = openssl::client(site.https, host, &[version, "-sigalgs", signatures]);
            let subject = said.subject().unwrap_or_default();
            assert_eq!(subject, format!("CN = {wanted}"), "{version} {host} {signatures}: {said:?}");
        }
        let said = openssl::client(site.https, "", &[version]);
        assert_eq!(said.subject(), Some("CN = first"), "{version} without a name: {said:?}");
    }
}

/// A Secret's OCSP response is shown to those who ask, and a renewed one in its place.
fn staple(stack: Stack) {
    let front = Front::new("");
    let leaf = front.site.front.leaf(HOSTS);
    front.site.write(
        "front.yaml",
        &manifests::secret_with_staple("front", &leaf, &ocsp_response(&front.site, &leaf, 'V')),
    );
    let proxy = front.site.start(stack);
    for version in OPENSSL_VERSIONS {
        let ask =
            |flags: &[&str]| openssl::client(front.site.https, "shop.test", &[&[version], flags].concat());
        let asked = ask(&["-status"]);
        assert!(asked.out.contains("OCSP Response Status: successful"), "{version} {asked:?}");
        assert!(asked.out.contains("Cert Status: good"), "{version} {asked:?}");
        assert_eq!(asked.status(), Some(200));
        assert!(!ask(&[]).out.contains("OCSP Response Status"), "{version}: shown to one who did not ask");
    }
    front.site.write(
        "front.yaml",
        &manifests::secret_with_staple("front", &leaf, &ocsp_response(&front.site, &leaf, 'R')),
    );
    let renewed = within(PATIENCE, || {
        let said = openssl::client(front.site.https, "shop.test", &["-status"]);
        said.out.contains("Cert Status: revoked").then_some(())
    });
    assert!(renewed.is_some(), "the renewed response is not shown");
    // What is no response is left out, and named; the certificate is shown all the same.
    front.site.write("front.yaml", &manifests::secret_with_staple("front", &leaf, b"nonsense"));
    proxy.wait_log(&["tls.ocsp-staple"]);
    let without = within(PATIENCE, || {
        let said = openssl::client(front.site.https, "shop.test", &["-status"]);
        (said.out.contains("OCSP response: no response sent") && said.status() == Some(200)).then_some(())
    });
    assert!(without.is_some());
}

/// An OCSP response of the front CA about a certificate, `V`alid or `R`evoked, made by openssl.
fn ocsp_response(site: &Site, leaf: &Leaf, state: char) -> Vec<u8> {
    let folder = site.work().join(format!("ocsp-{state}"));
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("ca.pem"), site.front.pem()).unwrap();
    std::fs::write(folder.join("ca.key"), site.front.key_pem()).unwrap();
    std::fs::write(folder.join("leaf.pem"), &leaf.certificate_pem).unwrap();
    let serial = std::process::Command::new("openssl")
        .args(["x509", "-noout", "-serial", "-in", "leaf.pem"])
        .current_dir(&folder)
        .output()
        .unwrap();
    let serial = String::from_utf8(serial.stdout).unwrap();
    let serial = serial.trim().strip_prefix("serial=").unwrap();
    let revoked = if state == 'R' { "260101000000Z" } else { "" };
    // openssl's database: state, expiry, revocation, serial, file, subject.
    std::fs::write(
        folder.join("index"),
        format!("{state}\t900101000000Z\t{revoked}\t{serial}\tunknown\t/CN=x\n"),
    )
    .unwrap();
    openssl::run(
        &folder,
        &[
            "ocsp",
            "-index",
            "index",
            "-CA",
            "ca.pem",
            "-rsigner",
            "ca.pem",
            "-rkey",
            "ca.key",
            "-issuer",
            "ca.pem",
            "-cert",
            "leaf.pem",
            "-ndays",
            "30",
            "-respout",
            "response.der",
        ],
    );
    std::fs::read(folder.join("response.der")).unwrap()
}
