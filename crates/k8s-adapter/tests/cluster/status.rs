//! Writing statuses.

use k8s_openapi::jiff::Timestamp;
use kube::api::PostParams;
use lasthop_api_model::{
    Condition, ParentReference, ResourceKey, ResourceKind, RouteParentStatus, RouteStatus, Time,
};
use lasthop_k8s_adapter::{
    infrastructure::Observed,
    leader::Leadership,
    status::{Hearing, KubeStatus, Queue, Writer},
};
use lasthop_runtime::{
    metrics::Metrics,
    state::State,
    status::{LoggedStatus, StatusSink as _},
};
use lasthop_translator::{Status, StatusChange};
use serde_json::{Value, json};
use std::sync::Arc;

use super::world::{World, apply, route, until};

const US: &str = "example.com/status-test";

fn said(status: &str) -> Status {
    let condition = Condition {
        last_transition_time: Time(Timestamp::UNIX_EPOCH),
        message: "as the test says".to_owned(),
        observed_generation: Some(1),
        reason: "Accepted".to_owned(),
        status: status.to_owned(),
        type_: "Accepted".to_owned(),
    };
    let parent_ref = ParentReference { name: "edge".to_owned(), ..ParentReference::default() };
    let entry = RouteParentStatus { parent_ref, controller_name: US.to_owned(), conditions: vec![condition] };
    Status::Route(RouteStatus { parents: vec![entry] })
}

#[tokio::test]
async fn what_others_wrote_stays_whoever_writes_at_the_same_time() {
    let Some(world) = World::new().await else { return };
    let routes = world.routes();
    let observed = Observed::new();
    let queue = Queue::new();
    let (client, hearing) = (world.client.clone(), Hearing::default());
    let writer = Writer::new(client, US, queue.clone(), observed, Leadership::always(), hearing);
    let writing = tokio::spawn(writer.run());
    let logged = LoggedStatus::new(Arc::new(State::new(US)), Metrics::new().unwrap());
    let mut sink = KubeStatus::new(logged, queue.clone());

    let foreign = json!({"controllerName": "example.com/other", "parentRef": {"group": "gateway.networking.k8s.io",
        "kind": "Gateway", "name": "theirs", "namespace": "far"}, "conditions": [{"type": "Accepted", "status": "False",
        "reason": "Elsewhere", "message": "", "observedGeneration": 1, "lastTransitionTime": "2026-01-01T00:00:00Z"}]});
    let mut others = Vec::new();
    for index in 0..10 {
        let name = format!("r{index}");
        apply(&routes, route(&name)).await;
        // Others write to the same objects while we do.
        let (routes, foreign, name) = (routes.clone(), foreign.clone(), name.clone());
        others.push(tokio::spawn(async move {
            loop {
                let mut object = routes.get(&name).await.unwrap();
                let mut parents = object.data["status"]["parents"].as_array().cloned().unwrap_or_default();
                parents.retain(|parent| parent["controllerName"] != "example.com/other");
                parents.insert(0, foreign.clone());
                object.data["status"] = json!({"parents": parents});
                match routes.replace_status(&name, &PostParams::default(), &object).await {
                    Ok(_) => return,
                    Err(kube::Error::Api(status)) if status.code == 409 => {}
                    Err(error) => panic!("{error}"),
                }
            }
        }));
    }
    for status in ["False", "True", "False", "True"] {
        let key =
            |index: u32| ResourceKey::new(ResourceKind::HttpRoute, &*world.namespace, format!("r{index}"));
        let changes = (0..10).map(|index| StatusChange { key: key(index), status: said(status) });
        sink.write(changes.collect()).await;
        tokio::task::yield_now().await;
    }
    for other in others {
        other.await.unwrap();
    }
    for index in 0..10 {
        let name = format!("r{index}");
        let parents = until("both entries", async || {
            let object = routes.get(&name).await.unwrap();
            let parents: Vec<Value> = object.data["status"]["parents"].as_array()?.clone();
            let ours = parents.iter().find(|parent| parent["controllerName"] == US)?;
            (parents.len() == 2 && ours["conditions"][0]["status"] == "True").then_some(parents)
        })
        .await;
        assert!(parents.contains(&foreign), "{parents:?}");
    }

    // What stands there already is not written.
    let before = routes.get("r0").await.unwrap().metadata.resource_version;
    let key = ResourceKey::new(ResourceKind::HttpRoute, &*world.namespace, "r0");
    sink.write(vec![StatusChange { key, status: said("True") }]).await;
    until("an empty queue", async || queue.is_empty().then_some(())).await;
    tokio::time::sleep(std::time::Duration::from_millis(300)).await;
    assert_eq!(routes.get("r0").await.unwrap().metadata.resource_version, before);
    writing.abort();
    world.end().await;
}
