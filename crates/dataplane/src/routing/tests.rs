mod grpc;

use std::{collections::BTreeMap, sync::Arc};

use http::Request;
use lasthop_dataplane_api::{
    AttachedHost, Attachment, HostPattern, HttpMatch, HttpRule, KeyValueMatch, Listener, ListenerKey,
    ListenerProtocol, ObjectName, PathMatch, RouteKey, RouteKind, RuleKey, StringMatch, Timeouts,
};
use proptest::prelude::*;

use super::*;

fn listener_key(name: &str) -> ListenerKey {
    ListenerKey { gateway: ObjectName::new("ns", "gw"), set: None, name: name.into() }
}

fn listener(name: &str, port: u16, protocol: ListenerProtocol, hostname: Option<&str>) -> Listener {
    Listener {
        key: listener_key(name),
        port,
        addresses: Vec::new(),
        protocol,
        hostname: hostname.map(|hostname| hostname.parse().unwrap()),
        tls: None,
        proxy_protocol: false,
    }
}

/// A rule on the listener `l`, whose hosts are taken as they are.
fn rule(route: &str, index: u32, hosts: &[&str], matches: Vec<HttpMatch>) -> HttpRule {
    let host = |text: &&str| {
        let pattern: HostPattern = text.parse().unwrap();
        AttachedHost { own: pattern.clone(), effective: pattern }
    };
    HttpRule {
        key: RuleKey {
            route: RouteKey { kind: RouteKind::HTTPRoute, object: ObjectName::new("ns", route) },
            gateway: listener_key("l").gateway,
            index,
        },
        name: None,
        created: 0,
        attachments: vec![Attachment {
            listener: listener_key("l"),
            hosts: hosts.iter().map(host).collect(),
        }],
        matches,
        filters: Vec::new(),
        backends: Vec::new(),
        timeouts: Timeouts::default(),
        retry: None,
        persistence: None,
    }
}

fn prefix(path: &str) -> HttpMatch {
    HttpMatch { path: Some(PathMatch::Prefix(path.into())), ..HttpMatch::default() }
}

fn exact(path: &str) -> HttpMatch {
    HttpMatch { path: Some(PathMatch::Exact(path.into())), ..HttpMatch::default() }
}

fn regex(path: &str) -> HttpMatch {
    HttpMatch { path: Some(PathMatch::Regex(path.into())), ..HttpMatch::default() }
}

fn is(name: &str, value: &str) -> KeyValueMatch {
    KeyValueMatch { name: name.into(), value: StringMatch::Exact(value.into()) }
}

fn is_like(name: &str, value: &str) -> KeyValueMatch {
    KeyValueMatch { name: name.into(), value: StringMatch::Regex(value.into()) }
}

fn set(table: &mut RouteTable, rule: HttpRule) {
    table.set_rule(&rule.key.clone(), Some(Arc::new(CompiledRule::compile(&Arc::new(rule)))));
}

fn table(rules: impl IntoIterator<Item = HttpRule>) -> RouteTable {
    let mut table = RouteTable::default();
    for rule in rules {
        set(&mut table, rule);
    }
    table
}

/// Which rule and match serves a request: `route/rule/match`.
fn find(table: &RouteTable, host: &str, request: http::request::Builder) -> Option<String> {
    let parts = request.body(()).unwrap().into_parts().0;
    table.find(&listener_key("l"), host, &parts).map(|found| {
        let key = &found.rule.source.key;
        format!("{}/{}/{}", key.route.object.name, key.index, found.matched)
    })
}

fn get(path: &str) -> http::request::Builder {
    Request::get(path)
}

#[test]
fn prefixes_match_by_whole_segments() {
    for (pattern, path, matches) in [
        ("/abc", "/abc", true),
        ("/abc", "/abc/", true),
        ("/abc", "/abc/def", true),
        ("/abc", "/abc?x=1", true),
        ("/abc", "/abcd", false),
        ("/abc", "/ab", false),
        ("/abc", "/ABC", false),
        ("/abc", "/", false),
        ("/abc", "/%61bc", false),
        ("/abc", "/abc%2Fdef", false),
        ("/abc/", "/abc", true),
        ("/abc/", "/abc/", true),
        ("/abc/", "/abc/def", true),
        ("/abc/", "/abcd", false),
        ("/", "/", true),
        ("/", "/anything/below", true),
        ("/", "//", true),
        ("/a/b", "/a/b/c", true),
        ("/a/b", "/a/bc", false),
        ("/a/b", "/a//b", false),
        ("/%7Euser/", "/~user/x", true),
        ("/a%2Fb", "/a%2Fb", true),
    ] {
        let table = table([rule("r", 0, &[], vec![prefix(pattern)])]);
        assert_eq!(find(&table, "h", get(path)).is_some(), matches, "{pattern} {path}");
    }
}

