//! Listeners: what they take, what they show, and whether they can be told apart.

mod certificates;
mod conflicts;
mod distinct;
mod draft;
mod kinds;
mod outcome;
mod settle;

pub(crate) use distinct::{Clash, Medium, clash};
pub(crate) use draft::Draft;
pub(crate) use kinds::kind_name;
pub(crate) use outcome::ListenerOutcome;
pub(crate) use settle::settle;
