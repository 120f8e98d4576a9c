//! Cross-origin resource sharing (GEP-1767).

use std::{sync::Arc, time::Duration};

use lasthop_api_model::HttpCorsFilter;
use lasthop_dataplane_api::{Cors, CorsOrigin, HostPattern};

pub(super) fn translate(filter: &HttpCorsFilter) -> Result<Cors, String> {
    let list =
        |names: &[String]| -> Vec<Arc<str>> { names.iter().map(|name| name.as_str().into()).collect() };
    Ok(Cors {
        allow_origins: filter.allow_origins.iter().map(|text| origin(text)).collect::<Result<_, _>>()?,
        allow_credentials: filter.allow_credentials.unwrap_or(false),
        allow_methods: list(&filter.allow_methods),
        allow_headers: list(&filter.allow_headers),
        expose_headers: list(&filter.expose_headers),
        max_age: Duration::from_secs(filter.max_age.into()),
    })
}

/// An origin: a scheme, a host that may begin with a wildcard, and a port that may be left out (RFC 6454 §6.2).
fn origin(text: &str) -> Result<CorsOrigin, String> {
    if text == "*" {
        return Ok(CorsOrigin::Any);
    }
    let bad = || format!("allowOrigins: {text:?} is no origin; use one such as https://app.example.com or *");
    let (scheme, rest) = text.split_once("://").ok_or_else(bad)?;
    let scheme_ok = scheme.starts_with(|c: char| c.is_ascii_alphabetic())
        && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte));
    let (host, port) = match rest.rsplit_once(':') {
        Some((host, port)) => (host, Some(port.parse().map_err(|_| bad())?)),
        None => (rest, None),
    };
    if !scheme_ok {
        return Err(bad());
    }
    let host = match host {
        // Every host: a wildcard of which nothing is left.
        "*" => HostPattern::Wildcard("".into()),
        host => host.to_ascii_lowercase().parse().map_err(|_| bad())?,
    };
    Ok(CorsOrigin::Origin { scheme: scheme.to_ascii_lowercase().into(), host, port })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origins_have_scheme_host_and_maybe_a_port() {
        let parsed = |text: &str, port| CorsOrigin::Origin {
            scheme: "https".into(),
            host: text.parse().unwrap(),
            port,
        };
        assert_eq!(origin("https://*.example.com:8443"), Ok(parsed("*.example.com", Some(8443))));
        assert_eq!(origin("https://Example.com"), Ok(parsed("example.com", None)));
        assert_eq!(origin("*"), Ok(CorsOrigin::Any));
        let every = |port| CorsOrigin::Origin {
            scheme: "https".into(),
            host: HostPattern::Wildcard("".into()),
            port,
        };
        assert_eq!(origin("https://*"), Ok(every(None)));
        assert_eq!(origin("https://*:8443"), Ok(every(Some(8443))));
        for bad in
            ["https://**", "https://*a", "example.com", "https://", "https://a:b", "://a", "https://a/b"]
        {
            assert!(origin(bad).is_err(), "{bad}");
        }
    }
}
