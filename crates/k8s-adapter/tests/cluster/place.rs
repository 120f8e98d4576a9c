//! What stands for a Gateway.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use async_trait::async_trait;
use kube::api::DeleteParams;
use lasthop_api_model::Change;
use lasthop_dataplane_api::{Dataplane, Report, TlsCapabilities, Update};
use lasthop_k8s_adapter::{
    infrastructure::{Observed, Placer, Placing, Template, placed, services},
    leader::Leadership,
    source::KubeSource,
};
use lasthop_runtime::source::Source as _;
use lasthop_translator::{Options, Translator};
use serde_json::json;
use tokio::{sync::watch, task::JoinSet};

use super::world::{World, apply, gateway, until};

/// Serves nothing.
struct Nothing;

#[async_trait]
impl Dataplane for Nothing {
    fn tls_capabilities(&self) -> TlsCapabilities {
        Options::default().capabilities
    }

    async fn apply(&self, _: Arc<Update>) -> Report {
        Report::default()
    }

    async fn drain(&self, _: Duration) {}
}

/// Everything but the writing of statuses.
fn run(world: &World, controller: &str) -> (JoinSet<()>, watch::Sender<Template>) {
    let observed = Observed::new();
    let (template, follow) = watch::channel(Template {
        image: "example.com/none:1".to_owned(),
        image_pull_policy: Some("Never".to_owned()),
        log_level: "info".to_owned(),
        link: "192.0.2.1:15010".to_owned(),
        link_ca: "first".to_owned(),
        environment: BTreeMap::new(),
    });
    let client = world.client.clone();
    let placer = Placer::new(client.clone(), controller, follow, observed.clone(), Leadership::always());
    let placing = Placing::new(Arc::new(Nothing), observed.clone());
    let options = Options {
        controller_name: controller.to_owned(),
        gateways_share_ports: false,
        services_of: Some(services),
        ..Options::default()
    };
    let mut source = KubeSource::start(&client, controller, observed);
    let mut tasks = JoinSet::new();
    tasks.spawn(placer.run());
    tasks.spawn(async move {
        let mut translator = Translator::new(options);
        while let Some(event) = source.next().await {
            let gone = event.removed.into_iter().map(|key| Change { key, old: None, new: None });
            let there = event.applied.into_iter();
            let there = there.map(|object| Change { key: object.key(), old: None, new: Some(object) });
            let changes: Vec<Change> = gone.chain(there).collect();
            placing.apply(Arc::new(translator.apply(&changes).update)).await;
        }
    });
    (tasks, template)
}

#[tokio::test]
async fn what_stands_follows_the_gateway() {
    let Some(world) = World::new().await else { return };
    let controller = format!("example.com/{}", world.namespace);
    let classes = world.cluster_api("gateway.networking.k8s.io/v1", "GatewayClass", "gatewayclasses");
    let class = |name: &str, controller: &str| {
        json!({"apiVersion": "gateway.networking.k8s.io/v1", "kind": "GatewayClass", "metadata": {"name": name},
            "spec": {"controllerName": controller}})
    };
    let (own, other) = (world.namespace.clone(), format!("{}-other", world.namespace));
    apply(&classes, class(&own, &controller)).await;
    apply(&classes, class(&other, "example.com/other")).await;
    let (_tasks, template) = run(&world, &controller);

    // A name as long as names can be.
    let long = format!("edge.{}", "x".repeat(248));
    let deployments = world.api("apps/v1", "Deployment", "deployments");
    let services = world.api("v1", "Service", "services");
    for name in ["edge", long.as_str()] {
        apply(&world.gateways(), gateway(name, &own)).await;
        let placed = placed(&lasthop_dataplane_api::ObjectName::new(&*world.namespace, name));
        let deployment = until("a Deployment", async || deployments.get_opt(&placed).await.unwrap()).await;
        let labels = deployment.metadata.labels.unwrap();
        assert_eq!(labels["team"], "edge");
        until("a Service", async || services.get_opt(&placed).await.unwrap()).await;
    }
    let ports = async || {
        let service = services.get_opt("lasthop-edge").await.unwrap()?;
        let ports = service.data["spec"]["ports"].as_array()?.iter();
        Some(ports.filter_map(|port| port["port"].as_u64()).collect::<Vec<u64>>())
    };
    assert_eq!(ports().await.unwrap(), [80]);

    // Listeners come and go.
    let mut changed = gateway("edge", &own);
    changed["spec"]["listeners"] = json!([
        {"name": "a", "port": 8080, "protocol": "HTTP"},
        {"name": "b", "port": 81, "protocol": "HTTP"},
    ]);
    apply(&world.gateways(), changed.clone()).await;
    until("the new ports", async || ports().await.filter(|ports| *ports == [81, 8080])).await;

    // What somebody takes away comes back.
    let uid = services.get("lasthop-edge").await.unwrap().metadata.uid;
    services.delete("lasthop-edge", &DeleteParams::default()).await.unwrap();
    until("the Service again", async || {
        let service = services.get_opt("lasthop-edge").await.unwrap()?;
        (service.metadata.uid != uid).then_some(())
    })
    .await;

    // A new CA reaches the proxies.
    template.send_modify(|template| template.link_ca = "second".to_owned());
    let maps = world.api("v1", "ConfigMap", "configmaps");
    until("the new CA", async || {
        let map = maps.get("lasthop-edge").await.unwrap();
        (map.data["data"]["ca.crt"] == "second").then_some(())
    })
    .await;

    // Another controller's Gateway has nothing of ours.
    changed["spec"]["gatewayClassName"] = other.as_str().into();
    apply(&world.gateways(), changed).await;
    until("nothing", async || services.get_opt("lasthop-edge").await.unwrap().is_none().then_some(())).await;
    until("nothing", async || deployments.get_opt("lasthop-edge").await.unwrap().is_none().then_some(()))
        .await;

    // A Gateway that is gone takes along what stood for it.
    world.gateways().delete(&long, &DeleteParams::default()).await.unwrap();
    until("nothing at all", async || {
        deployments.list(&Default::default()).await.unwrap().items.is_empty().then_some(())
    })
    .await;
    for name in [own, other] {
        classes.delete(&name, &DeleteParams::default()).await.unwrap();
    }
    world.end().await;
}
