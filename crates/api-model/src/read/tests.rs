use super::*;
use crate::{Gateway, HttpRoute, ResourceKind, Secret, Service};

fn read(text: &str) -> ReadOutcome {
    read_file_bytes("shop.yaml", text.as_bytes())
}

fn keys(outcome: &ReadOutcome) -> Vec<String> {
    outcome.objects.iter().map(|(resource, _)| resource.key().to_string()).collect()
}

fn problems(outcome: &ReadOutcome) -> Vec<String> {
    outcome.problems.iter().map(ToString::to_string).collect()
}

/// The only object of a file that has no problem.
fn only<T: crate::ResourceType>(text: &str) -> T {
    let outcome = read(text);
    assert_eq!(problems(&outcome), Vec::<String>::new());
    T::from_resource(&outcome.objects.first().unwrap().0).unwrap().as_ref().clone()
}

const ROUTE: &str = "\
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata:
  name: shop
spec:
  parentRefs:
  - name: edge
  rules:
  - backendRefs:
    - name: web
      port: 8080
";

const CONFIG_MAP: &str = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: cm}\ndata: {a: b}\n";

#[test]
fn fills_in_what_the_api_server_would() {
    let route: HttpRoute = only(ROUTE);
    assert_eq!(route.metadata.namespace.as_deref(), Some("default"));
    assert_eq!(route.spec.parent_refs[0].kind, "Gateway");
    let rule = &route.spec.rules[0];
    assert_eq!((rule.matches[0].path.value.as_str(), rule.backend_refs[0].backend_ref.weight), ("/", 1));

    let service: Service = only(
        "apiVersion: v1\nkind: Service\nmetadata: {name: web}\nspec: {ports: [{port: 80}], selector: {app: web}}",
    );
    let spec = service.spec.unwrap();
    assert_eq!(spec.type_.as_deref(), Some("ClusterIP"));
    let port = &spec.ports.unwrap()[0];
    assert_eq!(port.protocol.as_deref(), Some("TCP"));
    assert_eq!(serde_json::to_value(&port.target_port).unwrap(), 80);
}

#[test]
fn drops_what_belongs_to_an_api_server() {
    let text = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: cm\n  creationTimestamp: null\n  generation: 7\n  \
                resourceVersion: '12'\n  managedFields: [{manager: kubectl}]\n  uid: u\n";
    let map: crate::ConfigMap = only(text);
    assert_eq!(
        (map.metadata.generation, &map.metadata.resource_version, &map.metadata.managed_fields),
        (None, &None, &None)
    );
    assert_eq!(map.metadata.uid.as_deref(), Some("u"));
}

#[test]
fn names_file_line_object_field_and_remedy() {
    let text = ROUTE.replace("  - backendRefs:", "  - backendRef:");
    assert_eq!(
        problems(&read(&text)),
        [
            "shop.yaml:9:5: HTTPRoute default/shop: spec.rules[0].backendRef: unknown field; did you mean \"backendRefs\"?"
        ]
    );
    let text = format!("# two\n---\n{}", ROUTE.replace("port: 8080", "port: \"8080\""));
    assert_eq!(
        problems(&read(&text)),
        [
            "shop.yaml:13:7: HTTPRoute default/shop: spec.rules[0].backendRefs[0].port: must be an integer, not the \
          string \"8080\"; write it without quotes"
        ]
    );
    let text = ROUTE.replace("      port: 8080\n", "");
    assert_eq!(
        problems(&read(&text)),
        [
            "shop.yaml:10:7: HTTPRoute default/shop: spec.rules[0].backendRefs[0].port: must be set for a Service; add \
          the port of the Service"
        ],
        "what is missing is reported where it should stand"
    );
    let outcome = read(&ROUTE.replace("shop", "Shop!"));
    assert_eq!(outcome.problems[0].key.as_ref().unwrap().name, "Shop!");
    assert!(outcome.objects.is_empty());
}

#[test]
fn one_bad_document_leaves_the_others_alone() {
    let bad = ROUTE.replace("name: shop", "name: bad").replace("parentRefs:", "parentRef:");
    let outcome = read(&format!("{ROUTE}---\n{bad}---\n{CONFIG_MAP}"));
    assert_eq!(keys(&outcome), ["HTTPRoute default/shop", "ConfigMap default/cm"]);
    assert_eq!(outcome.problems.len(), 1);
    assert_eq!(outcome.problems[0].object, "HTTPRoute default/bad");
    assert_eq!(outcome.objects[1].1.to_string(), "shop.yaml:25");
}

