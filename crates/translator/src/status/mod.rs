//! Statuses: our verdicts, merged with what others wrote.

mod assigned;
mod class;
mod condition;
mod gateway;
mod listener;
mod listener_set;
mod merge;
mod policy;
mod route;
mod sent;
mod xbackend;

pub(crate) use class::class_status;
pub(crate) use condition::Verdict;
pub use condition::types;
pub(crate) use gateway::gateway_status;
pub(crate) use listener_set::listener_set_status;
pub(crate) use merge::Said;
pub(crate) use policy::policy_status;
pub(crate) use route::route_status;
pub(crate) use sent::Statuses;
pub(crate) use xbackend::xbackend_status;
