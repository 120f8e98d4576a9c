//! What clients' sessions are sealed with.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use lasthop_dataplane_api::SessionSecret;
use serde::{Deserialize, Serialize};

use super::{DecodeError, decode_plain, encode_plain};

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct WireSecret {
    secret: String,
}

/// The bytes of the resource.
pub(crate) fn encode_secret(secret: &SessionSecret) -> Bytes {
    encode_plain(&WireSecret { secret: STANDARD.encode(secret.bytes()) })
}

/// The inverse.
pub(crate) fn decode_secret(bytes: &[u8]) -> Result<SessionSecret, DecodeError> {
    let WireSecret { secret } = decode_plain(bytes)?;
    let secret = STANDARD.decode(secret).map_err(|error| DecodeError::invalid(&error))?;
    let length = secret.len();
    let secret = secret.try_into().map_err(|_| DecodeError::Invalid(format!("it has {length} bytes")))?;
    Ok(SessionSecret::new(secret))
}
