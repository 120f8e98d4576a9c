//! What the conformance suite asks of HTTPRoutes and what no other test here asks from the outside.

use std::time::{Duration, Instant};

use crate::{
    for_each_stack,
    support::{PATIENCE, Stack, manifests, ports, server::Server, site::Site, within},
};

for_each_stack!(
    the_first_of_equal_rules,
    redirects_of_every_code,
    rewrites_of_one_backend,
    mirrors_are_verified,
    retries_of_handshakes,
    retries_within_the_limit,
);

/// A route for shop.test with these rules.
fn route(site: &Site, rules: &str) {
    let text = manifests::route("shop", "shop.test", "shop", "");
    let (head, _) = text.split_once("  rules:\n").unwrap();
    site.write("route.yaml", &format!("{head}  rules:\n{rules}"));
}

fn service(site: &Site, name: &str, port: u16) {
    site.write(&format!("service-{name}.yaml"), &manifests::service(name, &[port], None));
}

fn the_first_of_equal_rules(stack: Stack) {
    let site = Site::new();
    let (one, two) = (Server::plain("one"), Server::plain("two"));
    service(&site, "one", one.port);
    service(&site, "two", two.port);
    let rule = |name: &str| format!("  - backendRefs: [{{name: {name}, port: 443}}]\n");
    route(&site, &(rule("one") + &rule("two")));
    let proxy = site.start(stack);
    for _ in 0..5 {
        assert_eq!(site.get("shop.test", "/").header("x-backend"), Some("one"));
    }
    // It leads nowhere, and nothing falls through to the second.
    route(&site, &(rule("nobody") + &rule("two")));
    let broken = within(PATIENCE, || (site.get("shop.test", "/").status == 500).then_some(()));
    assert!(broken.is_some());
    for _ in 0..5 {
        assert_eq!(site.get("shop.test", "/").status, 500);
    }
    assert!(two.requests().is_empty());
    assert_eq!(proxy.record_of("shop.test", "/")["status"], 200);
}

fn redirects_of_every_code(stack: Stack) {
    let site = Site::new();
    let rules: String = [301, 302, 303, 307, 308]
        .iter()
        .map(|code| {
            format!(
                "  - matches: [{{path: {{value: /{code}}}}}]\n    filters:\n    - type: RequestRedirect\n      \
                 requestRedirect: {{statusCode: {code}, hostname: other.test}}\n"
            )
        })
        .collect();
    route(&site, &rules);
    let _proxy = site.start(stack);
    for code in [301, 302, 303, 307, 308] {
        let answer = site.get("shop.test", &format!("/{code}?q=1"));
        let location = format!("https://other.test:{}/{code}?q=1", site.https);
        assert_eq!((answer.status, answer.header("location")), (code, Some(&*location)), "{answer:?}");
    }
}

/// `/head` gives a request's head back.
fn rewrites_of_one_backend(stack: Stack) {
    let site = Site::new();
    let (one, two) = (Server::plain("one"), Server::plain("two"));
    service(&site, "one", one.port);
    service(&site, "two", two.port);
    route(
        &site,
        "  - matches: [{path: {value: /shop}}]
    backendRefs:
    - name: one
      port: 443
      filters:
      - type: URLRewrite
        urlRewrite: {hostname: one.internal, path: {type: ReplacePrefixMatch, replacePrefixMatch: /head}}
    - name: two
      port: 443
      filters:
      - type: URLRewrite
        urlRewrite: {hostname: two.internal, path: {type: ReplaceFullPath, replaceFullPath: /head}}
",
    );
    let _proxy = site.start(stack);
    let mut seen = std::collections::BTreeMap::new();
    for _ in 0..200 {
        let answer = site.get("shop.test", "/shop");
        let told = answer.body.to_ascii_lowercase();
        let name = answer.header("x-backend").unwrap().to_owned();
        assert!(told.starts_with("get /head http/1.1"), "{answer:?}");
        assert!(told.contains(&format!("host: {name}.internal")), "{answer:?}");
        *seen.entry(name).or_insert(0) += 1;
        if seen.len() == 2 {
            return;
        }
    }
    panic!("only {seen:?}");
}

