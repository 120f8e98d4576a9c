//! One object of each kind with as many fields as the rules allow together.

use serde_json::Value;

use crate::ResourceKind;

/// A valid object of the kind.
pub(crate) fn full(kind: ResourceKind) -> Value {
    crate::read::yaml_values(text(kind)).remove(0)
}

/// The same as YAML.
pub(crate) fn text(kind: ResourceKind) -> &'static str {
    match kind {
        ResourceKind::GatewayClass => GATEWAY_CLASS,
        ResourceKind::Gateway => GATEWAY,
        ResourceKind::ListenerSet => LISTENER_SET,
        ResourceKind::HttpRoute => HTTP_ROUTE,
        ResourceKind::GrpcRoute => GRPC_ROUTE,
        ResourceKind::TlsRoute => TLS_ROUTE,
        ResourceKind::TcpRoute => TCP_ROUTE,
        ResourceKind::UdpRoute => UDP_ROUTE,
        ResourceKind::ReferenceGrant => REFERENCE_GRANT,
        ResourceKind::BackendTlsPolicy => BACKEND_TLS_POLICY,
        ResourceKind::XBackend => XBACKEND,
        ResourceKind::Service => SERVICE,
        ResourceKind::EndpointSlice => ENDPOINT_SLICE,
        ResourceKind::Secret => SECRET,
        ResourceKind::ConfigMap => CONFIG_MAP,
        ResourceKind::Namespace => NAMESPACE,
        ResourceKind::ClusterTrustBundle => CLUSTER_TRUST_BUNDLE,
    }
}

const GATEWAY_CLASS: &str = "
apiVersion: gateway.networking.k8s.io/v1
kind: GatewayClass
metadata: {name: sample}
spec:
  controllerName: lasthop.dev/gateway
  description: for tests
  parametersRef: {group: example.com, kind: Parameters, name: p, namespace: ns}
";

const GATEWAY: &str = "
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: sample, namespace: ns, labels: {app: edge}, annotations: {Example.com/note: x}}
spec:
  gatewayClassName: lasthop
  defaultScope: All
  addresses:
  - {type: IPAddress, value: 192.0.2.1, routability: Cluster}
  - {type: Hostname, value: gw.example.com, routability: example.com/private}
  - {type: Hostname}
  - {type: example.com/pool, value: any}
  infrastructure:
    labels: {example.com/team: edge}
    annotations: {note: x}
    parametersRef: {group: '', kind: ConfigMap, name: p}
  allowedListeners: {namespaces: {from: Selector, selector: {matchLabels: {a: b}}}}
  tls:
    backend: {clientCertificateRef: {name: client, namespace: certs}}
    frontend:
      default:
        validation: {caCertificateRefs: [{group: '', kind: ConfigMap, name: ca, namespace: certs}]}
      perPort:
      - {port: 8443, tls: {}}
      - port: 9443
        tls:
          validation:
            mode: AllowInsecureFallback
            caCertificateRefs: [{group: certificates.k8s.io, kind: ClusterTrustBundle, name: b}]
  listeners:
  - name: http
    port: 80
    protocol: HTTP
    hostname: '*.example.com'
    filters:
      requests:
      - {type: ExtensionRef, extensionRef: {group: example.com, kind: Filter, name: f}}
      - type: ExternalAuth
        externalAuth:
          protocol: HTTP
          backendRef: {name: auth, port: 80}
          http: {path: /check, allowedHeaders: [a], allowedResponseHeaders: [b]}
          forwardBody: {maxSize: 10}
    allowedRoutes:
      kinds: [{kind: HTTPRoute}]
      namespaces: {from: Selector, selector: {matchExpressions: [{key: a, operator: In, values: [b]}]}}
  - name: https
    port: 443
    protocol: HTTPS
    tls: {certificateRefs: [{name: cert}], options: {example.com/o: v}}
  - {name: tls, port: 443, protocol: TLS, tls: {mode: Passthrough}}
  - {name: tcp, port: 9000, protocol: TCP}
";

const LISTENER_SET: &str = "
apiVersion: gateway.networking.k8s.io/v1
kind: ListenerSet
metadata: {name: sample, namespace: ns}
spec:
  parentRef: {name: edge, namespace: infra}
  listeners:
  - {name: http, port: 80, protocol: HTTP}
  - {name: https, port: 443, protocol: HTTPS, hostname: a.example.com, tls: {certificateRefs: [{name: cert}]}}
";