#[test]
fn exact_paths_are_exact() {
    let table = table([rule("r", 0, &[], vec![exact("/abc")])]);
    for (path, matches) in
        [("/abc", true), ("/abc?x", true), ("/abc/", false), ("/Abc", false), ("/abcd", false), ("/", false)]
    {
        assert_eq!(find(&table, "h", get(path)).is_some(), matches, "{path}");
    }
}

#[test]
fn a_match_without_path_takes_every_path_and_the_asterisk() {
    for matches in [HttpMatch::default(), prefix("/")] {
        let table = table([rule("r", 0, &[], vec![matches])]);
        assert!(find(&table, "h", get("/x/y")).is_some());
        assert!(find(&table, "h", Request::options("*")).is_some());
    }
    let below = table([rule("r", 0, &[], vec![prefix("/a"), exact("/a")])]);
    assert!(find(&below, "h", Request::options("*")).is_none());
}

#[test]
fn regular_expressions_match_the_whole_path() {
    let table = table([rule("r", 0, &[], vec![regex("/v[0-9]+/.*")])]);
    assert!(find(&table, "h", get("/v12/x")).is_some());
    assert!(find(&table, "h", get("/a/v12/x")).is_none());
    assert!(find(&table, "h", get("/v12")).is_none());
}

#[test]
fn all_conditions_of_a_match_must_hold() {
    let matches = HttpMatch {
        path: Some(PathMatch::Prefix("/foo".into())),
        method: Some("POST".into()),
        headers: vec![is("version", "v2"), is_like("x-id", "[a-f0-9]+")],
        query: vec![is("q", "a b")],
    };
    let table = table([rule("r", 0, &[], vec![matches])]);
    let request = || Request::post("/foo?q=a+b").header("Version", "v2").header("x-id", "c0ffee");
    assert!(find(&table, "h", request()).is_some());
    assert!(find(&table, "h", request().method("GET")).is_none());
    assert!(find(&table, "h", request().uri("/bar?q=a+b")).is_none());
    assert!(find(&table, "h", request().uri("/foo?q=a")).is_none());
    assert!(find(&table, "h", request().uri("/foo")).is_none());
    assert!(find(&table, "h", request().header("version", "v3")).is_none());
    assert!(find(&table, "h", Request::post("/foo?q=a+b").header("version", "v2")).is_none());
    assert!(find(&table, "h", Request::post("/foo?q=a+b").header("x-id", "c0ffee")).is_none());
}

#[test]
fn any_match_of_a_rule_suffices() {
    let version = HttpMatch { headers: vec![is("version", "v2")], ..prefix("/foo") };
    let table = table([rule("r", 0, &[], vec![version, prefix("/v2/foo")])]);
    assert_eq!(find(&table, "h", get("/foo").header("version", "v2")).as_deref(), Some("r/0/0"));
    assert_eq!(find(&table, "h", get("/v2/foo")).as_deref(), Some("r/0/1"));
    assert_eq!(find(&table, "h", get("/foo")), None);
}

#[test]
fn fields_on_several_lines_count_as_one() {
    let one = |condition| {
        table([rule("r", 0, &[], vec![HttpMatch { headers: vec![condition], ..HttpMatch::default() }])])
    };
    let twice = || get("/").header("a", "1").header("a", "2");
    assert!(find(&one(is("a", "1, 2")), "h", twice()).is_some());
    assert!(find(&one(is("a", "1")), "h", twice()).is_none());
    assert!(find(&one(is_like("a", "1, [0-9]")), "h", twice()).is_some());
    assert!(find(&one(is_like("a", "1")), "h", twice()).is_none());
    let crumbs = || get("/").header("cookie", "a=1").header("cookie", "b=2");
    assert!(find(&one(is("cookie", "a=1; b=2")), "h", crumbs()).is_some());
    assert!(find(&one(is_like("cookie", ".*; b=2")), "h", crumbs()).is_some());
}

