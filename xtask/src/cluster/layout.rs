//! Where things are: the cache folder outside the tree, and the folder of each cluster in it.

use std::{
    fs::File,
    path::{Path, PathBuf},
};

use super::addresses::{Addresses, free};

/// Our folder for what is built once and for running clusters; `LASTHOP_CACHE` names another.
pub(crate) fn cache() -> Result<PathBuf, String> {
    if let Some(folder) = std::env::var_os("LASTHOP_CACHE") {
        return std::path::absolute(folder).map_err(|error| format!("LASTHOP_CACHE: {error}"));
    }
    let home = std::env::var_os("HOME").ok_or("neither LASTHOP_CACHE nor HOME is set; set one")?;
    Ok(PathBuf::from(home).join(".cache/lasthop/cluster"))
}

/// One cluster: its name, its folder, its addresses.
#[derive(Clone, Debug)]
pub(crate) struct Layout {
    pub(crate) name: String,
    pub(crate) folder: PathBuf,
    pub(crate) addresses: Addresses,
}

impl Layout {
    /// The cluster of that name, if its folder exists.
    pub(crate) fn find(name: &str) -> Result<Option<Self>, String> {
        check_name(name)?;
        let folder = clusters()?.join(name);
        read_index(&folder).map(|index| Self::new(name, folder, index)).transpose()
    }

    /// The cluster of that name, or what to do about it.
    pub(crate) fn existing(name: &str) -> Result<Self, String> {
        Self::find(name)?.ok_or_else(|| {
            format!("there is no cluster {name:?}; `cargo xtask cluster up --name {name}` makes it")
        })
    }

    /// A folder and addresses for a new cluster.
    pub(crate) fn create(name: &str) -> Result<Self, String> {
        check_name(name)?;
        make(&clusters()?)?;
        // Two that are made at the same time must not take the same addresses.
        let failed = |error: std::io::Error| format!("the lock of the clusters: {error}");
        let lock = File::create(cache()?.join("clusters.lock")).map_err(failed)?;
        lock.lock().map_err(failed)?;
        let folders = clusters()?;
        let taken: Vec<u8> = all()?.iter().filter_map(|name| read_index(&folders.join(name))).collect();
        let index = free(&taken);
        let layout = Self::new(name, folders.join(name), index)?;
        make(&layout.folder)?;
        write(&layout.folder.join("index"), &index.to_string())?;
        for part in ["pki", "logs", "run", "var-log", "kubelet", "containerd", "etcd", "cni"] {
            make(&layout.folder.join(part))?;
        }
        Ok(layout)
    }

    fn new(name: &str, folder: PathBuf, index: u8) -> Result<Self, String> {
        Ok(Self { name: name.to_owned(), folder, addresses: Addresses::of(index)? })
    }

    /// How the cluster's administrator reaches it, from inside its namespace.
    pub(crate) fn kubeconfig(&self) -> PathBuf {
        self.folder.join("kubeconfig")
    }

    /// A file of the cluster's keys and certificates.
    pub(crate) fn pki(&self, file: &str) -> PathBuf {
        self.folder.join("pki").join(file)
    }

    /// The log of one of the node's programs.
    pub(crate) fn log(&self, program: &str) -> PathBuf {
        self.folder.join("logs").join(format!("{program}.log"))
    }

    /// What marks the first process of this cluster's namespaces among all processes.
    pub(crate) fn mark(&self) -> String {
        format!("lasthop-cluster={}", self.folder.display())
    }
}

/// The names of all clusters, running or not.
pub(crate) fn all() -> Result<Vec<String>, String> {
    let Ok(entries) = std::fs::read_dir(clusters()?) else { return Ok(Vec::new()) };
    let mut names: Vec<_> =
        entries.flatten().filter_map(|entry| entry.file_name().into_string().ok()).collect();
    names.sort();
    Ok(names)
}

fn clusters() -> Result<PathBuf, String> {
    Ok(cache()?.join("clusters"))
}

fn read_index(folder: &Path) -> Option<u8> {
    std::fs::read_to_string(folder.join("index")).ok()?.trim().parse().ok()
}

/// A name becomes part of paths, of a control group and of command lines.
fn check_name(name: &str) -> Result<(), String> {
    let good = !name.is_empty()
        && name.len() <= 20
        && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
        && !name.starts_with('-');
    if good { Ok(()) } else { Err(format!("--name {name:?}: up to 20 of a-z, 0-9 and '-'")) }
}

/// Makes a folder and those above it.
pub(crate) fn make(folder: &Path) -> Result<(), String> {
    std::fs::create_dir_all(folder).map_err(|error| format!("{}: {error}", folder.display()))
}

/// Writes a file.
pub(crate) fn write(path: &Path, content: &str) -> Result<(), String> {
    std::fs::write(path, content).map_err(|error| format!("{}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_could_leave_the_folder_are_refused() {
        for name in ["", "..", "a/b", "-x", "Dev", "a b", "a-name-that-is-far-too-long"] {
            assert!(check_name(name).is_err(), "{name:?}");
        }
        assert!(check_name("dev-2").is_ok());
    }
}
