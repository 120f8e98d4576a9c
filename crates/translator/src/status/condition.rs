//! One verdict, and the condition made from it.

use std::borrow::Cow;

use k8s_openapi::jiff::Timestamp;
use lasthop_api_model::{Condition, Time};

use crate::problem::Problem;

/// The types of conditions that are ours to write.
pub mod types {
    /// `Accepted`.
    pub const ACCEPTED: &str = "Accepted";
    /// `Programmed`.
    pub const PROGRAMMED: &str = "Programmed";
    /// `ResolvedRefs`.
    pub const RESOLVED_REFS: &str = "ResolvedRefs";
    /// `Conflicted`.
    pub const CONFLICTED: &str = "Conflicted";
    /// `OverlappingTLSConfig`.
    pub const OVERLAPPING_TLS_CONFIG: &str = "OverlappingTLSConfig";
    /// `InsecureFrontendValidationMode`.
    pub const INSECURE_FRONTEND: &str = "InsecureFrontendValidationMode";
    /// `PartiallyInvalid`.
    pub const PARTIALLY_INVALID: &str = "PartiallyInvalid";
    /// `SupportedVersion`.
    pub const SUPPORTED_VERSION: &str = "SupportedVersion";

    /// On a Gateway.
    pub const GATEWAY: &[&str] = &[ACCEPTED, PROGRAMMED, RESOLVED_REFS, INSECURE_FRONTEND];
    /// On a listener.
    pub const LISTENER: &[&str] = &[ACCEPTED, PROGRAMMED, RESOLVED_REFS, CONFLICTED, OVERLAPPING_TLS_CONFIG];
    /// On a ListenerSet.
    pub const LISTENER_SET: &[&str] = &[ACCEPTED, PROGRAMMED];
    /// On a route at one parent.
    pub const ROUTE: &[&str] = &[ACCEPTED, RESOLVED_REFS, PARTIALLY_INVALID];
    /// On a policy at one ancestor.
    pub const POLICY: &[&str] = &[ACCEPTED, RESOLVED_REFS];
    /// On a GatewayClass.
    pub const CLASS: &[&str] = &[ACCEPTED, SUPPORTED_VERSION];
}

/// The longest message the API takes.
const MESSAGE_LIMIT: usize = 32_768;

/// What we say about one aspect of an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Verdict {
    /// The condition's type.
    pub aspect: &'static str,
    /// `True`, `False` or `Unknown`.
    pub status: &'static str,
    /// Why, as a name.
    pub reason: Cow<'static, str>,
    /// Why, as a sentence.
    pub message: Cow<'static, str>,
    /// The generation it holds for, where that is not the newest.
    pub generation: Option<i64>,
}

impl Verdict {
    /// The condition holds.
    pub(crate) fn yes(
        aspect: &'static str,
        reason: impl Into<Cow<'static, str>>,
        message: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self { aspect, status: "True", reason: reason.into(), message: message.into(), generation: None }
    }

    /// The condition does not hold.
    pub(crate) fn no(
        aspect: &'static str,
        reason: impl Into<Cow<'static, str>>,
        message: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self { status: "False", ..Self::yes(aspect, reason, message) }
    }

    /// The condition does not hold, because of this.
    pub(crate) fn problem(aspect: &'static str, problem: &Problem) -> Self {
        Self::no(aspect, problem.reason, problem.message.clone())
    }

    /// Nobody knows yet.
    pub(crate) fn pending(aspect: &'static str, message: impl Into<Cow<'static, str>>) -> Self {
        Self { status: "Unknown", ..Self::yes(aspect, "Pending", message) }
    }

    /// Whether the condition holds.
    pub(crate) fn holds(&self) -> bool {
        self.status == "True"
    }

    /// The condition, at this generation, with the Unix epoch for the time.
    pub(crate) fn condition(&self, generation: Option<i64>) -> Condition {
        let mut message = self.message.clone().into_owned();
        if message.len() > MESSAGE_LIMIT {
            let end = (0..=MESSAGE_LIMIT - 3).rev().find(|i| message.is_char_boundary(*i)).unwrap_or(0);
            message.truncate(end);
            message.push_str("...");
        }
        Condition {
            last_transition_time: Time(Timestamp::UNIX_EPOCH),
            message,
            observed_generation: self.generation.or(generation),
            reason: self.reason.clone().into_owned(),
            status: self.status.to_owned(),
            type_: self.aspect.to_owned(),
        }
    }
}