#[test]
fn the_host_field_is_matched_in_both_protocols() {
    let host = HttpMatch { headers: vec![is("host", "a.com:81")], ..HttpMatch::default() };
    let table = table([rule("r", 0, &[], vec![host])]);
    assert!(find(&table, "a.com", get("/").header("host", "a.com:81")).is_some());
    assert!(find(&table, "a.com", get("http://a.com:81/")).is_some());
    assert!(find(&table, "a.com", get("/").header("host", "a.com")).is_none());
}

#[test]
fn of_conditions_on_the_same_name_the_first_counts() {
    let matches = HttpMatch {
        headers: vec![is("a", "1"), is("a", "2")],
        query: vec![is("q", "1"), is("q", "2")],
        ..HttpMatch::default()
    };
    let table = table([rule("r", 0, &[], vec![matches])]);
    assert!(find(&table, "h", get("/?q=1&q=2").header("a", "1")).is_some());
    assert!(find(&table, "h", get("/?q=2").header("a", "1")).is_none());
    assert!(find(&table, "h", get("/?q=1").header("a", "2")).is_none());
}

#[test]
fn what_cannot_be_compiled_never_matches() {
    let broken = [
        regex("("),
        exact("/a/../b"),
        prefix("/a\\b"),
        prefix("/a%zz"),
        HttpMatch { headers: vec![is_like("a", "[")], ..HttpMatch::default() },
        HttpMatch { headers: vec![is("no name", "v")], ..HttpMatch::default() },
        HttpMatch { query: vec![is_like("a", "[")], ..HttpMatch::default() },
        HttpMatch { method: Some("NO METHOD".into()), ..HttpMatch::default() },
    ];
    for broken in broken {
        let source = Arc::new(rule("r", 0, &["a.com"], vec![broken.clone(), exact("/ok")]));
        let compiled = Arc::new(CompiledRule::compile(&source));
        assert_eq!(compiled.problems.len(), 1, "{broken:?}");
        let mut table = RouteTable::default();
        table.set_rule(&source.key, Some(compiled));
        assert_eq!(find(&table, "a.com", get("/").header("a", "[")), None, "{broken:?}");
        assert_eq!(find(&table, "a.com", get("/ok")).as_deref(), Some("r/0/1"), "{broken:?}");
        table.set_rule(&source.key, None);
        assert!(table.routes.is_empty(), "{broken:?}");
    }
}

/// Pairs where the first must win, everything else being equal. Each is tried in both orders of arrival.
#[test]
fn precedence_goes_by_the_order_of_the_api() {
    let with_method = |m: HttpMatch| HttpMatch { method: Some("GET".into()), ..m };
    let with_headers =
        |m: HttpMatch, n: usize| HttpMatch { headers: [is("a", "1"), is("b", "2")][..n].to_vec(), ..m };
    let with_query =
        |m: HttpMatch, n: usize| HttpMatch { query: [is("c", "3"), is("d", "4")][..n].to_vec(), ..m };
    let pairs = [
        ("exact before prefix", exact("/p/q"), prefix("/p/q")),
        ("exact before all else", exact("/p/q"), with_query(with_headers(with_method(prefix("/p/q")), 2), 2)),
        ("exact before regex", exact("/p/q"), regex("/p/q|/a/very/long/expression")),
        ("regex before prefix", regex("/p/."), prefix("/p/q")),
        ("the longer regex", regex("/p/[q]"), regex("/p/.")),
        ("the longer prefix", prefix("/p/q"), prefix("/p")),
        ("the longer prefix before a method", prefix("/p/q"), with_method(prefix("/p"))),
        ("the longer prefix before headers", prefix("/p"), with_headers(prefix("/"), 2)),
        ("a prefix before none", prefix("/p"), HttpMatch::default()),
        ("a method", with_method(prefix("/p")), prefix("/p")),
        ("a method before headers", with_method(prefix("/p")), with_headers(prefix("/p"), 2)),
        ("more headers", with_headers(prefix("/p"), 2), with_headers(prefix("/p"), 1)),
        ("headers before query", with_headers(prefix("/p"), 1), with_query(prefix("/p"), 2)),
        ("more query parameters", with_query(prefix("/p"), 2), with_query(prefix("/p"), 1)),
        ("some query parameter", with_query(prefix("/p"), 1), prefix("/p/")),
    ];
    for (name, first, second) in pairs {
        let request = || get("/p/q?c=3&d=4").header("a", "1").header("b", "2");
        // The winner has the later name and the younger route, so that only the match can decide.
        let winner = || HttpRule { created: 9, ..rule("z", 0, &[], vec![first.clone()]) };
        let loser = || rule("a", 0, &[], vec![second.clone()]);
        let compiled = [winner(), loser()].map(|rule| CompiledRule::compile(&Arc::new(rule)));
        assert!(precedence::order((&compiled[0], 0), (&compiled[1], 0)).is_lt(), "{name}");
        assert_eq!(find(&table([winner(), loser()]), "h", request()).as_deref(), Some("z/0/0"), "{name}");
        assert_eq!(find(&table([loser(), winner()]), "h", request()).as_deref(), Some("z/0/0"), "{name}");
    }
}

