//! Listening sockets: one a worker for each address, the kernel spreads connections over them.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener},
};

use socket2::{Domain, Protocol, Socket, Type};

/// Connections the kernel queues for one socket.
const BACKLOG: i32 = 4096;

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
pub(super) fn bind(address: SocketAddr, workers: usize) -> io::Result<Vec<TcpListener>> {
    match bind_one_family(address, workers) {
        Err(error) if address == all(address.port()) && lacks_ipv6(&error) => {
            bind_one_family(SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), address.port()), workers)
        }
        result => result,
    }
}

fn lacks_ipv6(error: &io::Error) -> bool {
    // EAFNOSUPPORT where the kernel has none, EADDRNOTAVAIL where it is switched off.
    error.kind() == io::ErrorKind::AddrNotAvailable || error.raw_os_error() == Some(97)
}

fn bind_one_family(address: SocketAddr, workers: usize) -> io::Result<Vec<TcpListener>> {
    // SO_REUSEPORT would let us share the port with another process of the same user and get half its connections:
    // a socket without it finds out.
    let probe = socket(address)?;
    probe.bind(&address.into())?;
    drop(probe);
    (0..workers)
        .map(|_| {
            let socket = socket(address)?;
            socket.set_reuse_port(true)?;
            socket.bind(&address.into())?;
            socket.listen(BACKLOG)?;
            Ok(socket.into())
        })
        .collect()
}

fn socket(address: SocketAddr) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_nonblocking(true)?;
    // A port whose old connections are in TIME_WAIT is free.
    socket.set_reuse_address(true)?;
    if address.is_ipv6() {
        socket.set_only_v6(!address.ip().is_unspecified())?;
    }
    Ok(socket)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_that_another_socket_has_is_not_shared() {
        let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = taken.local_addr().unwrap();
        assert_eq!(bind(address, 2).unwrap_err().kind(), io::ErrorKind::AddrInUse);
        drop(taken);
        let ours = bind(address, 2).unwrap();
        assert_eq!(ours.len(), 2);
        assert!(bind(address, 1).is_err(), "not even if the other one shares, too");
    }
}
