//! XBackends: backends with their own TLS (GEP-4894, experimental).

mod compile;
mod outcome;

pub(crate) use compile::translate;
pub(crate) use outcome::{XBackendOutcome, XBackendTls};
