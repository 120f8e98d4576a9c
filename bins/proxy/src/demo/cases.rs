//! The backends of the demo, and what has to become of a request to each.

/// One backend.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Case {
    /// The Service's name; its host is this below `localhost`.
    pub(crate) name: &'static str,
    /// What it shows in the handshake.
    pub(crate) shows: Shows,
    /// The response's status.
    pub(crate) status: u16,
    /// The reason in the access log, if the request must not get there.
    pub(crate) reason: Option<&'static str>,
}

/// What a backend shows in the handshake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shows {
    /// A certificate of the demo's CA with the right name.
    TheRightCertificate,
    /// A certificate of the demo's CA with another name.
    AnotherName,
    /// A certificate of the demo's CA with the right name, expired.
    AnExpiredCertificate,
    /// A certificate with the right name, of a CA that nobody named.
    AnUnknownCa,
    /// No TLS.
    Plaintext,
}

impl Shows {
    /// In words.
    pub(crate) fn words(self) -> &'static str {
        match self {
            Self::TheRightCertificate => "the right certificate",
            Self::AnotherName => "another name's certificate",
            Self::AnExpiredCertificate => "an expired certificate",
            Self::AnUnknownCa => "an unknown CA's certificate",
            Self::Plaintext => "no TLS at all",
        }
    }
}

/// All of them.
pub(crate) const CASES: [Case; 6] = [
    good("orders"),
    good("payments"),
    bad("wrong-name", Shows::AnotherName, "NameMismatch"),
    bad("expired", Shows::AnExpiredCertificate, "Expired"),
    bad("unknown-ca", Shows::AnUnknownCa, "UntrustedChain"),
    bad("plaintext", Shows::Plaintext, "NotTls"),
];

const fn good(name: &'static str) -> Case {
    Case { name, shows: Shows::TheRightCertificate, status: 200, reason: None }
}

const fn bad(name: &'static str, shows: Shows, reason: &'static str) -> Case {
    Case { name, shows, status: 502, reason: Some(reason) }
}

impl Case {
    /// The host that clients ask for. Names below `localhost` lead to the loopback without any set-up (RFC 6761 §6.3).
    pub(crate) fn host(&self) -> String {
        format!("{}.localhost", self.name)
    }

    /// The name that the backend has to prove.
    pub(crate) fn identity(&self) -> String {
        format!("{}.demo.internal", self.name)
    }
}
