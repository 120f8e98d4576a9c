//! Bearer tokens that tell a backend who asks (RFC 6750), each in a file that is replaced before it expires.

use std::{cell::RefCell, collections::HashMap, io::Read, path::PathBuf, sync::Arc};

use http::{HeaderMap, HeaderValue, header};
use lasthop_dataplane_api::FailureReason;
use lasthop_tls_verify::VerifyMode;

use crate::{upstream::Hop, worker::clock};

/// How long what was read counts, in milliseconds. Kubernetes replaces a token minutes before it expires.
const GOOD_FOR: u64 = 1_000;
/// The largest token; servers take no larger header.
const LARGEST: u64 = 16 * 1024;

/// The tokens of a folder, as one worker knows them.
pub(crate) struct BearerTokens {
    folder: Option<PathBuf>,
    read: RefCell<HashMap<Arc<str>, Known>>,
}

struct Known {
    at: u64,
    token: Option<HeaderValue>,
}

impl BearerTokens {
    pub(crate) fn new(folder: Option<PathBuf>) -> Self {
        Self { folder, read: RefCell::default() }
    }

    /// The `Authorization` that a hop's policy asks for; `None`: it asks for none, the client's stays.
    ///
    /// # Errors
    /// The policy asks for a token, and there is none to send, or nobody is proven to receive it.
    pub(super) fn of(&self, hop: &Hop) -> Result<Option<Box<HeaderValue>>, FailureReason> {
        let Hop::Tls { policy, .. } = hop else { return Ok(None) };
        let settings = policy.settings();
        let Some(name) = &settings.bearer_token else { return Ok(None) };
        if settings.peer.mode != VerifyMode::Full {
            return Err(FailureReason::NoBearerToken);
        }
        self.get(name).map(Box::new).map(Some).ok_or(FailureReason::NoBearerToken)
    }

    fn get(&self, name: &Arc<str>) -> Option<HeaderValue> {
        let now = clock::now();
        let mut read = self.read.borrow_mut();
        if let Some(known) = read.get(name).filter(|known| now < known.at + GOOD_FOR) {
            return known.token.clone();
        }
        let token = match self.read(name) {
            Ok(token) => Some(token),
            Err(problem) => {
                // Once for each time it is read anew, not for each request.
                tracing::warn!(token = &**name, problem, "a policy's bearer token cannot be sent");
                None
            }
        };
        read.insert(name.clone(), Known { at: now, token: token.clone() });
        token
    }

    /// Opened anew each time: a volume of Kubernetes replaces the folder that the names lead to.
    fn read(&self, name: &str) -> Result<HeaderValue, &'static str> {
        let folder = self.folder.as_ref().ok_or("no folder of tokens is set (bearer-token-directory)")?;
        if name.is_empty() || name.starts_with('.') || name.contains('/') {
            return Err("its name is no name of a file");
        }
        let file =
            std::fs::File::open(folder.join(name)).map_err(|_| "its file is missing or cannot be opened")?;
        let mut text = Vec::new();
        let read = file.take(LARGEST + 1).read_to_end(&mut text);
        read.map_err(|_| "its file cannot be read")?;
        token(&text)
    }
}

/// What a client said in `Authorization` before a token took its place.
pub(super) struct Authorization(Box<[HeaderValue]>);

impl Authorization {
    pub(super) fn replace(headers: &mut HeaderMap, token: HeaderValue) -> Self {
        let clients = headers.get_all(header::AUTHORIZATION).iter().cloned().collect();
        headers.insert(header::AUTHORIZATION, token);
        Self(clients)
    }

    pub(super) fn restore(self, headers: &mut HeaderMap) {
        headers.remove(header::AUTHORIZATION);
        headers.extend(self.0.into_iter().map(|value| (header::AUTHORIZATION, value)));
    }
}

/// The field's value for a file's content.
fn token(text: &[u8]) -> Result<HeaderValue, &'static str> {
    let token = text.trim_ascii();
    if token.is_empty() {
        return Err("its file is empty");
    }
    if text.len() as u64 > LARGEST {
        return Err("its file is too large");
    }
    let body = token.len() - token.iter().rev().take_while(|byte| **byte == b'=').count();
    let fits = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._~+/".contains(byte);
    if body == 0 || !token.iter().take(body).all(fits) {
        return Err("its file holds no token (RFC 6750 section 2.1)");
    }
    let mut value =
        HeaderValue::from_bytes(&[b"Bearer ", token].concat()).map_err(|_| "its file holds no token")?;
    value.set_sensitive(true);
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_holds_a_token_and_nothing_else() {
        for (text, expected) in [
            (&b"abc.DEF-1_2~+/=="[..], Some("Bearer abc.DEF-1_2~+/==")),
            (b" abc\n", Some("Bearer abc")),
            (b"", None),
            (b" \n", None),
            (b"==", None),
            (b"a b", None),
            (b"a=b", None),
            (b"a\nb", None),
            (b"a\r\nx-admin: 1", None),
            (b"\xff", None),
        ] {
            let value = token(text).ok();
            assert_eq!(value.as_ref().and_then(|value| value.to_str().ok()), expected, "{text:?}");
            assert!(value.is_none_or(|value| format!("{value:?}") == "Sensitive"));
        }
        assert!(token(&[b'a'; 17 * 1024]).is_err());
    }

    #[test]
    fn names_do_not_leave_the_folder() {
        let tokens = BearerTokens::new(Some("/proc/self".into()));
        for name in ["", ".", "..", "../self/stat", ".hidden", "fd/0", "/etc/hostname"] {
            assert_eq!(tokens.read(name), Err("its name is no name of a file"), "{name:?}");
        }
        assert!(BearerTokens::new(None).read("a").is_err());
    }
}
