//! A listening socket of UDP that answers from the address it was asked at.
//!
//! A socket of all addresses would answer from whichever the route to the client prefers, and a client takes no answer
//! from an address that it did not ask. So each datagram tells where it came to (IP_PKTINFO, IPV6_RECVPKTINFO).

use std::{
    io::{self, IoSlice, IoSliceMut},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6},
    os::fd::AsRawFd,
    task::{Context, Poll, ready},
};

use nix::{
    cmsg_space, libc,
    sys::socket::{
        ControlMessage, ControlMessageOwned, MsgFlags, SockaddrStorage, recvmsg, sendmsg, setsockopt, sockopt,
    },
};
use tokio::{io::Interest, net::UdpSocket};

/// A listening socket.
pub(crate) struct DatagramSocket {
    io: UdpSocket,
    /// Whether it has to be told which address to answer from.
    every: bool,
}

/// A datagram that has come.
pub(super) struct Datagram {
    /// Its bytes' number.
    pub length: usize,
    /// Who sent it.
    pub client: SocketAddr,
    /// The address it came to; `None`: the one that the socket is bound to.
    pub local: Option<IpAddr>,
}

impl DatagramSocket {
    /// Takes over a bound socket.
    pub(crate) fn new(socket: std::net::UdpSocket) -> io::Result<Self> {
        let local = socket.local_addr()?;
        let every = local.ip().is_unspecified();
        match local {
            _ if !every => {}
            SocketAddr::V4(_) => setsockopt(&socket, sockopt::Ipv4PacketInfo, &true)?,
            SocketAddr::V6(_) => setsockopt(&socket, sockopt::Ipv6RecvPacketInfo, &true)?,
        }
        Ok(Self { io: UdpSocket::from_std(socket)?, every })
    }

    /// The next datagram.
    pub(super) fn poll_receive(&self, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<Datagram>> {
        loop {
            ready!(self.io.poll_recv_ready(cx))?;
            match self.io.try_io(Interest::READABLE, || self.receive(buffer)) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                result => return Poll::Ready(result),
            }
        }
    }

    fn receive(&self, buffer: &mut [u8]) -> io::Result<Datagram> {
        let mut slices = [IoSliceMut::new(buffer)];
        let mut control = if self.every { cmsg_space!(libc::in6_pktinfo) } else { Vec::new() };
        let control = self.every.then_some(control.as_mut_slice());
        let message =
            recvmsg::<SockaddrStorage>(self.io.as_raw_fd(), &mut slices, control, MsgFlags::MSG_DONTWAIT)?;
        let local = match self.every {
            true => message.cmsgs()?.find_map(|message| match message {
                ControlMessageOwned::Ipv4PacketInfo(info) => {
                    Some(Ipv4Addr::from(info.ipi_spec_dst.s_addr.to_ne_bytes()).into())
                }
                ControlMessageOwned::Ipv6PacketInfo(info) => {
                    Some(Ipv6Addr::from(info.ipi6_addr.s6_addr).into())
                }
                _ => None,
            }),
            false => None,
        };
        let client = message.address.as_ref().and_then(address).ok_or(io::ErrorKind::InvalidData)?;
        Ok(Datagram { length: message.bytes, client, local })
    }

    /// Sends to a client from the address it had asked. What the system does not take at once is lost, as datagrams are.
    pub(super) fn send(&self, bytes: &[u8], client: SocketAddr, from: Option<IpAddr>) -> io::Result<()> {
        let slices = [IoSlice::new(bytes)];
        let to = SockaddrStorage::from(client);
        let send = |control: &[ControlMessage<'_>]| {
            sendmsg(self.io.as_raw_fd(), &slices, control, MsgFlags::MSG_DONTWAIT, Some(&to))
        };
        let sent = match from {
            None => send(&[]),
            Some(IpAddr::V4(from)) => {
                let from = libc::in_addr { s_addr: u32::from_ne_bytes(from.octets()) };
                let any = libc::in_addr { s_addr: 0 };
                send(&[ControlMessage::Ipv4PacketInfo(&libc::in_pktinfo {
                    ipi_ifindex: 0,
                    ipi_spec_dst: from,
                    ipi_addr: any,
                })])
            }
            Some(IpAddr::V6(from)) => send(&[ControlMessage::Ipv6PacketInfo(&libc::in6_pktinfo {
                ipi6_addr: libc::in6_addr { s6_addr: from.octets() },
                ipi6_ifindex: 0,
            })]),
        };
        sent.map(drop).map_err(io::Error::from)
    }
}

fn address(storage: &SockaddrStorage) -> Option<SocketAddr> {
    if let Some(v4) = storage.as_sockaddr_in() {
        return Some(SocketAddrV4::from(*v4).into());
    }
    storage.as_sockaddr_in6().map(|v6| SocketAddrV6::from(*v6).into())
}