#[test]
fn a_syntax_error_is_lost_alone() {
    let outcome = read(&format!("{ROUTE}---\nkind: [unclosed\n  x: y\n---\n{CONFIG_MAP}"));
    assert_eq!(keys(&outcome), ["HTTPRoute default/shop", "ConfigMap default/cm"]);
    assert_eq!(outcome.problems.len(), 1);
    let problem = &outcome.problems[0];
    assert!((13..=15).contains(&problem.line) && problem.message.starts_with("is not YAML"), "{problem}");
    assert_eq!(problem.key, None);

    let mut bytes = format!("{ROUTE}---\na: \u{1}\n---\n{CONFIG_MAP}").into_bytes();
    *bytes.iter_mut().find(|byte| **byte == 1).unwrap() = 0xff;
    let outcome = read_file_bytes("shop.yaml", &bytes);
    assert_eq!(keys(&outcome).len(), 2);
    assert_eq!(problems(&outcome), ["shop.yaml:13: is not UTF-8 text; save the file as UTF-8"]);
}

#[test]
fn refuses_repeated_keys_where_they_stand() {
    let text = ROUTE.replace("  - name: edge", "  - name: edge\n    name: other");
    assert_eq!(
        problems(&read(&text)),
        [
            "shop.yaml:8:5: HTTPRoute default/shop: spec.parentRefs[0].name: the field is given twice; keep one of the two"
        ]
    );
    let json = r#"{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"a"},"data":{"k":"1","k":"2"}}"#;
    assert_eq!(read(json).problems[0].field, "data.k");
}

#[test]
fn refuses_a_repeated_object() {
    let outcome = read(&format!("{CONFIG_MAP}---\n{CONFIG_MAP}"));
    assert_eq!(keys(&outcome).len(), 1);
    assert!(outcome.problems[0].message.contains("at line 1"), "{}", outcome.problems[0]);
    assert_eq!(outcome.problems[0].line, 8);
}

#[test]
fn passes_unknown_kinds_over_and_refuses_unserved_versions() {
    let outcome = read(
        "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web, namespace: shop}\n---\n\
         apiVersion: networking.istio.io/v1\nkind: Gateway\nmetadata: {name: mesh}\n",
    );
    assert!(outcome.objects.is_empty() && outcome.problems.is_empty());
    let notes: Vec<_> = outcome.passed_over.iter().map(ToString::to_string).collect();
    assert_eq!(
        notes[0],
        "shop.yaml:1: Deployment shop/web: apps/v1 Deployment is not a kind this gateway reads"
    );
    assert_eq!(notes.len(), 2, "the group counts");

    let outcome = read(&ROUTE.replace("HTTPRoute", "HttpRoutes"));
    assert!(outcome.passed_over[0].reason.ends_with("did you mean HTTPRoute?"), "{}", outcome.passed_over[0]);

    let outcome = read(&ROUTE.replace("k8s.io/v1", "k8s.io/v1alpha2"));
    assert_eq!(outcome.problems[0].remedy, "use one of the versions v1, v1beta1");
    assert_eq!(outcome.problems[0].field, "apiVersion");

    let outcome = read("a: b\n---\n- 1\n---\njust text\n");
    assert_eq!(outcome.problems.len(), 3);
    assert_eq!(outcome.problems[0].message, "has no apiVersion");
}

#[test]
fn older_versions_are_read_by_their_own_rules() {
    let old = "apiVersion: gateway.networking.k8s.io/v1alpha2\nkind: TCPRoute\nmetadata: {name: t}\nspec: {rules: [\
               {backendRefs: [{name: a, port: 1}]}, {backendRefs: [{name: b, port: 1}]}]}";
    assert_eq!(only::<crate::TcpRoute>(old).spec.rules.len(), 2);
    assert_eq!(read(&old.replace("v1alpha2", "v1")).problems[0].field, "spec.rules");
    only::<HttpRoute>(&ROUTE.replace("k8s.io/v1", "k8s.io/v1beta1"));
}

#[test]
fn reads_lists_of_both_kinds() {
    let item = CONFIG_MAP.replace('\n', "\n  ");
    let outcome =
        read(&format!("apiVersion: v1\nkind: List\nitems:\n- {item}\n- {}", item.replace("cm", "other")));
    assert_eq!(keys(&outcome), ["ConfigMap default/cm", "ConfigMap default/other"]);
    assert_eq!(outcome.objects[0].1.line, 4);

    let typed = "apiVersion: v1\nkind: SecretList\nmetadata: {}\nitems:\n- metadata: {name: s}\n  data: {k: djE=}\n\
                 - metadata: {name: S}\n";
    let outcome = read(typed);
    assert_eq!(keys(&outcome), ["Secret default/s"], "entries of typed lists need no kind of their own");
    assert_eq!(outcome.problems[0].line, 7);
    assert!(read("apiVersion: v1\nkind: List\nitems: []\n").problems.is_empty());
}

