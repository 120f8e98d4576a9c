//! Lasthop: a folder of manifests.

use std::{
    ffi::OsString,
    net::SocketAddr,
    path::{Path, PathBuf},
};

use super::Site;
use crate::Fault;

pub(super) fn prepare(
    site: &Site<'_>,
    program: &Path,
    more: &str,
) -> Result<(PathBuf, Vec<OsString>), Fault> {
    let manifests = site.folder.join("manifests");
    std::fs::create_dir_all(&manifests)?;
    std::fs::write(manifests.join("all.json"), manifest(site)?)?;
    let mut flags: Vec<OsString> = vec!["run".into(), "--config".into(), manifests.into()];
    flags.extend(["--workers".into(), "1".into(), "--admin".into(), "off".into()]);
    let log = if site.access_log { "stdout" } else { "off" };
    flags.extend(["--access-log".into(), log.into()]);
    flags.extend(more.split_whitespace().map(OsString::from));
    let program = program
        .canonicalize()
        .map_err(|error| format!("there is no lasthop-proxy at {}: {error}", program.display()))?;
    Ok((program, flags))
}

fn manifest(site: &Site<'_>) -> Result<String, Fault> {
    let front = |path: &Path| std::fs::read_to_string(path);
    let items = serde_json::json!([
        {
            "apiVersion": "gateway.networking.k8s.io/v1", "kind": "Gateway",
            "metadata": {"name": "bench", "namespace": "bench"},
            "spec": {"gatewayClassName": "lasthop", "listeners": [
                {"name": "tls", "port": site.tls_port, "protocol": "HTTPS",
                 "tls": {"mode": "Terminate", "certificateRefs": [{"name": "front"}]}},
                {"name": "plain", "port": site.plain_port, "protocol": "HTTP"},
            ]},
        },
        {
            "apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/tls",
            "metadata": {"name": "front", "namespace": "bench"},
            "stringData": {"tls.crt": front(&site.certificates.front_certificate)?, "tls.key": front(&site.certificates.front_key)?},
        },
        {
            "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "ca", "namespace": "bench"},
            "data": {"ca.crt": front(site.ca)?},
        },
        {
            "apiVersion": "gateway.networking.k8s.io/v1", "kind": "BackendTLSPolicy",
            "metadata": {"name": "tls", "namespace": "bench"},
            "spec": {
                "targetRefs": [{"group": "", "kind": "Service", "name": "tls"}],
                "validation": {"hostname": site.name, "caCertificateRefs": [{"group": "", "kind": "ConfigMap", "name": "ca"}]},
                "options": {"lasthop.dev/min-version": "1.3"},
            },
        },
        route("tls"), service("tls"), endpoints("tls", site.tls_backend),
        route("plain"), service("plain"), endpoints("plain", site.plain_backend),
    ]);
    Ok(serde_json::to_string_pretty(
        &serde_json::json!({"apiVersion": "v1", "kind": "List", "items": items}),
    )?)
}

fn route(name: &str) -> serde_json::Value {
    serde_json::json!({
        "apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute",
        "metadata": {"name": name, "namespace": "bench"},
        "spec": {
            "parentRefs": [{"name": "bench", "sectionName": name}],
            "rules": [{"backendRefs": [{"name": name, "port": 443}]}],
        },
    })
}

fn service(name: &str) -> serde_json::Value {
    serde_json::json!({
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": name, "namespace": "bench"},
        "spec": {"ports": [{"name": "web", "port": 443, "targetPort": 8443, "protocol": "TCP"}]},
    })
}

fn endpoints(name: &str, address: SocketAddr) -> serde_json::Value {
    serde_json::json!({
        "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
        "metadata": {"name": name, "namespace": "bench", "labels": {"kubernetes.io/service-name": name}},
        "addressType": "IPv4",
        "ports": [{"name": "web", "port": address.port(), "protocol": "TCP"}],
        "endpoints": [{"addresses": [address.ip().to_string()], "conditions": {"ready": true}}],
    })
}
