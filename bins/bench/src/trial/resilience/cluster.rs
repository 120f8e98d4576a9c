//! Controllers and proxies on the cluster.

use std::time::Duration;

use serde_json::{Value, json};

use crate::{
    Fault,
    api::Api,
    objects::{NAMESPACE, SYSTEM},
    wait::until,
};

fn deployment() -> String {
    format!("/apis/apps/v1/namespaces/{SYSTEM}/deployments/lasthop-controller")
}

/// Waits until so many proxies of the trial are ready, and there are no more.
pub(super) async fn proxies_ready(api: &Api, count: usize, limit: Duration) -> Result<(), Fault> {
    let ready = || async {
        let pods = proxies(api).await?;
        let all = pods.iter().all(|pod| is_ready(pod) && pod["metadata"]["deletionTimestamp"].is_null());
        Ok((pods.len() == count && all).then_some(()))
    };
    until(limit, Duration::from_millis(200), "ready proxies", ready).await.map(drop)
}

/// The pods of the trial's proxies.
pub(super) async fn proxies(api: &Api) -> Result<Vec<Value>, Fault> {
    let list = api.get(&format!("/api/v1/namespaces/{NAMESPACE}/pods")).await?;
    Ok(list["items"].as_array().cloned().unwrap_or_default())
}

pub(super) fn is_ready(pod: &Value) -> bool {
    let conditions = pod["status"]["conditions"].as_array();
    conditions.is_some_and(|all| all.iter().any(|one| one["type"] == "Ready" && one["status"] == "True"))
}

/// Has so many controllers, and waits until they are there and no others.
pub(super) async fn scale(api: &Api, replicas: u32) -> Result<(), Fault> {
    api.merge(&deployment(), &json!({"spec": {"replicas": replicas}})).await?;
    settled(api, replicas).await
}

/// Waits until the Deployment of the controllers is as it shall be.
pub(super) async fn settled(api: &Api, replicas: u32) -> Result<(), Fault> {
    let settled = || async {
        let object = api.get(&deployment()).await?;
        let status = &object["status"];
        let number = |field: &str| status[field].as_u64().unwrap_or(0);
        let current = status["observedGeneration"] == object["metadata"]["generation"];
        let all = ["replicas", "readyReplicas", "updatedReplicas"];
        let right = all.iter().all(|field| number(field) == u64::from(replicas));
        let pods = api.get(&format!("/api/v1/namespaces/{SYSTEM}/pods")).await?;
        let left = pods["items"].as_array().map_or(0, Vec::len);
        Ok((current && right && left == replicas as usize).then_some(()))
    };
    until(Duration::from_secs(120), Duration::from_millis(200), "the controllers", settled).await.map(drop)
}

/// Starts every controller anew, one after the other, as `kubectl rollout restart` does.
pub(super) async fn restart(api: &Api, mark: &str) -> Result<(), Fault> {
    let template = json!({"metadata": {"annotations": {"lasthop.dev/trial": mark}}});
    api.merge(&deployment(), &json!({"spec": {"template": template}})).await?;
    settled(api, 2).await
}

/// The pod that leads.
pub(super) async fn leader(api: &Api) -> Result<String, Fault> {
    let path = format!("/apis/coordination.k8s.io/v1/namespaces/{SYSTEM}/leases/lasthop-controller");
    let lease = api.get(&path).await?;
    let holder = lease["spec"]["holderIdentity"].as_str().unwrap_or_default();
    match holder.rsplit_once('_').map_or(holder, |(pod, _)| pod) {
        "" => Err("nobody leads".into()),
        pod => Ok(pod.to_owned()),
    }
}

pub(super) async fn delete_pod(api: &Api, namespace: &str, name: &str) -> Result<(), Fault> {
    api.delete(&format!("/api/v1/namespaces/{namespace}/pods/{name}")).await
}
