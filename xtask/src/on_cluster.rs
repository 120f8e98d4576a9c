//! The tests that need a Kubernetes, on one that is made for them: of the adapter, of validation, and of an installation as
//! a user makes it.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::Value;

use crate::{
    Outcome,
    cluster::{self, space::text},
    conformance,
    processes::{build_folder, cargo, output},
    suite::{self, Tally},
    validation,
};

/// The name of the test targets, in each crate that has one.
pub(crate) const TARGET: &str = "cluster";
/// The cluster's name.
const NAME: &str = "tests";
/// The name of the one beside it.
const OTHER: &str = "tests-beside";

/// All of them, counted with the tests.
pub(crate) fn counted(tally: &mut Tally) -> Outcome {
    // All before there is a cluster: nothing waits while something builds.
    let adapter = executable("crates/k8s-adapter")?;
    let installed = executable("bins/controller")?;
    let differential = validation::build()?;
    // What an interrupted run left is of another time.
    cluster::end(NAME)?;
    cluster::end(OTHER)?;
    let before = traces()?;
    cluster::up(&cluster::Up::for_suite(NAME, "1.7.0"))?;
    let outcome = on_cluster(&adapter, &differential, &installed, tally);
    let crashed = another_crashes();
    let ended = cluster::end(NAME);
    outcome.and(crashed).and(ended)?;
    match traces()?.difference(&before).next() {
        Some(trace) => Err(format!("the clusters have ended, and left {} behind", trace.display())),
        None => Ok(()),
    }
}

/// What clusters could leave on the machine; nothing where another one runs, whose it could be.
fn traces() -> Result<BTreeSet<PathBuf>, String> {
    Ok(if cluster::layout::all()?.is_empty() { cluster::leftovers::traces() } else { BTreeSet::new() })
}

/// A second cluster beside the first, which has a network of its own and ends all at once.
fn another_crashes() -> Outcome {
    cluster::up(&cluster::Up::for_suite(OTHER, "1.7.0"))?;
    let (_, space) = cluster::running(OTHER)?;
    let [one, other] = [NAME, OTHER].map(|name| {
        let (layout, space) = cluster::running(name)?;
        cluster::kubectl(&layout, &space).run(&[
            "get",
            "namespace",
            "kube-system",
            "--output=jsonpath={.metadata.uid}",
        ])
    });
    if one? == other? {
        return Err("two clusters beside each other are the same".to_owned());
    }
    space.kill()?;
    cluster::end(OTHER)
}

fn on_cluster(adapter: &Path, differential: &Path, installed: &Path, tally: &mut Tally) -> Outcome {
    let (layout, space) = cluster::running(NAME)?;
    let kubectl = cluster::kubectl(&layout, &space);
    let path = cluster::path(&layout)?;
    let program = |name: &str| build_folder().join("debug").join(name);

    // The adapter reads our own kind, too, and nothing of ours is installed yet.
    let mut command = Command::new(program("lasthop-controller"));
    command.arg("crds");
    kubectl.apply(&text(command, "lasthop-controller crds")?, "our CRD")?;

    let mut command = space.command(adapter);
    command.env("LASTHOP_TEST_KUBECONFIG", layout.kubeconfig());
    let of_adapter = count(command, tally);

    let mut command = space.command(differential);
    command.env("PATH", &path);
    let few = validation::Options::few();
    let (counted, verdicts) = validation::compare(&few, command, &layout.kubeconfig());
    *tally = tally.plus(counted);

    conformance::install_debug((&layout, &space), &kubectl)?;
    let mut command = space.command(installed);
    command.env("PATH", &path).env("KUBECONFIG", layout.kubeconfig());
    command.env("LASTHOP_TEST_INSTALLED", "1");
    command.env("LASTHOP_TEST_PROXY", program("lasthop-proxy"));
    let of_installation = count(command, tally);
    of_adapter.and(verdicts).and(of_installation)
}

/// Runs tests, some of which must really have run.
fn count(command: Command, tally: &mut Tally) -> Outcome {
    let (counted, outcome) = suite::count(command);
    *tally = tally.plus(counted);
    outcome?;
    if counted.passed > 0 { Ok(()) } else { Err(format!("no test has run: {counted:?}")) }
}

/// The test target of a folder, built.
fn executable(folder: &str) -> Result<PathBuf, String> {
    build(&["--test", TARGET], folder)
}

/// Builds tests and says where that of a folder is. The whole workspace is selected as ever, so that nothing is built
/// twice.
pub(crate) fn build(selection: &[&str], folder: &str) -> Result<PathBuf, String> {
    let mut command = cargo(["test", "--locked", "--workspace", "--all-features", "--no-run"]);
    command.args(selection).arg("--message-format=json");
    let answer = output(command)?;
    let messages = String::from_utf8_lossy(&answer.stdout).into_owned();
    if !answer.status.success() {
        let told = String::from_utf8_lossy(&answer.stderr).into_owned() + &rendered(&messages);
        return Err(format!("the tests cannot be built: {told}"));
    }
    built(&messages, folder).ok_or_else(|| format!("cargo built no test {} of {folder}", selection.join(" ")))
}

/// What the compiler had to say.
fn rendered(messages: &str) -> String {
    let messages = messages.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    messages.filter_map(|message| message["message"]["rendered"].as_str().map(str::to_owned)).collect()
}

/// The tests that cargo's messages name for a target below the folder; its programs are named there, too.
fn built(messages: &str, folder: &str) -> Option<PathBuf> {
    let messages = messages.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let of_folder = |message: &Value| {
        let source = message["target"]["src_path"].as_str().unwrap_or_default();
        message["profile"]["test"] == true && source.contains(&format!("/{folder}/"))
    };
    messages
        .filter(of_folder)
        .filter_map(|message| Some(PathBuf::from(message["executable"].as_str()?)))
        .next_back()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_what_cargo_built() {
        let messages = r#"{"reason": "compiler-artifact", "executable": null, "target": {"src_path": "/w/a/b/src/lib.rs"}, "profile": {"test": true}}
noise
{"reason": "compiler-artifact", "executable": "/t/x", "target": {"src_path": "/w/a/b/tests/main.rs"}, "profile": {"test": true}}
{"reason": "compiler-artifact", "executable": "/t/p", "target": {"src_path": "/w/a/b/src/main.rs"}, "profile": {"test": false}}
{"reason": "compiler-artifact", "executable": "/t/y", "target": {"src_path": "/w/a/c/tests/main.rs"}, "profile": {"test": true}}
{"reason": "build-finished"}"#;
        assert_eq!(built(messages, "a/b"), Some(PathBuf::from("/t/x")));
        assert_eq!(built(messages, "a/c"), Some(PathBuf::from("/t/y")));
        assert_eq!(built(messages, "a/d"), None);
        assert_eq!(built("{}", "a/b"), None);
    }
}
