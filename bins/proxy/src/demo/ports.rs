//! Free ports.

use std::net::{Ipv4Addr, TcpListener};

use super::DemoError;

/// The admin endpoint's usual port.
pub(crate) const ADMIN: u16 = 15021;
/// How many ports are tried.
const TRIES: u16 = 200;

/// The first free port from this one on, but for some.
pub(crate) fn free(wanted: u16, but: &[u16]) -> Result<u16, DemoError> {
    (wanted..=wanted.saturating_add(TRIES))
        .filter(|port| *port > 0 && !but.contains(port))
        .find(|port| TcpListener::bind((Ipv4Addr::UNSPECIFIED, *port)).is_ok())
        .ok_or(DemoError::Port(wanted))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_in_use_is_passed_over() {
        let taken = TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0)).unwrap();
        let port = taken.local_addr().unwrap().port();
        if port > u16::MAX - TRIES {
            return;
        }
        let found = free(port, &[port + 1]).unwrap();
        assert!(found > port + 1, "{found}");
    }
}
