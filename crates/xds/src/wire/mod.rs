//! A resource's bytes: JSON, without any field that the reader does not know.
//!
//! A field that one side does not know may be one that restricts trust. So an unknown field, an unknown variant or an
//! unknown type is an error, and the proxy refuses the update as a whole (NACK) instead of passing over it. What decides
//! trust is compared once more after it was read: anchors, certificates and revocation lists are named by their content,
//! and a policy's id is computed anew.
//!
//! The forms of listeners and backends stand here and are not derived, because they hold references to what is sent
//! once for all of them. They are taken apart field by field, so that none can be forgotten.

mod backend;
mod blob;
mod listener;
mod secret;

use std::fmt::Display;

use bytes::Bytes;
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;

pub(crate) use backend::{decode_backend, encode_backend};
pub(crate) use blob::{Blob, Blobs, Named};
pub(crate) use listener::{decode_listener, encode_listener};
pub(crate) use secret::{decode_secret, encode_secret};

/// Why a resource cannot be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DecodeError {
    #[error("{0}")]
    Json(#[from] serde_json::Error),
    #[error("it refers to {0}, which did not come with it")]
    Missing(String),
    #[error("its content does not have the id {0}")]
    WrongId(String),
    #[error("{0}")]
    Invalid(String),
}

impl DecodeError {
    pub(crate) fn invalid(error: &dyn Display) -> Self {
        Self::Invalid(error.to_string())
    }
}

/// The bytes of a resource that is plain data.
pub(crate) fn encode_plain(value: &impl Serialize) -> Bytes {
    // Cannot fail for these types. If it ever does, nothing is what no reader accepts.
    let Ok(mut value) = serde_json::to_value(value) else { return Bytes::new() };
    leave_out_nothings(&mut value);
    serde_json::to_vec(&value).unwrap_or_default().into()
}

/// An option that is not made use of is left out, so that a proxy that does not know it yet has nothing to refuse.
fn leave_out_nothings(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.retain(|_, value| !value.is_null());
            fields.values_mut().for_each(leave_out_nothings);
        }
        Value::Array(items) => items.iter_mut().for_each(leave_out_nothings),
        _ => {}
    }
}

/// The inverse.
pub(crate) fn decode_plain<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, DecodeError> {
    Ok(serde_json::from_slice(bytes)?)
}

#[cfg(test)]
mod tests;
