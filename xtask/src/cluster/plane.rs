//! The control plane: etcd, API server, controllers, scheduler, and who hands out load balancers' addresses.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use super::{
    kubectl::Kubectl,
    layout::Layout,
    pki::kubeconfig,
    space::{Space, until},
};

/// Starts etcd and the API server, waits until it answers, and starts the rest.
pub(crate) fn start(
    layout: &Layout,
    space: &Space,
    kubectl: &Kubectl<'_>,
    etcd: &Path,
    kubernetes: &Path,
) -> Result<(), String> {
    space.start(layout, etcd, &etcd_arguments(layout))?;
    space.start(layout, &part(kubernetes, "kube-apiserver"), &apiserver_arguments(layout))?;
    until(Duration::from_secs(60), "the API server's answer", || {
        kubectl.run(&["get", "--raw", "/readyz"]).is_ok().then_some(())
    })
    .map_err(|error| format!("{error}; see {}", layout.log("kube-apiserver").display()))?;
    let controllers = controller_manager_arguments(layout);
    space.start(layout, &part(kubernetes, "kube-controller-manager"), &controllers)?;
    let file = kubeconfig(layout, "scheduler").display().to_string();
    let scheduler =
        [format!("--kubeconfig={file}"), "--leader-elect=false".into(), "--bind-address=127.0.0.1".into()];
    space.start(layout, &part(kubernetes, "kube-scheduler"), &scheduler)?;
    let balancer = [
        format!("--kubeconfig={}", layout.kubeconfig().display()),
        format!("--addresses={}", layout.addresses.balancers()),
    ];
    space.start(layout, &part(kubernetes, "load-balancer"), &balancer)
}

/// The program under the name that makes it play this part.
pub(crate) fn part(kubernetes: &Path, name: &str) -> PathBuf {
    kubernetes.with_file_name(name)
}

fn etcd_arguments(layout: &Layout) -> Vec<String> {
    let data = layout.folder.join("etcd");
    vec![
        format!("--data-dir={}", data.display()),
        "--listen-client-urls=http://127.0.0.1:2379".into(),
        "--advertise-client-urls=http://127.0.0.1:2379".into(),
        "--listen-peer-urls=http://127.0.0.1:2380".into(),
        // What it holds need not survive the machine.
        "--unsafe-no-fsync".into(),
        "--log-level=warn".into(),
    ]
}

fn apiserver_arguments(layout: &Layout) -> Vec<String> {
    let file = |name: &str| layout.pki(name).display().to_string();
    vec![
        "--etcd-servers=http://127.0.0.1:2379".into(),
        format!("--advertise-address={}", layout.addresses.node()),
        "--secure-port=6443".into(),
        format!("--service-cluster-ip-range={}", layout.addresses.services()),
        format!("--client-ca-file={}", file("ca.crt")),
        format!("--tls-cert-file={}", file("apiserver.crt")),
        format!("--tls-private-key-file={}", file("apiserver.key")),
        "--service-account-issuer=https://kubernetes.default.svc.cluster.local".into(),
        format!("--service-account-key-file={}", file("accounts.key")),
        format!("--service-account-signing-key-file={}", file("accounts.key")),
        "--authorization-mode=Node,RBAC".into(),
        "--enable-admission-plugins=NodeRestriction".into(),
        "--allow-privileged=true".into(),
        format!("--kubelet-certificate-authority={}", file("ca.crt")),
        format!("--kubelet-client-certificate={}", file("kubelet-client.crt")),
        format!("--kubelet-client-key={}", file("kubelet-client.key")),
        // Nobody resolves the node's name.
        "--kubelet-preferred-address-types=InternalIP".into(),
        "--profiling=false".into(),
    ]
}

fn controller_manager_arguments(layout: &Layout) -> Vec<String> {
    let file = |name: &str| layout.pki(name).display().to_string();
    vec![
        format!("--kubeconfig={}", kubeconfig(layout, "controller-manager").display()),
        "--leader-elect=false".into(),
        format!("--flex-volume-plugin-dir={}", layout.folder.join("kubelet/volume-plugins").display()),
        "--bind-address=127.0.0.1".into(),
        // Kubernetes takes a node's pods out of all Services when its kubelet could not reach the API server for 50 s,
        // though they serve on. What is tried here is what we do meanwhile.
        "--node-monitor-grace-period=1h".into(),
        "--use-service-account-credentials=true".into(),
        format!("--service-account-private-key-file={}", file("accounts.key")),
        format!("--root-ca-file={}", file("ca.crt")),
        format!("--cluster-signing-cert-file={}", file("ca.crt")),
        format!("--cluster-signing-key-file={}", file("ca.key")),
    ]
}
