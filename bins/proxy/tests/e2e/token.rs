//! The gateway's token for the backend: which backend gets it, and what happens without one.

use std::{
    os::unix::fs::symlink,
    path::{Path, PathBuf},
};

use crate::{
    for_each_stack,
    support::{
        PATIENCE, Stack,
        certificates::Leaf,
        client::field,
        manifests,
        peers::{self, Identity},
        proxy::Proxy,
        server::Server,
        site::Site,
        within,
    },
};

for_each_stack!(
    token_replaces_the_clients,
    rotated_token,
    no_token_no_request,
    unverified_backends_get_none,
    token_needs_verification,
    grpc_and_http2,
    never_told,
);

const OPTION: &str = "  options:\n    lasthop.dev/bearer-token: shop\n";

/// A folder as Kubernetes makes it of a projected volume: names lead through `..data`, which is replaced as a whole.
struct Volume(PathBuf);

impl Volume {
    fn new(site: &Site) -> Self {
        let folder = site.work().join("tokens");
        std::fs::create_dir(&folder).unwrap();
        symlink("..data/shop", folder.join("shop")).unwrap();
        Self(folder)
    }

    /// Another content of the volume; without a text, one without the file.
    fn put(&self, version: &str, text: Option<&str>) {
        let version = format!("..{version}");
        std::fs::create_dir(self.0.join(&version)).unwrap();
        if let Some(text) = text {
            std::fs::write(self.0.join(&version).join("shop"), text).unwrap();
        }
        let new = self.0.join("..data_tmp");
        symlink(&version, &new).unwrap();
        std::fs::rename(new, self.0.join("..data")).unwrap();
    }

    fn path(&self) -> &Path {
        &self.0
    }
}

fn start(stack: Stack, site: &Site, folder: &Path, more: &[&str]) -> Proxy {
    let folder = folder.display().to_string();
    let flags = [&["--bearer-token-directory", &folder], more].concat();
    let mut proxy = Proxy::start_without_waiting(stack, &site.manifests(), site.work(), &flags);
    proxy.wait_ready(&[site.https]);
    proxy
}

/// A backend under a policy with the option.
fn shop(site: &Site) -> Server {
    let server = Server::tls("shop", site.leaf().server(&["http/1.1"]));
    site.tls_backend("shop", server.port);
    site.policy("shop", OPTION);
    server
}

/// All values of `Authorization` in the last request.
fn authorization(server: &Server) -> Vec<String> {
    let requests = server.requests();
    let head = requests.last().expect("a request");
    let lines = head.lines().filter_map(|line| line.split_once(':'));
    lines
        .filter(|(name, _)| name.eq_ignore_ascii_case("authorization"))
        .map(|(_, value)| value.trim().to_owned())
        .collect()
}

const CLIENTS: [&str; 4] = ["-H", "authorization: Basic dXNlcjpwYXNz", "-H", "authorization: Bearer stolen"];

fn token_replaces_the_clients(stack: Stack) {
    let site = Site::new();
    let server = shop(&site);
    let other = Server::tls("other", site.leaf().server(&["http/1.1"]));
    site.tls_backend("other", other.port);
    let plain = Server::plain("far");
    site.plain_backend("far", plain.port);
    let volume = Volume::new(&site);
    volume.put("1", Some("first.token\n"));
    let _proxy = start(stack, &site, volume.path(), &[]);
    for flags in [&CLIENTS[..], &[], &["-d", "a body"]] {
        for version in ["--http1.1", "--http2"] {
            assert_eq!(site.curl("shop.test", "/", &[&[version], flags].concat()).status, 200);
            assert_eq!(authorization(&server), ["Bearer first.token"]);
        }
    }
    // Without the option the client's own goes on, with TLS and without.
    for (host, server) in [("other.test", &other), ("far.test", &plain)] {
        assert_eq!(site.curl(host, "/", &CLIENTS[..2]).status, 200);
        assert_eq!(authorization(server), ["Basic dXNlcjpwYXNz"]);
    }
}

fn rotated_token(stack: Stack) {
    let site = Site::new();
    let server = shop(&site);
    let volume = Volume::new(&site);
    volume.put("1", Some("first"));
    let _proxy = start(stack, &site, volume.path(), &[]);
    assert_eq!(site.get("shop.test", "/").status, 200);
    assert_eq!(authorization(&server), ["Bearer first"]);
    volume.put("2", Some("second"));
    let rotated = within(PATIENCE, || {
        assert_eq!(site.get("shop.test", "/").status, 200);
        (authorization(&server) == ["Bearer second"]).then_some(())
    });
    assert!(rotated.is_some(), "{:?}", authorization(&server));
}

