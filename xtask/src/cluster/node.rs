//! The node: containerd, kubelet, kube-proxy.

use std::{path::Path, time::Duration};

use serde_json::json;

use super::{
    images,
    layout::{Layout, write},
    pki::kubeconfig,
    plane::part,
    space::{Space, checked, until},
};

/// Starts containerd and waits until it answers.
pub(crate) fn start_containerd(layout: &Layout, space: &Space) -> Result<(), String> {
    let config = layout.folder.join("containerd.toml");
    write(&config, &containerd_config(layout))?;
    write(&layout.folder.join("cni/10-bridge.conflist"), &network_config(layout))?;
    space.start(layout, Path::new("containerd"), &["--config".into(), config.display().to_string()])?;
    until(Duration::from_secs(20), "containerd's answer", || {
        let mut command = space.command("ctr");
        command.arg("version");
        checked(command, "ctr").ok()
    })
    .map_err(|error| format!("{error}; see {}", layout.log("containerd").display()))
}

/// Starts kubelet and kube-proxy.
pub(crate) fn start_kubelet(layout: &Layout, space: &Space, kubernetes: &Path) -> Result<(), String> {
    let config = layout.folder.join("kubelet.json");
    write(&config, &kubelet_config(layout))?;
    let kubelet = [
        format!("--config={}", config.display()),
        format!("--kubeconfig={}", kubeconfig(layout, "node").display()),
        format!("--root-dir={}", layout.folder.join("kubelet").display()),
        "--hostname-override=node".into(),
        format!("--node-ip={}", layout.addresses.node()),
    ];
    space.start(layout, &part(kubernetes, "kubelet"), &kubelet)?;
    let config = layout.folder.join("kube-proxy.json");
    write(&config, &proxy_config(layout))?;
    space.start(layout, &part(kubernetes, "kube-proxy"), &[format!("--config={}", config.display())])
}

fn containerd_config(layout: &Layout) -> String {
    let folder = layout.folder.display();
    format!(
        r#"version = 2
root = "{folder}/containerd"
state = "/run/containerd"

[plugins."io.containerd.internal.v1.opt"]
  path = "{folder}/opt"

[grpc]
  address = "/run/containerd/containerd.sock"

[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{pause}"
  restrict_oom_score_adj = true
  # Gone with the namespaces; under /var/run/netns they would stay.
  netns_mounts_under_state_dir = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "{folder}/cni"
"#,
        pause = images::PAUSE,
    )
}

fn network_config(layout: &Layout) -> String {
    let config = json!({
        "cniVersion": "1.0.0",
        "name": "pods",
        "plugins": [{
            "type": "bridge",
            "bridge": "cni0",
            "isGateway": true,
            "hairpinMode": true,
            "ipMasq": false,
            "ipam": {
                "type": "host-local",
                "ranges": [[{ "subnet": layout.addresses.pods() }]],
                "routes": [{ "dst": "0.0.0.0/0" }],
                "dataDir": "/run/cni-addresses",
            },
        }],
    });
    format!("{config:#}\n")
}

fn kubelet_config(layout: &Layout) -> String {
    let config = json!({
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "authentication": {
            "anonymous": { "enabled": false },
            "webhook": { "enabled": true },
            "x509": { "clientCAFile": layout.pki("ca.crt") },
        },
        "authorization": { "mode": "Webhook" },
        "tlsCertFile": layout.pki("kubelet.crt"),
        "tlsPrivateKeyFile": layout.pki("kubelet.key"),
        "containerRuntimeEndpoint": "unix:///run/containerd/containerd.sock",
        "clusterDNS": [layout.addresses.dns()],
        "clusterDomain": "cluster.local",
        "resolvConf": "",
        "failCgroupV1": false,
        "cgroupDriver": "cgroupfs",
        "cgroupsPerQOS": false,
        "enforceNodeAllocatable": [],
        "localStorageCapacityIsolation": false,
        "volumePluginDir": layout.folder.join("kubelet/volume-plugins"),
        "maxPods": 500,
        // Full disks of a workplace are no reason to evict pods.
        "evictionHard": {
            "memory.available": "50Mi",
            "nodefs.available": "1%",
            "imagefs.available": "1%",
            "nodefs.inodesFree": "1%",
        },
        "imageGCHighThresholdPercent": 100,
        "registerNode": true,
        // The suite makes pods by the dozen, and there is one node.
        "kubeAPIQPS": 200,
        "kubeAPIBurst": 400,
        "serializeImagePulls": false,
    });
    format!("{config:#}\n")
}

fn proxy_config(layout: &Layout) -> String {
    let config = json!({
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "mode": "nftables",
        "hostnameOverride": "node",
        "clusterCIDR": layout.addresses.pods(),
        "clientConnection": { "kubeconfig": kubeconfig(layout, "proxy"), "qps": 200, "burst": 400 },
        "conntrack": { "maxPerCore": 0 },
        "nftables": { "minSyncPeriod": "100ms" },
        "metricsBindAddress": "127.0.0.1:10249",
    });
    format!("{config:#}\n")
}

/// Waits until the node says it is ready.
pub(crate) fn wait_ready(kubectl: &super::kubectl::Kubectl<'_>) -> Result<(), String> {
    until(Duration::from_secs(60), "the node's registration", || {
        kubectl.run(&["get", "node", "node"]).is_ok().then_some(())
    })?;
    kubectl.run(&["wait", "--for=condition=Ready", "node/node", "--timeout=60s"]).map(drop)
}
