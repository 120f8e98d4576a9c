//! Session persistence (GEP-1619): which endpoint a client's further requests go to, once it is chosen which backend.
//!
//! What the client carries is sealed (AES-256-GCM): it names backends and endpoints, which is nobody's business, and
//! cannot be forged or moved to a cookie or field of another name. It has a place for each backend of the rule that the
//! client was at, so that a traffic split does not end its sessions.

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
const PLACE: usize = 8 + IDENTITY + 16 + 2;
/// As many as a rule has backends, as far as the API goes.
const MOST_PLACES: usize = 16;
const LONGEST: usize = NONCE + 1 + MOST_PLACES * PLACE + TAG;
const IDENTITY: usize = 16;
const NONCE: usize = 12;
const TAG: usize = 16;
/// How far the clocks of proxies with the same key may differ, in seconds.
const CLOCK_SKEW: u64 = 60;

/// What tells a backend from others in a session.
pub(crate) type BackendIdentity = [u8; IDENTITY];

/// Seals and opens sessions.
pub(crate) struct Sessions(RandomizedNonceKey);

/// What a client brings with it.
pub(super) struct Session {
    /// Its endpoint of the backend that the request goes to, if it has one.
    pub address: Option<SocketAddr>,
    /// Where it was at the rule's backends, the latest first.
    places: Vec<Place>,
    /// As the client carries it.
    text: String,
}

