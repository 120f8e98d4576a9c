//! What is wrong at a source.

use std::{fmt, path::Path};

use lasthop_api_model::ResourceKey;
use serde::Serialize;

/// One thing that is wrong. Ordered by file and line.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Problem {
    /// The file.
    pub file: String,
    /// The line in it, from 1; 0 when the file as a whole is meant.
    pub line: usize,
    /// The column, from 1; 0 when the line as a whole is meant.
    pub column: usize,
    /// Of what kind it is.
    pub class: ProblemClass,
    /// The object's key, if that much is known.
    #[serde(skip)]
    pub key: Option<ResourceKey>,
    /// The object as messages call it; empty when unknown.
    pub object: String,
    /// The field; empty when none in particular is meant.
    pub field: String,
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    pub remedy: String,
    /// What is in force in spite of it.
    pub in_force: InForce,
}

/// What is in force of an object with a problem.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum InForce {
    /// The problem keeps nothing from being in force.
    #[default]
    Everything,
    /// Its last good version.
    LastGood,
    /// Nothing: there was no good version.
    Nothing,
}

/// The kinds of problems; the label of the metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ProblemClass {
    /// A file or folder cannot be read.
    Unreadable,
    /// Not YAML or JSON.
    Syntax,
    /// An object that the API server would refuse.
    Invalid,
    /// An object that is there twice.
    Duplicate,
    /// Something that is left aside without being wrong, such as an object of a kind that nobody here reads.
    PassedOver,
}

impl ProblemClass {
    /// All of them.
    pub const ALL: [Self; 5] =
        [Self::Unreadable, Self::Syntax, Self::Invalid, Self::Duplicate, Self::PassedOver];

    /// The label.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Unreadable => "unreadable",
            Self::Syntax => "syntax",
            Self::Invalid => "invalid",
            Self::Duplicate => "duplicate",
            Self::PassedOver => "passed-over",
        }
    }
}

impl Problem {
    /// A problem of a file or folder as a whole.
    pub fn of_file(
        file: &Path,
        class: ProblemClass,
        message: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Self {
            file: file.display().to_string(),
            line: 0,
            column: 0,
            class,
            key: None,
            object: String::new(),
            field: String::new(),
            message: message.into(),
            remedy: remedy.into(),
            in_force: InForce::default(),
        }
    }

    /// Whether something that a user wrote is not in force because of it.
    pub fn refuses(&self) -> bool {
        self.class != ProblemClass::PassedOver
    }

    /// The file, and the line and column as far as they are known.
    pub fn place(&self) -> String {
        let mut place = self.file.clone();
        for number in [self.line, self.column].into_iter().take_while(|number| *number > 0) {
            place.push_str(&format!(":{number}"));
        }
        place
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.place())?;
        for part in [&self.object, &self.field].into_iter().filter(|part| !part.is_empty()) {
            write!(f, ": {part}")?;
        }
        write!(f, ": {}", self.message)?;
        if !self.remedy.is_empty() {
            write!(f, "; {}", self.remedy)?;
        }
        match self.in_force {
            InForce::Everything => Ok(()),
            InForce::LastGood => f.write_str(" (the last good version stays in force)"),
            InForce::Nothing => f.write_str(" (not in force)"),
        }
    }
}
