//! `cargo xtask bench`: an optimised proxy, an optimised driver, and the driver run.

use std::{ffi::OsString, path::PathBuf};

use clap::Args;

use crate::{
    Outcome,
    processes::{cargo, run as run_command},
    root,
};

#[derive(Args)]
pub(crate) struct Options {
    /// Given to the driver as they stand; `cargo xtask bench -- --help` lists them.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<OsString>,
    /// Build the proxy with BoringSSL beside rustls.
    #[arg(long)]
    boringssl: bool,
}

pub(crate) fn run(options: &Options) -> Outcome {
    let mut proxy = cargo(["build", "--release", "--locked", "-p", "lasthop-proxy"]);
    if options.boringssl {
        proxy.args(["--features", "boringssl"]);
    }
    run_command(proxy)?;
    run_command(cargo(["build", "--release", "--locked", "-p", "lasthop-bench"]))?;
    let built = target().join("release");
    let mut driver = std::process::Command::new(built.join("lasthop-bench"));
    driver.arg("--lasthop").arg(built.join("lasthop-proxy")).args(&options.arguments);
    run_command(driver)
}

fn target() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from)
}
