//! `cargo xtask bench propagation | resilience`: Lasthop on a cluster of our own, tried from inside the cluster.

use std::{ffi::OsString, path::PathBuf, process::Command};

use clap::Args;

use super::built;
use crate::{
    Outcome, cluster,
    cluster::{layout::Layout, space::Space},
    conformance,
    processes::{cargo, run as run_command},
};

#[derive(Args)]
pub(crate) struct Options {
    /// The name of the cluster; one that runs already is used and kept
    #[arg(long, default_value = "bench")]
    name: String,
    /// Keep the cluster that is made for this run
    #[arg(long)]
    keep: bool,
    /// Take the optimised binaries as they are
    #[arg(long)]
    no_build: bool,
    /// Take the binaries that are not optimised; figures mean nothing then
    #[arg(long)]
    debug: bool,
    /// Lasthop runs in the cluster already
    #[arg(long)]
    installed: bool,
    /// Given to the trial as they stand, such as --routes 10,1000 --gateways 1 --changes 30, or --away 300
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<OsString>,
}

impl Options {
    fn profile(&self) -> &'static str {
        if self.debug { "debug" } else { "release" }
    }
}

pub(crate) fn run(trial: &str, options: &Options) -> Outcome {
    let programs = ["lasthop-controller", "lasthop-proxy", "lasthop-bench"];
    if !options.no_build {
        let mut build = cargo(["build", "--locked"]);
        if !options.debug {
            build.arg("--release");
        }
        programs.iter().for_each(|program| {
            build.args(["--package", program]);
        });
        run_command(build)?;
    }
    let found = Layout::find(&options.name)?.is_some_and(|layout| Space::find(&layout).is_some());
    cluster::up(&cluster::Up::for_suite(&options.name, "1.7.0"))?;
    let outcome = on(trial, options);
    if !found && !options.keep {
        cluster::end(&options.name)?;
    }
    outcome
}

/// On a cluster that stands.
fn on(trial: &str, options: &Options) -> Outcome {
    let (layout, space) = cluster::running(&options.name)?;
    if !options.installed {
        let kubectl = cluster::kubectl(&layout, &space);
        let manifests = manifests(options, &layout)?;
        conformance::install_built((&layout, &space), &kubectl, options.debug, &manifests)?;
        // On a cluster that stood, the images are new and their names are not: what ran would run on.
        let controller = ["--namespace=lasthop-system", "deployment/lasthop-controller"];
        kubectl.run(&["rollout", "restart", controller[0], controller[1]])?;
        kubectl.run(&["rollout", "status", controller[0], controller[1], "--timeout=180s"])?;
    }
    let node = layout.addresses.node();
    let mut command = space.command(built(options.profile()).join("lasthop-trial"));
    command.arg(trial).arg(format!("--api={node}:6443")).arg(format!("--node={node}"));
    for (flag, file) in [("--ca", "ca.crt"), ("--certificate", "admin.crt"), ("--key", "admin.key")] {
        command.arg(flag).arg(layout.pki(file));
    }
    command.args(&options.arguments);
    run_command(command)
}

/// What the controller itself says it consists of.
fn manifests(options: &Options, layout: &Layout) -> Result<PathBuf, String> {
    let mut command = Command::new(built(options.profile()).join("lasthop-controller"));
    command.arg("manifests");
    let text = cluster::space::text(command, "lasthop-controller manifests")?;
    let file = layout.folder.join("run/lasthop.yaml");
    cluster::layout::write(&file, &text)?;
    Ok(file)
}
