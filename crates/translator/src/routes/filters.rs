//! What rules do to requests and responses.

use std::sync::Arc;

use lasthop_api_model::{
    GrpcRouteFilter, GrpcRouteFilterType, HttpHeaderFilter, HttpPathModifier, HttpPathModifierType,
    HttpRequestMirrorFilter, HttpRequestRedirectFilter, HttpRouteFilter, HttpRouteFilterType,
    LocalObjectReference,
};
use lasthop_dataplane_api::{
    Fraction, HeaderModifier, HeaderValue, HttpFilter, Mirror, PathModifier, Redirect, UrlRewrite,
};

use super::{cors, scope::Scope};

impl Scope<'_, '_> {
    /// The filters of an HTTPRoute's rule or backend. One that cannot be honoured answers 500: left out, it would let
    /// pass what the user wanted changed or stopped.
    pub(super) fn http_filters(&mut self, filters: &[HttpRouteFilter], place: &str) -> Vec<HttpFilter> {
        let mut translated: Vec<HttpFilter> = Vec::with_capacity(filters.len());
        for (index, filter) in filters.iter().enumerate() {
            let field = self.field(&format!("{place}[{index}]"));
            let one = self.http_filter(filter, &field).unwrap_or_else(|message| self.refuse(message));
            translated.push(one);
        }
        let has = |wanted: &HttpRouteFilterType| filters.iter().any(|filter| filter.r#type == *wanted);
        if has(&HttpRouteFilterType::RequestRedirect) && has(&HttpRouteFilterType::UrlRewrite) {
            let message = format!(
                "{}: RequestRedirect and URLRewrite cannot both be done; keep one of them",
                self.field(place)
            );
            self.invalid("IncompatibleFilters", message.clone());
            translated.push(HttpFilter::Invalid { message: message.into() });
        }
        translated
    }

    /// The same for a GRPCRoute.
    pub(super) fn grpc_filters(&mut self, filters: &[GrpcRouteFilter], place: &str) -> Vec<HttpFilter> {
        let mut translated = Vec::with_capacity(filters.len());
        for (index, filter) in filters.iter().enumerate() {
            let field = self.field(&format!("{place}[{index}]"));
            let one = self.grpc_filter(filter, &field).unwrap_or_else(|message| self.refuse(message));
            translated.push(one);
        }
        translated
    }

    /// The rule cannot be honoured as it is written: requests get a 500.
    pub(super) fn refuse(&mut self, message: String) -> HttpFilter {
        self.invalid("UnsupportedValue", message.clone());
        HttpFilter::Invalid { message: message.into() }
    }

    fn http_filter(&mut self, filter: &HttpRouteFilter, field: &str) -> Result<HttpFilter, String> {
        use HttpRouteFilterType as Type;
        let missing = || format!("{field}: the field of type {} is missing", filter.r#type);
        match &filter.r#type {
            Type::RequestHeaderModifier => {
                let modifier = filter.request_header_modifier.as_ref().ok_or_else(missing)?;
                Ok(HttpFilter::RequestHeaders(headers(modifier)))
            }
            Type::ResponseHeaderModifier => {
                let modifier = filter.response_header_modifier.as_ref().ok_or_else(missing)?;
                Ok(HttpFilter::ResponseHeaders(headers(modifier)))
            }
            Type::RequestMirror => {
                let mirror = filter.request_mirror.as_ref().ok_or_else(missing)?;
                Ok(HttpFilter::Mirror(self.mirror(mirror, field)))
            }
            Type::RequestRedirect => redirect(filter.request_redirect.as_ref().ok_or_else(missing)?, field),
            Type::UrlRewrite => {
                let rewrite = filter.url_rewrite.as_ref().ok_or_else(missing)?;
                Ok(HttpFilter::Rewrite(UrlRewrite {
                    hostname: rewrite.hostname.as_deref().map(Into::into),
                    path: rewrite.path.as_ref().map(|path| modifier(path, field)).transpose()?,
                }))
            }
            Type::Cors => {
                let cors = filter.cors.as_ref().ok_or_else(missing)?;
                cors::translate(cors)
                    .map(HttpFilter::Cors)
                    .map_err(|message| format!("{field}.cors: {message}"))
            }
            Type::ExtensionRef => Err(extension(filter.extension_ref.as_ref(), field)),
            Type::ExternalAuth => {
                let auth = filter.external_auth.as_ref().ok_or_else(missing)?;
                self.external_auth(auth, &format!("{field}.externalAuth")).map(HttpFilter::ExternalAuth)
            }
            Type::Other(text) => {
                Err(format!("{field}: type {text} is not known; use one of {}", Type::KNOWN.join(", ")))
            }
        }
    }

    fn grpc_filter(&mut self, filter: &GrpcRouteFilter, field: &str) -> Result<HttpFilter, String> {
        use GrpcRouteFilterType as Type;
        let missing = || format!("{field}: the field of type {} is missing", filter.r#type);
        match &filter.r#type {
            Type::RequestHeaderModifier => {
                let modifier = filter.request_header_modifier.as_ref().ok_or_else(missing)?;
                Ok(HttpFilter::RequestHeaders(headers(modifier)))
            }
            Type::ResponseHeaderModifier => {
                let modifier = filter.response_header_modifier.as_ref().ok_or_else(missing)?;
                Ok(HttpFilter::ResponseHeaders(headers(modifier)))
            }
            Type::RequestMirror => {
                let mirror = filter.request_mirror.as_ref().ok_or_else(missing)?;
                Ok(HttpFilter::Mirror(self.mirror(mirror, field)))
            }
            Type::ExtensionRef => Err(extension(filter.extension_ref.as_ref(), field)),
            Type::Other(text) => {
                Err(format!("{field}: type {text} is not known; use one of {}", Type::KNOWN.join(", ")))
            }
        }
    }

    fn mirror(&mut self, mirror: &HttpRequestMirrorFilter, field: &str) -> Mirror {
        let target = self.target(&mirror.backend_ref, &format!("{field}.requestMirror.backendRef"));
        let fraction = match (mirror.fraction, mirror.percent) {
            (Some(fraction), _) => Fraction {
                numerator: fraction.numerator.min(fraction.denominator),
                denominator: fraction.denominator.max(1),
            },
            (None, Some(percent)) => Fraction { numerator: u32::from(percent.min(100)), denominator: 100 },
            (None, None) => Fraction::ALL,
        };
        Mirror { target, fraction }
    }
}

fn extension(reference: Option<&LocalObjectReference>, field: &str) -> String {
    let what = reference.map_or_else(String::new, |to| format!(" {} {}", to.kind, to.name));
    format!("{field}: no filter extensions are supported; remove the ExtensionRef{what}")
}

fn headers(filter: &HttpHeaderFilter) -> HeaderModifier {
    let name = |name: &str| -> Arc<str> { name.to_ascii_lowercase().into() };
    let fields = |fields: &[lasthop_api_model::HttpHeader]| -> Vec<HeaderValue> {
        let mut kept: Vec<HeaderValue> = Vec::with_capacity(fields.len());
        for field in fields {
            let name = name(&field.name);
            // Of several entries of one name only the first counts.
            if !kept.iter().any(|known| known.name == name) {
                kept.push(HeaderValue { name, value: field.value.as_str().into() });
            }
        }
        kept
    };
    HeaderModifier {
        set: fields(&filter.set),
        add: fields(&filter.add),
        remove: filter.remove.iter().map(|removed| name(removed)).collect(),
    }
}

fn redirect(redirect: &HttpRequestRedirectFilter, field: &str) -> Result<HttpFilter, String> {
    let scheme = redirect.scheme.as_deref();
    if let Some(scheme) = scheme.filter(|scheme| !matches!(*scheme, "http" | "https")) {
        return Err(format!("{field}.requestRedirect.scheme: {scheme} is not known; use http or https"));
    }
    let status = redirect.status_code;
    if !matches!(status, 301 | 302 | 303 | 307 | 308) {
        let message = format!("{status} is no redirect; use 301, 302, 303, 307 or 308");
        return Err(format!("{field}.requestRedirect.statusCode: {message}"));
    }
    Ok(HttpFilter::Redirect(Redirect {
        scheme: scheme.map(Into::into),
        hostname: redirect.hostname.as_deref().map(Into::into),
        path: redirect.path.as_ref().map(|path| modifier(path, field)).transpose()?,
        port: redirect.port,
        status,
    }))
}

fn modifier(path: &HttpPathModifier, field: &str) -> Result<PathModifier, String> {
    match &path.r#type {
        HttpPathModifierType::ReplaceFullPath => {
            Ok(PathModifier::ReplaceFullPath(path.replace_full_path.as_deref().unwrap_or("/").into()))
        }
        HttpPathModifierType::ReplacePrefixMatch => {
            Ok(PathModifier::ReplacePrefixMatch(path.replace_prefix_match.as_deref().unwrap_or("/").into()))
        }
        HttpPathModifierType::Other(text) => {
            let known = HttpPathModifierType::KNOWN.join(", ");
            Err(format!("{field}: path type {text} is not known; use one of {known}"))
        }
    }
}
