//! ConfigMap.

use super::KindSchema;
use super::metadata::namespaced;
use super::patterns::{BASE64_BINARY, DATA_KEY};
use super::secret::DATA_MAX;
use crate::schema::path::FieldPath;
use crate::schema::{blames, boolean, holds, map, optional, text};

pub(super) fn schema() -> KindSchema {
    KindSchema::with_fields(
        namespaced(),
        [
            optional("data", map(text()).pattern(DATA_KEY)),
            optional("binaryData", map(text().pattern(BASE64_BINARY)).pattern(DATA_KEY)),
            optional("immutable", boolean()),
        ],
    )
    .rule(blames("is a key of data too", "keep one of the two", |config_map| {
        let data = config_map.get("data")?.as_object()?;
        let binary = config_map.get("binaryData")?.as_object()?;
        let both = binary.keys().find(|key| data.contains_key(*key))?;
        Some(FieldPath::root().then("binaryData").then(both.as_str()))
    }))
    .rule(holds("the data take more than 1 MiB together", "split the ConfigMap", |config_map| {
        let bytes = |field: &str| -> usize {
            let values = config_map.get(field).and_then(|data| data.as_object());
            values.map_or(0, |data| data.values().map(|value| value.as_str().map_or(0, str::len)).sum())
        };
        bytes("data") + bytes("binaryData") / 4 * 3 <= DATA_MAX
    }))
}
