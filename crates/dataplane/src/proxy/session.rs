//! Session persistence (GEP-1619): which endpoint a client's further requests go to.
//!
//! What the client carries is sealed (AES-256-GCM): it names the backend and the endpoint, which is nobody's business, and
//! cannot be forged or moved to a cookie or field of another name.

use std::{
    net::{IpAddr, Ipv6Addr, SocketAddr},
    time::{Duration, SystemTime},
};

use aws_lc_rs::{
    aead::{AES_256_GCM, Aad, Nonce, RandomizedNonceKey},
    digest,
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use http::{HeaderMap, HeaderName, HeaderValue, header};
use lasthop_dataplane_api::{BackendKey, BackendTarget, SessionCarrier, SessionPersistence};

use crate::{
    SessionKey,
    routing::{CompiledBackendRef, CompiledRule},
    worker::View,
};

/// The form of what is sealed; another form is another session.
const FORM: u8 = 1;
const SEALED: usize = 1 + 8 + IDENTITY + 16 + 2;
const IDENTITY: usize = 16;
const NONCE: usize = 12;
const TAG: usize = 16;
/// How far the clocks of proxies with the same key may differ, in seconds.
const CLOCK_SKEW: u64 = 60;

/// What tells a backend from others in a session.
pub(crate) type BackendIdentity = [u8; IDENTITY];

/// Seals and opens sessions.
pub(crate) struct Sessions(RandomizedNonceKey);

/// A session that a request belongs to.
pub(super) struct Session<'r> {
    /// Where it goes.
    pub reference: &'r CompiledBackendRef,
    /// The endpoint there.
    pub address: SocketAddr,
    /// As the client carries it.
    text: String,
}

/// What a session says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Content {
    /// Seconds since the epoch.
    begun: u64,
    backend: BackendIdentity,
    address: SocketAddr,
}

/// What tells a backend from others in a session.
pub(crate) fn identity(backend: &BackendKey) -> BackendIdentity {
    let digest = digest::digest(&digest::SHA256, backend.to_string().as_bytes());
    let mut identity = BackendIdentity::default();
    identity.iter_mut().zip(digest.as_ref()).for_each(|(to, from)| *to = *from);
    identity
}

impl Sessions {
    /// With this key; `None` if the cryptography cannot be set up.
    pub(crate) fn new(key: &SessionKey) -> Option<Self> {
        RandomizedNonceKey::new(&AES_256_GCM, key.bytes()).ok().map(Self)
    }

    fn seal(&self, content: &Content, name: &str) -> Option<String> {
        let mut buffer = content.to_bytes();
        let nonce = self.0.seal_in_place_append_tag(Aad::from(name.as_bytes()), &mut buffer).ok()?;
        let mut sealed = nonce.as_ref().to_vec();
        sealed.append(&mut buffer);
        Some(URL_SAFE_NO_PAD.encode(sealed))
    }

    fn open(&self, text: &[u8], name: &str) -> Option<Content> {
        // Nothing longer is worth decoding.
        if text.len() > (NONCE + SEALED + TAG) * 4 / 3 + 4 {
            return None;
        }
        let mut sealed = URL_SAFE_NO_PAD.decode(text).ok()?;
        let (nonce, rest) = sealed.split_at_mut_checked(NONCE)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
        let content = self.0.open_in_place(nonce, Aad::from(name.as_bytes()), rest).ok()?;
        Content::from_bytes(content)
    }

    /// The session that the request belongs to, if it has one that is still good: signed, not over, of a backend of the
    /// rule, with an endpoint that is there.
    pub(super) fn find<'r>(
        &self,
        rule: &'r CompiledRule,
        headers: &HeaderMap,
        view: &View,
    ) -> Option<Box<Session<'r>>> {
        let persistence = rule.source.persistence.as_ref()?;
        let good = |text: &[u8]| {
            let content = self.open(text, name(&persistence.carrier))?;
            let reference = rule.backends.iter().find(|backend| {
                backend.weight > 0 && backend.identity.is_some_and(|identity| identity == content.backend)
            })?;
            let BackendTarget::Backend(key) = &reference.target else { return None };
            let there = view.backends.get(key).is_some_and(|backend| backend.at(content.address).is_some());
            if !there || content.is_over(persistence, now()) {
                return None;
            }
            let text = String::from_utf8(text.to_vec()).ok()?;
            Some(Box::new(Session { reference, address: content.address, text }))
        };
        match &persistence.carrier {
            SessionCarrier::Header { name } => {
                headers.get_all(&**name).iter().find_map(|value| good(value.as_bytes()))
            }
            SessionCarrier::Cookie { name, .. } => cookies(headers, name).find_map(good),
        }
    }

    /// The field that carries the session of a response from this endpoint; `None`: the client has it already.
    pub(super) fn answer(
        &self,
        persistence: &SessionPersistence,
        session: Option<&Session<'_>>,
        served_by: (BackendIdentity, SocketAddr),
        https: bool,
    ) -> Option<(HeaderName, HeaderValue)> {
        let (backend, address) = served_by;
        let kept = session.filter(|session| session.address == address);
        let fresh = || {
            let content = Content { begun: now(), backend, address };
            self.seal(&content, name(&persistence.carrier))
        };
        match &persistence.carrier {
            SessionCarrier::Header { name } => {
                let text = match kept {
                    Some(session) => session.text.clone(),
                    None => fresh()?,
                };
                Some((HeaderName::from_bytes(name.as_bytes()).ok()?, HeaderValue::try_from(text).ok()?))
            }
            SessionCarrier::Cookie { .. } if kept.is_some() => None,
            SessionCarrier::Cookie { name, path, permanent } => {
                let mut cookie = format!("{name}={}; Path={path}; HttpOnly; SameSite=Lax", fresh()?);
                if https {
                    cookie.push_str("; Secure");
                }
                if let Some(limit) = persistence.absolute_timeout.filter(|_| *permanent) {
                    cookie.push_str(&format!("; Max-Age={}", limit.as_secs()));
                }
                Some((header::SET_COOKIE, HeaderValue::try_from(cookie).ok()?))
            }
        }
    }
}

