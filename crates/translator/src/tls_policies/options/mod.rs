//! The options of a policy: `spec.options` with our prefix.
//!
//! | key | value |
//! |---|---|
//! | `min-version`, `max-version` | `1.2` or `1.3` |
//! | `cipher-suites`, `groups` | IANA names, separated by commas, in order of preference |
//! | `alpn` | protocols, separated by commas, in order of preference |
//! | `ca-key` | keys of the CA's ConfigMap or Secret, separated by commas; the first that exists counts |
//! | `client-certificate-ref` | a Secret of the policy's namespace; counts before the Gateway's |
//! | `crl-ref` | `ConfigMap/NAME` or `Secret/NAME` of the policy's namespace, key `ca.crl` |
//! | `spki-pins` | SHA-256 of a SubjectPublicKeyInfo in base64, separated by commas |
//! | `verify` | `full`, `chain`, `none` |
//! | `sni` | `hostname`, `none`, `request-host`, or a name |
//! | `subject-ip-sans` | addresses, separated by commas |
//! | `require-hostname` | `true`, `false`: whether the host name counts beside `subjectAltNames` |
//! | `verify-depth` | the most intermediate certificates, 0 to 16 |
//! | `session-resumption` | `true`, `false` |
//! | `bearer-token` | the name of a token of the proxy's; sent where the backend proves its name |

mod material;
mod peer;
mod protocol;

use std::{collections::BTreeMap, sync::Arc};

use lasthop_api_model::{BackendTlsPolicy, ResourceKey};
use lasthop_dataplane_api::UpstreamTlsSettings;
use lasthop_tls_verify::VerifyMode;

use crate::{authorities::CA_KEY, index::Reader, problem::Problem};

/// What our options begin with; others are somebody else's.
pub(crate) const OPTION_PREFIX: &str = "lasthop.dev/";

const KNOWN: &[&str] = &[
    "alpn",
    "bearer-token",
    "ca-key",
    "cipher-suites",
    "client-certificate-ref",
    "crl-ref",
    "groups",
    "max-version",
    "min-version",
    "require-hostname",
    "session-resumption",
    "sni",
    "spki-pins",
    "subject-ip-sans",
    "verify",
    "verify-depth",
];

/// What options say that is no setting of its own.
#[derive(Debug, Default)]
pub(super) struct Applied {
    /// Where the policy's own client certificate stands, if it has one.
    pub own_certificate: Option<Arc<str>>,
    /// Whether the certificate must carry the host name, whatever other names it carries.
    pub require_hostname: bool,
}

/// Applies a policy's options.
///
/// An option or a value that is not known, and one that the TLS stack cannot honour, is a refusal of the policy.
pub(super) fn apply(
    reader: &Reader<'_>,
    key: &ResourceKey,
    options: &BTreeMap<String, String>,
    settings: &mut UpstreamTlsSettings,
) -> Result<Applied, Problem> {
    let mut more = Applied::default();
    for (option, value) in options {
        let Some(name) = option.strip_prefix(OPTION_PREFIX) else { continue };
        let value = value.trim();
        let applied = match name {
            "min-version" => protocol::version(value).map(|version| settings.min_version = version),
            "max-version" => protocol::version(value).map(|version| settings.max_version = version),
            "cipher-suites" => protocol::cipher_suites(value).map(|suites| settings.cipher_suites = suites),
            "groups" => protocol::groups(value).map(|groups| settings.groups = groups),
            "alpn" => protocol::alpn(value).map(|alpn| settings.alpn = alpn),
            // Read with the anchors, by `ca_keys`.
            "ca-key" => Ok(()),
            "require-hostname" => switch(value).map(|on| more.require_hostname = on),
            "bearer-token" => protocol::token(value).map(|token| settings.bearer_token = Some(token)),
            "session-resumption" => switch(value).map(|on| settings.resumption = on),
            "sni" => peer::sni(value, settings),
            "subject-ip-sans" => peer::addresses(value).map(|found| settings.peer.identities.extend(found)),
            "spki-pins" => peer::pins(value).map(|pins| settings.peer.pins = pins),
            "verify" => {
                peer::mode(value, reader.options.allow_insecure_verify).map(|mode| settings.peer.mode = mode)
            }
            "verify-depth" => peer::depth(value).map(|depth| settings.peer.max_depth = Some(depth)),
            "crl-ref" => material::crls(reader, key, value).map(|crls| settings.peer.crls = crls),
            "client-certificate-ref" => {
                material::certificate(reader, key, value).map(|(reference, certificate)| {
                    settings.client_certificate = Some(certificate);
                    more.own_certificate = Some(reference);
                })
            }
            _ => {
                let known: Vec<_> = KNOWN.iter().map(|known| format!("{OPTION_PREFIX}{known}")).collect();
                Err(format!("is not known; there are {}", known.join(", ")))
            }
        };
        applied.map_err(|message| invalid(option, &message))?;
    }
    protocol::check(settings, &reader.options.capabilities)
        .map_err(|(name, message)| invalid(&format!("{OPTION_PREFIX}{name}"), &message))?;
    if more.require_hostname && settings.peer.mode != VerifyMode::Full {
        let message = format!("means nothing where {OPTION_PREFIX}verify takes any name; remove one of them");
        return Err(invalid(&format!("{OPTION_PREFIX}require-hostname"), &message));
    }
    if settings.bearer_token.is_some() && settings.peer.mode != VerifyMode::Full {
        let message = format!(
            "is only sent to a backend that proves its name, and {OPTION_PREFIX}verify takes any; remove one of them"
        );
        return Err(invalid(&format!("{OPTION_PREFIX}bearer-token"), &message));
    }
    Ok(more)
}

/// The keys under which a policy's CA certificates stand, in order of preference. A private key is never among them.
pub(super) fn ca_keys(policy: &BackendTlsPolicy) -> Result<Vec<&str>, Problem> {
    let option = format!("{OPTION_PREFIX}ca-key");
    let Some(value) = policy.spec.options.get(&option) else { return Ok(vec![CA_KEY]) };
    if policy.spec.validation.ca_certificate_refs.is_empty() {
        return Err(invalid(&option, "means nothing without caCertificateRefs; remove it"));
    }
    let keys: Vec<&str> = entries(value).map_err(|message| invalid(&option, &message))?.collect();
    for key in &keys {
        if *key == "tls.key" {
            return Err(invalid(&option, "tls.key holds a private key, no CA; name another key"));
        }
        let valid = |octet: u8| octet.is_ascii_alphanumeric() || matches!(octet, b'-' | b'_' | b'.');
        if key.len() > 253 || !key.bytes().all(valid) {
            return Err(invalid(&option, &format!("{key:?} is no key of a ConfigMap or Secret")));
        }
    }
    Ok(keys)
}

fn invalid(option: &str, message: &str) -> Problem {
    Problem::new("Invalid", format!("spec.options[{option}]: {message}"))
}

fn switch(value: &str) -> Result<bool, String> {
    value.parse().map_err(|_| format!("{value:?} is not known; use true or false"))
}

/// The entries of a list. An empty one is a mistake.
fn entries(value: &str) -> Result<impl Iterator<Item = &str>, String> {
    if value.split(',').any(|entry| entry.trim().is_empty()) {
        return Err(format!("{value:?} has an empty entry; separate entries by single commas"));
    }
    Ok(value.split(',').map(str::trim))
}
