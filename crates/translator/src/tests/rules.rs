//! What rules mean, and rules that cannot be honoured.

use std::time::Duration;

use lasthop_dataplane_api::{
    AuthProtocol, BackendTarget, ExternalAuth, Fraction, HttpFilter, PathMatch, PathModifier, RouteKind,
    SessionCarrier, SessionPersistence,
};

use crate::fixtures::*;

fn rule(text: &str) -> String {
    ROUTE.replace("  - backendRefs: [{name: web, port: 443}]\n", text)
}

#[test]
fn filters_timeouts_and_retries_are_translated() {
    let route = rule(
        "  - filters:
    - {type: RequestHeaderModifier, requestHeaderModifier: {set: [{name: X-A, value: '1'}], remove: [X-B]}}
    - {type: URLRewrite, urlRewrite: {hostname: b.example, path: {type: ReplacePrefixMatch, replacePrefixMatch: /y}}}
    - {type: RequestMirror, requestMirror: {backendRef: {name: web, port: 80}, percent: 20}}
    timeouts: {request: 10s, backendRequest: 0s}
    retry: {codes: [503], attempts: 2, backoff: 100ms}
    backendRefs:
    - name: web
      port: 443
      filters: [{type: ResponseHeaderModifier, responseHeaderModifier: {add: [{name: X-C, value: '2'}]}}]
",
    );
    let route = route.replace("  - filters:", "  - matches: [{path: {value: /x}}]\n    filters:");
    let world = World::of(&[GATEWAY, SERVICE, &route]);
    assert_eq!(world.route("route"), ["Accepted=True/Accepted", "ResolvedRefs=True/ResolvedRefs"]);
    let rules = world.rules(RouteKind::HTTPRoute, "route");
    let [HttpFilter::RequestHeaders(headers), HttpFilter::Rewrite(rewrite), HttpFilter::Mirror(mirror)] =
        &rules[0].filters[..]
    else {
        panic!("{:?}", rules[0].filters)
    };
    assert_eq!((&*headers.set[0].name, &*headers.remove[0]), ("x-a", "x-b"));
    assert_eq!(rewrite.path, Some(PathModifier::ReplacePrefixMatch("/y".into())));
    assert_eq!(mirror.fraction, Fraction { numerator: 20, denominator: 100 });
    assert!(matches!(rules[0].backends[0].filters[0], HttpFilter::ResponseHeaders(_)));
    assert_eq!(rules[0].timeouts.request, Some(Duration::from_secs(10)));
    assert_eq!(rules[0].timeouts.backend_request, None, "0s is without limit");
    let retry = rules[0].retry.as_ref().unwrap();
    assert_eq!(
        (retry.attempts, &retry.codes[..], retry.backoff),
        (2, &[503][..], Some(Duration::from_millis(100)))
    );
    assert_eq!(world.translator.snapshot().backends.len(), 2, "the mirror's too");
}

#[test]
fn a_filter_that_cannot_be_honoured_answers_500_and_is_told() {
    let extension =
        "    filters: [{type: ExtensionRef, extensionRef: {group: x.example, kind: Filter, name: z}}]\n";
    let one = rule(&format!("  - backendRefs: [{{name: web, port: 443}}]\n{extension}"));
    let mut world = World::of(&[GATEWAY, SERVICE, &one]);
    assert_eq!(world.route("route")[0], "Accepted=False/UnsupportedValue");
    assert!(matches!(
        world.rules(RouteKind::HTTPRoute, "route")[0].filters[..],
        [HttpFilter::Invalid { .. }]
    ));
    assert_eq!(world.listener_status("gw", "http").attached_routes, 0);

    let two = format!(
        "{one}  - matches: [{{path: {{value: /fine}}}}]\n    backendRefs: [{{name: web, port: 443}}]\n"
    );
    world.apply(&[&two]);
    assert_eq!(
        world.route("route"),
        [
            "Accepted=True/Accepted",
            "ResolvedRefs=True/ResolvedRefs",
            "PartiallyInvalid=True/UnsupportedValue"
        ]
    );
    let conditions = &world.route_status("route").parents[0].conditions;
    assert!(message(conditions, "PartiallyInvalid").starts_with("Dropped Rule 0: "));
    assert_eq!(world.rules(RouteKind::HTTPRoute, "route").len(), 2);
    assert_eq!(world.listener_status("gw", "http").attached_routes, 1);
}

