//! Rules of HTTPRoutes.

use std::{sync::Arc, time::Duration};

use lasthop_api_model::{ApiDuration, HttpRouteRule};
use lasthop_dataplane_api::{HttpFilter, HttpMatch, Retry, SessionPersistence, Timeouts, WeightedBackend};

use super::{matches, scope::Scope};

/// A rule without its place: which listeners it serves is the same for all rules of a route.
#[derive(Debug)]
pub(super) struct RuleBody {
    pub name: Option<Arc<str>>,
    pub matches: Vec<HttpMatch>,
    pub filters: Vec<HttpFilter>,
    pub backends: Vec<WeightedBackend>,
    pub timeouts: Timeouts,
    pub retry: Option<Retry>,
    pub persistence: Option<SessionPersistence>,
}

impl Scope<'_, '_> {
    /// What a rule means; `None` when it cannot even be matched.
    pub(super) fn http_rule(&mut self, rule: &HttpRouteRule) -> Option<RuleBody> {
        let matches = match matches::http(&rule.matches) {
            Ok(matches) => Some(matches),
            Err(message) => {
                self.invalid("UnsupportedValue", self.field(&message));
                None
            }
        };
        let mut filters = self.http_filters(&rule.filters, "filters");
        let persistence = self.persistence(rule.session_persistence.as_ref()).unwrap_or_else(|message| {
            filters.push(self.refuse(message));
            None
        });
        let timeouts = self.timeouts(rule).unwrap_or_else(|message| {
            filters.push(self.refuse(message));
            Timeouts::default()
        });
        let retry = self.retry(rule).unwrap_or_else(|message| {
            filters.push(self.refuse(message));
            None
        });
        let mut backends = Vec::with_capacity(rule.backend_refs.len());
        for (index, backend) in rule.backend_refs.iter().enumerate() {
            let field = self.field(&format!("backendRefs[{index}]"));
            backends.push(WeightedBackend {
                weight: backend.backend_ref.weight,
                target: self.target(&backend.backend_ref.object(), &field),
                filters: self.http_filters(&backend.filters, &format!("backendRefs[{index}].filters")),
            });
        }
        let name = rule.name.as_deref().map(Into::into);
        Some(RuleBody { name, matches: matches?, filters, backends, timeouts, retry, persistence })
    }

    fn timeouts(&self, rule: &HttpRouteRule) -> Result<Timeouts, String> {
        let Some(timeouts) = &rule.timeouts else { return Ok(Timeouts::default()) };
        let limit = |name: &str, text: &Option<ApiDuration>| match text {
            None => Ok(None),
            // Zero switches the limit off.
            Some(text) => {
                self.duration(&format!("timeouts.{name}"), text).map(|d| (!d.is_zero()).then_some(d))
            }
        };
        Ok(Timeouts {
            request: limit("request", &timeouts.request)?,
            backend_request: limit("backendRequest", &timeouts.backend_request)?,
        })
    }

    fn retry(&self, rule: &HttpRouteRule) -> Result<Option<Retry>, String> {
        let Some(retry) = &rule.retry else { return Ok(None) };
        let backoff = retry.backoff.as_ref().map(|text| self.duration("retry.backoff", text)).transpose()?;
        Ok(Some(Retry { attempts: retry.attempts, codes: retry.codes.clone(), backoff }))
    }

    pub(super) fn duration(&self, field: &str, text: &ApiDuration) -> Result<Duration, String> {
        text.to_duration().ok_or_else(|| {
            format!("{}: {text} is no duration; use one such as 500ms or 1m30s", self.field(field))
        })
    }
}
