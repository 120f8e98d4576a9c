//! Rewriting host and path before the request goes on.

use http::{HeaderValue, header, request::Parts};
use lasthop_dataplane_api::{PathMatch, UrlRewrite};

use super::path::CompiledPath;
use crate::hygiene;

/// A rewrite, its host parsed.
#[derive(Debug)]
pub(super) struct CompiledRewrite {
    host: Option<HeaderValue>,
    path: Option<CompiledPath>,
}

impl CompiledRewrite {
    pub(super) fn compile(source: &UrlRewrite) -> Result<Self, String> {
        let host = source
            .hostname
            .as_deref()
            .map(|host| {
                let value = HeaderValue::from_str(host).ok().filter(|_| hygiene::is_authority(host));
                value.ok_or_else(|| format!("{host:?} is no host name"))
            })
            .transpose()?;
        Ok(Self { host, path: source.path.as_ref().map(CompiledPath::compile) })
    }

    /// Changes the request. `None` if it cannot be done.
    pub(super) fn apply(&self, parts: &mut Parts, matched: Option<&PathMatch>) -> Option<()> {
        // `OPTIONS *` has no path.
        if let Some(path) = &self.path
            && parts.uri.path() != "*"
        {
            let path = path.apply(parts.uri.path(), matched)?;
            parts.uri = hygiene::with_path(&parts.uri, path)?;
        }
        if let Some(host) = &self.host {
            // The field counts before the URI's authority.
            parts.headers.insert(header::HOST, host.clone());
        }
        Some(())
    }
}
