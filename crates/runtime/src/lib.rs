//! The shell every binary shares: settings, logs, metrics, the admin endpoint, signals, and the loop
//! source → translator → dataplane → status.

pub mod access_log;
pub mod admin;
pub mod control_loop;
pub mod file_limit;
pub mod follow_loop;
pub mod logging;
pub mod metrics;
pub mod settings;
pub mod shutdown;
pub mod source;
pub mod state;
pub mod status;
