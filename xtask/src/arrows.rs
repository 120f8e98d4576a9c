//! `cargo xtask arrows`: the house of the design is kept. Arrows point down only, and no floor knows what it must not.

use crate::{Outcome, graph::Graph};

/// One floor: what it may stand on, and what must not be built into it by any way.
struct Floor {
    name: &'static str,
    on: &'static [&'static str],
    never: &'static [&'static str],
}

const TLS_STACKS: &[&str] = &["rustls", "boring", "openssl", "tokio", "hyper", "http", "kube", "k8s-openapi"];
const PURE: &[&str] = &["tokio", "hyper", "kube", "kube-client", "rustls", "boring"];
const NO_HTTP: &[&str] =
    &["tokio", "hyper", "http", "kube", "kube-client", "k8s-openapi", "rustls", "boring"];
const NO_HTTP_LIBRARY: &[&str] = &["hyper", "http", "kube", "kube-client", "k8s-openapi"];
const NO_KUBERNETES: &[&str] = &["kube", "kube-client", "k8s-openapi"];
const NO_KUBE_CLIENT: &[&str] = &["kube", "kube-client"];

const HOUSE: &[Floor] = &[
    Floor { name: "lasthop-tls-verify", on: &[], never: TLS_STACKS },
    Floor { name: "lasthop-dataplane-api", on: &["lasthop-tls-verify"], never: NO_HTTP },
    Floor { name: "lasthop-api-model", on: &[], never: PURE },
    Floor {
        name: "lasthop-translator",
        on: &["lasthop-api-model", "lasthop-dataplane-api", "lasthop-tls-verify"],
        never: PURE,
    },
    Floor {
        name: "lasthop-tls-backends",
        on: &["lasthop-dataplane-api", "lasthop-tls-verify"],
        never: NO_HTTP_LIBRARY,
    },
    Floor {
        name: "lasthop-dataplane",
        on: &["lasthop-dataplane-api", "lasthop-tls-backends", "lasthop-tls-verify"],
        never: NO_KUBERNETES,
    },
    Floor {
        name: "lasthop-runtime",
        on: &["lasthop-api-model", "lasthop-dataplane-api", "lasthop-tls-verify", "lasthop-translator"],
        never: NO_KUBE_CLIENT,
    },
    Floor {
        name: "lasthop-k8s-adapter",
        on: &["lasthop-api-model", "lasthop-dataplane-api", "lasthop-runtime", "lasthop-translator"],
        never: &["boring", "openssl"],
    },
    Floor { name: "lasthop-xds", on: &["lasthop-dataplane-api", "lasthop-tls-verify"], never: NO_KUBERNETES },
    Floor {
        name: "lasthop-proxy",
        on: &[
            "lasthop-api-model",
            "lasthop-dataplane",
            "lasthop-dataplane-api",
            "lasthop-runtime",
            "lasthop-tls-backends",
            "lasthop-tls-verify",
            "lasthop-translator",
            "lasthop-xds",
        ],
        never: NO_KUBE_CLIENT,
    },
    Floor {
        name: "lasthop-controller",
        on: &[
            "lasthop-dataplane-api",
            "lasthop-k8s-adapter",
            "lasthop-runtime",
            "lasthop-tls-backends",
            "lasthop-tls-verify",
            "lasthop-translator",
            "lasthop-xds",
        ],
        // What serves requests is another process.
        never: &["lasthop-dataplane", "openssl"],
    },
    Floor { name: "lasthop-bench", on: &["lasthop-tls-backends"], never: NO_KUBERNETES },
    Floor { name: "xtask", on: &[], never: &["tokio", "hyper", "rustls"] },
];

pub(crate) fn run() -> Outcome {
    let faults = faults(&Graph::read()?, HOUSE);
    if faults.is_empty() {
        println!("arrows: {} crates, every arrow points down", HOUSE.len());
        return Ok(());
    }
    Err(format!("the house of ARCHITECTURE.md is not kept:\n  {}", faults.join("\n  ")))
}

fn faults(graph: &Graph, house: &[Floor]) -> Vec<String> {
    let mut faults = Vec::new();
    let ours = graph.ours();
    for (name, on) in &ours {
        let Some(floor) = house.iter().find(|floor| floor.name == *name) else {
            faults.push(format!("{name} has no floor yet; give it one in xtask/src/arrows.rs"));
            continue;
        };
        for dependency in on.iter().filter(|dependency| !floor.on.contains(dependency)) {
            faults.push(format!("{name} must not stand on {dependency}"));
        }
        if let Some(way) = graph.way_to(name, floor.never) {
            faults.push(format!("{name} must not know {}: {}", way.last().unwrap_or(&"?"), way.join(" -> ")));
        }
    }
    for floor in house.iter().filter(|floor| !ours.contains_key(floor.name)) {
        faults.push(format!("{} has a floor in xtask/src/arrows.rs and no crate", floor.name));
    }
    faults
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::tests::sample;

    #[test]
    fn a_kept_house_has_no_fault() {
        let house = [
            Floor { name: "a", on: &["b"], never: &["hyper"] },
            Floor { name: "b", on: &[], never: &["hyper"] },
        ];
        assert_eq!(faults(&sample(), &house), Vec::<String>::new());
    }

    #[test]
    fn names_a_wrong_arrow_a_banned_crate_and_a_stranger() {
        let house = [
            Floor { name: "a", on: &[], never: &[] },
            Floor { name: "b", on: &[], never: &["tokio"] },
            Floor { name: "c", on: &[], never: &[] },
        ];
        assert_eq!(
            faults(&sample(), &house),
            [
                "a must not stand on b",
                "b must not know tokio: b -> middle -> tokio",
                "c has a floor in xtask/src/arrows.rs and no crate"
            ]
        );
        assert_eq!(
            faults(&sample(), &house[1..2])[0],
            "a has no floor yet; give it one in xtask/src/arrows.rs"
        );
    }
}