#[test]
fn ties_go_to_the_older_route_then_by_name_then_by_place() {
    let at = |name: &str, index: u32, created: i64| HttpRule {
        created,
        ..rule(name, index, &[], vec![prefix("/")])
    };
    let in_namespace = |namespace: &str, mut rule: HttpRule| {
        rule.key.route.object.namespace = namespace.into();
        rule
    };
    let winner = |rules: Vec<HttpRule>| {
        let forward = find(&table(rules.clone()), "h", get("/"));
        let backward = find(&table(rules.into_iter().rev()), "h", get("/"));
        assert_eq!(forward, backward);
        forward.unwrap()
    };
    assert_eq!(winner(vec![at("a", 0, 5), at("b", 0, 4)]), "b/0/0");
    assert_eq!(winner(vec![at("b", 0, 5), at("a", 0, 5)]), "a/0/0");
    assert_eq!(winner(vec![at("a", 1, 5), at("a", 0, 5)]), "a/0/0");
    assert_eq!(winner(vec![at("a", 10, 5), at("a", 9, 5)]), "a/9/0");
    let second = HttpRule { matches: vec![exact("/other"), prefix("/")], ..at("a", 0, 5) };
    assert_eq!(winner(vec![second, at("a", 1, 5)]), "a/0/1");
    // As texts: "a-b/a" is before "a/z", because '-' is less than '/'.
    assert_eq!(winner(vec![in_namespace("a", at("z", 0, 5)), in_namespace("a-b", at("a", 0, 5))]), "a/0/0");
    assert_eq!(winner(vec![in_namespace("b", at("a", 0, 5)), in_namespace("a", at("z", 0, 5))]), "z/0/0");
    let twice = rule("r", 0, &[], vec![prefix("/"), prefix("/")]);
    assert_eq!(find(&table([twice]), "h", get("/")).as_deref(), Some("r/0/0"));
}

#[test]
fn grpc_and_http_rules_share_one_order() {
    let grpc = |created| {
        let mut rule = HttpRule { created, ..rule("grpc", 0, &[], vec![exact("/pkg.Service/Method")]) };
        rule.key.route.kind = RouteKind::GRPCRoute;
        rule
    };
    let http = |matches| rule("http", 0, &[], vec![matches]);
    let request = || Request::post("/pkg.Service/Method");
    assert_eq!(find(&table([grpc(9), http(prefix("/"))]), "h", request()).as_deref(), Some("grpc/0/0"));
    let both = table([grpc(9), http(exact("/pkg.Service/Method"))]);
    assert_eq!(find(&both, "h", request()).as_deref(), Some("http/0/0"));
}

#[test]
fn the_more_specific_host_goes_first_and_the_others_serve_the_rest() {
    let table = table([
        rule("any", 0, &[], vec![exact("/p"), prefix("/")]),
        rule("com", 0, &["*.com"], vec![exact("/p"), prefix("/com")]),
        rule("wild", 0, &["*.example.com"], vec![exact("/p"), prefix("/wild")]),
        rule("exact", 0, &["a.example.com"], vec![prefix("/p"), prefix("/exact")]),
    ]);
    for (host, path, expected) in [
        ("a.example.com", "/p", "exact/0/0"),
        ("a.example.com", "/exact", "exact/0/1"),
        ("a.example.com", "/wild", "wild/0/1"),
        ("a.example.com", "/com", "com/0/1"),
        ("a.example.com", "/else", "any/0/1"),
        ("b.example.com", "/p", "wild/0/0"),
        ("c.b.example.com", "/p", "wild/0/0"),
        ("example.com", "/p", "com/0/0"),
        ("example.org", "/p", "any/0/0"),
        ("127.0.0.1", "/p", "any/0/0"),
    ] {
        assert_eq!(find(&table, host, get(path)).as_deref(), Some(expected), "{host} {path}");
    }
}

