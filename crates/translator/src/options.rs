//! What the translator is told once, at its start.

use std::{fmt, net::IpAddr, sync::Arc};

use lasthop_dataplane_api::{CipherSuite, Group, ObjectName, TlsCapabilities, TlsStack, TlsVersion};
use lasthop_tls_verify::TrustAnchors;

/// Gives the machine's own trust anchors, or says why there are none. The translator itself reads no file.
pub type SystemAnchors = Arc<dyn Fn() -> Result<Arc<TrustAnchors>, String> + Send + Sync>;

/// The names of the Services of a Gateway that asks for these addresses.
pub type ServicesOf = fn(&ObjectName, &[IpAddr]) -> Vec<String>;

/// What the translator is told once.
#[derive(Clone)]
pub struct Options {
    /// The name GatewayClasses call us by, and the one our status entries carry.
    pub controller_name: String,
    /// Which Gateways are ours.
    pub class_policy: ClassPolicy,
    /// What the dataplane's TLS stack can do; a policy that asks for more is refused.
    pub capabilities: TlsCapabilities,
    /// Whether the operator lets policies verify less than chain and name (`lasthop.dev/verify: chain` or `none`).
    pub allow_insecure_verify: bool,
    /// Whether one dataplane serves all Gateways, so that their ports are one set: listeners of different Gateways that
    /// could not be told apart there conflict, and the older Gateway's serve. `false` where each Gateway has its own.
    pub gateways_share_ports: bool,
    /// Where `wellKnownCACertificates: System` comes from.
    pub system_anchors: SystemAnchors,
    /// Where each Gateway has proxies and Services of its own: the Services' names, in the Gateway's namespace, for the
    /// addresses that it asks for; never none. The Gateway has the Services' addresses then, and the proxies listen on
    /// all of theirs.
    pub services_of: Option<ServicesOf>,
    /// The features of the conformance suite that a GatewayClass of ours claims.
    pub supported_features: Vec<&'static str>,
}

/// Which Gateways are ours.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ClassPolicy {
    /// Those whose GatewayClass names our controller.
    #[default]
    OwnClasses,
    /// The same; but while there is no GatewayClass at all, every Gateway. For folders of manifests.
    OwnAllWithoutClass,
}

impl Default for Options {
    /// Our own controller name, and a stack that can do everything the API has a name for.
    fn default() -> Self {
        use {CipherSuite as C, Group as G};
        Self {
            controller_name: "lasthop.dev/gateway".to_owned(),
            class_policy: ClassPolicy::default(),
            capabilities: TlsCapabilities {
                stack: TlsStack::Other,
                versions: vec![TlsVersion::V1_2, TlsVersion::V1_3],
                cipher_suites: vec![
                    C::TLS_AES_128_GCM_SHA256,
                    C::TLS_AES_256_GCM_SHA384,
                    C::TLS_CHACHA20_POLY1305_SHA256,
                    C::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
                    C::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
                    C::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
                    C::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
                    C::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
                    C::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
                ],
                tls13_suite_choice: true,
                groups: vec![G::X25519MLKEM768, G::X25519, G::Secp256r1, G::Secp384r1],
            },
            allow_insecure_verify: false,
            gateways_share_ports: true,
            system_anchors: Arc::new(|| Err("no trust store was configured".to_owned())),
            services_of: None,
            supported_features: Vec::new(),
        }
    }
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options")
            .field("controller_name", &self.controller_name)
            .field("class_policy", &self.class_policy)
            .field("capabilities", &self.capabilities)
            .field("allow_insecure_verify", &self.allow_insecure_verify)
            .field("gateways_share_ports", &self.gateways_share_ports)
            .finish_non_exhaustive()
    }
}
