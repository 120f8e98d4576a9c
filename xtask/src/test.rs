//! `cargo xtask test`: everything that must pass before a change lands, cheapest first, each step timed.

use std::{ffi::OsString, time::Instant};

use clap::{Args, ValueEnum};

use crate::{
    Outcome, arrows,
    cluster::programs::published_gateway_api,
    conformance, deny,
    graph::test_targets,
    on_cluster,
    processes::{cargo, run as run_command},
    setup, size,
    suite::{self, Tally},
    trust,
};

#[derive(Args)]
pub(crate) struct Options {
    /// Only these steps (may be given several times); by default all of them, those on a cluster only with CI=true.
    #[arg(long = "step", value_enum)]
    steps: Vec<Step>,
    /// Install nothing first.
    #[arg(long)]
    no_setup: bool,
}

/// The steps, in the order in which they run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Step {
    /// Formatting, sizes of files, arrows between crates.
    Fmt,
    /// Licences, bans, sources, advisories.
    Deny,
    /// Lints, with each TLS stack alone and with both.
    Clippy,
    /// Tests of the crates, and of their documentation.
    Unit,
    /// The proxy's own process against real peers.
    E2e,
    /// Certificate chains of public suites: all of them through the verifier, a sample through the proxy.
    Trust,
    /// Adapter, validation and an installation on a Kubernetes of their own: needs root, and some ten minutes when the
    /// Kubernetes is not built.
    Cluster,
    /// The official Gateway API suite, on a Kubernetes of its own: needs root, and half an hour when nothing is built.
    Conformance,
}

/// The packages that can be built with either TLS stack.
const EITHER_STACK: [&str; 3] = ["lasthop-tls-backends", "lasthop-dataplane", "lasthop-proxy"];

/// The test that compares our schemas with the published ones.
const PUBLISHED: &str = "published_crds::schemas_say_what_the_published_crds_say";

/// The package that holds the end-to-end tests.
const PROXY: &str = "lasthop-proxy";

pub(crate) fn run(options: &Options) -> Outcome {
    let begun = Instant::now();
    if !options.no_setup {
        timed("setup", || setup::run(&setup::Options::default()))?;
    }
    let mut tally = Tally::default();
    let mut failed = Vec::new();
    for step in Step::value_variants() {
        let asked_for = options.steps.contains(step);
        if !options.steps.is_empty() && !asked_for {
            continue;
        }
        let name = format!("{step:?}").to_lowercase();
        let makes_a_cluster = matches!(step, Step::Cluster | Step::Conformance);
        if makes_a_cluster && !asked_for && !in_ci() {
            println!("==> {name} LEFT OUT: it makes a cluster, as root; cargo xtask test --step {name}");
            continue;
        }
        let outcome = timed(&name, || step.run(&mut tally));
        if let Err(sentence) = outcome {
            println!("==> {name} FAILED: {sentence}");
            failed.push(format!("{name}: {sentence}"));
        }
    }
    println!("==> all steps took {} s", begun.elapsed().as_secs());
    if tally != Tally::default() {
        println!("{} passed, {} failed, {} skipped", tally.passed, tally.failed, tally.ignored);
    }
    if failed.is_empty() { Ok(()) } else { Err(format!("these steps failed:\n  {}", failed.join("\n  "))) }
}

/// Where nothing may be left out.
fn in_ci() -> bool {
    std::env::var_os("CI").is_some_and(|ci| ci == "true")
}

fn timed(name: &str, step: impl FnOnce() -> Outcome) -> Outcome {
    println!("==> {name}");
    let begun = Instant::now();
    let outcome = step();
    println!("==> {name} took {:.1} s", begun.elapsed().as_secs_f64());
    outcome
}

impl Step {
    fn run(self, tally: &mut Tally) -> Outcome {
        match self {
            Self::Fmt => {
                run_command(cargo(["fmt", "--all", "--check"]))?;
                size::run()?;
                arrows::run()
            }
            Self::Deny => deny::check(),
            Self::Clippy => clippy(),
            Self::Unit => unit(tally),
            Self::E2e => tests(tally, &["--test"], |package| package == PROXY),
            Self::Trust => trust::counted(&trust::Options::default(), tally),
            Self::Cluster => on_cluster::counted(tally),
            Self::Conformance => conformance::counted(tally),
        }
    }
}

fn clippy() -> Outcome {
    let lint = |selection: &[&str]| {
        let mut arguments = vec!["clippy", "--locked", "--all-targets"];
        arguments.extend(selection);
        arguments.extend(["--", "-D", "warnings"]);
        run_command(cargo(arguments))
    };
    lint(&["--workspace"])?;
    let mut boringssl = vec!["--no-default-features", "--features", "boringssl"];
    for package in EITHER_STACK {
        boringssl.extend(["-p", package]);
    }
    lint(&boringssl)?;
    lint(&["--workspace", "--all-features"])
}

fn unit(tally: &mut Tally) -> Outcome {
    let inside = tests(tally, &["--lib", "--bins", "--test"], |package| package != PROXY);
    let documentation = counted(tally, &["--doc".into()]);
    let schemas = published_schemas(tally);
    inside.and(documentation).and(schemas)
}

/// Our schemas beside the published CRDs, field by field, where these can be had.
fn published_schemas(tally: &mut Tally) -> Outcome {
    let folder = match published_gateway_api() {
        Ok(folder) => folder,
        Err(sentence) => {
            let said = format!("NO PUBLISHED CRDS: {sentence}; our schemas are not compared with them");
            if in_ci() {
                return Err(said);
            }
            println!("unit: {said}");
            return Ok(());
        }
    };
    // Only for this test: the programs take every LASTHOP_ variable for a setting.
    let mut command = cargo(["test", "--locked", "--workspace", "--all-features", "--lib", "--", PUBLISHED]);
    command.env("LASTHOP_GATEWAY_API_DIR", folder);
    let (counted, outcome) = suite::count(command);
    *tally = tally.plus(counted);
    outcome?;
    if counted.passed == 1 { Ok(()) } else { Err(format!("{PUBLISHED} has not run: {counted:?}")) }
}

/// Runs tests with both TLS stacks on. `kinds` may end in `--test`: then the integration tests of the packages that
/// `of` picks are added by name. The whole workspace is selected each time, so nothing is built twice.
fn tests(tally: &mut Tally, kinds: &[&str], of: impl Fn(&str) -> bool) -> Outcome {
    let mut arguments: Vec<OsString> = Vec::new();
    for kind in kinds {
        if *kind != "--test" {
            arguments.push((*kind).into());
            continue;
        }
        // The public suites, and what needs a cluster, have steps of their own.
        let elsewhere = [trust::TARGET, on_cluster::TARGET];
        let wanted = |package: &str, target: &str| of(package) && !elsewhere.contains(&target);
        for (_, target) in test_targets()?.into_iter().filter(|(package, target)| wanted(package, target)) {
            arguments.extend(["--test".into(), target.into()]);
        }
    }
    if arguments.is_empty() {
        return Err("found no test to run".to_owned());
    }
    counted(tally, &arguments)
}

fn counted(tally: &mut Tally, selection: &[OsString]) -> Outcome {
    let mut command = cargo(["test", "--locked", "--workspace", "--all-features", "--no-fail-fast"]);
    command.args(selection);
    let (counted, outcome) = suite::count(command);
    *tally = tally.plus(counted);
    outcome
}
