//! Keys from their text form: the inverse of `Display`.
//!
//! Names in Kubernetes have neither `/` nor spaces, so that each text form has one reading.

use std::str::FromStr;

use serde::{Deserialize, Deserializer, de};

use super::{
    BackendKey, BackendKind, EndpointsKey, ListenerKey, ObjectName, RouteKey, RouteKind, RuleKey, Transport,
};

/// A text that is no key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not {expected}")]
pub struct KeyError {
    text: String,
    expected: &'static str,
}

fn wrong(text: &str, expected: &'static str) -> KeyError {
    KeyError { text: text.to_owned(), expected }
}

fn is_name(text: &str) -> bool {
    !text.is_empty() && !text.contains(['/', ' '])
}

/// Between a rule or backend and its Gateway.
const VIA: &str = " via ";
/// Between a listener and its ListenerSet.
const SET: &str = " (ListenerSet ";

impl FromStr for ObjectName {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        match text.split_once('/') {
            Some((namespace, name)) if is_name(namespace) && is_name(name) => Ok(Self::new(namespace, name)),
            _ => Err(wrong(text, "namespace/name")),
        }
    }
}

impl FromStr for ListenerKey {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        let failed = || wrong(text, "a listener: namespace/gateway/listener");
        let (listener, set) = match text.split_once(SET) {
            Some((listener, set)) => {
                let set = set.strip_suffix(')').ok_or_else(failed)?;
                (listener, Some(set.parse().map_err(|_| failed())?))
            }
            None => (text, None),
        };
        let (gateway, name) = listener.rsplit_once('/').ok_or_else(failed)?;
        if !is_name(name) {
            return Err(failed());
        }
        Ok(Self { gateway: gateway.parse().map_err(|_| failed())?, set, name: name.into() })
    }
}

impl FromStr for RouteKind {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        Ok(match text {
            "HTTPRoute" => Self::HTTPRoute,
            "GRPCRoute" => Self::GRPCRoute,
            "TLSRoute" => Self::TLSRoute,
            "TCPRoute" => Self::TCPRoute,
            "UDPRoute" => Self::UDPRoute,
            _ => return Err(wrong(text, "a kind of route")),
        })
    }
}

impl FromStr for RouteKey {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        let (kind, object) =
            text.split_once('/').ok_or_else(|| wrong(text, "a route: kind/namespace/name"))?;
        Ok(Self { kind: kind.parse()?, object: object.parse()? })
    }
}

impl FromStr for RuleKey {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        let failed = || wrong(text, "a rule: kind/namespace/name/index via namespace/gateway");
        let (rule, gateway) = text.split_once(VIA).ok_or_else(failed)?;
        let (route, index) = rule.rsplit_once('/').ok_or_else(failed)?;
        let canonical = index == "0" || !index.starts_with(['0', '+']);
        let index = index.parse().ok().filter(|_| canonical).ok_or_else(failed)?;
        Ok(Self { route: route.parse()?, gateway: gateway.parse()?, index })
    }
}

impl FromStr for EndpointsKey {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        let failed = || wrong(text, "endpoints: namespace/name:port");
        let (rest, kind) = match text.strip_prefix("XBackend/") {
            // A Service of a namespace of that name has one slash only.
            Some(rest) if rest.contains('/') && text.matches('/').count() > udp_slashes(text) + 1 => {
                (rest, BackendKind::XBackend)
            }
            _ => (text, BackendKind::Service),
        };
        let (rest, transport) = match rest.strip_suffix("/UDP") {
            Some(rest) => (rest, Transport::UDP),
            None => (rest, Transport::TCP),
        };
        let (object, port) = rest.rsplit_once(':').ok_or_else(failed)?;
        let canonical = port == "0" || !port.starts_with(['0', '+']);
        let port = port.parse().ok().filter(|_| canonical).ok_or_else(failed)?;
        Ok(Self { kind, object: object.parse().map_err(|_| failed())?, port, transport })
    }
}

/// The slashes that belong to the transport.
fn udp_slashes(text: &str) -> usize {
    usize::from(text.ends_with("/UDP"))
}

impl FromStr for BackendKey {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        let (endpoints, gateway) = text
            .split_once(VIA)
            .ok_or_else(|| wrong(text, "a backend: namespace/name:port via namespace/gateway"))?;
        Ok(Self { gateway: gateway.parse()?, endpoints: endpoints.parse()? })
    }
}

macro_rules! from_text_form {
    ($($name:ident),*) => {$(
        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
            }
        }
    )*};
}

from_text_form!(ObjectName, ListenerKey, RouteKey, RuleKey, EndpointsKey, BackendKey);

#[cfg(test)]
mod tests {
    use std::fmt::{Debug, Display};

    use proptest::prelude::*;

    use super::*;

    fn name() -> impl Strategy<Value = String> {
        prop_oneof![
            "[a-z0-9]([-.a-z0-9]{0,20}[a-z0-9])?",
            Just("XBackend".to_owned()),
            Just("via".to_owned())
        ]
    }

    fn object() -> impl Strategy<Value = ObjectName> {
        (name(), name()).prop_map(|(namespace, name)| ObjectName::new(namespace, name))
    }

    fn endpoints() -> impl Strategy<Value = EndpointsKey> {
        let kind = prop_oneof![Just(BackendKind::Service), Just(BackendKind::XBackend)];
        let transport = prop_oneof![Just(Transport::TCP), Just(Transport::UDP)];
        (kind, object(), any::<u16>(), transport).prop_map(|(kind, object, port, transport)| EndpointsKey {
            kind,
            object,
            port,
            transport,
        })
    }

    fn same<K: FromStr<Err = KeyError> + Display + PartialEq + Debug>(key: &K) {
        assert_eq!(key.to_string().parse::<K>().as_ref(), Ok(key), "{key}");
    }

    proptest! {
        #[test]
        fn keys_come_back_from_their_text(
            gateway in object(),
            set in proptest::option::of(object()),
            listener in name(),
            route in object(),
            kind in proptest::sample::select(vec!["HTTPRoute", "GRPCRoute", "TLSRoute", "TCPRoute", "UDPRoute"]),
            index: u32,
            endpoints in endpoints(),
        ) {
            same(&gateway);
            same(&ListenerKey { gateway: gateway.clone(), set, name: listener.into() });
            let route = RouteKey { kind: kind.parse().unwrap(), object: route };
            same(&route);
            same(&RuleKey { route, gateway: gateway.clone(), index });
            same(&endpoints);
            same(&BackendKey { gateway, endpoints });
        }
    }

    #[test]
    fn other_texts_are_no_keys() {
        for text in ["", "a", "a/", "/b", "a/b/c", "a b/c"] {
            assert!(text.parse::<ObjectName>().is_err(), "{text:?}");
        }
        for text in ["a/b", "a/b/c (ListenerSet d)", "a/b/c (ListenerSet d/e", "a/b/ c"] {
            assert!(text.parse::<ListenerKey>().is_err(), "{text:?}");
        }
        for text in
            ["HTTPRoute/a/b/00 via c/d", "HTTPRoute/a/b/+1 via c/d", "Route/a/b/0 via c/d", "HTTPRoute/a/b/0"]
        {
            assert!(text.parse::<RuleKey>().is_err(), "{text:?}");
        }
        for text in ["a/b", "a/b:", "a/b:080", "a/b:65536", "YBackend/a/b:80", "a/b:80/TCP"] {
            assert!(text.parse::<EndpointsKey>().is_err(), "{text:?}");
        }
    }
}
