//! Why a request was not answered by a backend. The names stand in the access log and in metrics, never in responses.

use lasthop_tls_verify::TlsError;

/// The one reason of a response that is our own, or of a response cut short.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FailureReason {
    /// No rule matched: 404.
    NoRoute,
    /// The rule has no backend, or the chosen reference is invalid: 500.
    InvalidBackend,
    /// A filter of the rule cannot be honoured: 500.
    InvalidFilter,
    /// The rule's authorization service does not let the request pass; its answer is the response.
    AuthorizationDenied,
    /// The backend's TLS is refused by status: 502.
    PolicyRefused,
    /// The policy asks for a bearer token, and there is none to send: 502.
    NoBearerToken,
    /// No endpoint is ready: 503.
    NoEndpoint,
    /// The backend's name has no address that may be connected to, or nobody answers for it: 503.
    NameNotResolved,
    /// No connection could be made: 502.
    ConnectFailed,
    /// Connecting took too long: 504.
    ConnectTimeout,
    /// The TLS connection to the backend failed: 502.
    UpstreamTls(TlsError),
    /// The TLS connection from the client failed.
    DownstreamTls(TlsError),
    /// The backend reset or closed the connection before its response: 502.
    UpstreamReset,
    /// The policy that the connection was made under trusts less now, and the request did not end in time: 502.
    TrustRevoked,
    /// The backend's response breaks its protocol: 502.
    UpstreamProtocol,
    /// The request's time limit passed: 504.
    RequestTimeout,
    /// The attempt's time limit passed: 504.
    BackendTimeout,
    /// The client's request breaks the protocol: 400.
    BadRequest,
    /// The request's header is over the limits: 431.
    HeadersTooLarge,
    /// The request's body is over the limits: 413.
    BodyTooLarge,
    /// The client took too long to send its request: 408; or to take the response, which then is cut.
    ClientTimeout,
    /// The client went away.
    ClientClosed,
    /// The connection's SNI and the request's host belong to different listeners: 421.
    Misdirected,
    /// The proxy is overloaded or draining: 503.
    Overloaded,
    /// The connection does not begin with a TLS ClientHello that can be read.
    NotTls,
    /// The ClientHello is over the limit.
    ClientHelloTooLarge,
    /// The connection does not begin with a PROXY protocol header, though its listener asks for one.
    ProxyProtocol,
    /// No datagram passed for too long.
    IdleTimeout,
    /// There are as many UDP sessions as there may be.
    TooManySessions,
}

impl FailureReason {
    /// The name.
    pub fn name(&self) -> &'static str {
        match self {
            Self::NoRoute => "NoRoute",
            Self::InvalidBackend => "InvalidBackend",
            Self::InvalidFilter => "InvalidFilter",
            Self::AuthorizationDenied => "AuthorizationDenied",
            Self::PolicyRefused => "PolicyRefused",
            Self::NoBearerToken => "NoBearerToken",
            Self::NoEndpoint => "NoEndpoint",
            Self::NameNotResolved => "NameNotResolved",
            Self::ConnectFailed => "ConnectFailed",
            Self::ConnectTimeout => "ConnectTimeout",
            Self::UpstreamTls(error) | Self::DownstreamTls(error) => error.reason(),
            Self::UpstreamReset => "UpstreamReset",
            Self::TrustRevoked => "TrustRevoked",
            Self::UpstreamProtocol => "UpstreamProtocol",
            Self::RequestTimeout => "RequestTimeout",
            Self::BackendTimeout => "BackendTimeout",
            Self::BadRequest => "BadRequest",
            Self::HeadersTooLarge => "HeadersTooLarge",
            Self::BodyTooLarge => "BodyTooLarge",
            Self::ClientTimeout => "ClientTimeout",
            Self::ClientClosed => "ClientClosed",
            Self::Misdirected => "Misdirected",
            Self::Overloaded => "Overloaded",
            Self::NotTls => "NotTls",
            Self::ClientHelloTooLarge => "ClientHelloTooLarge",
            Self::ProxyProtocol => "ProxyProtocol",
            Self::IdleTimeout => "IdleTimeout",
            Self::TooManySessions => "TooManySessions",
        }
    }

    /// The status of our own response.
    pub fn status(&self) -> u16 {
        match self {
            Self::NoRoute => 404,
            Self::InvalidBackend | Self::InvalidFilter => 500,
            Self::AuthorizationDenied => 403,
            Self::PolicyRefused
            | Self::NoBearerToken
            | Self::ConnectFailed
            | Self::UpstreamTls(_)
            | Self::UpstreamReset
            | Self::TrustRevoked
            | Self::UpstreamProtocol => 502,
            Self::NoEndpoint | Self::NameNotResolved | Self::Overloaded | Self::TooManySessions => 503,
            Self::ConnectTimeout | Self::RequestTimeout | Self::BackendTimeout => 504,
            Self::BadRequest
            | Self::DownstreamTls(_)
            | Self::NotTls
            | Self::ClientHelloTooLarge
            | Self::ProxyProtocol => 400,
            Self::ClientTimeout | Self::IdleTimeout => 408,
            Self::BodyTooLarge => 413,
            Self::Misdirected => 421,
            Self::HeadersTooLarge => 431,
            // Nobody reads it; the field's number for it in logs.
            Self::ClientClosed => 499,
        }
    }
}
