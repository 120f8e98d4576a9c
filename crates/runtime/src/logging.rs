//! The log: what the proxy says about itself, on standard error. Requests are in the access log instead.

use std::io::{self, IsTerminal};

use tracing_subscriber::{EnvFilter, fmt, layer::SubscriberExt, util::SubscriberInitExt};

use crate::settings::LogFormat;

/// Why the log cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum LoggingError {
    /// The level is neither a level nor a list of directives.
    #[error(
        "setting \"log-level\": {level:?} is neither a level (error, warn, info, debug, trace, off) nor directives \
         such as info,lasthop_dataplane=debug: {reason}"
    )]
    Level {
        /// What was written.
        level: String,
        /// What is wrong.
        reason: String,
    },
    /// A log has been set up already.
    #[error("the log is set up already")]
    Twice,
}

/// Begins to log to standard error.
///
/// # Errors
/// A level that is none, or a second call.
pub fn start(format: LogFormat, level: &str) -> Result<(), LoggingError> {
    let filter = filter(level)?;
    let layer = fmt::layer().with_writer(io::stderr);
    let registry = tracing_subscriber::registry().with(filter);
    match format {
        LogFormat::Text => {
            registry.with(layer.with_ansi(io::stderr().is_terminal()).with_target(false)).try_init()
        }
        LogFormat::Json => registry.with(layer.json().flatten_event(true)).try_init(),
    }
    .map_err(|_| LoggingError::Twice)
}

fn filter(level: &str) -> Result<EnvFilter, LoggingError> {
    let wrong = |reason: String| LoggingError::Level { level: level.to_owned(), reason };
    // A single word that is no level would be taken for a crate's name, and silence everything.
    let words = level.contains(['=', ',']);
    if level.is_empty() || !words && level.parse::<tracing::level_filters::LevelFilter>().is_err() {
        return Err(wrong("there is no such level".to_owned()));
    }
    EnvFilter::builder().parse(level).map_err(|error| wrong(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_and_directives_are_taken_and_all_else_refused() {
        for good in ["info", "WARN", "off", "info,hyper=off", "lasthop_dataplane=debug"] {
            assert!(filter(good).is_ok(), "{good}");
        }
        for bad in ["", "loud", "info,=,", "hyper=loud"] {
            assert!(filter(bad).is_err(), "{bad:?}");
        }
    }
}
