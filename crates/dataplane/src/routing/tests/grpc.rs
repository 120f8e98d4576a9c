//! Rules of GRPCRoutes: their methods, and the order of the GRPCRoute API.

use super::*;

fn call(service: Option<&str>, method: Option<&str>) -> HttpMatch {
    let exact = |text: Option<&str>| text.map(|text| StringMatch::Exact(text.into()));
    HttpMatch { path: path(exact(service), exact(method)), ..HttpMatch::default() }
}

fn like(service: Option<&str>, method: Option<&str>) -> HttpMatch {
    let regex = |text: Option<&str>| text.map(|text| StringMatch::Regex(text.into()));
    HttpMatch { path: path(regex(service), regex(method)), ..HttpMatch::default() }
}

/// As the translator has it.
fn path(service: Option<StringMatch>, method: Option<StringMatch>) -> Option<PathMatch> {
    match (service, method) {
        (None, None) => None,
        (Some(StringMatch::Exact(service)), Some(StringMatch::Exact(method))) => {
            Some(PathMatch::Exact(format!("/{service}/{method}").into()))
        }
        (Some(StringMatch::Exact(service)), None) => Some(PathMatch::Prefix(format!("/{service}").into())),
        (service, method) => Some(PathMatch::Grpc { service, method }),
    }
}

fn with_header(mut conditions: HttpMatch) -> HttpMatch {
    conditions.headers.push(is("version", "two"));
    conditions
}

fn grpc(route: &str, index: u32, matches: Vec<HttpMatch>) -> HttpRule {
    let mut rule = rule(route, index, &[], matches);
    rule.key.route.kind = RouteKind::GRPCRoute;
    rule
}

fn post(path: &str) -> http::request::Builder {
    Request::post(path).header("content-type", "application/grpc")
}

#[test]
fn methods_match_as_a_whole() {
    for (conditions, path, matches) in [
        (call(Some("a.B"), Some("C")), "/a.B/C", true),
        (call(Some("a.B"), Some("C")), "/a.B/Cc", false),
        (call(Some("a.B"), Some("C")), "/a.b/C", false),
        (call(Some("a.B"), None), "/a.B/Any", true),
        (call(Some("a.B"), None), "/a.Bb/Any", false),
        (call(None, Some("C")), "/x.Y/C", true),
        (call(None, Some("C")), "/x.Y/CC", false),
        (call(None, Some("C")), "/x.Y/D/C", false),
        (call(None, Some("C.")), "/x.Y/CC", false),
        (like(Some("a|b"), None), "/b/Any", true),
        (like(Some("a|b"), None), "/bb/Any", false),
        (like(None, Some("Get.*")), "/x/GetIt", true),
        (like(None, Some("Get.*")), "/x/DoGet", false),
        (like(Some(r"pkg\.\w+"), Some("A|B")), "/pkg.One/B", true),
        (like(Some(r"pkg\.\w+"), Some("A|B")), "/pkgx/B", false),
        (like(Some("a)|(b"), None), "/a/X", false),
        (call(None, None), "/whatever/It", true),
    ] {
        let table = table([grpc("r", 0, vec![conditions.clone()])]);
        assert_eq!(find(&table, "h", post(path)).is_some(), matches, "{conditions:?} {path}");
    }
}

/// Each of these goes before those below it, whichever order they are written in.
#[test]
fn service_goes_before_method_and_method_before_headers() {
    let order = [
        with_header(call(Some("pkg.Service"), Some("Get"))),
        call(Some("pkg.Service"), Some("Get")),
        with_header(like(Some("pkg.*"), Some("Get"))),
        like(Some("pkg.*"), Some("Get")),
        with_header(call(Some("pkg.Service"), None)),
        call(Some("pkg.Service"), None),
        like(Some("pkg.+vice"), None),
        like(Some("pkg.+"), None),
        with_header(call(None, Some("Get"))),
        call(None, Some("Get")),
        like(None, Some("Ge.")),
        with_header(call(None, None)),
        call(None, None),
    ];
    for reversed in [false, true] {
        let mut left: Vec<_> = order.iter().cloned().enumerate().collect();
        while let Some(&(best, _)) = left.first() {
            let mut rules: Vec<_> = left
                .iter()
                .map(|(at, conditions)| grpc(&at.to_string(), 0, vec![conditions.clone()]))
                .collect();
            if reversed {
                rules.reverse();
            }
            let request = post("/pkg.Service/Get").header("version", "two");
            assert_eq!(find(&table(rules), "h", request).as_deref(), Some(&*format!("{best}/0/0")));
            left.remove(0);
        }
    }
}

#[test]
fn age_then_name_then_the_rules_order_decide_between_equals() {
    let conditions = || vec![call(None, Some("Get"))];
    let mut old = grpc("z", 1, conditions());
    old.created = -5;
    let mut all = vec![grpc("b", 1, conditions()), grpc("b", 0, conditions()), grpc("a", 0, conditions())];
    let get = || post("/x/Get");
    assert_eq!(find(&table(all.clone()), "h", get()).as_deref(), Some("a/0/0"));
    all.push(old);
    assert_eq!(find(&table(all.clone()), "h", get()).as_deref(), Some("z/1/0"));
    all.retain(|rule| &*rule.key.route.object.name == "b");
    assert_eq!(find(&table(all), "h", get()).as_deref(), Some("b/0/0"));
}

#[test]
fn a_rule_that_is_gone_matches_no_more() {
    let rule = grpc("r", 0, vec![call(None, Some("Get")), like(Some("a"), Some("b"))]);
    let mut table = table([rule.clone()]);
    assert!(find(&table, "h", post("/x/Get")).is_some() && find(&table, "h", post("/a/b")).is_some());
    table.set_rule(&rule.key, None);
    assert!(find(&table, "h", post("/x/Get")).is_none() && find(&table, "h", post("/a/b")).is_none());
    assert!(table.routes.is_empty());
}
