//! Whether traffic to a port tells two listeners apart.

use lasthop_dataplane_api::{HostPattern, ListenerProtocol};

/// What comes in at a port first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Medium {
    /// HTTP requests, told apart by host.
    Cleartext,
    /// TLS handshakes, told apart by SNI: HTTPS and TLS listeners may share a port.
    Tls,
    /// TCP connections, all alike.
    Tcp,
    /// Datagrams, all alike. Their ports are others than those of all the rest.
    Udp,
}

/// Why two listeners of a port cannot be told apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Clash {
    /// The port cannot speak both protocols, or it has no host names to go by.
    Protocol,
    /// Both take the same host.
    Host,
}

impl Medium {
    /// What a protocol begins with.
    pub(crate) fn of(protocol: ListenerProtocol) -> Self {
        match protocol {
            ListenerProtocol::HTTP => Self::Cleartext,
            ListenerProtocol::HTTPS | ListenerProtocol::TLS => Self::Tls,
            ListenerProtocol::TCP => Self::Tcp,
            ListenerProtocol::UDP => Self::Udp,
        }
    }

    /// Whether it names the host a client wants.
    pub(crate) fn has_hosts(self) -> bool {
        matches!(self, Self::Cleartext | Self::Tls)
    }

    /// Whether a UDP port of a number is another than the TCP port.
    pub(crate) fn is_udp(self) -> bool {
        self == Self::Udp
    }
}

/// Why two listeners of one port number cannot be told apart, if they cannot. A listener is what it speaks and its host.
pub(crate) fn clash(
    (one, one_host): (ListenerProtocol, Option<&HostPattern>),
    (other, other_host): (ListenerProtocol, Option<&HostPattern>),
) -> Option<Clash> {
    let (one, other) = (Medium::of(one), Medium::of(other));
    if one.is_udp() != other.is_udp() {
        None
    } else if one != other || !one.has_hosts() {
        Some(Clash::Protocol)
    } else {
        (one_host == other_host).then_some(Clash::Host)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_speaks_one_medium_and_udp_ports_are_others() {
        use ListenerProtocol as P;
        let host: HostPattern = "a.example".parse().unwrap();
        let with = |one, other| clash((one, Some(&host)), (other, None));
        let same = |one, other| clash((one, None), (other, None));
        assert_eq!((with(P::HTTP, P::HTTP), same(P::HTTP, P::HTTP)), (None, Some(Clash::Host)));
        assert_eq!((with(P::HTTPS, P::TLS), same(P::HTTPS, P::TLS)), (None, Some(Clash::Host)));
        for (one, other) in [(P::HTTP, P::HTTPS), (P::TLS, P::HTTP), (P::TCP, P::HTTP), (P::TLS, P::TCP)] {
            assert_eq!((with(one, other), with(other, one)), (Some(Clash::Protocol), Some(Clash::Protocol)));
        }
        assert_eq!(same(P::TCP, P::TCP), Some(Clash::Protocol));
        assert_eq!(same(P::UDP, P::UDP), Some(Clash::Protocol));
        for other in [P::HTTP, P::HTTPS, P::TLS, P::TCP] {
            assert_eq!((same(P::UDP, other), same(other, P::UDP)), (None, None));
        }
    }
}
