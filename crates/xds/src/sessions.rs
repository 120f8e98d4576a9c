//! Secrets for clients' sessions, which the proxies of a Gateway have in common.

use aws_lc_rs::{hmac, rand};
use lasthop_dataplane_api::{ObjectName, SessionSecret};

/// A secret that nobody else has, to make those of Gateways from; `None` if there is no randomness.
pub fn session_master() -> Option<SessionSecret> {
    let mut bytes = [0; SessionSecret::LENGTH];
    rand::fill(&mut bytes).ok()?;
    Some(SessionSecret::new(bytes))
}

/// A Gateway's own secret: from it nobody can tell the master, nor another Gateway's.
pub(crate) fn of_gateway(master: &SessionSecret, gateway: &ObjectName) -> SessionSecret {
    let key = hmac::Key::new(hmac::HMAC_SHA256, master.bytes());
    let tag = hmac::sign(&key, format!("lasthop sessions of {gateway}").as_bytes());
    let mut secret = [0; SessionSecret::LENGTH];
    secret.iter_mut().zip(tag.as_ref()).for_each(|(to, from)| *to = *from);
    SessionSecret::new(secret)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_gateway_has_its_own_and_always_the_same() {
        let (master, other) = (session_master().unwrap(), session_master().unwrap());
        let [a, b] = ["a", "b"].map(|name| ObjectName::new("n", name));
        assert_eq!(of_gateway(&master, &a), of_gateway(&master, &a));
        assert_ne!(of_gateway(&master, &a), of_gateway(&master, &b));
        assert_ne!(of_gateway(&master, &a), of_gateway(&other, &a));
        assert_ne!(of_gateway(&master, &a), master);
    }
}
