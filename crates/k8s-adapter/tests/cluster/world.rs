//! What the tests are made of.

use std::{
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use k8s_openapi::api::core::v1::Namespace;
use kube::{
    Api, Client,
    api::{DeleteParams, Patch, PatchParams, PostParams},
    core::{ApiResource, DynamicObject},
};
use lasthop_runtime::settings::LogFormat;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

/// For anything to happen.
const PATIENCE: Duration = Duration::from_secs(30);

/// A namespace of its own on a real API server.
pub(crate) struct World {
    pub(crate) client: Client,
    pub(crate) namespace: String,
}

impl World {
    /// `None`, and loudly so, where there is no API server to test against.
    pub(crate) async fn new() -> Option<Self> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let Some(path) = std::env::var_os("LASTHOP_TEST_KUBECONFIG") else {
            assert!(
                std::env::var_os("CI").is_none(),
                "in CI these run by `cargo xtask test --step cluster` only"
            );
            eprintln!(
                "SKIPPED: no API server to test against; set LASTHOP_TEST_KUBECONFIG (`cargo xtask cluster up` makes one)"
            );
            return None;
        };
        if let Ok(level) = std::env::var("LASTHOP_TEST_LOG") {
            // Fails where another test has begun it.
            let _ = lasthop_runtime::logging::start(LogFormat::Text, &level);
        }
        let client = lasthop_k8s_adapter::connect(Some(path.as_ref())).await.unwrap();
        let namespace = format!("test-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let object = serde_json::from_value(json!({"metadata": {"name": namespace}})).unwrap();
        let all: Api<Namespace> = Api::all(client.clone());
        all.create(&PostParams::default(), &object).await.unwrap();
        Some(Self { client, namespace })
    }

    /// Objects of a kind, in the namespace.
    pub(crate) fn api(&self, api_version: &str, kind: &str, plural: &str) -> Api<DynamicObject> {
        Api::namespaced_with(self.client.clone(), &self.namespace, &resource(api_version, kind, plural))
    }

    /// Objects of a kind without namespaces.
    pub(crate) fn cluster_api(&self, api_version: &str, kind: &str, plural: &str) -> Api<DynamicObject> {
        Api::all_with(self.client.clone(), &resource(api_version, kind, plural))
    }

    pub(crate) fn gateways(&self) -> Api<DynamicObject> {
        self.api("gateway.networking.k8s.io/v1", "Gateway", "gateways")
    }

    pub(crate) fn routes(&self) -> Api<DynamicObject> {
        self.api("gateway.networking.k8s.io/v1", "HTTPRoute", "httproutes")
    }

    /// Ends with the namespace.
    pub(crate) async fn end(self) {
        let all: Api<Namespace> = Api::all(self.client);
        all.delete(&self.namespace, &DeleteParams::default()).await.unwrap();
    }
}

/// Applies an object.
pub(crate) async fn apply(api: &Api<DynamicObject>, object: Value) -> DynamicObject {
    let name = object["metadata"]["name"].as_str().unwrap().to_owned();
    api.patch(&name, &PatchParams::apply("test").force(), &Patch::Apply(&object)).await.unwrap()
}

pub(crate) fn gateway(name: &str, class: &str) -> Value {
    json!({
        "apiVersion": "gateway.networking.k8s.io/v1", "kind": "Gateway", "metadata": {"name": name},
        "spec": {"gatewayClassName": class, "listeners": [{"name": "http", "port": 80, "protocol": "HTTP"}],
            "infrastructure": {"labels": {"team": "edge"}}},
    })
}

pub(crate) fn route(name: &str) -> Value {
    json!({
        "apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute", "metadata": {"name": name},
        "spec": {"parentRefs": [{"name": "edge"}]},
    })
}

/// Waits until something is so.
pub(crate) async fn until<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let end = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(Instant::now() < end, "it never came to be: {what}");
        sleep(Duration::from_millis(50)).await;
    }
}

fn resource(api_version: &str, kind: &str, plural: &str) -> ApiResource {
    let (group, version) = api_version.rsplit_once('/').unwrap_or(("", api_version));
    ApiResource {
        group: group.to_owned(),
        version: version.to_owned(),
        api_version: api_version.to_owned(),
        kind: kind.to_owned(),
        plural: plural.to_owned(),
    }
}
