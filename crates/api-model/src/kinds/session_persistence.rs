//! Session persistence (experimental, GEP-1619).

use serde::{Deserialize, Serialize};

use crate::ApiDuration;

/// Keeps the requests of one client at one endpoint.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SessionPersistence {
    /// What carries the session.
    #[serde(default)]
    pub r#type: SessionPersistenceType,
    /// With `Cookie`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cookie: Option<SessionCookie>,
    /// With `Header`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub header: Option<SessionHeader>,
    /// How long a session lasts at most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub absolute_timeout: Option<ApiDuration>,
}

open_enum! {
    /// What carries a session.
    pub enum SessionPersistenceType {
        /// A cookie.
        Cookie = "Cookie",
        /// A header field.
        Header = "Header",
    }
}

/// The cookie of a session.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SessionCookie {
    /// Its name; the implementation's choice when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Its path; `/` when the user gave none.
    #[serde(default = "root_path")]
    pub path: String,
    /// Whether the client keeps it.
    #[serde(default)]
    pub lifetime_type: CookieLifetimeType,
}

fn root_path() -> String {
    "/".to_owned()
}

impl Default for SessionCookie {
    fn default() -> Self {
        Self { name: None, path: root_path(), lifetime_type: CookieLifetimeType::Session }
    }
}

open_enum! {
    /// Whether a client keeps a cookie.
    pub enum CookieLifetimeType {
        /// Until the browser closes.
        Session = "Session",
        /// Until it expires.
        Permanent = "Permanent",
    }
}

/// The header field of a session.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SessionHeader {
    /// Its name.
    pub name: String,
}
