//! `cargo xtask cluster`: a real one-node Kubernetes in namespaces of its own, without Docker and without a network.

pub(crate) mod addresses;
pub(crate) mod images;
pub(crate) mod kubectl;
pub(crate) mod layout;
pub(crate) mod leftovers;
mod node;
mod objects;
mod pki;
mod plane;
pub(crate) mod programs;
pub(crate) mod space;
mod up;

use std::{ffi::OsString, os::unix::process::CommandExt, path::PathBuf};

use clap::{Args, Subcommand, ValueEnum};

use self::{kubectl::Kubectl, layout::Layout, space::Space};
use crate::Outcome;

#[derive(Subcommand)]
pub(crate) enum Options {
    /// Make a cluster and wait until it is ready; the last line is its kubeconfig
    Up(Up),
    /// End a cluster, or what is left of it
    Down(Down),
    /// What clusters there are, and their pods
    Status,
    /// Run a command in a cluster's namespace, with KUBECONFIG set and kubectl in the path
    Exec(Exec),
    /// Give a program to a cluster as an image, or an archive of an image
    Import(Import),
}

#[derive(Args)]
pub(crate) struct Up {
    /// Several clusters can stand side by side, by name
    #[arg(long, default_value = "lasthop")]
    name: String,
    /// The Gateway API version whose CRDs are installed
    #[arg(long, value_enum, default_value_t = Crds::V1_7_0)]
    crds: Crds,
    /// The channel of the CRDs
    #[arg(long, value_enum, default_value_t = Channel::Experimental)]
    channel: Channel,
}

impl Up {
    /// A cluster of that name with the CRDs of one suite.
    pub(crate) fn for_suite(name: &str, version: &str) -> Self {
        let crds = if version == "1.7.0" { Crds::V1_7_0 } else { Crds::V1_6_3 };
        Self { name: name.to_owned(), crds, channel: Channel::Experimental }
    }
}

#[derive(Clone, Copy, ValueEnum)]
enum Crds {
    #[value(name = "1.6.3")]
    V1_6_3,
    #[value(name = "1.7.0")]
    V1_7_0,
    /// None, to see what happens without
    None,
}

impl Crds {
    fn version(self) -> Option<&'static str> {
        match self {
            Self::V1_6_3 => Some("1.6.3"),
            Self::V1_7_0 => Some("1.7.0"),
            Self::None => None,
        }
    }
}

#[derive(Clone, Copy, ValueEnum)]
enum Channel {
    Standard,
    Experimental,
}

impl Channel {
    fn folder(self) -> &'static str {
        match self {
            Self::Standard => "standard",
            Self::Experimental => "experimental",
        }
    }
}

#[derive(Args)]
pub(crate) struct Down {
    #[arg(long, default_value = "lasthop")]
    name: String,
    /// Every cluster
    #[arg(long)]
    all: bool,
}

#[derive(Args)]
pub(crate) struct Exec {
    #[arg(long, default_value = "lasthop")]
    name: String,
    /// The command and its arguments
    #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true)]
    command: Vec<OsString>,
}

#[derive(Args)]
pub(crate) struct Import {
    #[arg(long, default_value = "lasthop")]
    name: String,
    /// A program, which becomes the image's entry point; or a .tar as `docker save` writes it
    file: PathBuf,
    /// The image's name, for a program
    #[arg(long)]
    image: Option<String>,
}

pub(crate) fn run(options: &Options) -> Outcome {
    match options {
        Options::Up(options) => up::run(options),
        Options::Down(options) => down(options),
        Options::Status => status(),
        Options::Exec(options) => exec(options),
        Options::Import(options) => import(options),
    }
}

pub(crate) fn up(options: &Up) -> Outcome {
    up::run(options)
}

/// `kubectl` as the administrator of one of our clusters.
pub(crate) fn kubectl<'a>(layout: &Layout, space: &'a Space) -> Kubectl<'a> {
    Kubectl {
        space: Some(space),
        program: layout.folder.join("bin/kubectl"),
        kubeconfig: layout.kubeconfig(),
    }
}

/// The namespaces of a cluster that runs, or what to do about it.
pub(crate) fn running(name: &str) -> Result<(Layout, Space), String> {
    let layout = Layout::existing(name)?;
    let space = Space::find(&layout).ok_or_else(|| {
        format!("cluster {name:?} has ended; `cargo xtask cluster up --name {name}` makes it anew")
    })?;
    Ok((layout, space))
}

fn down(options: &Down) -> Outcome {
    let names = if options.all { layout::all()? } else { vec![options.name.clone()] };
    for name in names {
        end(&name)?;
    }
    Ok(())
}

/// Ends one cluster; that there is none is no error.
pub(crate) fn end(name: &str) -> Outcome {
    let Some(layout) = Layout::find(name)? else {
        println!("cluster: there is no {name}");
        return Ok(());
    };
    if let Some(space) = Space::find(&layout) {
        space.end()?;
    }
    leftovers::remove(&layout)?;
    println!("cluster: {name} is gone");
    Ok(())
}

fn status() -> Outcome {
    let names = layout::all()?;
    if names.is_empty() {
        println!("cluster: there is none");
    }
    for name in names {
        let Some(layout) = Layout::find(&name)? else { continue };
        let Some(space) = Space::find(&layout) else {
            println!(
                "cluster: {name} has ended; `cargo xtask cluster down --name {name}` clears what is left"
            );
            continue;
        };
        println!("cluster: {name}, {} processes, {}", space.population(), layout.kubeconfig().display());
        let kubectl = kubectl(&layout, &space);
        for arguments in [["get", "nodes", "--output=wide"], ["get", "pods", "--all-namespaces"]] {
            println!("{}", kubectl.run(&arguments).unwrap_or_else(|error| error));
        }
    }
    Ok(())
}

/// Where programs are found that know the cluster: its own first.
pub(crate) fn path(layout: &Layout) -> Result<OsString, String> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = [layout.folder.join("bin")].into_iter().chain(std::env::split_paths(&path));
    std::env::join_paths(folders).map_err(|error| format!("PATH: {error}"))
}

fn exec(options: &Exec) -> Outcome {
    let (layout, space) = running(&options.name)?;
    let Some((program, arguments)) = options.command.split_first() else { return Ok(()) };
    let path = path(&layout)?;
    // env looks the program up in the new path; nsenter would in the old one.
    let mut command = space.command("env");
    command.arg(program).args(arguments).env("PATH", path).env("KUBECONFIG", layout.kubeconfig());
    Err(format!("{}: {}", program.display(), command.exec()))
}

fn import(options: &Import) -> Outcome {
    let (layout, space) = running(&options.name)?;
    match (&options.image, options.file.extension().is_some_and(|extension| extension == "tar")) {
        (None, true) => images::import_archive(&space, &options.file),
        (Some(name), false) => {
            let image =
                images::Image { names: &[name], program: &options.file, user: "65532:65532", env: &[] };
            images::import(&layout, &space, &image)
        }
        (Some(_), true) => Err("an archive has its names in it: leave --image out".to_owned()),
        (None, false) => Err(format!("{}: say --image NAME:TAG", options.file.display())),
    }
}
