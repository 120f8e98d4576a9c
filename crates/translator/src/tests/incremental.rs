//! Whatever changes in whatever order: the result is that of a translation from scratch.

use std::{collections::BTreeMap, sync::OnceLock};

use lasthop_api_model::{Change, Resource, ResourceKey, ResourceStore};
use lasthop_dataplane_api::Snapshot;
use proptest::prelude::*;

use crate::{ClassPolicy, Options, Translator, fixtures::*};

/// For each object the forms it may have, besides not being there.
fn objects_and_their_forms() -> &'static [Vec<Resource>] {
    static FORMS: OnceLock<Vec<Vec<Resource>>> = OnceLock::new();
    FORMS.get_or_init(|| {
        let mut forms: BTreeMap<ResourceKey, Vec<Resource>> = BTreeMap::new();
        // One by one: in a file an object may stand once.
        for document in manifests().split("---\n").filter(|document| !document.trim().is_empty()) {
            for object in objects(document) {
                forms.entry(object.key()).or_default().push(object);
            }
        }
        forms.into_values().collect()
    })
}

fn manifests() -> String {
    let (one, two) = (Ca::new("one"), Ca::new("two"));
    let mut all = [GATEWAY, SERVICE, ROUTE, POLICY].concat();
    all.push_str(&one.config_map("ca"));
    all.push_str(&two.config_map("ca"));
    all.push_str(&config_map("ca", "ca.crt", ""));
    all.push_str(&one.secret("default", "tls", "a.example.com"));
    all.push_str(&tls_secret("default", "tls", "nothing", "nothing"));
    all.push_str(&two.secret("other", "client", "client"));
    let class = |name: &str| {
        format!(
            "---\napiVersion: gateway.networking.k8s.io/v1\nkind: GatewayClass\nmetadata: {{name: lasthop}}\n\
             spec: {{controllerName: {name}}}\n"
        )
    };
    all.push_str(&class("lasthop.dev/gateway"));
    all.push_str(&class("example.com/other"));
    all.push_str(MORE);
    all.push_str(STREAMS);
    all
}

const MORE: &str = "
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: gw}
spec:
  gatewayClassName: lasthop
  tls: {backend: {clientCertificateRef: {name: client, namespace: other}}}
  allowedListeners: {namespaces: {from: Same}}
  listeners:
  - {name: http, port: 80, protocol: HTTP, hostname: '*.example.com'}
  - name: https
    port: 443
    protocol: HTTPS
    tls: {certificateRefs: [{name: tls}]}
    allowedRoutes: {namespaces: {from: Selector, selector: {matchLabels: {team: shop}}}}
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: gw}
spec:
  gatewayClassName: lasthop
  addresses: [{type: IPAddress, value: 10.1.1.1}]
  tls: {frontend: {default: {validation: {caCertificateRefs: [{group: '', kind: ConfigMap, name: ca}]}}}}
  listeners:
  - {name: http, port: 80, protocol: HTTP}
  - {name: twin, port: 80, protocol: HTTPS, tls: {certificateRefs: [{name: tls}]}}
  - {name: https, port: 443, protocol: HTTPS, tls: {certificateRefs: [{name: tls}]}}
  - {name: tcp, port: 9000, protocol: TCP}
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: gw2}
spec:
  gatewayClassName: lasthop
  listeners:
  - {name: http, port: 8080, protocol: HTTP, allowedRoutes: {namespaces: {from: All}}}
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: gw2, creationTimestamp: '2000-01-01T00:00:00Z'}
spec:
  gatewayClassName: lasthop
  defaultScope: All
  listeners:
  - {name: http, port: 80, protocol: HTTP, hostname: '*.example.com'}
  - {name: more, port: 443, protocol: HTTP}
---
apiVersion: gateway.networking.k8s.io/v1
kind: ListenerSet
metadata: {name: set}
spec:
  parentRef: {name: gw}
  listeners:
  - {name: http, port: 80, protocol: HTTP, hostname: set.example.com}
  - {name: more, port: 81, protocol: HTTP}
