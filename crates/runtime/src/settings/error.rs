//! What can be wrong with settings.

use std::path::PathBuf;

/// Why the settings cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// The file cannot be read, or is not TOML.
    #[error("settings file {}: {reason}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// There is no such setting.
    #[error("{place}: there is no setting {key:?}; {remedy}")]
    UnknownKey {
        /// The file or the variable.
        place: String,
        /// What was written.
        key: String,
        /// The nearest key, or all of them.
        remedy: String,
    },
    /// The value does not fit.
    #[error("{place}: setting {key:?}: {reason}")]
    Invalid {
        /// The file, the variable or the flag.
        place: String,
        /// The setting.
        key: String,
        /// What is wrong.
        reason: String,
    },
}

impl SettingsError {
    /// The error for a key nobody knows; `known` are all keys that exist.
    pub(super) fn unknown(place: String, key: &str, known: &[String], written: fn(&str) -> String) -> Self {
        let nearest = known
            .iter()
            .map(|candidate| (strsim::damerau_levenshtein(candidate, key), candidate))
            .min_by_key(|(distance, _)| *distance)
            .filter(|(distance, _)| *distance <= 1 + key.len() / 3);
        let remedy = match nearest {
            Some((_, candidate)) => format!("the nearest one is {:?}", written(candidate)),
            None => {
                let all: Vec<String> = known.iter().map(|key| written(key)).collect();
                format!("there are {}", all.join(", "))
            }
        };
        Self::UnknownKey { place, key: written(key), remedy }
    }
}
