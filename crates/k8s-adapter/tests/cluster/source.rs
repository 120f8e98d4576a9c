//! What a source tells of a real API server.

use std::time::Duration;

use kube::api::DeleteParams;
use lasthop_api_model::{Parameters, Resource, ResourceKind};
use lasthop_k8s_adapter::{infrastructure::Observed, source::KubeSource};
use lasthop_runtime::source::{Source as _, SourceEvent};
use serde_json::json;
use tokio::time::timeout;

use super::world::{World, apply, gateway};

/// Events until one holds what is looked for.
async fn find<T>(source: &mut KubeSource, mut look: impl FnMut(&SourceEvent) -> Option<T>) -> T {
    let found = async {
        loop {
            let event = source.next().await.expect("the source goes on");
            if let Some(found) = look(&event) {
                return found;
            }
        }
    };
    timeout(Duration::from_secs(30), found).await.expect("the event comes")
}

#[tokio::test]
async fn the_first_event_holds_everything_and_later_ones_what_changed() {
    let Some(world) = World::new().await else { return };
    let namespace = world.namespace.clone();
    let secrets = world.api("v1", "Secret", "secrets");
    let secret = |name: &str, r#type: &str, labels: serde_json::Value| {
        json!({"apiVersion": "v1", "kind": "Secret", "type": r#type, "metadata": {"name": name, "labels": labels},
            "data": {"tls.crt": "", "tls.key": ""}})
    };
    apply(&secrets, secret("tls", "kubernetes.io/tls", json!({}))).await;
    apply(&secrets, secret("read", "Opaque", json!({"lasthop.dev/read": "true"}))).await;
    apply(&secrets, secret("private", "Opaque", json!({}))).await;
    let maps = world.api("v1", "ConfigMap", "configmaps");
    let map = |name: &str, key: &str| json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {key: "x"}});
    apply(&maps, map("ca", "ca.crt")).await;
    apply(&maps, map("settings", "log")).await;
    let mut with_parameters = gateway("edge", "nobodys");
    with_parameters["spec"]["infrastructure"]["parametersRef"] =
        json!({"group": "lasthop.dev", "kind": "LasthopParameters", "name": "big"});
    apply(&world.gateways(), with_parameters).await;

    let mut source = KubeSource::start(&world.client, "lasthop.dev/gateway", Observed::new());
    let first = timeout(Duration::from_secs(30), source.next()).await.unwrap().unwrap();
    let names = |kind: ResourceKind| -> Vec<String> {
        let ours = first.applied.iter().map(Resource::key);
        let ours = ours.filter(|key| key.kind == kind && key.namespace == namespace);
        ours.map(|key| key.name).filter(|name| name != "kube-root-ca.crt").collect()
    };
    assert_eq!(names(ResourceKind::Secret), ["read", "tls"], "others are never asked for");
    assert_eq!(names(ResourceKind::ConfigMap), ["ca"]);
    assert_eq!(names(ResourceKind::Gateway), ["edge"]);
    assert!(first.applied.iter().any(|object| object.key().name == namespace), "the namespace itself");

    // Parameters that come later change what the Gateway says.
    let parameters = world.api("lasthop.dev/v1alpha1", "LasthopParameters", "lasthopparameters");
    let big = json!({"apiVersion": "lasthop.dev/v1alpha1", "kind": "LasthopParameters", "metadata": {"name": "big"},
        "spec": {"replicas": 2}});
    apply(&parameters, big).await;
    find(&mut source, |event| {
        event.applied.iter().find_map(|object| match object {
            Resource::Gateway(gateway) => {
                let infrastructure = gateway.spec.infrastructure.as_ref()?;
                (infrastructure.parameters == Parameters::Good).then_some(())
            }
            _ => None,
        })
    })
    .await;

    // A label takes a Secret out of what is read, as deleting it does.
    apply(&secrets, secret("read", "Opaque", json!({}))).await;
    secrets.delete("tls", &DeleteParams::default()).await.unwrap();
    let mut gone = Vec::new();
    find(&mut source, |event| {
        gone.extend(event.removed.iter().map(|key| key.name.clone()));
        ["read", "tls"].iter().all(|name| gone.iter().any(|gone| gone == name)).then_some(())
    })
    .await;
    world.end().await;
}

#[tokio::test]
async fn an_event_comes_within_a_moment() {
    let Some(world) = World::new().await else { return };
    let mut source = KubeSource::start(&world.client, "lasthop.dev/gateway", Observed::new());
    timeout(Duration::from_secs(30), source.next()).await.unwrap().unwrap();
    let mut took = Vec::new();
    for round in 0..20 {
        let mut route = super::world::route("r");
        route["spec"]["hostnames"] = json!([format!("h{round}.example")]);
        apply(&world.routes(), route).await;
        let answered = std::time::Instant::now();
        find(&mut source, |event| {
            event.applied.iter().find_map(|object| match object {
                Resource::HttpRoute(route) => {
                    (route.spec.hostnames == [format!("h{round}.example")]).then_some(())
                }
                _ => None,
            })
        })
        .await;
        took.push(answered.elapsed());
    }
    took.sort_unstable();
    eprintln!("from the API server's answer to the event: median {:?}, longest {:?}", took[10], took[19]);
    assert!(took[10] < Duration::from_millis(200), "{took:?}");
    world.end().await;
}
