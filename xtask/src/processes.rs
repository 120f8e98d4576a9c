//! Running other programs: shown before they run, timed, and with a sentence when they fail.

use std::{
    ffi::OsStr,
    path::PathBuf,
    process::{Command, Output},
};

use crate::root;

/// `cargo`, the one that runs us, in the workspace's root.
pub(crate) fn cargo<I, S>(arguments: I) -> Command
where
    I: IntoIterator<Item = S>,
    S: AsRef<OsStr>,
{
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(root()).args(arguments);
    // Set for us by `cargo run`; in a child they would make build scripts run anew.
    for name in ["CARGO_MANIFEST_DIR", "CARGO_MANIFEST_PATH", "CARGO_PKG_NAME", "CARGO_PKG_VERSION"] {
        command.env_remove(name);
    }
    // Ours alone: the proxy takes every LASTHOP_ variable for a setting, and refuses what it does not know.
    command.env_remove("LASTHOP_TRUST_DATA").env_remove("LASTHOP_TRUST_ALL").env_remove("LASTHOP_CACHE");
    command
}

/// Where cargo puts what it builds.
pub(crate) fn build_folder() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from)
}

/// Runs the command on our terminal; an error names it and how it ended.
pub(crate) fn run(mut command: Command) -> Result<(), String> {
    let shown = show(&command);
    println!("    $ {shown}");
    match command.status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("`{shown}` failed ({status})")),
        Err(error) => Err(format!("`{shown}` could not be started: {error}")),
    }
}

/// Runs the command silently and gives what it printed, whatever its exit status.
pub(crate) fn output(mut command: Command) -> Result<Output, String> {
    let shown = show(&command);
    command.output().map_err(|error| format!("`{shown}` could not be started: {error}"))
}

/// Whether the command can be run and ends well.
pub(crate) fn succeeds(command: Command) -> bool {
    output(command).is_ok_and(|output| output.status.success())
}

/// Whether a program of this name is in the path; also looks where Debian keeps servers.
pub(crate) fn in_path(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(["/usr/sbin".into(), "/usr/local/sbin".into()])
        .any(|folder| folder.join(program).is_file())
}

/// The command as one would type it.
pub(crate) fn show(command: &Command) -> String {
    let mut words = vec![command.get_program().to_string_lossy().into_owned()];
    if let Some(name) = words[0].rsplit('/').next().map(str::to_owned) {
        words[0] = name;
    }
    words.extend(command.get_args().map(|word| word.to_string_lossy().into_owned()));
    words.join(" ")
}
