//! Builds, tests and measures Lasthop: `cargo xtask setup | test | check-size | arrows | trust | cluster |
//! conformance | validation | manifests | crds | chart | images | bench`.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a command-line tool speaks to the terminal")]

mod arrows;
mod bench;
mod chart;
mod cluster;
mod conformance;
mod deny;
mod graph;
mod images;
mod on_cluster;
mod print;
mod processes;
mod setup;
mod size;
mod suite;
mod test;
mod trust;
mod validation;

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::{Parser, Subcommand};

/// What a task ends with: nothing, or a sentence that says what is wrong and what to do.
type Outcome = Result<(), String>;

#[derive(Parser)]
#[command(name = "cargo xtask", about = "Builds, tests and measures Lasthop.")]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Install what building and testing need and this machine lacks.
    Setup(setup::Options),
    /// Everything that must pass before a change lands.
    Test(test::Options),
    /// No source file above 500 lines, tests aside.
    CheckSize,
    /// Dependencies between our crates point down only, and no floor knows what it must not.
    Arrows,
    /// Try the verifier, both TLS stacks and the proxy on public suites of certificate chains.
    Trust(trust::Options),
    /// A real Kubernetes of one node to try things on: up, down, status, exec, import.
    #[command(subcommand)]
    Cluster(cluster::Options),
    /// The official Gateway API conformance suite, on a cluster of our own or yours.
    Conformance(conformance::Options),
    /// Our verdict on thousands of objects beside a real API server's.
    Validation(validation::Options),
    /// Print everything that an installation on a cluster consists of, for kubectl apply --server-side.
    Manifests(print::Options),
    /// Print the CRDs of our own kinds.
    Crds(print::Options),
    /// Bring the Helm chart's CRD and rights up to date.
    Chart,
    /// Build the container images of controller and proxy, as archives.
    Images(images::Options),
    /// Build the proxy and the benchmark driver optimised, and run the driver with the given arguments.
    Bench(bench::Options),
}

fn main() -> ExitCode {
    let outcome = match Arguments::parse().task {
        Task::Setup(options) => setup::run(&options),
        Task::Test(options) => test::run(&options),
        Task::CheckSize => size::run(),
        Task::Arrows => arrows::run(),
        Task::Trust(options) => trust::run(&options),
        Task::Cluster(options) => cluster::run(&options),
        Task::Conformance(options) => conformance::run(&options),
        Task::Validation(options) => validation::run(&options),
        Task::Manifests(options) => print::run("manifests", &options),
        Task::Crds(options) => print::run("crds", &options),
        Task::Chart => chart::run(),
        Task::Images(options) => images::run(&options),
        Task::Bench(options) => bench::run(&options),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(sentence) => {
            eprintln!("xtask: {sentence}");
            ExitCode::FAILURE
        }
    }
}

/// The workspace's root.
fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().map_or_else(PathBuf::new, Path::to_path_buf)
}