const HTTP_ROUTE: &str = "
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: sample, namespace: ns}
spec:
  useDefaultGateways: None
  parentRefs:
  - {name: edge, sectionName: http}
  - {name: edge, sectionName: https}
  - {group: '', kind: Service, name: mesh, port: 80, namespace: other}
  hostnames: [a.example.com, '*.example.org']
  rules:
  - name: first
    matches:
    - path: {type: PathPrefix, value: /shop}
      method: GET
      headers: [{name: X-A, value: b}, {name: X-B, type: RegularExpression, value: 'b.*'}]
      queryParams: [{name: q, value: 'x y'}]
    filters:
    - {type: URLRewrite, urlRewrite: {hostname: b.example.com, path: {type: ReplacePrefixMatch, replacePrefixMatch: /}}}
    - {type: RequestHeaderModifier, requestHeaderModifier: {set: [{name: a, value: b}], add: [{name: a, value: b}], remove: [c]}}
    - {type: ResponseHeaderModifier, responseHeaderModifier: {remove: [d]}}
    - {type: RequestMirror, requestMirror: {backendRef: {name: copy, port: 80}, fraction: {numerator: 1}}}
    - {type: RequestMirror, requestMirror: {backendRef: {name: copy, port: 80}, percent: 50}}
    - type: CORS
      cors:
        allowOrigins: ['https://example.com', 'https://*.example.com:8443']
        allowCredentials: true
        allowMethods: [GET, POST]
        allowHeaders: ['*']
        exposeHeaders: [x-a]
        maxAge: 60
    - {type: ExtensionRef, extensionRef: {group: example.com, kind: Filter, name: f}}
    - type: ExternalAuth
      externalAuth: {protocol: GRPC, grpc: {allowedHeaders: [a]}, backendRef: {name: auth, port: 80}}
    backendRefs:
    - name: web
      port: 8080
      weight: 3
      filters: [{type: RequestHeaderModifier, requestHeaderModifier: {add: [{name: a, value: b}]}}]
    - {group: gateway.networking.x-k8s.io, kind: XBackend, name: outside}
    timeouts: {request: 10s, backendRequest: 1s500ms}
    retry: {codes: [500, 503], attempts: 2, backoff: 100ms}
    sessionPersistence:
      type: Cookie
      absoluteTimeout: 1h
      cookie: {name: session, path: /shop, lifetimeType: Permanent}
  - matches: [{path: {type: RegularExpression, value: '[/]a//b#'}}]
    filters:
    - type: RequestRedirect
      requestRedirect: {scheme: https, hostname: c.example.com, port: 443, statusCode: 308, path: {type: ReplaceFullPath, replaceFullPath: /x}}
status:
  parents:
  - parentRef: {name: edge}
    controllerName: other.example/gateway
    conditions:
    - {type: Accepted, status: 'True', reason: Accepted, message: '', observedGeneration: 1, lastTransitionTime: '2026-01-01T00:00:00Z'}
";

const GRPC_ROUTE: &str = "
apiVersion: gateway.networking.k8s.io/v1
kind: GRPCRoute
metadata: {name: sample, namespace: ns}
spec:
  parentRefs: [{name: edge}]
  hostnames: [grpc.example.com]
  rules:
  - name: one
    matches:
    - method: {service: example.v1.Shop, method: List}
      headers: [{name: a, value: b}]
    - method: {type: RegularExpression, method: '(Get|List).*'}
    filters:
    - {type: RequestHeaderModifier, requestHeaderModifier: {set: [{name: a, value: b}]}}
    - {type: ResponseHeaderModifier, responseHeaderModifier: {remove: [d]}}
    - {type: RequestMirror, requestMirror: {backendRef: {name: copy, port: 80}}}
    - {type: ExtensionRef, extensionRef: {group: example.com, kind: Filter, name: f}}
    backendRefs:
    - {name: web, port: 8080, filters: [{type: ResponseHeaderModifier, responseHeaderModifier: {remove: [d]}}]}
    sessionPersistence: {type: Header, header: {name: x-session}}
  - name: two
    backendRefs: [{name: web, port: 8080}]
";

const TLS_ROUTE: &str = "
apiVersion: gateway.networking.k8s.io/v1
kind: TLSRoute
metadata: {name: sample, namespace: ns}
spec:
  parentRefs: [{name: edge, sectionName: tls}]
  hostnames: [a.example.com, '*.example.org']
  rules: [{name: one, backendRefs: [{name: web, port: 443, weight: 0}]}]
";

