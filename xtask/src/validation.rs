//! `cargo xtask validation`: our verdict on objects beside a real API server's, on a cluster of ours or yours.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use clap::Args;

use crate::{
    Outcome,
    cluster::{self, layout::Layout, space::Space},
    on_cluster,
    suite::{self, Tally},
};

/// The test, and where it is.
const TEST: &str = "validate::tests::differential::verdicts_are_the_api_servers";
const FOLDER: &str = "crates/api-model";

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

impl Options {
    /// Some of every kind, in less than a minute.
    pub(crate) fn few() -> Self {
        Self { kubeconfig: None, name: String::new(), seed: None, changes: Some(1), objects: Some(10) }
    }
}

pub(crate) fn run(options: &Options) -> Outcome {
    let test = build()?;
    if let Some(kubeconfig) = &options.kubeconfig {
        let kubeconfig = std::path::absolute(kubeconfig).map_err(|error| format!("--kubeconfig: {error}"))?;
        return compare(options, Command::new(test), &kubeconfig).1;
    }
    let found = Layout::find(&options.name)?.is_some_and(|layout| Space::find(&layout).is_some());
    cluster::up(&cluster::Up::for_suite(&options.name, "1.7.0"))?;
    let (layout, space) = cluster::running(&options.name)?;
    let mut command = space.command(&test);
    command.env("PATH", cluster::path(&layout)?);
    let (_, outcome) = compare(options, command, &layout.kubeconfig());
    if !found {
        cluster::end(&options.name)?;
    }
    outcome
}

/// Runs the test, which must really have run.
pub(crate) fn compare(options: &Options, mut command: Command, kubeconfig: &Path) -> (Tally, Outcome) {
    command.args([TEST, "--exact", "--nocapture"]).env("LASTHOP_TEST_KUBECONFIG", kubeconfig);
    let settings = [("SEED", options.seed), ("CHANGES", options.changes), ("OBJECTS", options.objects)];
    for (name, value) in settings {
        if let Some(value) = value {
            command.env(format!("LASTHOP_TEST_{name}"), value.to_string());
        }
    }
    let (tally, outcome) = suite::count(command);
    let ran = if tally.passed == 1 { Ok(()) } else { Err(format!("{TEST} has not run: {tally:?}")) };
    (tally, outcome.and(ran))
}

/// Builds the test and says where it is.
pub(crate) fn build() -> Result<PathBuf, String> {
    on_cluster::build(&["--lib"], FOLDER)
}
