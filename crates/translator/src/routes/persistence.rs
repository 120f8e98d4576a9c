//! Session persistence of rules (GEP-1619).

use lasthop_api_model::{
    ApiDuration, CookieLifetimeType, SessionPersistence as Wanted, SessionPersistenceType,
};
use lasthop_dataplane_api::{SessionCarrier, SessionPersistence};
use lasthop_tls_verify::ContentHasher;

use super::scope::Scope;

/// Fields that say where a request goes or how it is framed: no session may stand in them.
const TAKEN: &[&str] = &[
    "authorization",
    "connection",
    "content-length",
    "content-type",
    "cookie",
    "host",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "set-cookie",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

impl Scope<'_, '_> {
    /// What a rule says about sessions, or what is wrong with it.
    pub(super) fn persistence(&self, wanted: Option<&Wanted>) -> Result<Option<SessionPersistence>, String> {
        let Some(wanted) = wanted else { return Ok(None) };
        let limit = |text: &ApiDuration| self.duration("sessionPersistence.absoluteTimeout", text);
        let absolute_timeout = wanted.absolute_timeout.as_ref().map(limit).transpose()?;
        if absolute_timeout.is_some_and(|timeout| timeout.is_zero()) {
            return Err(self.wrong("absoluteTimeout", "a session of no time is none; write a longer one"));
        }
        let carrier = match &wanted.r#type {
            SessionPersistenceType::Cookie => {
                let cookie = wanted.cookie.clone().unwrap_or_default();
                let permanent = match &cookie.lifetime_type {
                    CookieLifetimeType::Session => false,
                    CookieLifetimeType::Permanent if absolute_timeout.is_some() => true,
                    CookieLifetimeType::Permanent => {
                        let message = "is missing; a permanent cookie needs an end";
                        return Err(self.wrong("absoluteTimeout", message));
                    }
                    CookieLifetimeType::Other(text) => {
                        let known = CookieLifetimeType::KNOWN.join(", ");
                        let message = format!("{text} is not known; use one of {known}");
                        return Err(self.wrong("cookie.lifetimeType", &message));
                    }
                };
                let name = cookie.name.clone().unwrap_or_else(|| self.cookie_name());
                if !is_token(&name) {
                    return Err(
                        self.wrong("cookie.name", &format!("{name:?} is no token; use letters and digits"))
                    );
                }
                // It stands in Set-Cookie as it is (RFC 6265 §4.1.1).
                let plain = |octet: u8| (0x20..0x7f).contains(&octet) && octet != b';';
                if !cookie.path.starts_with('/') || !cookie.path.bytes().all(plain) {
                    let message = format!(
                        "{:?} is no path; begin with / and use ASCII without semicolons",
                        cookie.path
                    );
                    return Err(self.wrong("cookie.path", &message));
                }
                SessionCarrier::Cookie { name: name.into(), path: cookie.path.into(), permanent }
            }
            SessionPersistenceType::Header => {
                let name =
                    wanted.header.as_ref().map_or("", |header| header.name.as_str()).to_ascii_lowercase();
                if !is_token(&name) || TAKEN.contains(&&*name) {
                    let message =
                        format!("{name:?} cannot carry a session; use a name of its own, such as x-session");
                    return Err(self.wrong("header.name", &message));
                }
                SessionCarrier::Header { name: name.into() }
            }
            SessionPersistenceType::Other(text) => {
                let known = SessionPersistenceType::KNOWN.join(", ");
                return Err(self.wrong("type", &format!("{text} is not known; use one of {known}")));
            }
        };
        Ok(Some(SessionPersistence { carrier, absolute_timeout }))
    }

    fn wrong(&self, field: &str, message: &str) -> String {
        format!("{}: {message}", self.field(&format!("sessionPersistence.{field}")))
    }

    /// A name that no other rule has, and that the rule keeps.
    fn cookie_name(&self) -> String {
        let mut hasher = ContentHasher::new("session-cookie");
        let key = &self.route;
        hasher.field(key.kind.to_string().as_bytes());
        hasher.field(key.object.to_string().as_bytes()).field(self.rule.to_string().as_bytes());
        let id = hasher.finish().to_string();
        format!("lasthop-{}", id.get(..12).unwrap_or(&id))
    }
}

/// RFC 9110 §5.6.2.
fn is_token(text: &str) -> bool {
    let tchar = |octet: u8| octet.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&octet);
    !text.is_empty() && text.bytes().all(tchar)
}