const TCP_ROUTE: &str = "
apiVersion: gateway.networking.k8s.io/v1
kind: TCPRoute
metadata: {name: sample, namespace: ns}
spec:
  parentRefs: [{name: edge, port: 9000}]
  rules: [{name: one, backendRefs: [{name: web, port: 443, namespace: other}]}]
";

const UDP_ROUTE: &str = "
apiVersion: gateway.networking.k8s.io/v1
kind: UDPRoute
metadata: {name: sample, namespace: ns}
spec:
  useDefaultGateways: All
  rules: [{backendRefs: [{name: dns, port: 53}]}]
";

const REFERENCE_GRANT: &str = "
apiVersion: gateway.networking.k8s.io/v1
kind: ReferenceGrant
metadata: {name: sample, namespace: ns}
spec:
  from: [{group: gateway.networking.k8s.io, kind: HTTPRoute, namespace: other}]
  to: [{group: '', kind: Service}, {group: '', kind: Secret, name: cert}]
";

const BACKEND_TLS_POLICY: &str = "
apiVersion: gateway.networking.k8s.io/v1
kind: BackendTLSPolicy
metadata: {name: sample, namespace: ns}
spec:
  targetRefs:
  - {group: '', kind: Service, name: web, sectionName: https}
  - {group: '', kind: Service, name: web, sectionName: admin}
  - {group: '', kind: Service, name: other}
  validation:
    hostname: web.example.com
    caCertificateRefs: [{group: '', kind: ConfigMap, name: ca}]
    subjectAltNames:
    - {type: Hostname, hostname: web.example.com}
    - {type: URI, uri: 'spiffe://example.com/web'}
  options: {lasthop.dev/min-version: '1.3'}
";

const XBACKEND: &str = "
apiVersion: gateway.networking.x-k8s.io/v1alpha1
kind: XBackend
metadata: {name: sample, namespace: ns}
spec:
  type: EndpointSelector
  endpointSelector: {matchLabels: {example.com/app: web}}
  port: {number: 8443}
  protocol: HTTP2
  tls:
    mode: ClientAndServer
    clientCertificateRef: {name: client}
    validation: {hostname: web.example.com, wellKnownCACertificates: System}
  sessionPersistence: {cookie: {}}
status:
  ancestors: [{ancestorRef: {name: edge}, controllerName: other.example/gateway}]
";

const SERVICE: &str = "
apiVersion: v1
kind: Service
metadata: {name: sample, namespace: ns}
spec:
  type: NodePort
  clusterIP: 10.0.0.1
  clusterIPs: [10.0.0.1]
  selector: {app: web}
  ipFamilies: [IPv4]
  ipFamilyPolicy: SingleStack
  sessionAffinity: ClientIP
  sessionAffinityConfig: {clientIP: {timeoutSeconds: 10}}
  internalTrafficPolicy: Cluster
  externalTrafficPolicy: Local
  ports:
  - {name: http, port: 80, targetPort: 8080, protocol: TCP, appProtocol: kubernetes.io/h2c, nodePort: 30080}
  - {name: https, port: 443, targetPort: https}
status: {loadBalancer: {}}
";

const ENDPOINT_SLICE: &str = "
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: sample, namespace: ns, labels: {kubernetes.io/service-name: web}}
addressType: IPv4
ports: [{name: http, port: 8080, protocol: TCP, appProtocol: http}, {name: any}]
endpoints:
- addresses: [127.0.0.1]
  conditions: {ready: true, serving: true, terminating: false}
  hostname: web-0
  nodeName: node
  zone: a
  targetRef: {kind: Pod, name: web-0}
  hints: {forZones: [{name: a}]}
";

const SECRET: &str = "
apiVersion: v1
kind: Secret
metadata: {name: sample, namespace: ns}
type: kubernetes.io/tls
immutable: true
data: {tls.crt: Y2VydA==, tls.key: a2V5}
";

const CONFIG_MAP: &str = "
apiVersion: v1
kind: ConfigMap
metadata: {name: sample, namespace: ns}
immutable: false
data: {ca.crt: pem}
binaryData: {der: AAEC}
";

const NAMESPACE: &str = "
apiVersion: v1
kind: Namespace
metadata: {name: sample, labels: {team: shop}}
spec: {finalizers: [kubernetes]}
status: {phase: Active}
";

const CLUSTER_TRUST_BUNDLE: &str = "
apiVersion: certificates.k8s.io/v1
kind: ClusterTrustBundle
metadata: {name: 'example.com:signer:sample'}
spec: {signerName: example.com/signer, trustBundle: '-----BEGIN CERTIFICATE-----'}
";
