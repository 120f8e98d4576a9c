//! What one change costs among 10, 1,000 and 10,000 routes, each with its own Service, endpoints and policy.
//!
//! `cargo bench -p lasthop-translator`. The columns should not grow with the number of routes.

#![expect(clippy::unwrap_used, clippy::print_stdout, clippy::panic, reason = "a benchmark")]

use std::time::{Duration, Instant};

use lasthop_api_model::{Resource, ResourceStore, read::read_file_bytes};
use lasthop_translator::{ClassPolicy, Options, Translator};

const ROUNDS: usize = 301;

fn gateway() -> String {
    "---\napiVersion: gateway.networking.k8s.io/v1\nkind: Gateway\nmetadata: {name: gw}\nspec:\n  \
     gatewayClassName: lasthop\n  listeners:\n  - {name: http, port: 80, protocol: HTTP}\n"
        .to_owned()
}

fn ca(name: &str) -> String {
    let key = rcgen::KeyPair::generate().unwrap();
    let mut params = rcgen::CertificateParams::new(vec![]).unwrap();
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let pem = params.self_signed(&key).unwrap().pem();
    format!("---\napiVersion: v1\nkind: ConfigMap\nmetadata: {{name: {name}}}\ndata: {{ca.crt: {pem:?}}}\n")
}

fn route(index: usize, path: &str) -> String {
    format!(
        "---\napiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {{name: r{index}}}\nspec:\n  \
         parentRefs: [{{name: gw}}]\n  hostnames: [h{index}.example.com]\n  rules:\n  \
         - matches: [{{path: {{value: {path}}}}}]\n    backendRefs: [{{name: s{index}, port: 443}}]\n"
    )
}

fn slice(index: usize, last: u8) -> String {
    format!(
        "---\napiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\n\
         metadata: {{name: s{index}, labels: {{kubernetes.io/service-name: s{index}}}}}\naddressType: IPv4\n\
         ports: [{{port: 8443}}]\nendpoints: [{{addresses: [10.0.0.{last}]}}, {{addresses: [10.0.1.{last}]}}]\n"
    )
}

fn service(index: usize) -> String {
    format!(
        "---\napiVersion: v1\nkind: Service\nmetadata: {{name: s{index}}}\nspec: {{ports: [{{port: 443}}]}}\n"
    )
}

fn policy(index: usize, host: &str) -> String {
    format!(
        "---\napiVersion: gateway.networking.k8s.io/v1\nkind: BackendTLSPolicy\nmetadata: {{name: p{index}}}\nspec:\n  \
         targetRefs: [{{group: '', kind: Service, name: s{index}}}]\n  validation:\n    hostname: {host}\n    \
         caCertificateRefs: [{{group: '', kind: ConfigMap, name: ca}}]\n"
    )
}

fn objects(manifests: &str) -> Vec<Resource> {
    let outcome = read_file_bytes("bench.yaml", manifests.as_bytes());
    if let Some(problem) = outcome.problems.first() {
        panic!("{problem}");
    }
    outcome.objects.into_iter().map(|(object, _)| object).collect()
}

struct World {
    store: ResourceStore,
    translator: Translator,
}

impl World {
    fn of(routes: usize) -> (Self, Duration) {
        let options = Options { class_policy: ClassPolicy::OwnAllWithoutClass, ..Options::default() };
        let mut world = Self { store: ResourceStore::new(), translator: Translator::new(options) };
        let mut all = objects(&(gateway() + &ca("ca")));
        for index in 0..routes {
            let one = route(index, "/a") + &service(index) + &slice(index, 1) + &policy(index, "a.internal");
            all.extend(objects(&one));
        }
        let took = world.apply(all);
        assert_eq!(world.translator.hops().len(), routes);
        (world, took)
    }

    fn apply(&mut self, objects: Vec<Resource>) -> Duration {
        let changes: Vec<_> = objects.into_iter().filter_map(|object| self.store.apply(object)).collect();
        let start = Instant::now();
        let output = self.translator.apply(&changes);
        let took = start.elapsed();
        assert!(!output.update.is_empty());
        took
    }

    /// The median time of going back and forth between two forms of an object.
    fn median(&mut self, first: &str, second: &str) -> Duration {
        let forms = [objects(first), objects(second)];
        let mut times: Vec<Duration> =
            (0..ROUNDS).map(|round| self.apply(forms[round % 2].clone())).collect();
        times.sort_unstable();
        times[ROUNDS / 2]
    }
}

fn main() {
    println!(
        "{:>8} {:>12} {:>12} {:>12} {:>12} {:>14} {:>14}",
        "routes", "route", "endpoints", "policy", "new route", "from scratch", "per route"
    );
    for routes in [10, 1_000, 10_000] {
        let (mut world, scratch) = World::of(routes);
        let middle = routes / 2;
        let one_route = world.median(&route(middle, "/b"), &route(middle, "/a"));
        let endpoints = world.median(&slice(middle, 2), &slice(middle, 1));
        let one_policy = world.median(&policy(middle, "b.internal"), &policy(middle, "a.internal"));
        // Many, since now and then one pays for the growth of a table.
        let mut new: Vec<Duration> = (routes..routes + ROUNDS)
            .map(|index| world.apply(objects(&(route(index, "/a") + &service(index) + &slice(index, 1)))))
            .collect();
        new.sort_unstable();
        let new = new[ROUNDS / 2];
        println!(
            "{routes:>8} {one_route:>12.1?} {endpoints:>12.1?} {one_policy:>12.1?} {new:>12.1?} {scratch:>14.1?} {:>14.1?}",
            scratch / u32::try_from(routes).unwrap()
        );
    }
}
