//! Routes: where they attach, and what their rules mean.

mod attach;
mod backends;
mod cors;
mod external_auth;
mod filters;
mod grpc;
mod http;
mod matches;
mod outcome;
mod persistence;
mod scope;
mod stream;
mod translate;
mod verdicts;
mod view;

pub(crate) use outcome::RouteOutcome;
pub(crate) use translate::translate;
pub(crate) use view::view;