/// The listener takes `a.example.com` only: every route's effective host is that name, or, without hosts, every host.
#[test]
fn precedence_goes_by_the_hosts_that_routes_wrote() {
    let attached = |name: &str, own: Option<&str>, matches| {
        let mut rule = rule(name, 0, &[], vec![matches]);
        rule.attachments[0].hosts = own
            .map(|own| AttachedHost {
                own: own.parse().unwrap(),
                effective: "a.example.com".parse().unwrap(),
            })
            .into_iter()
            .collect();
        rule
    };
    let rules = [
        attached("none", None, exact("/p")),
        attached("com", Some("*.com"), exact("/p")),
        attached("wild", Some("*.example.com"), exact("/p")),
        attached("exact", Some("a.example.com"), prefix("/")),
    ];
    for order in [[0, 1, 2, 3], [3, 2, 1, 0], [2, 0, 3, 1]] {
        let mut table = table(order.map(|at| rules[at].clone()));
        for expected in ["exact/0/0", "wild/0/0", "com/0/0", "none/0/0"] {
            assert_eq!(find(&table, "a.example.com", get("/p")).as_deref(), Some(expected));
            let (name, _) = expected.split_once('/').unwrap();
            let key = rules.iter().find(|rule| &*rule.key.route.object.name == name).unwrap().key.clone();
            table.set_rule(&key, None);
        }
        assert!(table.routes.is_empty());
        assert!(table.rules.is_empty());
    }
}

#[test]
fn a_rule_is_replaced_and_removed_without_traces() {
    let mut table = table([
        rule("r", 0, &["a.com", "*.b.com"], vec![exact("/old"), prefix("/old/p"), regex("/old/r+")]),
        rule("other", 0, &["a.com"], vec![prefix("/")]),
    ]);
    assert_eq!(find(&table, "a.com", get("/old")).as_deref(), Some("r/0/0"));
    set(&mut table, rule("r", 0, &["a.com"], vec![prefix("/new")]));
    for path in ["/old", "/old/p/x", "/old/rr"] {
        assert_eq!(find(&table, "a.com", get(path)).as_deref(), Some("other/0/0"));
        assert_eq!(find(&table, "x.b.com", get(path)), None);
    }
    assert_eq!(find(&table, "a.com", get("/new")).as_deref(), Some("r/0/0"));
    for name in ["r", "other"] {
        table.set_rule(&rule(name, 0, &[], vec![]).key, None);
    }
    assert!(table.routes.is_empty());
    table.set_rule(&rule("r", 0, &[], vec![]).key, None);
}

#[test]
fn paths_of_one_length_come_and_go_one_by_one() {
    let mut table = table([
        rule("a", 0, &[], vec![prefix("/a"), exact("/long/path")]),
        rule("b", 0, &[], vec![prefix("/b"), exact("/e")]),
    ]);
    assert_eq!(find(&table, "h", get("/long/path")).as_deref(), Some("a/0/1"));
    table.set_rule(&rule("a", 0, &[], vec![]).key, None);
    assert_eq!(find(&table, "h", get("/b/x")).as_deref(), Some("b/0/0"));
    assert_eq!(find(&table, "h", get("/e")).as_deref(), Some("b/0/1"));
    assert_eq!(find(&table, "h", get("/a")), None);
}

#[test]
fn rules_are_found_on_their_own_listeners_only() {
    let mut source = rule("r", 0, &[], vec![prefix("/")]);
    source.attachments.push(Attachment { listener: listener_key("m"), hosts: Vec::new() });
    let table = table([source]);
    let parts = get("/").body(()).unwrap().into_parts().0;
    for (name, found) in [("l", true), ("m", true), ("n", false)] {
        assert_eq!(table.find(&listener_key(name), "h", &parts).is_some(), found, "{name}");
    }
}