#[test]
fn reads_json_with_places() {
    let json = "\t{\n\t\"apiVersion\": \"v1\", \"kind\": \"ConfigMap\",\n\t\"metadata\": {\"name\": \"a\\ud83d\\ude00\"},\n\
                \t\"dat\": {}}";
    let outcome = read(json);
    let seen: Vec<_> = outcome.problems.iter().map(|p| (p.line, p.column, p.field.as_str())).collect();
    assert_eq!(seen, [(4, 2, "dat"), (3, 15, "metadata.name")]);

    let two = r#"{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"a"}} {"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"b"}}"#;
    assert_eq!(keys(&read(two)).len(), 2);
    assert_eq!(keys(&read(&format!("{ROUTE}---\n{two}"))).len(), 3, "a document of a YAML file may be JSON");
    assert_eq!(keys(&read("{apiVersion: v1, kind: ConfigMap, metadata: {name: flow}}")).len(), 1);
    for broken in ["{", "{\"a\":}", "{\"a\" 1}", "[1,]", "{\"a\": \"\n\"}", "{\"a\": 01}", "{\"a\": 1} x"] {
        assert_eq!(read(broken).problems.len(), 1, "{broken:?}");
    }
}

#[test]
fn expands_aliases_and_merges_within_bounds() {
    let text = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a, labels: &l {app: web}, annotations: {<<: *l, x: z}}\n";
    let map: crate::ConfigMap = only(text);
    assert_eq!(
        map.metadata.annotations.unwrap().into_iter().collect::<Vec<_>>(),
        [("app".to_owned(), "web".to_owned()), ("x".to_owned(), "z".to_owned())]
    );

    let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..12 {
        let before = format!("*a{}", level - 1);
        bomb += &format!("a{level}: &a{level} [{}]\n", vec![before; 10].join(", "));
    }
    let outcome = read(&format!("{bomb}---\n{CONFIG_MAP}"));
    assert!(outcome.problems[0].message.contains("16 MiB"), "{}", outcome.problems[0]);
    assert_eq!(keys(&outcome).len(), 1);

    let mut tower = "a0: &a0 [[[[[[[[[[x]]]]]]]]]]\n".to_owned();
    for level in 1..200 {
        tower += &format!("a{level}: &a{level} [[[[[[[[[[*a{}]]]]]]]]]]\n", level - 1);
    }
    assert!(read(&tower).problems[0].message.contains("64 levels"));
    assert!(read(&"[".repeat(100_000)).problems[0].message.contains("level"));
    assert!(read(&format!("a: {}", "{a: ".repeat(100_000))).problems[0].message.contains("level"));
}

#[test]
fn secrets_join_their_data_and_stay_out_of_messages() {
    let text = "apiVersion: v1\nkind: Secret\nmetadata: {name: s}\ntype: kubernetes.io/tls\nstringData:\n  tls.crt: cert\n\
                data:\n  tls.key: |\n    aGVs\n    bG8=\n";
    let secret: Secret = only(text);
    let data = secret.data.unwrap();
    assert_eq!((data["tls.crt"].0.as_slice(), data["tls.key"].0.as_slice()), (&b"cert"[..], &b"hello"[..]));
    assert!(secret.string_data.is_none());

    for bad in
        ["data: {k: 'hunter2!'}", "stringData: {k: [hunter2]}", "stringData: {k: 4711}", "data: hunter2"]
    {
        let outcome = read(&format!("apiVersion: v1\nkind: Secret\nmetadata: {{name: s}}\n{bad}\n"));
        let printed = format!("{outcome:?} {}", outcome.problems[0]);
        assert!(!printed.contains("hunter2") && !printed.contains("4711"), "{printed}");
    }
    let outcome = read(&text.replace("tls.key", "tls.pem"));
    assert_eq!(outcome.problems[0].field, "data[tls.key]");
}

#[test]
fn keeps_sound_status_and_leaves_out_the_rest() {
    let status = "status:\n  parents:\n  - parentRef: {name: edge}\n    controllerName: other.example/gw\n    conditions:\n    \
                  - {type: Accepted, status: 'True', reason: Accepted, message: '', lastTransitionTime: 2026-01-01T00:00:00Z}\n";
    let route: HttpRoute = only(&format!("{ROUTE}{status}"));
    assert_eq!(route.status.unwrap().parents[0].parent_ref.kind, "Gateway");

    let outcome = read(&format!("{ROUTE}status: {{}}\n"));
    assert_eq!(keys(&outcome).len(), 1);
    assert!(outcome.passed_over[0].to_string().contains("its status is left out: status.parents"));
}