#[test]
fn a_bad_regular_expression_drops_its_rule_alone() {
    let route = rule(
        "  - matches: [{path: {type: RegularExpression, value: '/(a'}}]
    backendRefs: [{name: web, port: 443}]
  - matches: [{path: {type: RegularExpression, value: '/a|/b'}}]
    backendRefs: [{name: web, port: 443}]
",
    );
    let world = World::of(&[GATEWAY, SERVICE, &route]);
    assert_eq!(world.route("route")[2], "PartiallyInvalid=True/UnsupportedValue");
    let rules = world.rules(RouteKind::HTTPRoute, "route");
    assert_eq!(rules.len(), 1);
    assert_eq!(rules[0].key.index, 1, "places stay");
    assert_eq!(rules[0].matches[0].path, Some(PathMatch::Regex("/a|/b".into())));
}

#[test]
fn grpc_rules_are_http_rules() {
    let route = "
---
apiVersion: gateway.networking.k8s.io/v1
kind: GRPCRoute
metadata: {name: calls, creationTimestamp: '2024-01-01T00:00:00Z'}
spec:
  parentRefs: [{name: gw}]
  rules:
  - name: named
    matches: [{method: {service: shop.Cart, method: Add}, headers: [{name: X-V, value: '1'}]}]
    backendRefs: [{name: web, port: 443, weight: 5}]
";
    let world = World::of(&[GATEWAY, SERVICE, route]);
    let rules = world.rules(RouteKind::GRPCRoute, "calls");
    assert_eq!(rules[0].matches[0].path, Some(PathMatch::Exact("/shop.Cart/Add".into())));
    assert_eq!(&*rules[0].matches[0].headers[0].name, "x-v");
    assert_eq!(rules[0].name.as_deref(), Some("named"));
    assert_eq!(rules[0].created, 1_704_067_200);
    assert_eq!(rules[0].backends[0].weight, 5);
    assert!(rules[0].attachments[0].hosts.is_empty());
}

#[test]
fn filters_that_exclude_each_other_answer_500() {
    // Manifests that say so are refused when they are read; an object may come another way.
    let rewrite = "  - filters: [{type: URLRewrite, urlRewrite: {hostname: b.example}}]\n";
    let mut object = objects(&rule(rewrite)).remove(0);
    let lasthop_api_model::Resource::HttpRoute(route) = &mut object else { panic!() };
    let filters = &mut std::sync::Arc::make_mut(route).spec.rules[0].filters;
    filters.push(lasthop_api_model::HttpRouteFilter {
        r#type: lasthop_api_model::HttpRouteFilterType::RequestRedirect,
        request_redirect: Some(lasthop_api_model::HttpRequestRedirectFilter::default()),
        ..lasthop_api_model::HttpRouteFilter::default()
    });
    let mut world = World::of(&[GATEWAY]);
    world.put(object);
    assert_eq!(world.route("route")[0], "Accepted=False/IncompatibleFilters");
    let rules = world.rules(RouteKind::HTTPRoute, "route");
    assert!(rules[0].filters.iter().any(|filter| matches!(filter, HttpFilter::Invalid { .. })));
}

/// What comes of a rule's `sessionPersistence`, of an HTTPRoute and of a GRPCRoute.
fn sessions(persistence: &str) -> [Option<SessionPersistence>; 2] {
    ["HTTPRoute", "GRPCRoute"].map(|kind| {
        let text =
            format!("  - sessionPersistence: {persistence}\n    backendRefs: [{{name: web, port: 443}}]\n");
        let world = World::of(&[GATEWAY, SERVICE, &rule(&text).replace("HTTPRoute", kind)]);
        assert_eq!(world.route("route")[0], "Accepted=True/Accepted", "{persistence}");
        let rules = world.translator.snapshot().http_rules.values();
        let found: Vec<_> = rules.map(|rule| rule.persistence.clone()).collect();
        assert_eq!(found.len(), 1);
        found[0].clone()
    })
}

