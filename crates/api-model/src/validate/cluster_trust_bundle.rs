//! ClusterTrustBundle.

use super::KindSchema;
use super::metadata::cluster_scoped;
use super::patterns::{PREFIXED_PATH, is_dns_name};
use crate::schema::path::FieldPath;
use crate::schema::{Look as _, Pattern, blames, holds, object, optional, required, text};

/// The name of the signer, then a DNS name, all joined by colons; or a DNS name alone.
const NAME: Pattern = Pattern {
    accepts: |name| name.split(':').all(is_dns_name),
    says: "a DNS name, with the signer in front where there is one (\"example.com:signer:name\")",
};

pub(super) fn schema() -> KindSchema {
    let bundle = text().between(1, 1024 * 1024).rule(holds(
        "has no PEM block of type CERTIFICATE",
        "put the trust anchors in, as PEM",
        |bundle| bundle.as_str().is_some_and(|bundle| bundle.contains("-----BEGIN CERTIFICATE-----")),
    ));
    let spec = object([
        required("trustBundle", bundle),
        optional("signerName", text().at_most(571).pattern(PREFIXED_PATH)),
    ]);
    KindSchema::new(cluster_scoped(NAME, 253), spec)
        .rule(blames("must begin with the signer, '/' written as ':', and a ':'", "rename it", |bundle| {
            let signer = bundle.get("spec").map(|spec| spec.text("signerName").replace('/', ":"))?;
            let name = bundle.get("metadata")?.text("name");
            let fits =
                signer.is_empty() || name.strip_prefix(&signer).is_some_and(|rest| rest.starts_with(':'));
            (!fits).then(name_path)
        }))
        .rule(blames(
            "must not have a ':' without spec.signerName",
            "rename it, or add signerName",
            |bundle| {
                let signed = bundle.get("spec").is_some_and(|spec| spec.has("signerName"));
                let broken = !signed && bundle.get("metadata").is_some_and(|m| m.text("name").contains(':'));
                broken.then(name_path)
            },
        ))
}

fn name_path() -> FieldPath {
    FieldPath::root().then("metadata").then("name")
}