/// A session with one backend.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Place {
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

    fn seal(&self, places: &[Place], name: &str) -> Option<String> {
        let mut buffer = to_bytes(places);
        let nonce = self.0.seal_in_place_append_tag(Aad::from(name.as_bytes()), &mut buffer).ok()?;
        let mut sealed = nonce.as_ref().to_vec();
        sealed.append(&mut buffer);
        Some(URL_SAFE_NO_PAD.encode(sealed))
    }

    fn open(&self, text: &[u8], name: &str) -> Option<Vec<Place>> {
        // Nothing longer is worth decoding.
        if text.len() > LONGEST * 4 / 3 + 4 {
            return None;
        }
        let mut sealed = URL_SAFE_NO_PAD.decode(text).ok()?;
        let (nonce, rest) = sealed.split_at_mut_checked(NONCE)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
        let content = self.0.open_in_place(nonce, Aad::from(name.as_bytes()), rest).ok()?;
        from_bytes(content)
    }

    /// The sessions that the request brings: those that are sealed by us, not over, and of a backend of the rule. With the
    /// chosen one it has an endpoint if that is still there.
    pub(super) fn find(
        &self,
        rule: &CompiledRule,
        chosen: &CompiledBackendRef,
        headers: &HeaderMap,
        view: &View,
    ) -> Option<Box<Session>> {
        let persistence = rule.source.persistence.as_ref()?;
        let BackendTarget::Backend(key) = &chosen.target else { return None };
        let now = now();
        let open = |text: &[u8]| {
            let mut places = self.open(text, name(&persistence.carrier))?;
            places.retain(|place| {
                !place.is_over(persistence, now)
                    && rule.backends.iter().any(|backend| backend.identity == Some(place.backend))
            });
            let place = places.iter().find(|place| chosen.identity == Some(place.backend));
            let there =
                |at: &SocketAddr| view.backends.get(key).is_some_and(|backend| backend.at(*at).is_some());
            let address = place.map(|place| place.address).filter(there);
            Some(Session { address, places, text: String::from_utf8(text.to_vec()).ok()? })
        };
        match &persistence.carrier {
            SessionCarrier::Header { name } => {
                best(headers.get_all(&**name).iter().filter_map(|value| open(value.as_bytes())))
            }
            SessionCarrier::Cookie { name, .. } => best(cookies(headers, name).filter_map(open)),
        }
    }

    /// The field that carries the session of a response from this endpoint, beside those with other backends; `None`: the
    /// client has it already.
    pub(super) fn answer(
        &self,
        persistence: &SessionPersistence,
        session: Option<&Session>,
        served_by: (BackendIdentity, SocketAddr),
        https: bool,
    ) -> Option<(HeaderName, HeaderValue)> {
        let (backend, address) = served_by;
        let kept = session.filter(|session| session.address == Some(address));
        let fresh = || {
            let others = session.map_or(&[][..], |session| &session.places).iter().copied();
            let mut places = vec![Place { begun: now(), backend, address }];
            places.extend(others.filter(|place| place.backend != backend).take(MOST_PLACES - 1));
            self.seal(&places, name(&persistence.carrier))
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

/// What a client may bring more than one of, as of two paths: the one that is of use for the request.
fn best(sessions: impl Iterator<Item = Session>) -> Option<Box<Session>> {
    let mut first = None;
    for session in sessions {
        if session.address.is_some() {
            return Some(Box::new(session));
        }
        first = first.or(Some(session));
    }
    first.map(Box::new)
}

fn to_bytes(places: &[Place]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(1 + places.len() * PLACE + TAG);
    bytes.push(FORM);
    for place in places {
        let address = match place.address.ip() {
            IpAddr::V4(ip) => ip.to_ipv6_mapped(),
            IpAddr::V6(ip) => ip,
        };
        bytes.extend(place.begun.to_be_bytes());
        bytes.extend(place.backend);
        bytes.extend(address.octets());
        bytes.extend(place.address.port().to_be_bytes());
    }
    bytes
}

fn from_bytes(bytes: &[u8]) -> Option<Vec<Place>> {
    let (form, places) = bytes.split_first()?;
    if *form != FORM || places.is_empty() {
        return None;
    }
    places.chunks(PLACE).map(Place::from_bytes).collect()
}

impl Place {
    fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (begun, rest) = bytes.split_first_chunk()?;
        let (backend, rest) = rest.split_first_chunk()?;
        let (address, rest) = rest.split_first_chunk::<16>()?;
        let port: &[u8; 2] = rest.try_into().ok()?;
        let ip = Ipv6Addr::from(*address).to_canonical();
        Some(Self {
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

    fn place(address: &str) -> Place {
        Place { begun: 1_800_000_000, backend: [7; IDENTITY], address: address.parse().unwrap() }
    }

    #[test]
    fn what_is_sealed_opens_again() {
        let sessions = sessions();
        let (four, six) = (place("10.1.2.3:8443"), place("[2001:db8::1]:1"));
        for places in [vec![four], vec![six], vec![four, six], vec![four; MOST_PLACES]] {
            let text = sessions.seal(&places, "s").unwrap();
            assert!(text.len() < 1000, "a cookie has room for it");
            assert_eq!(sessions.open(text.as_bytes(), "s"), Some(places));
            assert!(!text.contains("10.1"));
        }
        let text = sessions.seal(&[four; MOST_PLACES + 1], "s").unwrap();
        assert_eq!(sessions.open(text.as_bytes(), "s"), None);
    }

    #[test]
    fn nothing_else_opens() {
        let sessions = sessions();
        let places = vec![place("10.1.2.3:8443")];
        let text = sessions.seal(&places, "s").unwrap();
        assert_eq!(sessions.open(text.as_bytes(), "other"), None, "of another cookie");
        assert_eq!(super::tests::sessions().open(text.as_bytes(), "s"), None, "of another key");
        for at in 0..text.len() {
            let mut changed = text.clone().into_bytes();
            changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
            let opened = sessions.open(&changed, "s");
            // The last character has bits to spare.
            assert!(opened.is_none() || (at + 1 == text.len() && opened.as_ref() == Some(&places)));
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
        let place = place("10.1.2.3:8443");
        assert!(!place.is_over(&hour, place.begun + 3599));
        assert!(place.is_over(&hour, place.begun + 3600));
        assert!(!place.is_over(&lasting(None), u64::MAX));
        assert!(!place.is_over(&hour, place.begun - CLOCK_SKEW));
        assert!(place.is_over(&hour, place.begun - CLOCK_SKEW - 1));
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
