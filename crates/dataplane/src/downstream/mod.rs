//! Clients: their connections, from the socket to HTTP.

mod accept;
mod connection;
mod preface;

pub(crate) use accept::{accept, serve};
pub(crate) use connection::{ClientConnection, Open, in_time};
