//! Settings: defaults, then a TOML file, then `LASTHOP_…` in the environment, then flags; the last one that says
//! something wins.
//!
//! The keys are the same everywhere: `log-format` in the file is `LASTHOP_LOG_FORMAT` in the environment and
//! `--log-format` as a flag. Only the limits have a table of their own and no flags: `header-bytes` below `[limits]` is
//! `LASTHOP_LIMITS_HEADER_BYTES`.

mod controller;
mod error;
mod flags;
mod layers;
mod limits;
mod values;

use std::{collections::BTreeMap, num::NonZeroUsize, path::PathBuf};

use lasthop_dataplane_api::ObjectName;
use serde::{Deserialize, Serialize};

pub use controller::{ControllerFlags, ControllerSettings};
pub use error::SettingsError;
pub use flags::Flags;
pub use limits::LimitSettings;
pub use values::{AccessLogOutput, AdminAddress, LogFormat, Resolvers, Span, TlsBackendName, ValueError};

/// Everything that can be set.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Settings {
    /// The folder (or the one file) of manifests.
    pub config: Option<PathBuf>,
    /// Where a controller tells what to serve, as `host:port`; instead of a folder.
    pub control_plane: Option<String>,
    /// The Gateway to serve, as `namespace/name`; with a control plane.
    pub gateway: Option<ObjectName>,
    /// Holds the CA certificates that the control plane is trusted by, in PEM form.
    pub control_plane_ca: Option<PathBuf>,
    /// Holds the token that is shown to the control plane.
    pub control_plane_token: Option<PathBuf>,
    /// The TLS stack; `None` is the first one that is built in.
    pub tls_backend: Option<TlsBackendName>,
    /// How many worker threads; `None` is one for each core.
    #[serde(deserialize_with = "values::optional_count")]
    pub workers: Option<NonZeroUsize>,
    /// Where the admin endpoint listens.
    pub admin: AdminAddress,
    /// How long requests under way may take to end after SIGTERM.
    pub drain_timeout: Span,
    /// How the log looks.
    pub log_format: LogFormat,
    /// What the log holds: a level, or directives such as `info,lasthop_dataplane=debug`.
    #[serde(deserialize_with = "values::text")]
    pub log_level: String,
    /// Where the access log goes.
    pub access_log: AccessLogOutput,
    /// How the access log looks; `None` is as the log.
    pub access_log_format: Option<LogFormat>,
    /// How often the folder is looked over without an event; for file systems that send none.
    pub poll_interval: Span,
    /// Whether TLS policies may verify less than chain and name (`lasthop.dev/verify: chain` or `none`).
    #[serde(deserialize_with = "values::truth")]
    pub allow_insecure_verify: bool,
    /// Holds the secret that clients' sessions are sealed with; `None` is one of this process alone.
    pub session_key_file: Option<PathBuf>,
    /// The folder whose files hold the tokens that policies send to backends, by name.
    pub bearer_token_directory: Option<PathBuf>,
    /// The DNS resolvers for backends' names; none: those of `/etc/resolv.conf`.
    pub resolver: Resolvers,
    /// Whether backends' names may lead to addresses of this machine or this link.
    #[serde(deserialize_with = "values::truth")]
    pub resolver_allow_local: bool,
    /// How long the last answer for a backend's name serves while no resolver answers.
    pub resolver_max_stale: Span,
    /// How much a peer may ask for.
    pub limits: LimitSettings,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            config: None,
            control_plane: None,
            gateway: None,
            control_plane_ca: None,
            control_plane_token: None,
            tls_backend: None,
            workers: None,
            admin: AdminAddress::default(),
            drain_timeout: Span::seconds(30),
            log_format: LogFormat::Text,
            log_level: "info".to_owned(),
            access_log: AccessLogOutput::Stdout,
            access_log_format: None,
            poll_interval: Span::seconds(2),
            allow_insecure_verify: false,
            session_key_file: None,
            bearer_token_directory: None,
            resolver: Resolvers::default(),
            resolver_allow_local: false,
            resolver_max_stale: Span::seconds(600),
            limits: LimitSettings::default(),
        }
    }
}

impl Settings {
    /// Reads all layers. The file is `--settings`, else `LASTHOP_SETTINGS`, else none.
    ///
    /// # Errors
    /// A file that cannot be read, an unknown key, or a value that does not fit, each with its place.
    pub fn load(flags: &Flags) -> Result<Self, SettingsError> {
        layers::load(flags, flags.settings.as_deref(), std::env::vars_os())
    }

    /// The variables of an environment that say these settings; `place` is where they are written, for errors.
    ///
    /// # Errors
    /// An unknown key, or a value that does not fit.
    pub fn variables(
        settings: &BTreeMap<String, String>,
        place: &str,
    ) -> Result<BTreeMap<String, String>, SettingsError> {
        layers::variables::<Self>(settings, &Flags::default(), place)
    }
}

#[cfg(test)]
mod tests;
