//! Our verdict beside a real API server's, for thousands of generated objects of every kind and version.
//!
//! `cargo xtask validation` runs it on a cluster of its own. By hand: `LASTHOP_TEST_KUBECONFIG` names a
//! cluster with the CRDs of v1.7.0's experimental channel, `kubectl` is in the path. Without that variable the test says
//! that it was skipped. Objects are sent as dry runs; all that is written is the namespace `ns`.
//! `LASTHOP_TEST_SEED`, `LASTHOP_TEST_CHANGES` and `LASTHOP_TEST_OBJECTS` make other objects, and more of them.

mod expected;
mod generate;
mod mutate;
mod server;

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde_json::{Value, json};

use self::generate::Random;
use self::server::{Server, Verdict};
use super::*;

/// Objects of each kind and version with several changes at once, beside those with one change.
const OBJECTS: u64 = 300;
/// How many changes to each field of a sample.
const CHANGES: u64 = 8;
const SEED: u64 = 17;
/// How many requests are under way at a time.
const CLIENTS: usize = 4;

/// One object, and how it came about.
struct Case {
    kind: ResourceKind,
    version: &'static str,
    path: String,
    made_by: String,
    object: Value,
}

#[test]
fn verdicts_are_the_api_servers() {
    let Some(kubeconfig) = std::env::var_os("LASTHOP_TEST_KUBECONFIG") else {
        eprintln!("SKIPPED: LASTHOP_TEST_KUBECONFIG names no cluster; `cargo xtask validation` makes one");
        return;
    };
    let server = Server::start(&kubeconfig);
    server.create_namespace();
    let mut cases = Vec::new();
    for &kind in ResourceKind::ALL {
        for &version in served_versions(kind) {
            match server.path(kind, version) {
                Some(path) => cases.extend(cases_of(kind, version, &path, &server)),
                None => println!("validation: {kind} {version} is not served there"),
            }
        }
    }
    println!("validation: {} objects", cases.len());
    let verdicts = ask(&server, &cases);
    assert_eq!(verdicts.len(), cases.len());
    report(&cases, &verdicts);
}

fn setting(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).ok().map_or(otherwise, |text| text.parse().expect(name))
}

/// The sample, every single change to it, and many with several changes.
fn cases_of(kind: ResourceKind, version: &'static str, path: &str, server: &Server) -> Vec<Case> {
    let body = KindSchema::of(kind, version).body();
    let sample = sample(kind, version, server);
    let case = |made_by: String, mut object: Value| {
        // It belongs to the request's path.
        let metadata = object.get_mut("metadata").and_then(Value::as_object_mut);
        if let Some(metadata) = metadata.filter(|_| kind.is_namespaced()) {
            metadata.insert("namespace".to_owned(), json!(server::NAMESPACE));
        }
        Case { kind, version, path: path.to_owned(), made_by, object }
    };
    let mut cases = vec![case("the sample".to_owned(), sample.clone())];
    let mut random = Random::new(setting("LASTHOP_TEST_SEED", SEED));
    let changes = usize::try_from(setting("LASTHOP_TEST_CHANGES", CHANGES)).unwrap();
    let changed = mutate::every(body, &sample, changes, &mut random);
    cases.extend(changed.into_iter().map(|(made_by, object)| case(made_by, object)));
    for _ in 0..setting("LASTHOP_TEST_OBJECTS", OBJECTS) {
        let (made_by, object) = mutate::some(body, &sample, &mut random);
        cases.push(case(made_by, object));
    }
    cases
}

/// The sample as this server can take it: in its namespace, without a status, with an address of its range.
fn sample(kind: ResourceKind, version: &str, server: &Server) -> Value {
    let mut sample = samples::full(kind);
    let object = sample.as_object_mut().unwrap();
    object.remove("status");
    let group = kind.group();
    let api_version = if group.is_empty() { version.to_owned() } else { format!("{group}/{version}") };
    object.insert("apiVersion".to_owned(), api_version.into());
    object.insert("kind".to_owned(), kind.as_str().into());
    if kind == ResourceKind::Service {
        put(&mut sample, "/spec/clusterIP", json!(server.service_address));
        put(&mut sample, "/spec/clusterIPs", json!([server.service_address]));
    }
    if kind == ResourceKind::EndpointSlice {
        put(&mut sample, "/endpoints/0/addresses", json!(["10.0.0.7"]));
    }
    if kind == ResourceKind::ClusterTrustBundle {
        put(&mut sample, "/spec/trustBundle", json!(server.authority));
    }
    sample
}

