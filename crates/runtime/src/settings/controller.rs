//! What can be set at the controller. Layers and names are as at the proxy.

use std::{
    net::{Ipv4Addr, SocketAddr},
    path::PathBuf,
};

use serde::{Deserialize, Serialize};

use super::{AdminAddress, LogFormat, SettingsError, TlsBackendName, layers, values};

/// Everything that can be set at the controller.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct ControllerSettings {
    /// Says where the API server is; `None` is as kubectl finds it, or the pod's own account.
    pub kubeconfig: Option<PathBuf>,
    /// The name GatewayClasses call us by.
    #[serde(deserialize_with = "values::text")]
    pub controller_name: String,
    /// Our own namespace, where the Lease and the link's CA are; `None` is the pod's.
    pub namespace: Option<String>,
    /// This replica's own name; `None` is the machine's, which in a pod is the pod's.
    pub identity: Option<String>,
    /// The Lease whose holder writes.
    #[serde(deserialize_with = "values::text")]
    pub lease: String,
    /// Where proxies are taken.
    pub link: SocketAddr,
    /// Where proxies find us, as `host:port`; `None` is the Service `lasthop-controller` of our namespace.
    pub link_address: Option<String>,
    /// The Secret that holds the link's CA.
    #[serde(deserialize_with = "values::text")]
    pub link_secret: String,
    /// The image of the proxies.
    #[serde(deserialize_with = "values::text")]
    pub proxy_image: String,
    /// When Kubernetes pulls it: `Always`, `IfNotPresent` or `Never`.
    pub proxy_image_pull_policy: Option<String>,
    /// What the proxies log.
    #[serde(deserialize_with = "values::text")]
    pub proxy_log_level: String,
    /// The TLS stack of the proxies; `None` is the first one that is built in.
    pub tls_backend: Option<TlsBackendName>,
    /// Whether TLS policies may verify less than chain and name (`lasthop.dev/verify: chain` or `none`).
    #[serde(deserialize_with = "values::truth")]
    pub allow_insecure_verify: bool,
    /// Where the admin endpoint listens.
    pub admin: AdminAddress,
    /// How the log looks.
    pub log_format: LogFormat,
    /// What the log holds.
    #[serde(deserialize_with = "values::text")]
    pub log_level: String,
}

impl Default for ControllerSettings {
    fn default() -> Self {
        Self {
            kubeconfig: None,
            controller_name: "lasthop.dev/gateway".to_owned(),
            namespace: None,
            identity: None,
            lease: "lasthop-controller".to_owned(),
            link: (Ipv4Addr::UNSPECIFIED, 15010).into(),
            link_address: None,
            link_secret: "lasthop-link-ca".to_owned(),
            proxy_image: concat!("ghcr.io/lasthop/lasthop-proxy:", env!("CARGO_PKG_VERSION")).to_owned(),
            proxy_image_pull_policy: None,
            proxy_log_level: "info".to_owned(),
            tls_backend: None,
            allow_insecure_verify: false,
            admin: AdminAddress::default(),
            log_format: LogFormat::Text,
            log_level: "info".to_owned(),
        }
    }
}

impl ControllerSettings {
    /// Reads all layers. The file is `--settings`, else `LASTHOP_SETTINGS`, else none.
    ///
    /// # Errors
    /// A file that cannot be read, an unknown key, or a value that does not fit, each with its place.
    pub fn load(flags: &ControllerFlags) -> Result<Self, SettingsError> {
        layers::load(flags, flags.settings.as_deref(), std::env::vars_os())
    }
}

/// The controller's settings by flag; what is not given is left to the environment, the file and the defaults.
#[derive(Clone, Debug, Default, PartialEq, clap::Args, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct ControllerFlags {
    /// Settings in TOML [env: LASTHOP_SETTINGS]
    #[arg(long, value_name = "FILE")]
    #[serde(skip)]
    pub settings: Option<PathBuf>,
    /// Says where the API server is; without it as kubectl finds it, or the pod's own account
    #[arg(long, value_name = "FILE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kubeconfig: Option<PathBuf>,
    /// Our own namespace, where the Lease and the link's CA are [default: the pod's, else lasthop-system]
    #[arg(long, value_name = "NAME")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// Where proxies are taken [default: 0.0.0.0:15010]
    #[arg(long, value_name = "ADDR")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub link: Option<SocketAddr>,
    /// Where proxies find us [default: the Service lasthop-controller of our namespace, port 15010]
    #[arg(long, value_name = "HOST:PORT")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub link_address: Option<String>,
    /// Image of the proxies
    #[arg(long, value_name = "IMAGE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub proxy_image: Option<String>,
    /// TLS stack of the proxies: rustls or boringssl
    #[arg(long, value_name = "STACK")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls_backend: Option<TlsBackendName>,
    /// Admin endpoint: an address, a port of the loopback, or off [default: 127.0.0.1:15021]
    #[arg(long, value_name = "ADDR")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub admin: Option<AdminAddress>,
    /// Log format: text or json [default: text]
    #[arg(long, value_name = "FORMAT")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub log_format: Option<LogFormat>,
    /// Log level, or directives such as info,lasthop_k8s_adapter=debug [default: info]
    #[arg(long, value_name = "LEVEL")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub log_level: Option<String>,
    /// Let policies verify less than chain and name (lasthop.dev/verify: chain or none)
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_name = "BOOL")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub allow_insecure_verify: Option<bool>,
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;

    use super::*;

    fn load(environment: &[(&str, &str)]) -> Result<ControllerSettings, SettingsError> {
        let environment: Vec<(OsString, OsString)> =
            environment.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
        layers::load(&ControllerFlags::default(), None, environment)
    }

    #[test]
    fn has_settings_of_its_own() {
        let settings = load(&[
            ("LASTHOP_PROXY_IMAGE", "mine:1"),
            ("LASTHOP_LINK", "[::]:15010"),
            // Kubernetes puts these there for our own Service.
            ("LASTHOP_CONTROLLER_SERVICE_HOST", "10.0.0.1"),
            ("LASTHOP_CONTROLLER_PORT", "tcp://10.0.0.1:15010"),
        ]);
        let settings = settings.unwrap();
        assert_eq!((settings.proxy_image.as_str(), settings.link.port()), ("mine:1", 15010));
        assert!(load(&[("LASTHOP_WORKERS", "2")]).unwrap_err().to_string().contains("LASTHOP_WORKERS"));
    }
}