fn mirrors_are_verified(stack: Stack) {
    let site = Site::new();
    let primary = Server::tls("primary", site.leaf().server(&["http/1.1"]));
    let mirror = Server::tls("mirror", site.leaf().server(&["http/1.1"]));
    let wrong = Server::tls("wrong", site.backends.leaf(&["else.test"]).server(&["http/1.1"]));
    for (name, server) in [("primary", &primary), ("mirror", &mirror), ("wrong", &wrong)] {
        service(&site, name, server.port);
        site.policy(name, "");
    }
    let filter = |name: &str| {
        format!(
            "    - type: RequestMirror\n      requestMirror: {{backendRef: {{name: {name}, port: 443}}}}\n"
        )
    };
    let rule = format!(
        "  - backendRefs: [{{name: primary, port: 443}}]\n    filters:\n{}{}",
        filter("mirror"),
        filter("wrong")
    );
    route(&site, &rule);
    let proxy = site.start(stack);
    for at in 0..5 {
        let answer = site.curl("shop.test", &format!("/{at}"), &["-d", "a body"]);
        assert_eq!((answer.status, answer.header("x-backend")), (200, Some("primary")));
    }
    assert!(
        within(PATIENCE, || (mirror.requests().len() == 5).then_some(())).is_some(),
        "{:?}",
        mirror.requests()
    );
    let refused = || proxy.metric("lasthop_upstream_failures_total", &[("reason", "NameMismatch")]);
    assert!(within(PATIENCE, || (refused() >= 5.0).then_some(())).is_some(), "{}", proxy.metrics());
    assert!(wrong.connections() > 0 && wrong.requests().is_empty(), "{:?}", wrong.requests());
}

/// An endpoint that does not prove itself, one that refuses connections, and a good one: every request finds it.
fn retries_of_handshakes(stack: Stack) {
    let site = Site::new();
    let good = Server::tls("good", site.leaf().server(&["http/1.1"]));
    let silent = Server::scripted(|stream, _| stream.close());
    site.write(
        "service-shop.yaml",
        &manifests::service("shop", &[silent.port, ports::free(), good.port], None),
    );
    site.policy("shop", "");
    route(&site, "  - retry: {attempts: 5}\n    backendRefs: [{name: shop, port: 443}]\n");
    let _proxy = site.start(stack);
    for at in 0..30 {
        let answer = site.curl("shop.test", "/", &["-d", "an order"]);
        assert_eq!(
            (answer.status, answer.header("x-backend")),
            (200, Some("good")),
            "request {at}: {answer:?}"
        );
    }
    assert_eq!(good.requests().len(), 30);
}

fn retries_within_the_limit(stack: Stack) {
    let site = Site::new();
    let server = Server::plain("slow");
    service(&site, "slow", server.port);
    route(
        &site,
        "  - retry: {attempts: 5, codes: [500]}
    timeouts: {request: 800ms, backendRequest: 300ms}
    backendRefs: [{name: slow, port: 443}]
",
    );
    let proxy = site.start(stack);
    let begun = Instant::now();
    assert_eq!(site.get("shop.test", "/slow?5000").status, 504);
    assert!(begun.elapsed() < Duration::from_secs(4), "{:?}", begun.elapsed());
    let record = proxy.record_of("shop.test", "/slow");
    assert_eq!(record["reason"], "RequestTimeout", "{record}");
    assert!(record["attempts"].as_u64().is_some_and(|attempts| attempts >= 2), "{record}");
    assert_eq!(site.curl("shop.test", "/slow?5000", &["-d", "an order"]).status, 504);
    let posts = server.requests().iter().filter(|head| head.starts_with("POST")).count();
    assert_eq!(posts, 1, "what may have been processed is not sent twice");
}
