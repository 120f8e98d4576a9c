//! `cargo xtask cluster up`: from nothing to a ready node.

use std::time::Instant;

use super::{
    Up, images,
    kubectl::Kubectl,
    layout::{Layout, cache, make},
    leftovers, node, objects, pki, plane,
    programs::{COREDNS, ECHO, ETCD, KUBERNETES, PAUSE},
    space::Space,
};
use crate::{Outcome, setup};

pub(crate) fn run(options: &Up) -> Outcome {
    if let Some(layout) = Layout::find(&options.name)? {
        if Space::find(&layout).is_some() {
            println!("cluster: {} runs already", layout.name);
            println!("{}", layout.kubeconfig().display());
            return Ok(());
        }
        println!("cluster: {} did not end as it should; clearing what is left", layout.name);
        leftovers::remove(&layout)?;
    }
    setup::require_root("a cluster (namespaces, containerd, kubelet)")?;
    setup::install_cluster_packages()?;
    make(&cache()?)?;
    // All before the clock starts: nothing is half up while something builds.
    let (etcd, kubernetes) = (ETCD.build()?, KUBERNETES.build()?);
    for program in [PAUSE, COREDNS, ECHO] {
        program.build()?;
    }
    let start = Instant::now();
    let layout = Layout::create(&options.name)?;
    let programs = kubernetes.parent().unwrap_or(&kubernetes);
    std::os::unix::fs::symlink(programs, layout.folder.join("bin"))
        .map_err(|error| format!("bin: {error}"))?;
    leftovers::note_settings()?;
    pki::make(&layout)?;
    let space = Space::create(&layout)?;
    let kubectl = super::kubectl(&layout, &space);
    let outcome = bring_up(options, &layout, &space, &kubectl, &etcd, &kubernetes);
    outcome.map_err(|error| {
        format!(
            "{error}\n  logs: {}\n  then: cargo xtask cluster down --name {}",
            layout.folder.join("logs").display(),
            layout.name
        )
    })?;
    println!(
        "cluster: {} is ready after {:.1} s; its kubeconfig, for use inside its namespace:",
        layout.name,
        start.elapsed().as_secs_f32()
    );
    println!("{}", layout.kubeconfig().display());
    Ok(())
}

fn bring_up(
    options: &Up,
    layout: &Layout,
    space: &Space,
    kubectl: &Kubectl<'_>,
    etcd: &std::path::Path,
    kubernetes: &std::path::Path,
) -> Outcome {
    node::start_containerd(layout, space)?;
    plane::start(layout, space, kubectl, etcd, kubernetes)?;
    node::start_kubelet(layout, space, kubernetes)?;
    images::import_usual(layout, space)?;
    objects::place_dns(layout, kubectl)?;
    if let Some(version) = options.crds.version() {
        objects::install_crds(kubectl, version, options.channel.folder())?;
    }
    node::wait_ready(kubectl)?;
    objects::wait_dns(kubectl)
}