---
apiVersion: gateway.networking.k8s.io/v1
kind: ListenerSet
metadata: {name: set}
spec:
  parentRef: {name: gw2}
  listeners:
  - {name: more, port: 81, protocol: HTTP}
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: route}
spec:
  parentRefs: [{name: gw}, {name: gw2}, {name: set, kind: ListenerSet}]
  rules:
  - backendRefs: [{name: web, port: 443, weight: 3}, {name: far, namespace: other, port: 80}]
  - matches: [{path: {type: Exact, value: /x}}]
    backendRefs: [{name: missing, port: 1}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: route, namespace: other}
spec:
  parentRefs: [{name: gw, namespace: default, sectionName: https}]
  hostnames: [b.example.com]
  rules:
  - filters: [{type: RequestMirror, requestMirror: {backendRef: {name: web, namespace: default, port: 80}}}]
    backendRefs: [{name: far, port: 80}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: route, namespace: other}
spec:
  parentRefs: [{name: gw, namespace: default, port: 80}]
  rules:
  - filters: [{type: ExtensionRef, extensionRef: {group: x.example, kind: Filter, name: z}}]
    backendRefs: [{name: far, port: 80}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: GRPCRoute
metadata: {name: calls}
spec:
  parentRefs: [{name: gw}]
  useDefaultGateways: All
  rules:
  - matches: [{method: {service: a.B}}]
    backendRefs: [{name: web, port: 443}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: TCPRoute
metadata: {name: stream}
spec:
  parentRefs: [{name: gw, sectionName: tcp}]
  rules:
  - backendRefs: [{name: web, port: 443}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: BackendTLSPolicy
metadata: {name: another, creationTimestamp: '2020-01-01T00:00:00Z'}
spec:
  targetRefs: [{group: '', kind: Service, name: web}]
  validation: {wellKnownCACertificates: System, hostname: another.internal}
---
apiVersion: gateway.networking.k8s.io/v1
kind: BackendTLSPolicy
metadata: {name: another}
spec:
  targetRefs: [{group: '', kind: Service, name: web, sectionName: https}]
  validation:
    caCertificateRefs: [{group: '', kind: ConfigMap, name: ca}]
    hostname: another.internal
  options: {lasthop.dev/client-certificate-ref: tls}
---
apiVersion: gateway.networking.k8s.io/v1
kind: BackendTLSPolicy
metadata: {name: another}
spec:
  targetRefs: [{group: '', kind: Service, name: web, sectionName: nothing}]
  validation:
    caCertificateRefs: [{group: '', kind: ConfigMap, name: ca}]
    hostname: another.internal
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {ports: [{name: https, port: 443}, {name: udp, port: 53, protocol: UDP}]}
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {type: ExternalName, externalName: example.com}
---
apiVersion: v1
kind: Service
metadata: {name: far, namespace: other}
spec: {ports: [{port: 80, appProtocol: kubernetes.io/wss}]}
---
apiVersion: v1
kind: Service
metadata: {name: far, namespace: other}
spec: {ports: [{port: 80}]}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: web-1, labels: {kubernetes.io/service-name: missing}}
addressType: IPv4
ports: [{port: 1}]
endpoints: [{addresses: [10.0.0.9]}]
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: web-2, labels: {kubernetes.io/service-name: web}}
addressType: IPv6
ports: [{name: https, port: 8443}]
endpoints: [{addresses: ['fd00::1'], conditions: {ready: false}}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: ReferenceGrant
metadata: {name: grant, namespace: other}
spec:
  from: [{group: gateway.networking.k8s.io, kind: HTTPRoute, namespace: default}]
  to: [{group: '', kind: Service}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: ReferenceGrant
metadata: {name: grant, namespace: other}
spec:
  from: [{group: gateway.networking.k8s.io, kind: Gateway, namespace: default}]
  to: [{group: '', kind: Secret, name: client}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: ReferenceGrant
metadata: {name: grant}
spec:
  from: [{group: gateway.networking.k8s.io, kind: HTTPRoute, namespace: other}]
  to: [{group: '', kind: Service, name: web}]
---
apiVersion: v1
kind: Namespace
metadata: {name: other, labels: {team: shop}}
---
apiVersion: v1
kind: Namespace
metadata: {name: default, labels: {team: shop}}
";

/// Listeners and routes without HTTP, and XBackends.
const STREAMS: &str = "
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: gw, annotations: {lasthop.dev/proxy-protocol: 'tcp, pass'}}
spec:
  gatewayClassName: lasthop
  allowedListeners: {namespaces: {from: All}}
  listeners:
  - {name: pass, port: 443, protocol: TLS, tls: {mode: Passthrough}, allowedRoutes: {namespaces: {from: All}}}
  - {name: end, port: 443, protocol: TLS, hostname: '*.example.com', tls: {mode: Terminate, certificateRefs: [{name: tls}]}}
  - {name: tcp, port: 9000, protocol: TCP}
  - {name: udp, port: 9000, protocol: UDP}
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: gw2, annotations: {lasthop.dev/proxy-protocol: '*, nothing'}}
spec:
  gatewayClassName: lasthop
  defaultScope: All
  listeners:
  - {name: tcp, port: 9000, protocol: TCP}
  - {name: udp, port: 9001, protocol: UDP}
  - {name: end, port: 443, protocol: TLS, hostname: a.example.com, tls: {mode: Terminate, certificateRefs: [{name: tls}]}}
---
apiVersion: gateway.networking.k8s.io/v1
kind: ListenerSet
metadata: {name: set}
spec:
  parentRef: {name: gw}
  listeners:
  - {name: tcp, port: 9000, protocol: TCP}
  - {name: more, port: 443, protocol: TLS, hostname: set.example.com, tls: {mode: Passthrough}}
---
apiVersion: gateway.networking.k8s.io/v1
kind: TLSRoute
metadata: {name: tls}
spec:
  parentRefs: [{name: gw}, {name: set, kind: ListenerSet}]
  hostnames: [a.example.com, set.example.com]
  rules: [{backendRefs: [{name: web, port: 443}, {name: far, namespace: other, port: 80, weight: 2}]}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: TLSRoute
metadata: {name: tls}
spec:
  parentRefs: [{name: gw, sectionName: end}]
  useDefaultGateways: All
  hostnames: ['*.com']
  rules: [{backendRefs: [{group: gateway.networking.x-k8s.io, kind: XBackend, name: pay}]}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: TCPRoute
metadata: {name: stream}
spec:
  parentRefs: [{name: gw}, {name: gw2}]
  rules: [{backendRefs: [{group: gateway.networking.x-k8s.io, kind: XBackend, name: pay, namespace: other}]}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: UDPRoute
metadata: {name: names}
spec:
  parentRefs: [{name: gw}]
  useDefaultGateways: All
  rules: [{backendRefs: [{name: web, port: 53}]}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: route}
spec:
  parentRefs: [{name: gw}, {name: gw2}]
  rules:
  - backendRefs: [{group: gateway.networking.x-k8s.io, kind: XBackend, name: pay}]
---
apiVersion: gateway.networking.x-k8s.io/v1alpha1
kind: XBackend
metadata: {name: pay}
spec:
  type: ExternalHostname
  externalHostname: {hostname: pay.example.com}
  port: {number: 443}
---
apiVersion: gateway.networking.x-k8s.io/v1alpha1
kind: XBackend
metadata: {name: pay}
spec:
  type: ExternalHostname
  externalHostname: {hostname: pay.example.com}
  port: {number: 443}
  protocol: HTTP2
  tls:
    mode: ClientAndServer
    clientCertificateRef: {name: client, namespace: other}
    validation: {hostname: pay.example.com, caCertificateRefs: [{group: '', kind: ConfigMap, name: ca}]}
---
apiVersion: gateway.networking.x-k8s.io/v1alpha1
kind: XBackend
metadata: {name: pay}
spec:
  type: EndpointSelector
  endpointSelector: {matchLabels: {app: pay}}
  port: {number: 8443}
---
apiVersion: gateway.networking.x-k8s.io/v1alpha1
kind: XBackend
metadata: {name: pay, namespace: other}
spec:
  type: ExternalHostname
  externalHostname: {hostname: other.example.com}
  port: {number: 443}
---
apiVersion: gateway.networking.k8s.io/v1
kind: BackendTLSPolicy
metadata: {name: another}
spec:
  targetRefs: [{group: '', kind: Service, name: web, sectionName: udp}]
  validation:
    caCertificateRefs: [{group: '', kind: ConfigMap, name: ca}]
    hostname: another.internal
---
apiVersion: v1
kind: Service
metadata: {name: web, annotations: {lasthop.dev/proxy-protocol: v2}}
spec: {ports: [{name: udp, port: 53, protocol: UDP}]}
---
apiVersion: v1
kind: Service
metadata: {name: web, annotations: {lasthop.dev/proxy-protocol: v1}}
spec: {ports: [{name: https, port: 443}]}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: web-2, labels: {kubernetes.io/service-name: web}}
addressType: IPv4
ports: [{name: https, port: 8443}, {name: udp, port: 53, protocol: UDP}]
endpoints: [{addresses: [10.0.0.5]}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: ReferenceGrant
metadata: {name: grant, namespace: other}
spec:
  from:
  - {group: gateway.networking.k8s.io, kind: TCPRoute, namespace: default}
  - {group: gateway.networking.k8s.io, kind: TLSRoute, namespace: default}
  - {group: gateway.networking.x-k8s.io, kind: XBackend, namespace: default}
  to: [{group: '', kind: Service}, {group: '', kind: Secret}, {group: gateway.networking.x-k8s.io, kind: XBackend}]
";

fn translator() -> Translator {
    Translator::new(Options { class_policy: ClassPolicy::OwnAllWithoutClass, ..Options::default() })
}

/// The same but for the number of updates.
fn unversioned(snapshot: &Snapshot) -> Snapshot {
    Snapshot { version: 0, ..snapshot.clone() }
}

fn assert_same(incremental: &Translator, fresh: &Translator) {
    assert_eq!(unversioned(incremental.snapshot()), unversioned(fresh.snapshot()));
    assert_eq!(incremental.statuses().collect::<Vec<_>>(), fresh.statuses().collect::<Vec<_>>());
    assert_eq!(incremental.hops(), fresh.hops());
}

fn bind_all(translator: &mut Translator) {
    use lasthop_dataplane_api::{ListenerState, Report};
    let snapshot = translator.snapshot();
    let bound = |port: u16| ListenerState::Bound(vec![([10, 9, 9, 9], port).into()]);
    let listeners = snapshot.listeners.values().map(|l| (l.key.clone(), bound(l.port))).collect();
    let report = Report { version: snapshot.version, listeners, ..Report::default() };
    translator.programmed(&report);
}

proptest! {
    #[test]
    fn incremental_is_from_scratch(
        // Batches of changes: which object, and which of its forms (one past the last: none).
        batches in prop::collection::vec(
            prop::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>()), 1..8),
            1..16,
        ),
        order in any::<u64>(),
    ) {
        let all = objects_and_their_forms();
        let mut store = ResourceStore::new();
        let mut incremental = translator();
        let mut followed = Snapshot::default();
        for batch in &batches {
            let mut changes: Vec<Change> = Vec::new();
            for (object, form) in batch {
                let forms = object.get(all);
                let index = form.index(forms.len() + 1);
                let change = match forms.get(index) {
                    Some(object) => store.apply(object.clone()),
                    None => store.remove(&forms[0].key()),
                };
                changes.extend(change);
            }
            let output = incremental.apply(&changes);
            followed.apply(&output.update);
            prop_assert_eq!(&followed, incremental.snapshot());
        }
        // The same objects, in another order, one by one.
        let mut rest: Vec<Resource> = store.iter().collect();
        let mut fresh = translator();
        let mut state = order;
        while !rest.is_empty() {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let object = rest.swap_remove((state >> 33) as usize % rest.len());
            fresh.apply(&[Change { key: object.key(), old: None, new: Some(object) }]);
        }
        assert_same(&incremental, &fresh);
        bind_all(&mut incremental);
        bind_all(&mut fresh);
        assert_same(&incremental, &fresh);

        // Nothing is left when all is gone.
        drop(followed);
        let keys: Vec<ResourceKey> = store.iter().map(|object| object.key()).collect();
        let gone: Vec<Change> = keys.iter().filter_map(|key| store.remove(key)).collect();
        incremental.apply(&gone);
        assert_same(&incremental, &translator());
        prop_assert!(incremental.is_empty(), "{:?}", incremental);
    }
}
