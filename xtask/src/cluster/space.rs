//! The namespaces of a cluster: mounts, processes and network apart from the machine's.
//!
//! They live as long as their first process. Once that ends the kernel ends every other one, containers too, and
//! with the last of them mounts and network go: whatever happened, ending one process leaves nothing behind.

use std::{
    ffi::OsStr,
    fs::File,
    os::unix::{ffi::OsStrExt, process::CommandExt},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use super::{layout::Layout, leftovers};
use crate::processes::{output, show};

/// The first process: does nothing but reap what is left to it.
const FIRST: &str = "while :; do sleep 1000 & wait; done";

/// A cluster's namespaces, by their first process.
pub(crate) struct Space {
    first: u32,
    mark: String,
}

impl Space {
    /// The cluster's namespaces, if they exist.
    pub(crate) fn find(layout: &Layout) -> Option<Self> {
        let mark = layout.mark();
        let first = processes().find(|pid| is_first(*pid, &mark))?;
        Some(Self { first, mark })
    }

    /// New namespaces for the cluster.
    pub(crate) fn create(layout: &Layout) -> Result<Self, String> {
        let mut command = Command::new("setsid");
        command.args(["unshare", "--mount", "--propagation", "private", "--net", "--pid", "--fork"]);
        command.args(["--mount-proc", "bash", "-c", FIRST]).arg(layout.mark());
        detach(command, &layout.log("namespaces"))?;
        let space = until(Duration::from_secs(10), "the namespaces", || Self::find(layout))
            .map_err(|error| format!("{error}; see {}", layout.log("namespaces").display()))?;
        space.furnish(layout)?;
        Ok(space)
    }

    /// Mounts, addresses and routes.
    fn furnish(&self, layout: &Layout) -> Result<(), String> {
        let addresses = layout.addresses;
        let covered = leftovers::COVERED.join(" ");
        let script = format!(
            "set -e
            for folder in {covered}; do mkdir -p $folder; mount -t tmpfs -o mode=755 tmpfs $folder; done
            mount -t tmpfs -o mode=755 tmpfs /run
            mount --bind '{folder}/var-log' /var/log
            ip link set lo up
            ip link add node0 type bridge
            ip addr add {node}/24 dev node0
            ip link set node0 up
            ip route add {services} dev node0
            ip route add {balancers} dev node0
            echo 1 > /proc/sys/net/ipv4/ip_forward",
            folder = layout.folder.display(),
            node = addresses.node(),
            services = addresses.services(),
            balancers = addresses.balancers(),
        );
        let mut command = self.command("sh");
        command.args(["-c", &script]);
        checked(command, "the cluster's network")
    }

    /// A command inside the namespaces, in the folder we are in.
    pub(crate) fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new("nsenter");
        command.arg(self.target()).args(["--mount", "--net", "--pid"]);
        let here = std::env::current_dir().unwrap_or_else(|_| PathBuf::from("/"));
        command.arg(format!("--wdns={}", here.display())).arg("--").arg(program.as_ref());
        command.env_remove("LASTHOP_CACHE");
        command
    }

    fn target(&self) -> String {
        format!("--target={}", self.first)
    }

    /// The processes outside that wait for one of ours: who goes in by `nsenter` leaves one behind.
    fn waiting(&self) -> Vec<u32> {
        let start = format!("nsenter\0{}\0", self.target());
        let waits = |pid: &u32| {
            std::fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|line| line.starts_with(start.as_bytes()))
        };
        processes().filter(waits).collect()
    }

    /// Starts a program that stays, writing to its own log.
    pub(crate) fn start(&self, layout: &Layout, program: &Path, arguments: &[String]) -> Result<(), String> {
        let name = program.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let mut command = self.command(program);
        command.args(arguments).env("PATH", path()).env("XDG_RUNTIME_DIR", "/run");
        detach(command, &layout.log(&name))
    }

    /// How many processes live in the namespaces.
    pub(crate) fn population(&self) -> usize {
        let own = namespace(self.first);
        processes().filter(|pid| own.is_some() && namespace(*pid) == own).count()
    }

    /// Kills the first process, as a crash would, and waits for nothing.
    pub(crate) fn kill(&self) -> Result<(), String> {
        if !is_first(self.first, &self.mark) {
            return Ok(());
        }
        let mut kill = Command::new("kill");
        kill.args(["-KILL", &self.first.to_string()]);
        checked(kill, "the first process")
    }

    /// Ends the first process, and so all; waits until they are gone.
    pub(crate) fn end(self) -> Result<(), String> {
        let own = namespace(self.first);
        self.kill()?;
        // One whose program was stopped has stopped, too, and does not go on with it.
        let waiting = self.waiting();
        if !waiting.is_empty() {
            let mut wake = Command::new("kill");
            wake.arg("-CONT").args(waiting.iter().map(u32::to_string));
            // It may be gone by now.
            let _ = output(wake);
        }
        until(Duration::from_secs(30), "the end of the cluster's processes", || {
            let lives = processes().any(|pid| own.is_some() && namespace(pid) == own);
            (!lives && self.waiting().is_empty()).then_some(())
        })
    }
}

