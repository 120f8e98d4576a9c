//! The types of single settings. Each has one text form, the same in the file, the environment and flags.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    num::NonZeroUsize,
    path::PathBuf,
    str::FromStr,
    time::Duration,
};

use lasthop_dataplane_api::TlsStack;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// Why a text is no value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not {1}")]
pub struct ValueError(String, &'static str);

/// A TLS stack by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TlsBackendName(pub TlsStack);

/// How log lines look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// One readable line for each entry.
    #[default]
    Text,
    /// One JSON object on a line for each entry.
    Json,
}

/// Where the admin endpoint listens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AdminAddress {
    /// Nowhere.
    Off,
    /// Here.
    At(SocketAddr),
}

/// Where the access log goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AccessLogOutput {
    /// Nowhere.
    Off,
    /// To standard output.
    Stdout,
    /// To standard error.
    Stderr,
    /// To the end of this file; SIGHUP opens it anew.
    File(PathBuf),
}

/// DNS resolvers, written as addresses with or without a port, separated by commas.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Resolvers(pub Vec<SocketAddr>);

/// A length of time, written as `500ms`, `30s`, `5m` or `1h`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Span(pub Duration);

impl Span {
    /// This many seconds.
    pub const fn seconds(seconds: u64) -> Self {
        Self(Duration::from_secs(seconds))
    }
}

impl Default for AdminAddress {
    fn default() -> Self {
        Self::At(SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 15021))
    }
}

impl FromStr for TlsBackendName {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        [TlsStack::Rustls, TlsStack::Boringssl]
            .into_iter()
            .find(|stack| stack.name() == text)
            .map(Self)
            .ok_or_else(|| ValueError(text.to_owned(), "a TLS stack: rustls or boringssl"))
    }
}

impl FromStr for LogFormat {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        match text {
            "text" => Ok(Self::Text),
            "json" => Ok(Self::Json),
            _ => Err(ValueError(text.to_owned(), "a log format: text or json")),
        }
    }
}

impl FromStr for AdminAddress {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        if text == "off" {
            return Ok(Self::Off);
        }
        let port = || text.parse().ok().map(|port| SocketAddr::new(Ipv4Addr::LOCALHOST.into(), port));
        text.parse().ok().or_else(port).map(Self::At).ok_or_else(|| {
            ValueError(text.to_owned(), "an address such as 127.0.0.1:15021, a port of the loopback, or off")
        })
    }
}

impl FromStr for AccessLogOutput {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        match text {
            "" => Err(ValueError(String::new(), "an access log: stdout, stderr, off, or a file's path")),
            "off" => Ok(Self::Off),
            "stdout" | "-" => Ok(Self::Stdout),
            "stderr" => Ok(Self::Stderr),
            path => Ok(Self::File(path.into())),
        }
    }
}

impl FromStr for Resolvers {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        let one = |text: &str| {
            let with_port = || text.parse::<IpAddr>().ok().map(|address| SocketAddr::new(address, 53));
            text.parse().ok().or_else(with_port).ok_or_else(|| {
                ValueError(text.to_owned(), "a resolver's address such as 192.0.2.53 or [2001:db8::53]:5353")
            })
        };
        let written = text.split(',').map(str::trim).filter(|text| !text.is_empty());
        Ok(Self(written.map(one).collect::<Result<_, _>>()?))
    }
}

impl FromStr for Span {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        let digits = text.bytes().take_while(u8::is_ascii_digit).count();
        let (number, unit) = text.split_at(digits);
        let factor = match unit {
            "ms" => Some(1),
            "s" => Some(1_000),
            "m" => Some(60_000),
            "h" => Some(3_600_000),
            _ => None,
        };
        factor
            .and_then(|factor| number.parse::<u64>().ok()?.checked_mul(factor))
            .map(|millis| Self(Duration::from_millis(millis)))
            .ok_or_else(|| ValueError(text.to_owned(), "a length of time such as 500ms, 30s, 5m or 1h"))
    }
}

impl fmt::Display for TlsBackendName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.name())
    }
}

impl fmt::Display for LogFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Text => "text",
            Self::Json => "json",
        })
    }
}

impl fmt::Display for AdminAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Off => f.write_str("off"),
            Self::At(address) => address.fmt(f),
        }
    }
}

impl fmt::Display for AccessLogOutput {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Off => f.write_str("off"),
            Self::Stdout => f.write_str("stdout"),
            Self::Stderr => f.write_str("stderr"),
            Self::File(path) => path.display().fmt(f),
        }
    }
}

impl fmt::Display for Resolvers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let texts: Vec<String> = self.0.iter().map(ToString::to_string).collect();
        f.write_str(&texts.join(","))
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.as_millis() {
            millis if millis % 1000 == 0 => write!(f, "{}s", millis / 1000),
            millis => write!(f, "{millis}ms"),
        }
    }
}

macro_rules! serde_by_text {
    ($($name:ty),*) => {$(
        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }
        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                text(deserializer)?.parse().map_err(de::Error::custom)
            }
        }
    )*};
}

serde_by_text!(TlsBackendName, LogFormat, AdminAddress, AccessLogOutput, Resolvers, Span);

/// A text; a number is taken for the text it was written as (`admin = 15021`).
pub(super) fn text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged, expecting = "a text")]
    enum Written {
        Text(String),
        Number(i64),
    }
    Ok(match Written::deserialize(deserializer)? {
        Written::Text(text) => text,
        Written::Number(number) => number.to_string(),
    })
}

/// A whole number above 0, also as a text, or nothing.
pub(super) fn optional_number<'de, D, N>(deserializer: D) -> Result<Option<N>, D::Error>
where
    D: Deserializer<'de>,
    N: TryFrom<u64>,
{
    #[derive(Deserialize)]
    #[serde(untagged, expecting = "a whole number above 0")]
    enum Written {
        Number(u64),
        Text(String),
    }
    let written = match Option::<Written>::deserialize(deserializer)? {
        None => return Ok(None),
        Some(Written::Number(number)) => Ok(number),
        Some(Written::Text(text)) => text.parse::<u64>().map_err(|_| text),
    };
    let number = written.and_then(|number| match number {
        0 => Err(number.to_string()),
        number => N::try_from(number).map_err(|_| number.to_string()),
    });
    match number {
        Ok(number) => Ok(Some(number)),
        Err(written) => {
            Err(de::Error::custom(format!("{written:?} is not a whole number above 0, or too large")))
        }
    }
}

/// How many threads.
pub(super) fn optional_count<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<NonZeroUsize>, D::Error> {
    Ok(optional_number::<D, usize>(deserializer)?.and_then(NonZeroUsize::new))
}

/// A length of time above zero, or nothing.
pub(super) fn optional_span<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Span>, D::Error> {
    match Option::<Span>::deserialize(deserializer)? {
        Some(Span(Duration::ZERO)) => Err(de::Error::custom("a limit of no time lets nothing through")),
        span => Ok(span),
    }
}

/// true or false, also as a text.
pub(super) fn truth<'de, D: Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged, expecting = "true or false")]
    enum Written {
        Truth(bool),
        Text(String),
    }
    match Written::deserialize(deserializer)? {
        Written::Truth(truth) => Ok(truth),
        Written::Text(text) => {
            text.parse().map_err(|_| de::Error::custom(format!("{text:?} is neither true nor false")))
        }
    }
}
