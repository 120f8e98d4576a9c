//! CPU time of a process tree, and pinning.

use std::{collections::BTreeSet, process::Command, time::Duration};

use crate::Fault;

/// Keeps this process, and what it starts without saying otherwise, on one core.
pub(crate) fn pin_ourselves(core: usize) -> Result<(), Fault> {
    let output = Command::new("taskset")
        .args(["-a", "-c", "-p", &core.to_string(), &std::process::id().to_string()])
        .output()
        .map_err(|error| format!("taskset (package util-linux) is needed: {error}"))?;
    if !output.status.success() {
        return Err(format!("taskset: {}", String::from_utf8_lossy(&output.stderr).trim()).into());
    }
    Ok(())
}

/// The command, pinned to a core.
pub(crate) fn pinned(core: usize, program: &std::path::Path) -> Command {
    let mut command = Command::new("taskset");
    command.arg("-c").arg(core.to_string()).arg(program);
    command
}

/// CPU time that the process and all below it have used.
pub(crate) fn used_by_tree(root: u32) -> Result<Duration, Fault> {
    used_by(root, tree(root)?)
}

/// CPU time that the process alone has used.
pub(crate) fn used_by_process(process: u32) -> Result<Duration, Fault> {
    used_by(process, BTreeSet::from([process]))
}

fn used_by(root: u32, processes: BTreeSet<u32>) -> Result<Duration, Fault> {
    let mut total = Duration::ZERO;
    for process in processes {
        let Ok(tasks) = std::fs::read_dir(format!("/proc/{process}/task")) else { continue };
        for task in tasks.flatten() {
            // "on-CPU ns, waiting ns, slices"
            let Ok(text) = std::fs::read_to_string(task.path().join("schedstat")) else { continue };
            let nanos = text.split(' ').next().and_then(|field| field.parse().ok()).unwrap_or(0);
            total += Duration::from_nanos(nanos);
        }
    }
    if total.is_zero() {
        return Err(format!("process {root} is gone, or this kernel has no schedstat").into());
    }
    Ok(total)
}

/// CPU time of everything on the machine: all but idle and waiting for disks.
pub(crate) fn used_by_machine() -> Result<Duration, Fault> {
    let text = std::fs::read_to_string("/proc/stat")?;
    let fields: Vec<u64> = text
        .lines()
        .next()
        .unwrap_or_default()
        .split_whitespace()
        .skip(1)
        .filter_map(|field| field.parse().ok())
        .collect();
    // user nice system idle iowait irq softirq steal; ticks of 10 ms on every Linux we know
    let busy: u64 = [0, 1, 2, 5, 6].iter().filter_map(|index| fields.get(*index)).sum();
    Ok(Duration::from_millis(busy * 10))
}

/// The process and all below it.
fn tree(root: u32) -> Result<BTreeSet<u32>, Fault> {
    let mut parents = Vec::new();
    for entry in std::fs::read_dir("/proc")?.flatten() {
        let Some(process) = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else {
            continue;
        };
        let Ok(stat) = std::fs::read_to_string(entry.path().join("stat")) else { continue };
        // The name in brackets may hold anything; the parent is the second field after it.
        let parent = stat.rsplit_once(") ").and_then(|(_, rest)| rest.split(' ').nth(1)?.parse().ok());
        parents.push((process, parent.unwrap_or(0)));
    }
    let mut found = BTreeSet::from([root]);
    loop {
        let before = found.len();
        found.extend(
            parents
                .iter()
                .filter(|(_, parent)| found.contains(parent))
                .map(|(process, _)| *process)
                .collect::<Vec<_>>(),
        );
        if found.len() == before {
            return Ok(found);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_busy_child_is_counted() {
        let mut child =
            Command::new("sh").args(["-c", "sh -c 'while :; do :; done' & wait"]).spawn().unwrap();
        std::thread::sleep(Duration::from_millis(200));
        let before = used_by_tree(child.id()).unwrap();
        std::thread::sleep(Duration::from_millis(300));
        let after = used_by_tree(child.id()).unwrap();
        let all = tree(child.id()).unwrap();
        for process in &all {
            Command::new("kill").arg(process.to_string()).status().unwrap();
        }
        child.wait().unwrap();
        assert_eq!(all.len(), 2);
        assert!(after - before > Duration::from_millis(20), "{:?}", after - before);
    }
}
