//! `demo`: good and bad backends, a verdict for each, and manifests that `check` says the same about.

use std::{path::PathBuf, process::Command, time::Duration};

use crate::{
    for_each_stack,
    support::{PATIENCE, Stack, processes::Process, site::check, within},
};

for_each_stack!(alone: once, stays_until_interrupted);

/// What the demo must say about its backends.
const VERDICTS: [&str; 4] = ["NameMismatch", "Expired", "UntrustedChain", "NotTls"];

fn once(stack: Stack) {
    let folder = tempfile::tempdir().unwrap();
    let mut command = Command::new(crate::support::proxy::binary());
    command.args(["demo", "--once", "--tls-backend", stack.name()]).current_dir(folder.path());
    let mut demo = Process::start(command, folder.path(), "demo");
    let status = demo.wait(Duration::from_secs(60)).expect("the demo ends");
    assert!(status.success(), "{status}: {}", demo.err());
    for verdict in VERDICTS {
        assert!(demo.out().contains(verdict), "{verdict} is not in\n{}", demo.out());
    }
    assert!(demo.out().matches("200").count() >= 2, "two good backends: {}", demo.out());
}

fn stays_until_interrupted(stack: Stack) {
    let folder = tempfile::tempdir().unwrap();
    let mut command = Command::new(crate::support::proxy::binary());
    command.args(["demo", "--tls-backend", stack.name()]).current_dir(folder.path());
    let mut demo = Process::start(command, folder.path(), "demo");
    let said = within(Duration::from_secs(60), || {
        VERDICTS.iter().all(|verdict| demo.out().contains(verdict)).then_some(())
    });
    assert!(said.is_some(), "{}{}", demo.out(), demo.err());
    let manifests = manifests_named_in(&demo.out()).expect("the demo names the folder of its manifests");
    let checked = check(&manifests, &[]);
    assert!(checked.out.contains("BackendTLSPolicy"), "{checked:?}");
    assert!(demo.ended().is_none(), "the demo ended by itself");
    demo.signal("INT");
    let status = demo.wait(PATIENCE).expect("the demo ends by an interrupt");
    assert!(status.success(), "{status}");
}

/// The first folder with manifests that the text names.
fn manifests_named_in(text: &str) -> Option<PathBuf> {
    text.split_whitespace()
        .map(|word| PathBuf::from(word.trim_matches(|c: char| !c.is_alphanumeric() && c != '/' && c != '-')))
        .find(|path| {
            path.is_absolute()
                && std::fs::read_dir(path).is_ok_and(|mut entries| {
                    entries.any(|entry| {
                        entry.is_ok_and(|entry| entry.path().extension().is_some_and(|e| e == "yaml"))
                    })
                })
        })
}
