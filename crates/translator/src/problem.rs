//! What is wrong with a reference or a value: a reason of the API, and a sentence.

use std::{borrow::Cow, fmt};

/// What is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Problem {
    /// A reason of the API's conditions.
    pub reason: &'static str,
    /// Object, field and remedy.
    pub message: Cow<'static, str>,
}

impl Problem {
    pub(crate) fn new(reason: &'static str, message: impl Into<Cow<'static, str>>) -> Self {
        Self { reason, message: message.into() }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.reason, self.message)
    }
}

/// The messages of several problems, as one.
pub(crate) fn messages<'a>(problems: impl IntoIterator<Item = &'a Problem>) -> String {
    let mut all = String::new();
    for problem in problems {
        if !all.is_empty() {
            all.push_str("; ");
        }
        all.push_str(&problem.message);
    }
    all
}
