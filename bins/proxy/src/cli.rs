//! The command line.

use std::{
    fmt::Display,
    io::{self, Write as _},
    num::NonZeroUsize,
    path::PathBuf,
    process::ExitCode,
};

use lasthop_runtime::settings::{Flags, Resolvers, Span, TlsBackendName};

/// What `check`, `probe` and `run` answer with when the command line, the settings or the folder cannot be used at all.
pub(crate) const UNUSABLE: u8 = 2;

const USAGE: &str = "lasthop-proxy run|check|probe|demo [OPTIONS]";
const EXIT_CODES: &str = "\
Exit codes:
  run    0 after SIGTERM or SIGINT, 1 if it cannot start or drain in time, 2 if flags, settings or --config are unusable
  check  0 if everything is in force, 1 if something is refused, 2 if it cannot be read at all
  probe  0 if every TLS endpoint can be used, 1 if one cannot or a policy is refused, 2 if something cannot be read
  demo   0 if every request got what it should, 1 if one did not, 2 if the demo cannot start";

const LIMITS: &str = "\
Limits have no flags. They are set below [limits] in the settings file, or in the environment (LASTHOP_LIMITS_HEADER_BYTES
...); what is not set is as the proxy has it by itself:
  connections, body-bytes, header-bytes, header-fields, header-timeout, handshake-timeout, idle-timeout,
  stream-idle-timeout, l4-idle-timeout, udp-idle-timeout, udp-sessions, http2-streams, http2-stream-window,
  http2-connection-window, buffer-bytes, connect-timeout,
  connect-attempts, upstream-idle-timeout, upstream-idle-connections, replay-bytes";

/// Kubernetes Gateway API from a folder of manifests, with verified TLS to the backends.
#[derive(Debug, clap::Parser)]
#[command(name = "lasthop-proxy", version, override_usage = USAGE, after_help = EXIT_CODES)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

// A flag that is given twice counts as given last, so that scripts can add to what they are given.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    /// Serve what the manifests say, and follow their changes
    ///
    /// Every flag but --settings can be set in the environment (LASTHOP_CONFIG, LASTHOP_LOG_FORMAT ...) and in the
    /// settings file (config, log-format ...). SIGHUP reads the folder again and opens the access log anew; SIGTERM
    /// and SIGINT end the process after the requests under way, a second one at once.
    #[command(args_override_self = true, after_long_help = LIMITS)]
    Run(Flags),
    /// Print the conditions of all objects, and every hop with its TLS, without serving
    #[command(args_override_self = true)]
    Check(CheckFlags),
    /// Shake hands with every endpoint of every TLS backend as the proxy would, and say what fails and why
    ///
    /// Nothing is sent but the handshake. Hops in plaintext are listed and left alone.
    #[command(args_override_self = true)]
    Probe(ProbeFlags),
    /// Show it: good and bad TLS backends, the manifests for them, and what becomes of a request to each
    #[command(args_override_self = true)]
    Demo(DemoFlags),
}

#[derive(Clone, Debug, clap::Args)]
pub(crate) struct CheckFlags {
    /// How the answer looks: table or json
    #[arg(long, value_name = "FORMAT", default_value = "table")]
    pub(crate) output: Output,
    #[command(flatten)]
    pub(crate) settings: CheckSettings,
}

/// The settings that `check` and `probe` look at.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct CheckSettings {
    /// Folder of manifests (*.yaml, *.yml, *.json, read recursively), or a single file
    #[arg(long, value_name = "DIR")]
    config: Option<PathBuf>,
    /// Settings in TOML [env: LASTHOP_SETTINGS]
    #[arg(long, value_name = "FILE")]
    settings: Option<PathBuf>,
    /// TLS stack, whose abilities are assumed: rustls or boringssl, as far as built in
    #[arg(long, value_name = "STACK")]
    tls_backend: Option<TlsBackendName>,
    /// Let policies verify less than chain and name
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_name = "BOOL")]
    allow_insecure_verify: Option<bool>,
}

impl From<&CheckSettings> for Flags {
    fn from(flags: &CheckSettings) -> Self {
        let CheckSettings { config, settings, tls_backend, allow_insecure_verify } = flags.clone();
        Self { config, settings, tls_backend, allow_insecure_verify, ..Self::default() }
    }
}

