//! Keys, certificates and kubeconfigs of a cluster, made by `openssl`.

use std::{path::PathBuf, process::Command};

use serde_json::json;

use super::{
    layout::{Layout, write},
    space::checked,
};

/// Who may speak to the API server: file, group and name of each.
const CLIENTS: [(&str, &str, &str); 6] = [
    ("admin", "system:masters", "admin"),
    ("controller-manager", "", "system:kube-controller-manager"),
    ("scheduler", "", "system:kube-scheduler"),
    ("node", "system:nodes", "system:node:node"),
    ("proxy", "", "system:kube-proxy"),
    ("kubelet-client", "system:masters", "kube-apiserver-kubelet-client"),
];

/// Days that anything here is valid.
const DAYS: &str = "365";

/// Makes all of them.
pub(crate) fn make(layout: &Layout) -> Result<(), String> {
    authority(layout)?;
    let addresses = layout.addresses;
    let names = format!(
        "subjectAltName=DNS:kubernetes,DNS:kubernetes.default,DNS:kubernetes.default.svc,\
         DNS:kubernetes.default.svc.cluster.local,DNS:localhost,IP:127.0.0.1,IP:{},IP:{}",
        addresses.node(),
        addresses.api()
    );
    signed(layout, "apiserver", "/CN=kube-apiserver", &[&names, "extendedKeyUsage=serverAuth"])?;
    let names = format!("subjectAltName=DNS:node,IP:{}", addresses.node());
    signed(layout, "kubelet", "/CN=node", &[&names, "extendedKeyUsage=serverAuth"])?;
    for (file, group, name) in CLIENTS {
        let subject = if group.is_empty() { format!("/CN={name}") } else { format!("/O={group}/CN={name}") };
        signed(layout, file, &subject, &["extendedKeyUsage=clientAuth"])?;
        write(&kubeconfig(layout, file), &kubeconfig_text(layout, file))?;
    }
    let mut command = Command::new("openssl");
    command.args(["genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048", "-out"]);
    command.arg(layout.pki("accounts.key"));
    checked(command, "the key of service accounts")
}

/// The kubeconfig of one of the clients; the administrator's is where users look for it.
pub(crate) fn kubeconfig(layout: &Layout, client: &str) -> PathBuf {
    if client == "admin" { layout.kubeconfig() } else { layout.pki(&format!("{client}.kubeconfig")) }
}

fn authority(layout: &Layout) -> Result<(), String> {
    let mut command = request("/CN=lasthop-cluster");
    command.arg("-keyout").arg(layout.pki("ca.key")).arg("-out").arg(layout.pki("ca.crt"));
    command.args(["-addext", "keyUsage=critical,keyCertSign,cRLSign"]);
    checked(command, "the cluster's CA")
}

fn signed(layout: &Layout, file: &str, subject: &str, extensions: &[&str]) -> Result<(), String> {
    let mut command = request(subject);
    command.arg("-CA").arg(layout.pki("ca.crt")).arg("-CAkey").arg(layout.pki("ca.key"));
    command.arg("-keyout").arg(layout.pki(&format!("{file}.key")));
    command.arg("-out").arg(layout.pki(&format!("{file}.crt")));
    command.args(["-addext", "basicConstraints=critical,CA:FALSE"]);
    for extension in extensions {
        command.args(["-addext", extension]);
    }
    checked(command, &format!("the certificate {file}"))
}

fn request(subject: &str) -> Command {
    let mut command = Command::new("openssl");
    command.args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]);
    command.args(["-days", DAYS, "-subj", subject]);
    command
}

fn kubeconfig_text(layout: &Layout, client: &str) -> String {
    // The administrator's speaks to the node's address; the node's own programs to the loopback.
    let server = if client == "admin" { layout.addresses.node().to_string() } else { "127.0.0.1".into() };
    let config = json!({
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{ "name": layout.name, "cluster": {
            "server": format!("https://{server}:6443"),
            "certificate-authority": layout.pki("ca.crt"),
        }}],
        "users": [{ "name": client, "user": {
            "client-certificate": layout.pki(&format!("{client}.crt")),
            "client-key": layout.pki(&format!("{client}.key")),
        }}],
        "contexts": [{ "name": layout.name, "context": { "cluster": layout.name, "user": client } }],
        "current-context": layout.name,
    });
    format!("{config:#}\n")
}
