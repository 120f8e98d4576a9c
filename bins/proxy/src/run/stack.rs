//! Which TLS stack serves, and what the translator is told.

use std::sync::Arc;

use lasthop_dataplane_api::TlsStack;
use lasthop_runtime::settings::TlsBackendName;
use lasthop_tls_backends::{TlsBackend, available};
use lasthop_tls_verify::TrustAnchors;
use lasthop_translator::{ClassPolicy, Options};

/// Why a TLS stack cannot be had.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NoStack {
    #[error(
        "the TLS stack {wanted} is not built into this binary, which has {has}; build it with \
         `cargo build --release -p lasthop-proxy --features {wanted}`"
    )]
    NotBuiltIn { wanted: &'static str, has: String },
    #[error(
        "no TLS stack is built into this binary; build it with the cargo feature rustls (the default) or boringssl"
    )]
    None,
}

/// The stack that was asked for, else the first one that is built in.
pub(crate) fn stack(wanted: Option<TlsBackendName>) -> Result<TlsStack, NoStack> {
    let available = available();
    match wanted {
        None => available.first().copied().ok_or(NoStack::None),
        Some(TlsBackendName(stack)) if available.contains(&stack) => Ok(stack),
        Some(_) if available.is_empty() => Err(NoStack::None),
        Some(TlsBackendName(stack)) => Err(NoStack::NotBuiltIn { wanted: stack.name(), has: built_in() }),
    }
}

/// The names of the stacks that are built in.
pub(crate) fn built_in() -> String {
    available().iter().map(|stack| stack.name()).collect::<Vec<_>>().join(", ")
}

/// What the translator of a folder is told, but for the stack's capabilities.
pub(crate) fn options(allow_insecure_verify: bool) -> Options {
    Options {
        class_policy: ClassPolicy::OwnAllWithoutClass,
        allow_insecure_verify,
        system_anchors: Arc::new(|| TrustAnchors::system().map(Arc::new).map_err(|error| error.to_string())),
        ..Options::default()
    }
}

/// The stack itself.
pub(crate) fn backend(stack: TlsStack) -> Result<Arc<dyn TlsBackend>, NoStack> {
    lasthop_tls_backends::backend(stack).ok_or(NoStack::None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stack_that_is_not_built_in_names_the_cargo_feature() {
        for wanted in [TlsStack::Rustls, TlsStack::Boringssl] {
            match stack(Some(TlsBackendName(wanted))) {
                Ok(found) => assert!(found == wanted && available().contains(&wanted)),
                Err(error) => {
                    assert!(!available().contains(&wanted));
                    assert!(error.to_string().contains(&format!("--features {}", wanted.name())), "{error}");
                }
            }
        }
        assert_eq!(stack(None).ok(), available().first().copied());
    }
}