/// Where the node's programs find those of the system, whatever the caller's path.
fn path() -> String {
    "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin".to_owned()
}

/// Closes what we were given open, such as a caller's lock, and becomes the command.
const CLOSING: &str = r#"for file in /proc/self/fd/*; do
    number=${file##*/}
    if [ "$number" -gt 2 ]; then eval "exec $number>&-"; fi
done
exec "$0" "$@""#;

/// Starts a command that outlives us and our terminal.
fn detach(command: Command, log: &Path) -> Result<(), String> {
    let mut closing = Command::new("bash");
    closing.arg("-c").arg(CLOSING).arg(command.get_program()).args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => closing.env(name, value),
            None => closing.env_remove(name),
        };
    }
    closing.current_dir("/");
    let mut command = closing;
    let file = File::create(log).map_err(|error| format!("{}: {error}", log.display()))?;
    let errors = file.try_clone().map_err(|error| format!("{}: {error}", log.display()))?;
    command.stdin(Stdio::null()).stdout(file).stderr(errors).process_group(0);
    let shown = show(&command);
    command.spawn().map(drop).map_err(|error| format!("`{shown}` could not be started: {error}"))
}

/// Runs a command silently; an error says what it printed.
pub(crate) fn checked(command: Command, what: &str) -> Result<(), String> {
    text(command, what).map(drop)
}

/// The same, giving what it printed.
pub(crate) fn text(command: Command, what: &str) -> Result<String, String> {
    let result = output(command)?;
    if result.status.success() {
        Ok(String::from_utf8_lossy(&result.stdout).into_owned())
    } else {
        let said = String::from_utf8_lossy(&result.stderr).trim().to_owned();
        Err(format!("{what}: {} ({})", said, result.status))
    }
}

/// Asks until there is an answer.
pub(crate) fn until<T>(limit: Duration, what: &str, mut ask: impl FnMut() -> Option<T>) -> Result<T, String> {
    let start = Instant::now();
    let mut pause = Duration::from_millis(50);
    loop {
        if let Some(answer) = ask() {
            return Ok(answer);
        }
        if start.elapsed() > limit {
            return Err(format!("{what}: not within {} s", limit.as_secs()));
        }
        std::thread::sleep(pause);
        pause = (pause * 5 / 4).min(Duration::from_secs(1));
    }
}

/// All processes, by their number here.
fn processes() -> impl Iterator<Item = u32> {
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

/// Which process namespace a process is in. A process that has ended, or ends just now, has none.
fn namespace(pid: u32) -> Option<PathBuf> {
    std::fs::read_link(format!("/proc/{pid}/ns/pid")).ok()
}

/// Whether the process is number 1 of its own namespace and carries the mark.
fn is_first(pid: u32, mark: &str) -> bool {
    let Ok(line) = std::fs::read(format!("/proc/{pid}/cmdline")) else { return false };
    if !line.split(|byte| *byte == 0).any(|word| word == OsStr::new(mark).as_bytes()) {
        return false;
    }
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    numbers_one(&status)
}

/// Whether `/proc/PID/status` is of a process that is number 1 in a namespace below ours.
fn numbers_one(status: &str) -> bool {
    let numbers = status.lines().find_map(|line| line.strip_prefix("NSpid:")).unwrap_or_default();
    let numbers: Vec<_> = numbers.split_whitespace().collect();
    numbers.len() > 1 && numbers.last() == Some(&"1")
}

#[cfg(test)]
mod tests {
    use super::numbers_one;

    #[test]
    fn the_first_process_is_number_one_below_and_another_here() {
        assert!(numbers_one("Name:\tbash\nNSpid:\t4711\t1\nVmPeak:\t1 kB\n"));
        assert!(!numbers_one("Name:\tunshare\nNSpid:\t4710\n"), "the parent, outside");
        assert!(!numbers_one("NSpid:\t4712\t7\n"), "another, inside");
        assert!(!numbers_one("NSpid:\t1\n"), "the machine's own");
    }
}
