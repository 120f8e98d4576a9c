//! Secret. No message repeats a value.

use super::KindSchema;
use super::metadata::namespaced;
use super::patterns::{BASE64, DATA_KEY};
use crate::schema::path::FieldPath;
use crate::schema::{Look as _, blames, boolean, holds, map, optional, text};

/// The data of a Secret or ConfigMap together, in bytes.
pub(super) const DATA_MAX: usize = 1024 * 1024;

pub(super) fn schema() -> KindSchema {
    let data = map(text().pattern(BASE64).secret()).pattern(DATA_KEY).secret();
    let string_data = map(text().secret()).pattern(DATA_KEY).secret();
    KindSchema::with_fields(
        namespaced(),
        [
            optional("data", data),
            optional("stringData", string_data),
            optional("type", text().default("Opaque")),
            optional("immutable", boolean()),
        ],
    )
    .rule(needs_key("tls.crt"))
    .rule(needs_key("tls.key"))
    .rule(holds("the data take more than 1 MiB together", "split the Secret", |secret| {
        let bytes = |field: &str| -> usize {
            let values = secret.get(field).and_then(|data| data.as_object());
            values.map_or(0, |data| data.values().map(|value| value.as_str().map_or(0, str::len)).sum())
        };
        bytes("data") / 4 * 3 + bytes("stringData") <= DATA_MAX
    }))
}

fn needs_key(key: &'static str) -> crate::schema::Rule {
    blames(
        "is missing: a Secret of type kubernetes.io/tls needs it",
        "add it, PEM inside base64",
        move |secret| {
            let has = |field: &str| secret.get(field).is_some_and(|data| data.get(key).is_some());
            let broken = secret.text("type") == "kubernetes.io/tls" && !has("data") && !has("stringData");
            broken.then(|| FieldPath::root().then("data").then(key))
        },
    )
}
