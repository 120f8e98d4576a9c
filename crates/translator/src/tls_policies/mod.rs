//! BackendTLSPolicies: what they target, which of them holds, and what they mean (GEP-1897).

mod ancestors;
mod claims;
mod compile;
mod identities;
mod options;
mod outcome;
mod targets;
mod trust;

pub(crate) use ancestors::ancestors;
pub(crate) use claims::{Claims, claims};
pub(crate) use compile::{Validation, compile, translate};
pub(crate) use options::OPTION_PREFIX;
pub(crate) use outcome::{Compiled, PolicyOutcome, Target, TargetState};
