//! What a proxy's dataplane says, as it goes up with the acknowledgement.
//!
//! Each statement names the version (the content) of the resource it is about, so that the controller never takes a word
//! about an older listener for one about the newest, and so that any replica understands it.

use std::sync::Arc;

use bytes::Bytes;
use lasthop_dataplane_api::{BackendKey, ListenerKey, ListenerState, Refusal};
use serde::{Deserialize, Serialize};

/// Of a proxy's own words in logs and statuses, in characters.
const WORDS: usize = 1024;
/// Of a condition's reason, in characters.
const REASON: usize = 64;

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

    /// The inverse, with a stranger's texts made fit for logs and statuses.
    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, serde_json::Error> {
        if bytes.is_empty() {
            return Ok(Self::default());
        }
        let mut report: Self = serde_json::from_slice(bytes)?;
        for said in &mut report.listeners {
            if let ListenerState::Failed { reason, message } = &mut said.state {
                *reason = reason_or_invalid(reason);
                *message = clip(message).into();
            }
        }
        for SaidBackend { refusal: Refusal { reason, message, policy }, .. } in &mut report.refused_backends {
            *reason = reason_or_invalid(reason);
            *message = clip(message).into();
            *policy = clip(policy).into();
        }
        report.refuses = report.refuses.map(|why| clip(&why));
        Ok(report)
    }
}

/// A stranger's text, bounded and printable.
pub(crate) fn clip(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(WORDS).collect()
}

/// A reason that is none would have the API server refuse the whole status.
fn reason_or_invalid(reason: &Arc<str>) -> Arc<str> {
    let fits = reason.len() <= REASON
        && reason.starts_with(|c: char| c.is_ascii_alphabetic())
        && reason.chars().all(|c| c.is_ascii_alphanumeric());
    if fits { reason.clone() } else { "Invalid".into() }
}
