//! What a proxy's dataplane says, as it goes up with the acknowledgement.
//!
//! Each statement names the version (the content) of the resource it is about, so that the controller never takes a word
//! about an older listener for one about the newest, and so that any replica understands it.

use bytes::Bytes;
use lasthop_dataplane_api::{BackendKey, ListenerKey, ListenerState, Refusal};
use serde::{Deserialize, Serialize};

/// The whole of it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct WireReport {
    pub(crate) listeners: Vec<SaidListener>,
    pub(crate) refused_backends: Vec<SaidBackend>,
    /// To replicas that are not followed: why the newest update was refused; empty if it was not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) refuses: Option<String>,
}

/// The state of one listener.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct SaidListener {
    pub(crate) key: ListenerKey,
    pub(crate) version: String,
    pub(crate) state: ListenerState,
}

/// A backend whose TLS the proxy's stack could not set up.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct SaidBackend {
    pub(crate) key: BackendKey,
    pub(crate) version: String,
    pub(crate) refusal: Refusal,
}

impl WireReport {
    pub(crate) fn is_empty(&self) -> bool {
        self.listeners.is_empty() && self.refused_backends.is_empty() && self.refuses.is_none()
    }

    /// Nothing at all if it says nothing.
    pub(crate) fn encode(&self) -> Bytes {
        if self.is_empty() { Bytes::new() } else { crate::wire::encode_plain(self) }
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, serde_json::Error> {
        if bytes.is_empty() { Ok(Self::default()) } else { serde_json::from_slice(bytes) }
    }
}
