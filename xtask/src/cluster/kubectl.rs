//! `kubectl` on a cluster: ours, inside its namespaces, or a user's own.

use std::{
    io::Write,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use super::space::{Space, text};

/// How to reach a cluster.
pub(crate) struct Kubectl<'a> {
    /// The namespaces to be in; a user's cluster has none.
    pub(crate) space: Option<&'a Space>,
    pub(crate) program: PathBuf,
    pub(crate) kubeconfig: PathBuf,
}

impl Kubectl<'_> {
    /// The command, not yet run.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = self.inside(&self.program);
        command.args(arguments);
        command
    }

    /// Any program that finds the cluster by its environment.
    pub(crate) fn inside(&self, program: &Path) -> Command {
        let mut command = match self.space {
            Some(space) => space.command(program),
            None => Command::new(program),
        };
        command.env("KUBECONFIG", &self.kubeconfig).env_remove("LASTHOP_CACHE");
        command
    }

    /// Runs it and gives what it printed.
    pub(crate) fn run(&self, arguments: &[&str]) -> Result<String, String> {
        text(self.command(arguments), &format!("kubectl {}", arguments.join(" ")))
    }

    /// Applies objects by server-side apply: some CRDs are too large for the annotation of the other kind.
    pub(crate) fn apply(&self, objects: &str, what: &str) -> Result<(), String> {
        let failed = |error: std::io::Error| format!("kubectl apply of {what}: {error}");
        let arguments = ["apply", "--server-side", "--force-conflicts", "-f", "-"];
        let mut command = self.command(&arguments);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().map_err(failed)?;
        if let Some(mut input) = child.stdin.take() {
            input.write_all(objects.as_bytes()).map_err(failed)?;
        }
        let result = child.wait_with_output().map_err(failed)?;
        if result.status.success() {
            Ok(())
        } else {
            Err(format!("kubectl apply of {what}: {}", String::from_utf8_lossy(&result.stderr).trim()))
        }
    }
}
