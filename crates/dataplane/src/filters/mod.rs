//! What a rule or a backend reference does to requests and responses.
//!
//! Filters are compiled with the rule: names and values are parsed once. A filter that cannot be honoured makes all
//! requests of its rule, or its backend reference, answer 500.

mod authorization;
mod cors;
mod headers;
mod path;
mod redirect;
mod rewrite;

#[cfg(test)]
mod tests;

use bytes::Bytes;
use http::{HeaderValue, request, response};
use lasthop_dataplane_api::{HttpFilter, Mirror, PathMatch};

pub(crate) use self::authorization::{CompiledAuth, CompiledProtocol};
use self::{
    cors::CompiledCors, headers::CompiledModifier, redirect::CompiledRedirect, rewrite::CompiledRewrite,
};

/// The filters of a rule or of a backend reference.
#[derive(Debug, Default)]
pub(crate) struct CompiledFilters {
    filters: Vec<Compiled>,
    mirrors: Vec<Mirror>,
    problems: Vec<String>,
    /// Some filter cannot be honoured.
    invalid: bool,
}

#[derive(Debug)]
enum Compiled {
    RequestHeaders(CompiledModifier),
    ResponseHeaders(CompiledModifier),
    Redirect(CompiledRedirect),
    Rewrite(CompiledRewrite),
    Cors(CompiledCors),
    Authorization(CompiledAuth),
}

/// What filters know of a request besides its head.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FilterContext<'a> {
    /// `http` or `https`, as the listener speaks it.
    pub(crate) scheme: &'a str,
    /// The listener's port.
    pub(crate) port: u16,
    /// The host that the request came for, without port.
    pub(crate) host: &'a str,
    /// The path condition of the match that held; `None` is every path.
    pub(crate) matched_path: Option<&'a PathMatch>,
    /// The request's `Origin`, for responses; see [`CompiledFilters::wants_origin`].
    pub(crate) origin: Option<&'a HeaderValue>,
}

/// Marks a response that filters made: it is whole.
#[derive(Clone, Copy)]
struct Answered;

/// What becomes of a request.
#[derive(Debug)]
pub(crate) enum FilterOutcome {
    /// It goes on.
    Continue,
    /// It goes on if its authorization service says so: the filter at this place. What comes after it is applied then, by
    /// [`CompiledFilters::apply_from`].
    Authorize(usize),
    /// This is the answer, whole: [`CompiledFilters::apply_response`] leaves it as it is.
    Respond(http::Response<Bytes>),
    /// A filter cannot be honoured: 500.
    Invalid,
}

impl CompiledFilters {
    /// Compiles filters, in their order.
    pub(crate) fn compile(source: &[HttpFilter]) -> Self {
        let mut this = Self::default();
        for filter in source {
            match this.compile_one(filter) {
                Ok(Some(compiled)) => this.filters.push(compiled),
                Ok(None) => {}
                Err(problem) => {
                    this.invalid = true;
                    this.problems.push(problem);
                }
            }
        }
        this
    }

    fn compile_one(&mut self, filter: &HttpFilter) -> Result<Option<Compiled>, String> {
        Ok(Some(match filter {
            HttpFilter::RequestHeaders(source) => {
                Compiled::RequestHeaders(CompiledModifier::compile(source, &mut self.problems)?)
            }
            HttpFilter::ResponseHeaders(source) => {
                Compiled::ResponseHeaders(CompiledModifier::compile(source, &mut self.problems)?)
            }
            HttpFilter::Redirect(source) => Compiled::Redirect(CompiledRedirect::compile(source)?),
            HttpFilter::Rewrite(source) => Compiled::Rewrite(CompiledRewrite::compile(source)?),
            HttpFilter::Cors(source) => Compiled::Cors(CompiledCors::compile(source)?),
            HttpFilter::ExternalAuth(source) => Compiled::Authorization(CompiledAuth::compile(source)?),
            HttpFilter::Mirror(source) => {
                self.mirrors.push(source.clone());
                return Ok(None);
            }
            HttpFilter::Invalid { message } => return Err(message.as_ref().to_owned()),
        }))
    }

    /// Applies the filters to a request, in their order.
    pub(crate) fn apply_request(
        &self,
        parts: &mut request::Parts,
        context: &FilterContext<'_>,
    ) -> FilterOutcome {
        self.apply_from(0, parts, context)
    }

    /// Applies the filters from one on.
    pub(crate) fn apply_from(
        &self,
        first: usize,
        parts: &mut request::Parts,
        context: &FilterContext<'_>,
    ) -> FilterOutcome {
        if self.invalid {
            return FilterOutcome::Invalid;
        }
        for (place, filter) in self.filters.iter().enumerate().skip(first) {
            match filter {
                Compiled::Authorization(_) => return FilterOutcome::Authorize(place),
                Compiled::RequestHeaders(modifier) => modifier.apply(&mut parts.headers),
                Compiled::Rewrite(rewrite) => {
                    if rewrite.apply(parts, context.matched_path).is_none() {
                        return FilterOutcome::Invalid;
                    }
                }
                Compiled::Redirect(redirect) => {
                    return match redirect.respond(parts, context) {
                        Some(response) => self.answer(response, parts.headers.get(http::header::ORIGIN)),
                        None => FilterOutcome::Invalid,
                    };
                }
                Compiled::Cors(cors) => {
                    if let Some(response) = cors.preflight(parts) {
                        return self.answer(response, None);
                    }
                }
                Compiled::ResponseHeaders(_) => {}
            }
        }
        FilterOutcome::Continue
    }

    /// An answer of our own goes through the response filters, as a backend's would. A preflight's has its CORS
    /// fields already.
    fn answer(&self, response: http::Response<Bytes>, origin: Option<&HeaderValue>) -> FilterOutcome {
        let (mut parts, body) = response.into_parts();
        for filter in &self.filters {
            match filter {
                Compiled::ResponseHeaders(modifier) => modifier.apply(&mut parts.headers),
                Compiled::Cors(cors) if origin.is_some() => cors.apply(&mut parts.headers, origin),
                _ => {}
            }
        }
        parts.extensions.insert(Answered);
        FilterOutcome::Respond(http::Response::from_parts(parts, body))
    }

    /// Applies the filters to a backend's response, or to an error of our own in its place.
    pub(crate) fn apply_response(&self, parts: &mut response::Parts, context: &FilterContext<'_>) {
        if parts.extensions.get::<Answered>().is_some() {
            return;
        }
        for filter in &self.filters {
            match filter {
                Compiled::ResponseHeaders(modifier) => modifier.apply(&mut parts.headers),
                Compiled::Cors(cors) => cors.apply(&mut parts.headers, context.origin),
                _ => {}
            }
        }
    }

    /// The authorization at a place.
    pub(crate) fn authorization(&self, place: usize) -> Option<&CompiledAuth> {
        match self.filters.get(place) {
            Some(Compiled::Authorization(auth)) => Some(auth),
            _ => None,
        }
    }

    /// Where copies of the request go.
    pub(crate) fn mirrors(&self) -> &[Mirror] {
        &self.mirrors
    }

    /// Whether responses need the request's `Origin` in the context.
    pub(crate) fn wants_origin(&self) -> bool {
        self.filters.iter().any(|filter| matches!(filter, Compiled::Cors(_)))
    }

    /// What cannot be honoured, or has no effect.
    pub(crate) fn problems(&self) -> &[String] {
        &self.problems
    }
}
