//! The flags that settings can be given by.

use std::{num::NonZeroUsize, path::PathBuf};

use lasthop_dataplane_api::ObjectName;
use serde::Serialize;

use super::{AccessLogOutput, AdminAddress, LogFormat, Resolvers, Span, TlsBackendName};

/// Settings by flag; what is not given is left to the environment, the file and the defaults.
#[derive(Clone, Debug, Default, PartialEq, clap::Args, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Flags {
    /// Folder of manifests (*.yaml, *.yml, *.json, read recursively), or a single file
    #[arg(long, value_name = "DIR")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub config: Option<PathBuf>,
    /// Where a controller tells what to serve, instead of a folder
    #[arg(long, value_name = "HOST:PORT")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub control_plane: Option<String>,
    /// Gateway to serve; with --control-plane
    #[arg(long, value_name = "NS/NAME")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gateway: Option<ObjectName>,
    /// CA certificates that the control plane is trusted by, in PEM; read anew for every connection
    #[arg(long, value_name = "FILE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub control_plane_ca: Option<PathBuf>,
    /// Token that is shown to the control plane; read anew for every connection
    #[arg(long, value_name = "FILE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub control_plane_token: Option<PathBuf>,
    /// Settings in TOML [env: LASTHOP_SETTINGS]
    #[arg(long, value_name = "FILE")]
    #[serde(skip)]
    pub settings: Option<PathBuf>,
    /// TLS stack: rustls or boringssl, as far as built in
    #[arg(long, value_name = "STACK")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls_backend: Option<TlsBackendName>,
    /// Worker threads; without it one for each core
    #[arg(long, value_name = "N")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub workers: Option<NonZeroUsize>,
    /// Admin endpoint: an address, a port of the loopback, or off [default: 127.0.0.1:15021]
    #[arg(long, value_name = "ADDR")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub admin: Option<AdminAddress>,
    /// How long requests under way may take to end after SIGTERM [default: 30s]
    #[arg(long, value_name = "TIME")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub drain_timeout: Option<Span>,
    /// Log format: text or json [default: text]
    #[arg(long, value_name = "FORMAT")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub log_format: Option<LogFormat>,
    /// Log level, or directives such as info,lasthop_dataplane=debug [default: info]
    #[arg(long, value_name = "LEVEL")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub log_level: Option<String>,
    /// Access log: stdout, stderr, off, or a file's path [default: stdout]
    #[arg(long, value_name = "WHERE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub access_log: Option<AccessLogOutput>,
    /// Access log format: text or json [default: as the log]
    #[arg(long, value_name = "FORMAT")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub access_log_format: Option<LogFormat>,
    /// How often the folder is looked over without an event [default: 2s]
    #[arg(long, value_name = "TIME")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub poll_interval: Option<Span>,
    /// Let policies verify less than chain and name (lasthop.dev/verify: chain or none)
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_name = "BOOL")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub allow_insecure_verify: Option<bool>,
    /// Secret (32 bytes or more) that clients' sessions are sealed with; the same for all replicas
    #[arg(long, value_name = "FILE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session_key_file: Option<PathBuf>,
    /// Folder whose files hold the tokens that policies send to backends (lasthop.dev/bearer-token)
    #[arg(long, value_name = "DIR")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bearer_token_directory: Option<PathBuf>,
    /// DNS resolvers for backends' names, separated by commas [default: those of /etc/resolv.conf]
    #[arg(long, value_name = "ADDR")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resolver: Option<Resolvers>,
    /// Let backends' names lead to addresses of this machine or this link
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_name = "BOOL")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resolver_allow_local: Option<bool>,
    /// How long the last answer for a backend's name serves while no resolver answers [default: 600s]
    #[arg(long, value_name = "TIME")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resolver_max_stale: Option<Span>,
}