impl Content {
    fn to_bytes(self) -> Vec<u8> {
        let address = match self.address.ip() {
            IpAddr::V4(ip) => ip.to_ipv6_mapped(),
            IpAddr::V6(ip) => ip,
        };
        let mut bytes = Vec::with_capacity(SEALED + TAG);
        bytes.push(FORM);
        bytes.extend(self.begun.to_be_bytes());
        bytes.extend(self.backend);
        bytes.extend(address.octets());
        bytes.extend(self.address.port().to_be_bytes());
        bytes
    }

    fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (form, rest) = bytes.split_first()?;
        let (begun, rest) = rest.split_first_chunk()?;
        let (backend, rest) = rest.split_first_chunk()?;
        let (address, rest) = rest.split_first_chunk::<16>()?;
        let port: &[u8; 2] = rest.try_into().ok()?;
        let ip = Ipv6Addr::from(*address).to_canonical();
        (*form == FORM).then(|| Self {
            begun: u64::from_be_bytes(*begun),
            backend: *backend,
            address: SocketAddr::new(ip, u16::from_be_bytes(*port)),
        })
    }

    fn is_over(&self, persistence: &SessionPersistence, now: u64) -> bool {
        let from_the_future = self.begun > now.saturating_add(CLOCK_SKEW);
        let over = |limit: Duration| self.begun.saturating_add(limit.as_secs()) <= now;
        from_the_future || persistence.absolute_timeout.is_some_and(over)
    }
}

/// What carries a session, so that it cannot be carried by something else.
fn name(carrier: &SessionCarrier) -> &str {
    match carrier {
        SessionCarrier::Cookie { name, .. } | SessionCarrier::Header { name } => name,
    }
}

/// The values of the cookies of a name.
fn cookies<'h>(headers: &'h HeaderMap, name: &'h str) -> impl Iterator<Item = &'h [u8]> {
    let pairs = headers.get_all(header::COOKIE).iter().flat_map(|line| line.as_bytes().split(|b| *b == b';'));
    pairs.filter_map(move |pair| {
        let value = pair.trim_ascii().strip_prefix(name.as_bytes())?.strip_prefix(b"=")?;
        let quoted = value.strip_prefix(b"\"").and_then(|value| value.strip_suffix(b"\""));
        Some(quoted.unwrap_or(value))
    })
}

/// Seconds since the epoch.
fn now() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sessions() -> Sessions {
        Sessions::new(&SessionKey::random().unwrap()).unwrap()
    }

    fn content(address: &str) -> Content {
        Content { begun: 1_800_000_000, backend: [7; IDENTITY], address: address.parse().unwrap() }
    }

    #[test]
    fn what_is_sealed_opens_again() {
        let sessions = sessions();
        for address in ["10.1.2.3:8443", "[2001:db8::1]:1"] {
            let text = sessions.seal(&content(address), "s").unwrap();
            assert_eq!(sessions.open(text.as_bytes(), "s"), Some(content(address)));
            assert!(!text.contains("10.1"));
        }
    }

    #[test]
    fn nothing_else_opens() {
        let sessions = sessions();
        let text = sessions.seal(&content("10.1.2.3:8443"), "s").unwrap();
        assert_eq!(sessions.open(text.as_bytes(), "other"), None, "of another cookie");
        assert_eq!(super::tests::sessions().open(text.as_bytes(), "s"), None, "of another key");
        for at in 0..text.len() {
            let mut changed = text.clone().into_bytes();
            changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
            let opened = sessions.open(&changed, "s");
            // The last character has bits to spare.
            assert!(opened.is_none() || (at + 1 == text.len() && opened == Some(content("10.1.2.3:8443"))));
        }
        for end in 0..text.len() {
            assert_eq!(sessions.open(&text.as_bytes()[..end], "s"), None);
        }
        assert_eq!(sessions.open(&[b'A'; 10_000], "s"), None);
        assert_eq!(sessions.open("\u{e9}".as_bytes(), "s"), None);
    }

    #[test]
    fn a_session_ends_by_its_own_clock() {
        let lasting = |absolute_timeout| SessionPersistence {
            carrier: SessionCarrier::Header { name: "s".into() },
            absolute_timeout,
        };
        let hour = lasting(Some(Duration::from_secs(3600)));
        let content = content("10.1.2.3:8443");
        assert!(!content.is_over(&hour, content.begun + 3599));
        assert!(content.is_over(&hour, content.begun + 3600));
        assert!(!content.is_over(&lasting(None), u64::MAX));
        assert!(!content.is_over(&hour, content.begun - CLOCK_SKEW));
        assert!(content.is_over(&hour, content.begun - CLOCK_SKEW - 1));
    }

    #[test]
    fn cookies_are_found_among_others() {
        let mut headers = HeaderMap::new();
        headers.append(header::COOKIE, HeaderValue::from_static("a=1; s=2;s = 3; xs=4; s=\"5\""));
        headers.append(header::COOKIE, HeaderValue::from_static("s=6"));
        let found: Vec<_> = cookies(&headers, "s").collect();
        assert_eq!(found, [&b"2"[..], b"5", b"6"]);
    }
}
