//! `cargo xtask manifests` and `cargo xtask crds`: what the controller knows about its own installation.

use crate::{Outcome, processes::cargo};

#[derive(clap::Args)]
pub(crate) struct Options {
    /// Passed on to the controller, such as --namespace or --tag
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    more: Vec<String>,
}

/// Has the controller print it; nothing else goes to standard output.
pub(crate) fn run(what: &str, options: &Options) -> Outcome {
    let mut command = cargo(["run", "--quiet", "--locked", "--package", "lasthop-controller", "--", what]);
    match command.args(&options.more).status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("the controller could not print its {what} ({status})")),
        Err(error) => Err(format!("cargo could not be started: {error}")),
    }
}
