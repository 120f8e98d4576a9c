//! Listening sockets: one a worker for each address, the kernel spreads clients over them.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
};

use lasthop_dataplane_api::Transport;
use socket2::{Domain, Protocol, Type};

use crate::worker::{Socket, SocketKey};

/// Connections the kernel queues for one socket.
const BACKLOG: i32 = 4096;
/// Bytes of datagrams that the kernel keeps for one socket.
const DATAGRAMS: usize = 1024 * 1024;

/// The address that takes connections for all addresses of the machine.
pub(super) fn all(port: u16) -> SocketAddr {
    SocketAddr::new(IpAddr::V6(Ipv6Addr::UNSPECIFIED), port)
}

/// The addresses that take this one's connections, too.
pub(super) fn covering(address: SocketAddr) -> impl Iterator<Item = SocketAddr> {
    let all_of_ipv4 = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), address.port());
    let of_family = address.is_ipv4().then_some(all_of_ipv4);
    of_family.into_iter().chain([all(address.port())]).filter(move |all| *all != address)
}

/// Binds one socket for each worker, or none. Where there is no IPv6, all addresses are all of IPv4.
pub(super) fn bind((transport, address): SocketKey, workers: usize) -> io::Result<Vec<Socket>> {
    match bind_one_family(transport, address, workers) {
        Err(error) if address == all(address.port()) && lacks_ipv6(&error) => {
            let all_of_ipv4 = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), address.port());
            bind_one_family(transport, all_of_ipv4, workers)
        }
        result => result,
    }
}

/// Where a socket is bound to.
pub(super) fn local_address(socket: &Socket) -> Option<SocketAddr> {
    match socket {
        Socket::Connections(socket) => socket.local_addr().ok(),
        Socket::Datagrams(socket) => socket.local_addr().ok(),
    }
}

fn lacks_ipv6(error: &io::Error) -> bool {
    // EAFNOSUPPORT where the kernel has none, EADDRNOTAVAIL where it is switched off.
    error.kind() == io::ErrorKind::AddrNotAvailable || error.raw_os_error() == Some(97)
}

fn bind_one_family(transport: Transport, address: SocketAddr, workers: usize) -> io::Result<Vec<Socket>> {
    // SO_REUSEPORT would let us share the port with another process of the same user and get half its connections:
    // a socket without it finds out.
    let probe = socket(transport, address)?;
    probe.bind(&address.into())?;
    drop(probe);
    (0..workers)
        .map(|_| {
            let socket = socket(transport, address)?;
            // The kernel spreads clients over the sockets by their addresses: a client's datagrams stay with one worker.
            socket.set_reuse_port(true)?;
            socket.bind(&address.into())?;
            Ok(match transport {
                Transport::TCP => {
                    socket.listen(BACKLOG)?;
                    Socket::Connections(socket.into())
                }
                Transport::UDP => {
                    // As much of it as the system allows.
                    let _ = socket.set_recv_buffer_size(DATAGRAMS);
                    Socket::Datagrams(socket.into())
                }
            })
        })
        .collect()
}

fn socket(transport: Transport, address: SocketAddr) -> io::Result<socket2::Socket> {
    let (kind, protocol) = match transport {
        Transport::TCP => (Type::STREAM, Protocol::TCP),
        Transport::UDP => (Type::DGRAM, Protocol::UDP),
    };
    let socket = socket2::Socket::new(Domain::for_address(address), kind, Some(protocol))?;
    socket.set_nonblocking(true)?;
    if transport == Transport::TCP {
        // A port whose old connections are in TIME_WAIT is free. For UDP it would mean to share it with others.
        socket.set_reuse_address(true)?;
    }
    if address.is_ipv6() {
        socket.set_only_v6(!address.ip().is_unspecified())?;
    }
    Ok(socket)
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, UdpSocket};

    use super::*;

    #[test]
    fn a_port_that_another_socket_has_is_not_shared() {
        let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = taken.local_addr().unwrap();
        is_not_shared((Transport::TCP, address), taken);
        let taken = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = taken.local_addr().unwrap();
        is_not_shared((Transport::UDP, address), taken);
    }

    fn is_not_shared<T>(key: SocketKey, taken: T) {
        let refused = |workers| bind(key, workers).map(drop).unwrap_err().kind();
        assert_eq!(refused(2), io::ErrorKind::AddrInUse);
        drop(taken);
        let ours = bind(key, 2).unwrap();
        assert_eq!(ours.len(), 2);
        assert_eq!(refused(1), io::ErrorKind::AddrInUse, "not even if the other one shares, too");
    }
}
