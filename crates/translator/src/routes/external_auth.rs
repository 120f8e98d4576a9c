//! Filters that ask an authorization service (GEP-1494).

use std::sync::Arc;

use lasthop_api_model::{ExternalAuthProtocol, HttpExternalAuthFilter};
use lasthop_dataplane_api::{AuthProtocol, ExternalAuth};

use super::scope::Scope;

/// What the proxy holds of a body for a service, in bytes. Whoever writes a route must not decide about its memory.
const LONGEST_BODY: u32 = 1024 * 1024;

impl Scope<'_, '_> {
    /// What a filter means. A service that the reference does not lead to lets nothing pass; the route's status says so.
    pub(super) fn external_auth(
        &mut self,
        auth: &HttpExternalAuthFilter,
        field: &str,
    ) -> Result<ExternalAuth, String> {
        let names = |names: &[String]| -> Vec<Arc<str>> {
            names.iter().map(|name| name.to_ascii_lowercase().into()).collect()
        };
        let protocol = match &auth.protocol {
            ExternalAuthProtocol::Grpc => {
                let headers = auth.grpc.as_ref().map(|grpc| names(&grpc.allowed_headers));
                AuthProtocol::Grpc { headers: headers.unwrap_or_default() }
            }
            ExternalAuthProtocol::Http => {
                let http = auth.http.clone().unwrap_or_default();
                AuthProtocol::Http {
                    path: prefix(http.path.as_deref().unwrap_or_default(), field)?,
                    headers: names(&http.allowed_headers),
                    answer_headers: names(&http.allowed_response_headers),
                }
            }
            ExternalAuthProtocol::Other(text) => {
                let known = ExternalAuthProtocol::KNOWN.join(", ");
                return Err(format!("{field}.protocol: {text} is not known; use one of {known}"));
            }
        };
        let most = auth.forward_body.as_ref().and_then(|body| body.max_size).unwrap_or(0);
        let body_bytes = u32::try_from(most).ok().filter(|most| *most <= LONGEST_BODY).ok_or_else(|| {
            format!("{field}.forwardBody.maxSize: {most} is not supported; write 0 to {LONGEST_BODY}")
        })?;
        let target = self.target(&auth.backend_ref, &format!("{field}.backendRef"));
        Ok(ExternalAuth { target, protocol, body_bytes })
    }
}

/// What is put before a request's path: with a slash in front, and never a way up.
fn prefix(path: &str, field: &str) -> Result<Arc<str>, String> {
    let path = path.trim_end_matches('/');
    if path.is_empty() {
        return Ok("".into());
    }
    let goes_up = path.split('/').any(|segment| {
        let segment = segment.to_ascii_lowercase().replace("%2e", ".");
        segment == "." || segment == ".."
    });
    if goes_up {
        return Err(format!(
            "{field}.http.path: {path:?} leads out of itself; write it without '.' and '..'"
        ));
    }
    Ok(if path.starts_with('/') { path.into() } else { format!("/{path}").into() })
}
