//! One request: from the client's header to the end of the response.

mod answer;
mod attempt;
mod exchange;
mod failure;
mod mirror;
mod replay;
mod request_body;
mod response_body;
mod retry;
mod tunnel;

pub(crate) use answer::{answer, unanswered};
pub(crate) use request_body::RequestBody;