#[test]
fn the_most_specific_listener_takes_the_request() {
    use ListenerProtocol::{HTTP, HTTPS, TCP, TLS};
    let mut table = RouteTable::default();
    for listener in [
        listener("empty", 80, HTTP, None),
        listener("wild", 80, HTTP, Some("*.example.com")),
        listener("deep", 80, HTTP, Some("*.foo.example.com")),
        listener("exact", 80, HTTP, Some("abc.foo.example.com")),
        listener("tls", 443, HTTPS, Some("*.example.com")),
        listener("other", 8080, HTTP, Some("example.com")),
        listener("pass", 443, TLS, None),
        listener("tcp", 80, TCP, None),
    ] {
        table.set_listener(&listener.key, Some(&listener));
    }
    let choose = |table: &RouteTable, port, tls, host: &str| {
        let local = std::net::SocketAddr::from(([10, 0, 0, 1], port));
        table.choose_listener(local, tls, host).map(|key| key.name.to_string())
    };
    for (port, tls, host, expected) in [
        (80, false, "abc.foo.example.com", Some("exact")),
        (80, false, "x.abc.foo.example.com", Some("deep")),
        (80, false, "bar.foo.example.com", Some("deep")),
        (80, false, "foo.example.com", Some("wild")),
        (80, false, "example.com", Some("empty")),
        (80, false, "10.0.0.1", Some("empty")),
        (443, true, "a.example.com", Some("tls")),
        // What passes through takes no requests: they are misdirected.
        (443, true, "example.com", Some("pass")),
        (443, false, "a.example.com", None),
        (80, true, "a.example.com", None),
        (8080, false, "example.com", Some("other")),
        (8080, false, "a.example.com", None),
        (81, false, "example.com", None),
    ] {
        assert_eq!(choose(&table, port, tls, host).as_deref(), expected, "{port} {tls} {host}");
    }
    // A listener moves, changes its host, changes its protocol, goes.
    let key = listener_key("exact");
    table.set_listener(&key, Some(&listener("exact", 81, HTTP, Some("abc.foo.example.com"))));
    assert_eq!(choose(&table, 80, false, "abc.foo.example.com").as_deref(), Some("deep"));
    assert_eq!(choose(&table, 81, false, "abc.foo.example.com").as_deref(), Some("exact"));
    table.set_listener(&key, Some(&listener("exact", 81, TCP, None)));
    assert_eq!(choose(&table, 81, false, "abc.foo.example.com"), None);
    for name in ["empty", "wild", "deep", "tls", "other", "exact", "pass", "tcp"] {
        table.set_listener(&listener_key(name), None);
    }
    assert!(table.ports.is_empty() && table.listeners.is_empty());
}

#[test]
fn listeners_of_different_addresses_share_nothing() {
    let mut table = RouteTable::default();
    let at = |name: &str, host: Option<&str>, addresses: &[&str]| {
        let addresses = addresses.iter().map(|address| address.parse().unwrap()).collect();
        Listener { addresses, ..listener(name, 80, ListenerProtocol::HTTP, host) }
    };
    let all = [
        at("one", None, &["10.0.0.1"]),
        at("two", Some("*.com"), &["10.0.0.2", "fd00::2"]),
        at("every", Some("*.org"), &[]),
        at("ipv4", Some("a.org"), &["0.0.0.0"]),
    ];
    for listener in &all {
        table.set_listener(&listener.key, Some(listener));
    }
    for (address, host, expected) in [
        ("10.0.0.1", "a.com", Some("one")),
        ("10.0.0.2", "a.com", Some("two")),
        ("fd00::2", "a.com", Some("two")),
        ("10.0.0.3", "a.com", None),
        ("10.0.0.2", "a.net", None),
        // The more specific host wins, of whatever address.
        ("10.0.0.1", "b.org", Some("every")),
        ("10.0.0.3", "b.org", Some("every")),
        ("10.0.0.1", "a.org", Some("ipv4")),
        ("fd00::9", "a.org", Some("ipv4")),
    ] {
        let local = std::net::SocketAddr::new(address.parse().unwrap(), 80);
        let chosen = table.choose_listener(local, false, host).map(|key| &*key.name);
        assert_eq!(chosen, expected, "{address} {host}");
    }
    for listener in &all {
        table.set_listener(&listener.key, None);
    }
    assert!(table.ports.is_empty() && table.listeners.is_empty());
}

