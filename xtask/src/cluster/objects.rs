//! What every cluster has in it from the start: its DNS, and the Gateway API's kinds.

use std::{path::Path, time::Duration};

use super::{images, kubectl::Kubectl, layout::Layout, programs::gateway_api, space::until};

/// The DNS server's objects; the capitals are put in here.
const DNS: &str = include_str!("dns.yaml");

/// Places the cluster's DNS server.
pub(crate) fn place_dns(layout: &Layout, kubectl: &Kubectl<'_>) -> Result<(), String> {
    let address = layout.addresses.dns().to_string();
    kubectl.apply(&DNS.replace("ADDRESS", &address).replace("IMAGE", images::DNS), "the cluster's DNS")
}

/// Waits until names are answered.
pub(crate) fn wait_dns(kubectl: &Kubectl<'_>) -> Result<(), String> {
    let arguments = ["rollout", "status", "--namespace=kube-system", "deployment/coredns", "--timeout=60s"];
    kubectl.run(&arguments).map(drop)
}

/// Installs the Gateway API's CRDs of that version, as its module holds them.
pub(crate) fn install_crds(kubectl: &Kubectl<'_>, version: &str, channel: &str) -> Result<(), String> {
    let folder = gateway_api(version)?.join("config/crd").join(channel);
    kubectl.apply(&manifests(&folder)?, &format!("the CRDs of Gateway API {version}"))?;
    // Some are not yet listed when the first answer comes.
    until(Duration::from_secs(30), "the CRDs", || {
        kubectl.run(&["wait", "--for=condition=Established", "crd", "--all", "--timeout=20s"]).ok()
    })
    .map(drop)
}

/// All objects of a folder; a kustomization is none.
fn manifests(folder: &Path) -> Result<String, String> {
    let entries = std::fs::read_dir(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let mut files: Vec<_> = entries.flatten().map(|entry| entry.path()).collect();
    files.retain(|file| {
        file.extension().is_some_and(|extension| extension == "yaml") && !file.ends_with("kustomization.yaml")
    });
    files.sort();
    let mut all = String::new();
    for file in &files {
        let content =
            std::fs::read_to_string(file).map_err(|error| format!("{}: {error}", file.display()))?;
        all.push_str("---\n");
        all.push_str(&content);
        all.push('\n');
    }
    if files.is_empty() { Err(format!("{}: no manifests", folder.display())) } else { Ok(all) }
}
