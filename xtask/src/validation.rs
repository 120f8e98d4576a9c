//! `cargo xtask validation`: our verdict on objects beside a real API server's, on a cluster of ours or yours.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use clap::Args;

use crate::{
    Outcome,
    cluster::{self, layout::Layout, space::Space},
    processes::{cargo, output},
    suite,
};

/// The test, and the package it is in.
const TEST: &str = "validate::tests::differential::verdicts_are_the_api_servers";
const PACKAGE: &str = "lasthop-api-model";

#[derive(Args)]
pub(crate) struct Options {
    /// A cluster of yours with the experimental CRDs of v1.7.0; otherwise one is made. Nothing but a namespace `ns` is
    /// written
    #[arg(long, value_name = "FILE")]
    kubeconfig: Option<PathBuf>,
    /// The name of our own cluster; one that runs already is used and kept
    #[arg(long, default_value = "validation")]
    name: String,
    /// Other numbers make other objects
    #[arg(long)]
    seed: Option<u64>,
    /// Changes to each field of a sample
    #[arg(long)]
    changes: Option<u64>,
    /// Objects of each kind and version with several changes
    #[arg(long)]
    objects: Option<u64>,
}

pub(crate) fn run(options: &Options) -> Outcome {
    let test = build()?;
    if let Some(kubeconfig) = &options.kubeconfig {
        let kubeconfig = std::path::absolute(kubeconfig).map_err(|error| format!("--kubeconfig: {error}"))?;
        return compare(options, Command::new(test), &kubeconfig);
    }
    let found = Layout::find(&options.name)?.is_some_and(|layout| Space::find(&layout).is_some());
    cluster::up(&cluster::Up::for_suite(&options.name, "1.7.0"))?;
    let (layout, space) = cluster::running(&options.name)?;
    let mut command = space.command(&test);
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = [layout.folder.join("bin")].into_iter().chain(std::env::split_paths(&path));
    command.env("PATH", std::env::join_paths(folders).map_err(|error| format!("PATH: {error}"))?);
    let outcome = compare(options, command, &layout.kubeconfig());
    if !found {
        cluster::end(&options.name)?;
    }
    outcome
}

/// Runs the test, which must really have run.
fn compare(options: &Options, mut command: Command, kubeconfig: &Path) -> Outcome {
    command.args([TEST, "--exact", "--nocapture"]).env("LASTHOP_TEST_KUBECONFIG", kubeconfig);
    let settings = [("SEED", options.seed), ("CHANGES", options.changes), ("OBJECTS", options.objects)];
    for (name, value) in settings {
        if let Some(value) = value {
            command.env(format!("LASTHOP_TEST_{name}"), value.to_string());
        }
    }
    let (tally, outcome) = suite::count(command);
    outcome?;
    if tally.passed == 1 { Ok(()) } else { Err(format!("{TEST} has not run: {tally:?}")) }
}

/// Builds the test and says where it is.
fn build() -> Result<PathBuf, String> {
    let arguments = ["test", "--locked", "--package", PACKAGE, "--lib", "--no-run", "--message-format=json"];
    let answer = output(cargo(arguments))?;
    if !answer.status.success() {
        return Err(format!("{PACKAGE} cannot be built: {}", String::from_utf8_lossy(&answer.stderr)));
    }
    executable(&String::from_utf8_lossy(&answer.stdout))
        .ok_or_else(|| format!("cargo built no test of {PACKAGE}"))
}

/// The last executable that cargo's messages name.
fn executable(messages: &str) -> Option<PathBuf> {
    let messages = messages.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
    messages.filter_map(|message| Some(PathBuf::from(message["executable"].as_str()?))).next_back()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_what_cargo_built() {
        let messages = "{\"reason\": \"compiler-artifact\", \"executable\": null}\nnoise\n\
                        {\"reason\": \"compiler-artifact\", \"executable\": \"/t/x\"}\n{\"reason\": \"build-finished\"}";
        assert_eq!(executable(messages), Some(PathBuf::from("/t/x")));
        assert_eq!(executable("{}"), None);
    }
}