#[test]
fn one_gateway_with_an_unknown_protocol_is_read() {
    let gateway: Gateway = only(
        "apiVersion: gateway.networking.k8s.io/v1\nkind: Gateway\nmetadata: {name: g}\n\
         spec: {gatewayClassName: c, listeners: [{name: l, port: 80, protocol: example.com/quic}]}\n",
    );
    let listener = &gateway.spec.listeners[0];
    assert_eq!(listener.protocol, crate::Protocol::Other("example.com/quic".to_owned()));
    assert_eq!(listener.allowed_routes.namespaces.from, crate::FromNamespaces::Same);
}

#[test]
fn refuses_files_and_objects_over_the_limits() {
    let outcome = read_file_bytes("big.yaml", &vec![b' '; MAX_FILE_BYTES + 1]);
    assert_eq!((outcome.problems.len(), outcome.problems[0].line), (1, 0));
    let big =
        format!("{}  b: {}\n", CONFIG_MAP.replace("data: {a: b}", "data:\n  a: b"), "x".repeat(4 << 20));
    assert!(read(&big).problems[0].message.contains("3 MiB"));
}

#[test]
fn one_object_gives_few_problems() {
    let many: String = (0..1000).map(|n| format!("  f{n}: 1\n")).collect();
    let outcome = read(&format!("{}{many}", ROUTE));
    assert_eq!(outcome.problems.len(), MAX_PROBLEMS);
    assert!(
        outcome.problems[MAX_PROBLEMS - 1].message.contains("981 more"),
        "{}",
        outcome.problems[MAX_PROBLEMS - 1]
    );
}

/// Whatever the bytes, reading ends and gives no panic.
#[test]
fn survives_damaged_files() {
    let whole: String = ResourceKind::ALL
        .iter()
        .map(|kind| format!("---\n{}\n", crate::validate::samples::text(*kind)))
        .collect();
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut below = |limit: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        usize::try_from(state % u64::try_from(limit).unwrap()).unwrap()
    };
    for _ in 0..500 {
        let mut bytes = whole.as_bytes().to_vec();
        for _ in 0..=below(20) {
            let at = below(bytes.len());
            match below(4) {
                0 => bytes[at] = u8::try_from(below(256)).unwrap(),
                1 => bytes[at] = b"{}[]&*!|>-:#'\"%@,?\n\t "[below(21)],
                2 => drop(bytes.drain(at..(at + below(40)).min(bytes.len()))),
                _ => {
                    let piece = bytes[at..(at + below(60)).min(bytes.len())].to_vec();
                    let to = below(bytes.len());
                    bytes.splice(to..to, piece);
                }
            }
        }
        let outcome = read_file_bytes("damaged.yaml", &bytes);
        assert!(outcome.objects.len() <= ResourceKind::ALL.len() + 20);
    }
}

#[test]
fn every_kind_reads_back_what_it_writes() {
    for kind in ResourceKind::ALL {
        let json = crate::validate::samples::full(*kind);
        let outcome = read_file_bytes("full.json", json.to_string().as_bytes());
        assert_eq!(problems(&outcome), Vec::<String>::new(), "{kind}");
        let resource = &outcome.objects[0].0;
        let again = read_file_bytes("again.json", resource.to_json().unwrap().to_string().as_bytes());
        assert_eq!(problems(&again), Vec::<String>::new(), "{kind}");
        assert!(again.objects[0].0 == *resource, "{kind}");
    }
}

#[test]
fn a_refused_policy_still_says_whom_it_was_meant_for() {
    let policy = |targets: &str, rest: &str| {
        let text = format!(
            "apiVersion: gateway.networking.k8s.io/v1\nkind: BackendTLSPolicy\nmetadata: {{name: p}}\n\
             spec:\n  targetRefs: {targets}\n  {rest}\n"
        );
        let outcome = read_file_bytes("policy.yaml", text.as_bytes());
        assert!(outcome.objects.is_empty() && !outcome.problems.is_empty());
        outcome.refused_policies
    };
    for rest in ["validation: {}", "validation: 1", "nonsense: 1", "options: {a: b}\n  options: {}"] {
        let refused = policy("[{group: '', kind: Service, name: web, sectionName: tls}]", rest);
        let [(Resource::BackendTlsPolicy(policy), _)] = refused.as_slice() else {
            panic!("{rest}: {refused:?}")
        };
        assert_eq!(policy.metadata.namespace.as_deref(), Some("default"));
        assert_eq!(policy.spec.target_refs[0].name, "web");
        assert_eq!(policy.spec.target_refs[0].section_name.as_deref(), Some("tls"));
        assert!(policy.spec.refused.as_deref().unwrap().contains("refused"), "{rest}");
    }
    // A slip in the reference itself does not lose the target; without any name there is none.
    assert_eq!(policy("[{kind: Servce, nam: x, name: web}, {}]", "validation: {}").len(), 1);
    assert_eq!(policy("[{group: ''}]", "validation: {}").len(), 0);
    assert_eq!(policy("web", "validation: {}").len(), 0);
}