fn ask(server: &Server, cases: &[Case]) -> Vec<Verdict> {
    let mut verdicts: Vec<(usize, Verdict)> = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..CLIENTS)
            .map(|worker| {
                scope.spawn(move || {
                    let mut client = server.connect();
                    let mine = cases.iter().enumerate().skip(worker).step_by(CLIENTS);
                    mine.map(|(index, case)| (index, client.ask(&case.path, &case.object)))
                        .collect::<Vec<_>>()
                })
            })
            .collect();
        workers.into_iter().flat_map(|worker| worker.join().unwrap()).collect()
    });
    verdicts.sort_by_key(|(index, _)| *index);
    verdicts.into_iter().map(|(_, verdict)| verdict).collect()
}

/// What we say to an object in a file: nothing when we take it.
fn ours(object: &Value) -> Option<String> {
    let outcome = crate::read::read_file_bytes("object.json", object.to_string().as_bytes());
    if outcome.problems.is_empty() && outcome.objects.len() == 1 {
        return None;
    }
    let says: Vec<String> = outcome.problems.iter().map(ToString::to_string).collect();
    Some(if says.is_empty() {
        format!("passed over: {:?}", outcome.passed_over)
    } else {
        says.join("\n    ")
    })
}

#[derive(Default)]
struct Count {
    both_take: usize,
    both_refuse: usize,
    expected: usize,
    different: usize,
}

fn report(cases: &[Case], verdicts: &[Verdict]) {
    let mut counts: BTreeMap<String, Count> = BTreeMap::new();
    let mut differences: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (case, verdict) in cases.iter().zip(verdicts) {
        let count = counts.entry(format!("{} {}", case.kind, case.version)).or_default();
        let ours = ours(&case.object);
        match (&ours, &verdict.refused) {
            (None, None) => count.both_take += 1,
            (Some(_), Some(_)) if !verdict.beside_the_point => count.both_refuse += 1,
            _ if expected::reason(case, ours.as_deref(), verdict).is_some() => count.expected += 1,
            _ => {
                count.different += 1;
                let key = format!("{} {}", case.kind, case.made_by.split(';').next().unwrap_or_default());
                let text = format!(
                    "{} {}: {}\n  ours:  {}\n  theirs: {}\n  {}",
                    case.kind,
                    case.version,
                    case.made_by,
                    ours.as_deref().unwrap_or("taken"),
                    verdict.refused.as_deref().unwrap_or("taken"),
                    case.object.to_string().chars().take(3000).collect::<String>(),
                );
                differences.entry(key).or_default().push(text);
            }
        }
    }
    println!("{:<32}{:>10}{:>10}{:>10}{:>10}", "kind", "both take", "refuse", "expected", "differ");
    for (kind, count) in &counts {
        let Count { both_take, both_refuse, expected, different } = count;
        println!("{kind:<32}{both_take:>10}{both_refuse:>10}{expected:>10}{different:>10}");
        assert!(*both_take > 0 && *both_refuse > 0, "{kind}: nothing is tried if all verdicts are one");
    }
    println!("validation: {} objects compared", cases.len());
    let mut text = String::new();
    for list in differences.values() {
        for difference in list.iter().take(2) {
            let _ = writeln!(text, "{difference}");
        }
        if list.len() > 2 {
            let _ = writeln!(text, "  … and {} more of this", list.len() - 2);
        }
    }
    let count: usize = differences.values().map(Vec::len).sum();
    assert!(differences.is_empty(), "{count} verdicts differ:\n{text}");
}
