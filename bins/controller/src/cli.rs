//! The command line.

use std::{
    fmt::Display,
    io::{self, Write as _},
    process::ExitCode,
};

use lasthop_k8s_adapter::{Value, install::Installation, rights, to_yaml};
use lasthop_runtime::settings::{ControllerFlags, ControllerSettings};

/// What `run` answers with when the command line or the settings cannot be used at all.
const UNUSABLE: u8 = 2;

const SETTINGS: &str = "\
Settings without a flag are set in the settings file, or in the environment (LASTHOP_LEASE ...):
  controller-name, identity, lease, link-secret, proxy-image-pull-policy, proxy-log-level";

/// Kubernetes Gateway API with verified TLS to the backends: the controller of the proxies.
#[derive(Debug, clap::Parser)]
#[command(name = "lasthop-controller", version)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

// A flag that is given twice counts as given last, so that scripts can add to what they are given.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    /// Watch the API server, place proxies for Gateways, and tell them what to serve
    ///
    /// Every replica tells its proxies; the one that holds the Lease writes statuses and places proxies. Every flag but
    /// --settings can be set in the environment (LASTHOP_PROXY_IMAGE ...) and in the settings file (proxy-image ...).
    #[command(args_override_self = true, after_long_help = SETTINGS)]
    Run(ControllerFlags),
    /// Print everything that an installation consists of, for kubectl apply --server-side
    Manifests(ManifestFlags),
    /// Print the CRDs of our own kinds
    Crds,
    /// Print the rights that a replica needs, as a ClusterRole and a Role
    Rights,
}

/// What an installation is like.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct ManifestFlags {
    /// Namespace of the controller
    #[arg(long, value_name = "NAME", default_value = "lasthop-system")]
    namespace: String,
    /// Where the images lasthop-controller and lasthop-proxy are
    #[arg(long, value_name = "REGISTRY", default_value = "ghcr.io/lasthop")]
    registry: String,
    /// Tag of the images
    #[arg(long, value_name = "TAG", default_value = env!("CARGO_PKG_VERSION"))]
    tag: String,
    /// Replicas of the controller
    #[arg(long, value_name = "N", default_value = "2")]
    replicas: u16,
}

/// Everything that an installation consists of, as YAML documents.
pub(crate) fn manifests(flags: &ManifestFlags) -> String {
    let ManifestFlags { namespace, registry, tag, replicas } = flags.clone();
    let defaults = ControllerSettings::default();
    let installation = Installation {
        namespace,
        image: format!("{registry}/lasthop-controller:{tag}"),
        proxy_image: format!("{registry}/lasthop-proxy:{tag}"),
        replicas,
        controller_name: defaults.controller_name,
        lease: defaults.lease,
        link_secret: defaults.link_secret,
    };
    documents(&installation.objects())
}

fn documents(objects: &[Value]) -> String {
    objects.iter().map(to_yaml).collect::<Vec<_>>().join("---\n")
}

/// Says why nothing can be done, and answers the exit code.
pub(crate) fn refuse(why: &dyn Display, is_usage: bool) -> ExitCode {
    // There is no log yet, or none that the user asked for. If nobody listens, the exit code has to do.
    let _ = writeln!(io::stderr().lock(), "lasthop-controller: {why}");
    if is_usage { ExitCode::from(UNUSABLE) } else { ExitCode::FAILURE }
}

/// Writes to standard output. A reader that went away, such as `head`, is no error.
pub(crate) fn say(text: &str) -> ExitCode {
    let mut out = io::stdout().lock();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    ExitCode::SUCCESS
}

/// The rights that a replica needs, as two YAML documents.
pub(crate) fn rights() -> String {
    let defaults = ControllerSettings::default();
    let roles = rights::roles(&defaults.lease, &defaults.link_secret);
    documents(&roles)
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory as _, Parser as _};

    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
        let cli = Cli::parse_from(["lasthop-controller", "run", "--proxy-image", "a", "--proxy-image", "b"]);
        let Command::Run(flags) = cli.command else { panic!("{cli:?}") };
        assert_eq!(flags.proxy_image.as_deref(), Some("b"));
    }

    #[test]
    fn rights_are_two_documents() {
        let rights = rights();
        assert!(
            rights.contains("kind: ClusterRole\n")
                && rights.contains("---\n")
                && rights.contains("kind: Role\n")
        );
    }
}
