//! Authorization by a service (GEP-1494), compiled. It is asked elsewhere: a filter waits for nobody.

use http::HeaderName;
use lasthop_dataplane_api::{AuthProtocol, BackendTarget, ExternalAuth};

/// Who is asked, and how.
#[derive(Debug)]
pub(crate) struct CompiledAuth {
    /// Who is asked.
    pub(crate) target: BackendTarget,
    /// How.
    pub(crate) protocol: CompiledProtocol,
    /// The longest body that is shown, in bytes; 0: none is.
    pub(crate) body_bytes: u32,
}

/// How a service is asked; names are parsed.
#[derive(Debug)]
pub(crate) enum CompiledProtocol {
    /// By Envoy's protocol.
    Grpc {
        /// The fields that are shown; empty: all.
        headers: Vec<HeaderName>,
    },
    /// By the request itself.
    Http {
        /// What is put before its path.
        path: Box<str>,
        /// The fields that are shown beside those that always are.
        headers: Vec<HeaderName>,
        /// The fields that are taken from the answer; empty: all.
        answer_headers: Vec<HeaderName>,
    },
}

impl CompiledAuth {
    pub(super) fn compile(source: &ExternalAuth) -> Result<Self, String> {
        let names = |names: &[std::sync::Arc<str>]| -> Result<Vec<HeaderName>, String> {
            let parse = |name: &std::sync::Arc<str>| {
                HeaderName::from_bytes(name.as_bytes()).map_err(|_| format!("{name:?} is no field name"))
            };
            names.iter().map(parse).collect()
        };
        let protocol = match &source.protocol {
            AuthProtocol::Grpc { headers } => CompiledProtocol::Grpc { headers: names(headers)? },
            AuthProtocol::Http { path, headers, answer_headers } => {
                if !(path.is_empty() || path.starts_with('/')) {
                    return Err(format!("the path {path:?} does not begin with a slash"));
                }
                CompiledProtocol::Http {
                    path: path.trim_end_matches('/').into(),
                    headers: names(headers)?,
                    answer_headers: names(answer_headers)?,
                }
            }
        };
        Ok(Self { target: source.target.clone(), protocol, body_bytes: source.body_bytes })
    }
}
