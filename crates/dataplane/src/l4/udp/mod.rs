//! Clients' datagrams: sessions by client address, each with a socket of its own to one endpoint.
//!
//! A listening socket belongs to one worker, and the kernel gives a client's datagrams to the same one each time. What an
//! endpoint answers goes to the client that the session is of, from the address that it had asked; nothing is ever sent
//! of our own, so nobody can be made the target of more than a backend answers.

mod receive;
mod session;
mod sessions;
mod socket;

pub(crate) use receive::{Receivers, receive};
pub(crate) use socket::DatagramSocket;

/// The longest datagram there can be, in bytes, and one more.
const LONGEST: usize = 65_536;

thread_local! {
    /// Each is read here and sent on at once.
    static DATAGRAM: std::cell::RefCell<Box<[u8]>> = std::cell::RefCell::new(vec![0; LONGEST].into());
}