#[test]
fn backends_are_chosen_by_weight() {
    use lasthop_dataplane_api::{BackendTarget, InvalidBackend, WeightedBackend};
    let backend = |name: &str, weight| WeightedBackend {
        weight,
        target: BackendTarget::Invalid(InvalidBackend { reason: name.into(), reference: "".into() }),
        filters: Vec::new(),
    };
    let compiled = |weights: &[u32]| {
        let mut source = rule("r", 0, &[], vec![prefix("/")]);
        source.backends = weights.iter().map(|weight| backend(&weight.to_string(), *weight)).collect();
        CompiledRule::compile(&Arc::new(source))
    };
    for nothing in [&[][..], &[0], &[0, 0]] {
        assert!([0, 1, u32::MAX].iter().all(|random| compiled(nothing).for_number(*random).is_none()));
    }
    let shares = |weights: &[u32]| {
        let rule = compiled(weights);
        let mut shares = BTreeMap::<u32, u32>::new();
        for step in 0..10_000u32 {
            let random = step * (u32::MAX / 10_000);
            *shares.entry(rule.for_number(random).unwrap().weight).or_default() += 1;
        }
        assert!(rule.for_number(u32::MAX).is_some());
        shares
    };
    assert_eq!(shares(&[7]), BTreeMap::from([(7, 10_000)]));
    assert_eq!(shares(&[0, 9, 0]), BTreeMap::from([(9, 10_000)]));
    let three = shares(&[70, 0, 20, 10]);
    assert!((6_990..=7_010).contains(&three[&70]) && (1_990..=2_010).contains(&three[&20]));
    assert_eq!(three.values().sum::<u32>(), 10_000);
    assert!(!three.contains_key(&0));
    // The largest sum does not overflow.
    assert_eq!(shares(&[u32::MAX; 16]).values().sum::<u32>(), 10_000);
}

/// A small world in which many matches meet at the same requests.
fn any_match() -> impl Strategy<Value = HttpMatch> {
    let path = prop_oneof![
        Just(None),
        "(/[ab]){1,3}/?".prop_map(|path| Some(PathMatch::Prefix(path.into()))),
        "(/[ab]){1,3}".prop_map(|path| Some(PathMatch::Exact(path.into()))),
        prop::sample::select(vec!["/a.*", "/.*b", "/[ab]/.*"])
            .prop_map(|path| Some(PathMatch::Regex(path.into()))),
    ];
    let method = prop_oneof![Just(None), Just(Some("GET".into())), Just(Some("PUT".into()))];
    let headers = prop::sample::subsequence(vec![is("x", "1"), is("y", "1")], 0..=2);
    let query = prop::sample::subsequence(vec![is("q", "1"), is("r", "1")], 0..=2);
    (path, method, headers, query).prop_map(|(path, method, headers, query)| HttpMatch {
        path,
        method,
        headers,
        query,
    })
}

fn any_rule() -> impl Strategy<Value = HttpRule> {
    let hosts = prop::sample::subsequence(vec!["a.b.c", "*.b.c", "*.c"], 0..=3);
    let matches = prop::collection::vec(any_match(), 1..4);
    ("[rst]", 0u32..3, 0i64..2, hosts, matches).prop_map(|(name, index, created, hosts, matches)| HttpRule {
        created,
        ..rule(&name, index, &hosts, matches)
    })
}

/// The order of the API, said the long way: what the table must agree with.
fn reference(rules: &[HttpRule], host: &str, request: &http::request::Parts) -> Option<String> {
    let mut best: Option<(_, String)> = None;
    for rule in rules {
        let hosts = &rule.attachments[0].hosts;
        let own = hosts
            .iter()
            .filter(|attached| attached.effective.covers(host))
            .map(|attached| match &attached.own {
                HostPattern::Exact(name) => (2, name.len()),
                HostPattern::Wildcard(suffix) => (1, suffix.len()),
            })
            .max();
        let own = match own {
            Some(own) => own,
            None if hosts.is_empty() => (0, 0),
            None => continue,
        };
        for (at, conditions) in rule.matches.iter().enumerate() {
            let path = request.uri.path();
            let (held, kind, length) = match &conditions.path {
                None => (true, 1, 0),
                Some(PathMatch::Exact(exact)) => (path == &**exact, 3, exact.len()),
                Some(PathMatch::Prefix(prefix)) => {
                    let prefix = prefix.trim_end_matches('/');
                    let under = path
                        .strip_prefix(prefix)
                        .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
                    (under, 1, prefix.len())
                }
                Some(PathMatch::Regex(pattern)) => {
                    let whole = ::regex::Regex::new(&format!("^(?:{pattern})$")).unwrap();
                    (whole.is_match(path), 2, pattern.len() + r"\A(?:)\z".len())
                }
                Some(PathMatch::Grpc { .. }) => unreachable!(),
            };
            let exactly = |condition: &KeyValueMatch, actual: Option<&str>| match &condition.value {
                StringMatch::Exact(value) => actual == Some(&**value),
                StringMatch::Regex(_) => unreachable!(),
            };
            let held = held
                && conditions.method.as_deref().is_none_or(|method| method == request.method.as_str())
                && conditions.headers.iter().all(|condition| {
                    exactly(condition, request.headers.get(&*condition.name).map(|v| v.to_str().unwrap()))
                })
                && conditions.query.iter().all(|condition| {
                    let pairs = request.uri.query().unwrap_or_default().split('&');
                    let value =
                        pairs.filter_map(|pair| pair.split_once('=')).find(|(k, _)| *k == &*condition.name);
                    exactly(condition, value.map(|(_, value)| value))
                });
            if !held {
                continue;
            }
            let object = &rule.key.route.object;
            let rank = (
                std::cmp::Reverse((
                    own,
                    kind,
                    length,
                    conditions.method.is_some(),
                    conditions.headers.len(),
                    conditions.query.len(),
                )),
                rule.created,
                format!("{}/{}", object.namespace, object.name),
                rule.key.index,
                at,
            );
            if best.as_ref().is_none_or(|(other, _)| rank < *other) {
                best = Some((rank, format!("{}/{}/{at}", object.name, rule.key.index)));
            }
        }
    }
    best.map(|(_, name)| name)
}

