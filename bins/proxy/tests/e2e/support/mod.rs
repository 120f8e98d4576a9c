//! Everything around the proxy: manifests, certificates, peers and clients.

pub(crate) mod certificates;
pub(crate) mod client;
pub(crate) mod curl;
pub(crate) mod dns;
pub(crate) mod fake_alpn;
pub(crate) mod load;
pub(crate) mod manifests;
pub(crate) mod openssl;
pub(crate) mod peers;
pub(crate) mod ports;
pub(crate) mod processes;
pub(crate) mod proxy;
pub(crate) mod records;
pub(crate) mod server;
pub(crate) mod site;
pub(crate) mod turn;
pub(crate) mod websocket;

use std::time::{Duration, Instant};

/// The TLS stack that the proxy is told to use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stack {
    Rustls,
    Boringssl,
}

impl Stack {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Rustls => "rustls",
            Self::Boringssl => "boringssl",
        }
    }
}

/// One test for each TLS stack that is built in, from functions that take the stack. With `alone`, no other test runs
/// meanwhile.
#[macro_export]
macro_rules! for_each_stack {
    (alone: $($name:ident),+ $(,)?) => { $crate::for_each_stack!(@ alone $($name)+); };
    ($($name:ident),+ $(,)?) => { $crate::for_each_stack!(@ shared $($name)+); };
    (@ $turn:ident $($name:ident)+) => {
        #[cfg(feature = "rustls")]
        mod rustls {
            $(#[test] fn $name() {
                let _turn = $crate::support::turn::$turn();
                super::$name($crate::support::Stack::Rustls);
            })+
        }
        #[cfg(feature = "boringssl")]
        mod boringssl {
            $(#[test] fn $name() {
                let _turn = $crate::support::turn::$turn();
                super::$name($crate::support::Stack::Boringssl);
            })+
        }
    };
}

/// The stack of tests that do not depend on it.
pub(crate) const ANY_STACK: Stack = if cfg!(feature = "rustls") { Stack::Rustls } else { Stack::Boringssl };

/// Looks again and again until there is something, for at most so long.
pub(crate) fn within<T>(time: Duration, mut look: impl FnMut() -> Option<T>) -> Option<T> {
    let until = Instant::now() + time;
    loop {
        if let Some(found) = look() {
            return Some(found);
        }
        if Instant::now() > until {
            return None;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// As long as anything may take here: the machine may be busy with other tests.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);
