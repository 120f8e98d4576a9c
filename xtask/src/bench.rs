//! `cargo xtask bench`: an optimised proxy, an optimised driver, and the driver run; and the trials on a cluster.

mod on_cluster;

use std::{ffi::OsString, path::PathBuf};

use clap::{Args, Subcommand};

use crate::{
    Outcome,
    processes::{build_folder, cargo, run as run_command},
};

#[derive(Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct Options {
    #[command(subcommand)]
    trial: Option<Trial>,
    /// Given to the driver as they stand; `cargo xtask bench -- --help` lists them.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<OsString>,
    /// Build the proxy with BoringSSL beside rustls.
    #[arg(long)]
    boringssl: bool,
}

#[derive(Subcommand)]
enum Trial {
    /// On a cluster: how soon a change of one route is in force, the memory it takes, how soon a new Gateway serves
    Propagation(on_cluster::Options),
    /// On a cluster: a steady load over verified TLS while API server, controllers and proxies fail; no request may
    Resilience(on_cluster::Options),
}

pub(crate) fn run(options: &Options) -> Outcome {
    match &options.trial {
        Some(Trial::Propagation(options)) => return on_cluster::run("propagation", options),
        Some(Trial::Resilience(options)) => return on_cluster::run("resilience", options),
        None => {}
    }
    let mut proxy = cargo(["build", "--release", "--locked", "-p", "lasthop-proxy"]);
    if options.boringssl {
        proxy.args(["--features", "boringssl"]);
    }
    run_command(proxy)?;
    run_command(cargo(["build", "--release", "--locked", "-p", "lasthop-bench"]))?;
    let built = built("release");
    let mut driver = std::process::Command::new(built.join("lasthop-bench"));
    driver.arg("--lasthop").arg(built.join("lasthop-proxy")).args(&options.arguments);
    run_command(driver)
}

/// Where cargo puts the programs of a profile.
fn built(profile: &str) -> PathBuf {
    build_folder().join(profile)
}