#[test]
fn sessions_are_carried_by_a_cookie_or_a_header() {
    let cookie = |name: &str, path: &str, permanent| SessionCarrier::Cookie {
        name: name.into(),
        path: path.into(),
        permanent,
    };
    let hour = Some(Duration::from_secs(3600));
    for (text, carrier, absolute_timeout) in [
        ("{cookie: {name: shop}}", cookie("shop", "/", false), None),
        (
            "{type: Cookie, cookie: {name: shop, path: /cart, lifetimeType: Permanent}, absoluteTimeout: 1h}",
            cookie("shop", "/cart", true),
            hour,
        ),
        (
            "{type: Header, header: {name: X-Session}, absoluteTimeout: 60m}",
            SessionCarrier::Header { name: "x-session".into() },
            hour,
        ),
    ] {
        let expected = Some(SessionPersistence { carrier, absolute_timeout });
        assert_eq!(sessions(text), [expected.clone(), expected], "{text}");
    }
}

#[test]
fn a_cookie_without_a_name_gets_one_of_its_rules_own() {
    let name = |session: &Option<SessionPersistence>| match &session.as_ref().unwrap().carrier {
        SessionCarrier::Cookie { name, .. } => name.to_string(),
        other => panic!("{other:?}"),
    };
    let [http, grpc] = sessions("{cookie: {path: /}}");
    let (http, grpc) = (name(&http), name(&grpc));
    assert_ne!(http, grpc);
    assert!(http.starts_with("lasthop-") && http.len() == 20, "{http}");
    assert_eq!(name(&sessions("{cookie: {lifetimeType: Session}}")[0]), http, "it stays");
}

#[test]
fn sessions_that_cannot_be_carried_answer_500() {
    for wrong in [
        "{cookie: {path: '/; Domain=example.com'}}",
        "{cookie: {path: cart}}",
        "{cookie: {}, absoluteTimeout: 0s}",
        "{type: Header, header: {name: Host}}",
        "{type: Header, header: {name: Transfer-Encoding}}",
    ] {
        let text = format!("  - sessionPersistence: {wrong}\n    backendRefs: [{{name: web, port: 443}}]\n");
        let world = World::of(&[GATEWAY, SERVICE, &rule(&text)]);
        assert_eq!(world.route("route")[0], "Accepted=False/UnsupportedValue", "{wrong}");
        let rules = world.rules(RouteKind::HTTPRoute, "route");
        assert!(matches!(rules[0].filters[..], [HttpFilter::Invalid { .. }]), "{wrong}");
        assert_eq!(rules[0].persistence, None);
        let said = message(&world.route_status("route").parents[0].conditions, "Accepted");
        assert!(said.starts_with("spec.rules[0].sessionPersistence."), "{said}");
    }
}

#[test]
fn a_retry_may_be_switched_off_and_is_one_where_nothing_is_said() {
    for (text, attempts) in [("{attempts: 0}", 0), ("{codes: [500]}", 1)] {
        let text = format!("  - retry: {text}\n    backendRefs: [{{name: web, port: 443}}]\n");
        let world = World::of(&[GATEWAY, SERVICE, &rule(&text)]);
        let rules = world.rules(RouteKind::HTTPRoute, "route");
        assert_eq!(rules[0].retry.as_ref().unwrap().attempts, attempts);
    }
}

#[test]
fn a_grpc_route_and_an_http_route_may_share_a_host() {
    let grpc = ROUTE.replace("HTTPRoute", "GRPCRoute").replace("name: route", "name: calls");
    let world = World::of(&[GATEWAY, SERVICE, ROUTE, &grpc]);
    for route in ["route", "calls"] {
        assert_eq!(world.route(route), ["Accepted=True/Accepted", "ResolvedRefs=True/ResolvedRefs"]);
    }
    assert_eq!(world.listener_status("gw", "http").attached_routes, 2);
    assert_eq!(world.translator.snapshot().http_rules.len(), 2);
}

const AUTHZ: &str = "
---
apiVersion: v1
kind: Service
metadata: {name: authz}
spec: {ports: [{port: 9001}]}
";

