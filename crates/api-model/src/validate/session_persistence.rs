//! Session persistence.

use super::patterns::{DURATION, FIELD_NAME};
use crate::schema::path::FieldPath;
use crate::schema::{Look as _, Schema, blames, goes_with, object, one_of, optional, required, text};

pub(super) fn session_persistence() -> Schema {
    let name = || text().between(1, 256).pattern(FIELD_NAME);
    let cookie = object([
        optional("name", name()),
        optional("path", text().at_most(1024).default("/")),
        optional("lifetimeType", one_of(&["Permanent", "Session"]).default("Session")),
    ]);
    object([
        optional("type", one_of(&["Cookie", "Header"]).default("Cookie")),
        optional("cookie", cookie),
        optional("header", object([required("name", name())])),
        optional("absoluteTimeout", text().pattern(DURATION)),
    ])
    .rules(goes_with("cookie", "type", "Cookie"))
    .rules(goes_with("header", "type", "Header"))
    .rule(blames("must be set when the cookie is Permanent", "add absoluteTimeout", |session| {
        let permanent =
            session.get("cookie").is_some_and(|cookie| cookie.text("lifetimeType") == "Permanent");
        (permanent && !session.has("absoluteTimeout")).then(|| FieldPath::root().then("absoluteTimeout"))
    }))
}
