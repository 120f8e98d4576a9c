//! What outlives a cluster's namespaces: its folder, its control groups, folders that the node's programs have fixed, and
//! kernel settings the kubelet changes.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use super::layout::{Layout, all, cache, write};

/// The settings of the whole machine that a kubelet writes when it starts.
const SETTINGS: [&str; 6] = [
    "vm/overcommit_memory",
    "vm/panic_on_oom",
    "kernel/panic",
    "kernel/panic_on_oops",
    "kernel/keys/root_maxkeys",
    "kernel/keys/root_maxbytes",
];

/// Folders that CNI and kubelet write to whatever they are told. In a cluster something else is in their place, so that they
/// stay empty.
pub(crate) const COVERED: [&str; 2] = ["/var/lib/cni", "/var/lib/kubelet"];

/// What the node's programs could leave on the machine.
const TRACES: [&str; 6] = [
    "/opt/containerd",
    "/usr/libexec/kubernetes",
    "/run/containerd",
    "/run/cni-addresses",
    "/etc/cni/net.d",
    "/var/run/netns",
];

/// What there is of it, with what is in it.
pub(crate) fn traces() -> BTreeSet<PathBuf> {
    let mut found = BTreeSet::new();
    let mut folders: Vec<PathBuf> = COVERED.iter().chain(&TRACES).map(PathBuf::from).collect();
    folders.extend(hierarchies().into_iter().map(|tree| tree.join("k8s.io")));
    while let Some(path) = folders.pop() {
        if path.symlink_metadata().is_ok_and(|data| data.is_dir()) {
            let entries = std::fs::read_dir(&path).into_iter().flatten().flatten();
            folders.extend(entries.map(|entry| entry.path()));
            found.insert(path);
        } else if path.symlink_metadata().is_ok() {
            found.insert(path);
        }
    }
    found
}

/// Notes the machine's settings, unless another cluster has changed them already.
pub(crate) fn note_settings() -> Result<(), String> {
    let file = settings_file()?;
    if file.is_file() {
        return Ok(());
    }
    let lines: Vec<_> = SETTINGS
        .iter()
        .filter_map(|name| {
            let value = std::fs::read_to_string(Path::new("/proc/sys").join(name)).ok()?;
            Some(format!("{name} {}\n", value.trim()))
        })
        .collect();
    write(&file, &lines.concat())
}

/// Removes all that is left of a cluster whose processes have ended.
pub(crate) fn remove(layout: &Layout) -> Result<(), String> {
    remove_control_groups(layout);
    if let Err(error) = std::fs::remove_dir_all(&layout.folder)
        && layout.folder.exists()
    {
        return Err(format!("{}: {error}", layout.folder.display()));
    }
    if !all()?.is_empty() {
        return Ok(());
    }
    // One that was just being made or taken away stands in no cluster's folder. Those of a containerd of the machine's own
    // that runs something are not empty, and stay.
    for hierarchy in hierarchies() {
        remove_groups(&hierarchy.join("k8s.io"));
    }
    for folder in COVERED {
        // Stays if somebody else has something in it.
        let _ = std::fs::remove_dir(folder);
    }
    restore_settings()
}

fn restore_settings() -> Result<(), String> {
    let file = settings_file()?;
    let Ok(noted) = std::fs::read_to_string(&file) else { return Ok(()) };
    for (name, value) in noted.lines().filter_map(|line| line.split_once(' ')) {
        write(&Path::new("/proc/sys").join(name), value)?;
    }
    std::fs::remove_file(&file).map_err(|error| format!("{}: {error}", file.display()))
}

fn settings_file() -> Result<PathBuf, String> {
    Ok(cache()?.join("kernel-settings"))
}

/// Removes the control groups of the cluster's containers. containerd puts all, of all clusters, under its own
/// name; which are ours its folder says, also after a crash.
fn remove_control_groups(layout: &Layout) {
    let containers = layout.folder.join("containerd/io.containerd.grpc.v1.cri");
    let ours = ["sandboxes", "containers"].map(|kind| folders(&containers.join(kind)));
    for hierarchy in hierarchies() {
        let all = hierarchy.join("k8s.io");
        for container in ours.iter().flatten() {
            if let Some(id) = container.file_name() {
                remove_groups(&all.join(id));
            }
        }
        // Stays while another cluster's are in it.
        let _ = std::fs::remove_dir(&all);
    }
}

/// Where control groups are: one tree, or with the older kind one for each controller.
fn hierarchies() -> Vec<PathBuf> {
    let top = PathBuf::from("/sys/fs/cgroup");
    let mut trees = folders(&top);
    trees.push(top);
    trees
}

/// Removes a control group and those in it; only folders can be removed there, and only empty ones.
fn remove_groups(group: &Path) {
    for inner in folders(group) {
        remove_groups(&inner);
    }
    let _ = std::fs::remove_dir(group);
}

fn folders(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
        .map(|entry| entry.path())
        .collect()
}