fn no_token_no_request(stack: Stack) {
    let site = Site::new();
    let server = shop(&site);
    let volume = Volume::new(&site);
    volume.put("1", None);
    let proxy = start(stack, &site, volume.path(), &[]);
    let fails = |version: &str, text: Option<&str>, path: &str| {
        volume.put(version, text);
        // What was read counts for a second.
        std::thread::sleep(std::time::Duration::from_millis(1100));
        let failed = within(PATIENCE, || {
            let answer = site.curl("shop.test", path, &CLIENTS[..2]);
            (answer.status == 502).then_some(answer)
        });
        crate::refusals::conceals(&failed.expect("a refusal"), "NoBearerToken");
        let record = proxy.wait_access(|record| record["path"] == path && record["status"] == 502);
        assert_eq!(record["reason"], "NoBearerToken", "{record}");
    };
    fails("2", None, "/missing");
    fails("3", Some(""), "/empty");
    fails("4", Some("\n \n"), "/blank");
    assert!(server.requests().is_empty(), "{:?}", server.requests());
    volume.put("5", Some("back"));
    let back = within(PATIENCE, || (site.get("shop.test", "/back").status == 200).then_some(()));
    assert!(back.is_some());
    assert_eq!(authorization(&server), ["Bearer back"]);
    fails("6", Some("two words"), "/words");
    proxy.wait_log(&["bearer token", "missing"]);
    proxy.wait_log(&["bearer token", "empty"]);
    drop(proxy);

    // Nobody said where tokens are.
    let seen = server.requests().len();
    let _proxy = site.start(stack);
    assert_eq!(site.get("shop.test", "/").status, 502);
    assert_eq!(server.requests().len(), seen);
}

fn unverified_backends_get_none(stack: Stack) {
    let site = Site::new();
    let volume = Volume::new(&site);
    volume.put("1", Some("secret-token"));
    let bad: [(&str, Option<Leaf>); 3] = [
        ("wrong", Some(site.backends.leaf(&["else.test"]))),
        ("nobody", Some(Leaf::self_signed(&[crate::support::site::BACKEND]))),
        ("far", None),
    ];
    let servers: Vec<_> = bad
        .iter()
        .map(|(name, leaf)| {
            let server = match leaf {
                Some(leaf) => Server::tls(name, leaf.server(&[])),
                None => Server::plain(name),
            };
            site.tls_backend(name, server.port);
            site.policy(name, OPTION);
            server
        })
        .collect();
    let _proxy = start(stack, &site, volume.path(), &[]);
    for ((name, _), server) in bad.iter().zip(&servers) {
        assert_eq!(site.get(&format!("{name}.test"), "/").status, 502, "{name}");
        assert!(server.requests().is_empty(), "{name}: {:?}", server.requests());
    }
}

fn token_needs_verification(stack: Stack) {
    let site = Site::new();
    let server = shop(&site);
    let volume = Volume::new(&site);
    volume.put("1", Some("secret-token"));
    let proxy = start(stack, &site, volume.path(), &["--allow-insecure-verify"]);
    assert_eq!(site.get("shop.test", "/").status, 200);
    for mode in ["chain", "none"] {
        site.policy("shop", &format!("{OPTION}    lasthop.dev/verify: {mode}\n"));
        proxy.wait_condition(
            ("BackendTLSPolicy", "shop"),
            ("ancestor Gateway default/front", "Accepted"),
            ("False", "Invalid"),
        );
        let refused = within(PATIENCE, || (site.get("shop.test", "/").status == 502).then_some(()));
        assert!(refused.is_some(), "{mode}");
        site.policy("shop", OPTION);
        let back = within(PATIENCE, || (site.get("shop.test", "/").status == 200).then_some(()));
        assert!(back.is_some(), "{mode}");
    }
    assert!(server.requests().iter().all(|head| field(head, "authorization") == Some("Bearer secret-token")));
}

/// nginx says what it was told.
fn grpc_and_http2(stack: Stack) {
    let site = Site::new();
    let leaf = site.leaf();
    let nginx = peers::nginx(site.work(), &Identity { leaf: &leaf, clients: None });
    site.write("service-nginx.yaml", &manifests::service("nginx", &[nginx.port], None));
    site.policy("nginx", OPTION);
    let route = manifests::route("nginx", "nginx.test", "nginx", "").replace("HTTPRoute", "GRPCRoute");
    site.write("route-nginx.yaml", &route);
    let volume = Volume::new(&site);
    volume.put("1", Some("for-grpc"));
    let _proxy = start(stack, &site, volume.path(), &[]);
    let call = || {
        let flags = ["--http2", "-H", "content-type: application/grpc", "-H", "te: trailers"];
        site.curl("nginx.test", "/a.B/C", &[&flags[..], &CLIENTS[..2]].concat())
    };
    let answer = call();
    assert!(answer.body.contains("HTTP/2") && answer.body.ends_with("Bearer for-grpc"), "{answer:?}");
    volume.put("2", None);
    let refused = within(PATIENCE, || call().header("grpc-status").map(str::to_owned));
    assert_eq!(refused.as_deref(), Some("14"));
}

fn never_told(stack: Stack) {
    let site = Site::new();
    let server = shop(&site);
    let volume = Volume::new(&site);
    volume.put("1", Some("hush-hush-token"));
    let folder = volume.path().display().to_string();
    let flags = ["--bearer-token-directory", &folder];
    let mut proxy = Proxy::start_logging(stack, &site.manifests(), site.work(), "trace", &flags);
    proxy.wait_ready(&[site.https]);
    for version in ["--http1.1", "--http2"] {
        assert_eq!(site.curl("shop.test", "/", &[version]).status, 200);
    }
    assert_eq!(authorization(&server), ["Bearer hush-hush-token"]);
    let mut told = format!("{}{:?}", proxy.log(), proxy.access_log());
    for page in ["/metrics", "/snapshot", "/status", "/endpoints"] {
        told += &proxy.page(page).unwrap().1;
    }
    assert!(told.contains("shop") && !told.contains("hush-hush"), "the token is told");
}