proptest! {
    /// Whatever arrives in whatever order, changes or goes: the table finds what the API's order says.
    #[test]
    fn the_table_agrees_with_the_api(
        rules in prop::collection::vec(any_rule(), 1..12),
        removed in prop::collection::vec(any::<prop::sample::Index>(), 0..3),
        host in prop::sample::select(vec!["a.b.c", "x.b.c", "x.y.c", "b.c", "c", "z"]),
        path in "(/[ab]){1,4}/?",
        query in prop::sample::select(vec!["", "?q=1", "?r=1&q=1", "?q=2"]),
        method in prop::sample::select(vec!["GET", "PUT", "POST"]),
        headers in prop::sample::subsequence(vec!["x", "y"], 0..=2),
    ) {
        let mut table = table(rules.clone());
        // The last rule of a key is the one that counts.
        let mut kept = BTreeMap::new();
        for rule in rules {
            kept.insert(rule.key.clone(), rule);
        }
        for index in removed {
            let Some(key) = kept.keys().nth(index.index(kept.len().max(1))).cloned() else { continue };
            kept.remove(&key);
            table.set_rule(&key, None);
        }
        let mut request = Request::builder().method(method).uri(format!("{path}{query}"));
        for name in headers {
            request = request.header(name, "1");
        }
        let parts = request.body(()).unwrap().into_parts().0;
        let expected = reference(&kept.values().cloned().collect::<Vec<_>>(), host, &parts);
        let found = table.find(&listener_key("l"), host, &parts).map(|found| {
            let key = &found.rule.source.key;
            format!("{}/{}/{}", key.route.object.name, key.index, found.matched)
        });
        prop_assert_eq!(found, expected);
        for key in kept.keys() {
            table.set_rule(key, None);
        }
        prop_assert!(table.routes.is_empty());
    }

    /// No two matches are equal, and the order is one: antisymmetric and transitive.
    #[test]
    fn precedence_is_a_total_order(rules in prop::collection::vec(any_rule(), 3)) {
        let compiled: Vec<_> = rules.into_iter().map(|rule| CompiledRule::compile(&Arc::new(rule))).collect();
        let matches: Vec<_> = compiled
            .iter()
            .flat_map(|rule| (0..rule.matches.len()).map(move |at| (rule, at)))
            .collect();
        let order = |a: &(&CompiledRule, usize), b: &(&CompiledRule, usize)| precedence::order(*a, *b);
        for a in &matches {
            prop_assert_eq!(order(a, a), std::cmp::Ordering::Equal);
            for b in &matches {
                prop_assert_eq!(order(a, b), order(b, a).reverse());
                if a.0.source.key != b.0.source.key {
                    prop_assert_ne!(order(a, b), std::cmp::Ordering::Equal);
                }
                for c in &matches {
                    if order(a, b).is_lt() && order(b, c).is_lt() {
                        prop_assert!(order(a, c).is_lt());
                    }
                }
            }
        }
    }
}
