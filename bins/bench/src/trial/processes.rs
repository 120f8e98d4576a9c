//! The processes of controller, proxies and API server: all that runs in the cluster's namespaces shows in `/proc`.

use std::process::Command;

use crate::Fault;

/// The numbers of the processes whose program has this name.
pub(crate) fn named(program: &str) -> Vec<u32> {
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let is_named = |pid: &u32| {
        let words = words(*pid);
        words.first().is_some_and(|first| first.rsplit('/').next() == Some(program))
    };
    pids.filter(is_named).collect()
}

/// The command line.
pub(crate) fn words(pid: u32) -> Vec<String> {
    let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let words = line.split(|byte| *byte == 0).filter(|word| !word.is_empty());
    words.map(|word| String::from_utf8_lossy(word).into_owned()).collect()
}

/// Resident memory in MiB, now and at its highest; of the largest of these processes.
pub(crate) fn memory(program: &str) -> (f64, f64) {
    let of = |pid: u32, field: &str| -> f64 {
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix(field));
        line.and_then(|rest| rest.split_whitespace().next()?.parse::<f64>().ok()).unwrap_or(0.0) / 1024.0
    };
    let pids = named(program);
    let most = |field| pids.iter().map(|pid| of(*pid, field)).fold(0.0, f64::max);
    (most("VmRSS:"), most("VmHWM:"))
}

/// Sends a signal to processes that were found here; that one is gone already is fine.
pub(crate) fn signal(name: &str, pids: &[u32]) -> Result<(), Fault> {
    for pid in pids {
        Command::new("kill").arg(format!("-{name}")).arg(pid.to_string()).output()?;
    }
    Ok(())
}

/// How busy the machine is: the load of the last minute.
pub(crate) fn load() -> String {
    let text = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split_whitespace().next().unwrap_or("?").to_owned()
}