#[derive(Clone, Debug, clap::Args)]
pub(crate) struct ProbeFlags {
    /// Judge by the CA certificates of this PEM file in place of those that the policies name
    #[arg(long, value_name = "FILE")]
    pub(crate) with_ca: Option<PathBuf>,
    /// How long connecting and shaking hands with one endpoint may take
    #[arg(long, value_name = "TIME", default_value = "5s")]
    pub(crate) timeout: Span,
    /// How many endpoints are asked at the same time
    #[arg(long, value_name = "N", default_value = "32")]
    pub(crate) jobs: NonZeroUsize,
    /// How the answer looks: table or json
    #[arg(long, value_name = "FORMAT", default_value = "table")]
    pub(crate) output: Output,
    /// DNS resolvers for backends' names, separated by commas [default: those of /etc/resolv.conf]
    #[arg(long, value_name = "ADDR")]
    resolver: Option<Resolvers>,
    /// Let backends' names lead to addresses of this machine or this link
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_name = "BOOL")]
    resolver_allow_local: Option<bool>,
    #[command(flatten)]
    pub(crate) settings: CheckSettings,
}

impl From<&ProbeFlags> for Flags {
    fn from(flags: &ProbeFlags) -> Self {
        let ProbeFlags { resolver, resolver_allow_local, settings, .. } = flags;
        Self {
            resolver: resolver.clone(),
            resolver_allow_local: *resolver_allow_local,
            ..Self::from(settings)
        }
    }
}

/// How an answer looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Output {
    Table,
    Json,
}

#[derive(Clone, Debug, clap::Args)]
pub(crate) struct DemoFlags {
    /// Port for plain HTTP; the next free one if it is taken
    #[arg(long, value_name = "N", default_value_t = 8080)]
    pub(crate) port: u16,
    /// Port for HTTPS; the next free one if it is taken
    #[arg(long, value_name = "N", default_value_t = 8443)]
    pub(crate) https_port: u16,
    /// Folder for the manifests: new, empty, or an earlier demo's [default: one below the system's temporary folder]
    #[arg(long, value_name = "DIR")]
    pub(crate) dir: Option<PathBuf>,
    /// End after the table
    #[arg(long)]
    pub(crate) once: bool,
    /// Log level, or directives such as info,lasthop_dataplane=debug
    #[arg(long, value_name = "LEVEL", default_value = "warn")]
    pub(crate) log_level: String,
    /// TLS stack of the proxy: rustls or boringssl, as far as built in
    #[arg(long, value_name = "STACK")]
    pub(crate) tls_backend: Option<TlsBackendName>,
}

/// Says why nothing can be done, and answers the exit code.
pub(crate) fn refuse(why: &dyn Display) -> ExitCode {
    // There is no log yet, or none that the user asked for. If nobody listens, the exit code has to do.
    let _ = writeln!(io::stderr().lock(), "lasthop-proxy: {why}");
    ExitCode::from(UNUSABLE)
}

/// Writes to standard output. A reader that went away, such as `head`, is no error.
pub(crate) fn say(text: &str) {
    let mut out = io::stdout().lock();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory as _, Parser as _};
    use lasthop_runtime::settings::LimitSettings;

    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn the_last_flag_counts() {
        let cli = Cli::parse_from(["lasthop-proxy", "run", "--log-level", "info", "--log-level", "trace"]);
        let Command::Run(flags) = cli.command else { panic!("{cli:?}") };
        assert_eq!(flags.log_level.as_deref(), Some("trace"));
    }

    #[test]
    fn all_limits_are_named() {
        let limits = serde_json::to_value(LimitSettings::default()).unwrap();
        for limit in limits.as_object().unwrap().keys() {
            assert!(LIMITS.contains(limit), "{limit}");
        }
    }

    #[test]
    fn mistakes_name_the_remedy() {
        for (arguments, told) in [
            (&["run", "--confg", "x"][..], "--config"),
            (&["run", "--tls-backend", "openssl"][..], "rustls or boringssl"),
            (&["run", "--drain-timeout", "5"][..], "30s"),
            (&["run", "--workers", "0"][..], "workers"),
            (&["serve"][..], "run|check|probe|demo"),
        ] {
            let arguments = std::iter::once("lasthop-proxy").chain(arguments.iter().copied());
            let error = Cli::try_parse_from(arguments).unwrap_err().to_string();
            assert!(error.contains(told), "{told} is not in {error}");
        }
    }
}