fn authorized(filter: &str) -> String {
    rule(&format!(
        "  - filters:\n    - type: ExternalAuth\n      externalAuth:\n{filter}    backendRefs: [{{name: web, port: 443}}]\n"
    ))
}

fn auth_of(world: &World) -> ExternalAuth {
    let rules = world.rules(RouteKind::HTTPRoute, "route");
    let [HttpFilter::ExternalAuth(auth)] = &rules[0].filters[..] else { panic!("{:?}", rules[0].filters) };
    auth.clone()
}

#[test]
fn an_authorization_service_is_a_backend() {
    let filter = "        protocol: HTTP
        backendRef: {name: authz, port: 9001}
        http: {path: check/, allowedHeaders: [X-Session], allowedResponseHeaders: [X-User]}
        forwardBody: {maxSize: 1024}
";
    let mut world = World::of(&[GATEWAY, SERVICE, AUTHZ, &authorized(filter)]);
    assert_eq!(world.route("route"), ["Accepted=True/Accepted", "ResolvedRefs=True/ResolvedRefs"]);
    let auth = auth_of(&world);
    let names = |name: &str| vec![name.into()];
    let protocol = AuthProtocol::Http {
        path: "/check".into(),
        headers: names("x-session"),
        answer_headers: names("x-user"),
    };
    assert_eq!((auth.protocol, auth.body_bytes), (protocol, 1024));
    // Its hop is seen as any other, and a policy holds for it.
    assert_eq!(world.translator.hops().len(), 2);
    let ca = Ca::new("ca").config_map("ca");
    world.apply(&[&POLICY.replace("name: web}", "name: authz}"), &ca]);
    assert_eq!(world.policy("policy"), ["Accepted=True/Accepted", "ResolvedRefs=True/ResolvedRefs"]);
    assert_eq!(&*world.tls("authz", 9001).source, "default/policy");

    let filter =
        "        {protocol: GRPC, backendRef: {name: authz, port: 9001}, grpc: {allowedHeaders: [Cookie]}}\n";
    world.apply(&[&authorized(filter)]);
    let auth = auth_of(&world);
    assert_eq!((auth.protocol, auth.body_bytes), (AuthProtocol::Grpc { headers: names("cookie") }, 0));
}

#[test]
fn an_authorization_service_that_is_not_there_is_no_permission() {
    let to = |reference: &str| {
        authorized(&format!(
            "        {{protocol: GRPC, grpc: {{}}, backendRef: {{name: authz, port: 9001{reference}}}}}\n"
        ))
    };
    let world = World::of(&[GATEWAY, SERVICE, &to("")]);
    assert_eq!(world.route("route")[1], "ResolvedRefs=False/BackendNotFound");
    assert!(matches!(auth_of(&world).target, BackendTarget::Invalid(_)), "it is asked all the same");
    let world = World::of(&[GATEWAY, SERVICE, AUTHZ, &to(", namespace: far")]);
    assert_eq!(world.route("route")[1], "ResolvedRefs=False/RefNotPermitted");
    // A path that leads out of itself is refused, and with it the rule; so is a body that would fill the proxy's memory.
    let field = "spec.rules[0].filters[0].externalAuth";
    for (settings, says) in [
        ("http: {path: 'a/../b'}", "http.path"),
        ("http: {path: '/%2E%2e/admin'}", "http.path"),
        ("http: {path: '.'}", "http.path"),
        (
            "http: {}, forwardBody: {maxSize: 1048577}",
            "forwardBody.maxSize: 1048577 is not supported; write 0 to 1048576",
        ),
    ] {
        let filter =
            format!("        {{protocol: HTTP, backendRef: {{name: authz, port: 9001}}, {settings}}}\n");
        let world = World::of(&[GATEWAY, SERVICE, AUTHZ, &authorized(&filter)]);
        let rules = world.rules(RouteKind::HTTPRoute, "route");
        let [HttpFilter::Invalid { message, .. }] = &rules[0].filters[..] else {
            panic!("{settings}: {:?}", rules[0].filters)
        };
        assert!(message.starts_with(&format!("{field}.{says}")), "{message}");
    }
}
