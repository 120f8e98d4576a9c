//! What is asked of a peer.

use clap::ValueEnum;
use serde::Serialize;

/// One kind of traffic.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Scenario {
    /// HTTP/1.1 over TLS to a TLS backend, connections kept, 1 KiB responses.
    #[value(name = "1k")]
    #[serde(rename = "1k")]
    OneKib,
    /// As `1k`, with 64 KiB responses.
    #[value(name = "64k")]
    #[serde(rename = "64k")]
    SixtyFourKib,
    /// As `1k`, without TLS on either side.
    Plain,
    /// As `1k`, with HTTP/2 from the clients: 10 connections of 12 streams.
    H2,
    /// As `1k`, with a new client connection and a full handshake for each request.
    Handshakes,
}

impl Scenario {
    /// The name on the command line.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::OneKib => "1k",
            Self::SixtyFourKib => "64k",
            Self::Plain => "plain",
            Self::H2 => "h2",
            Self::Handshakes => "handshakes",
        }
    }

    /// The path that gets a response of the size.
    pub(crate) fn path(self) -> &'static str {
        match self {
            Self::SixtyFourKib => "/64k",
            _ => "/1k",
        }
    }
}
