//! Whether one object may refer to another: ReferenceGrants.

use lasthop_api_model::ResourceKind;

use crate::index::Reader;

/// An object that refers to others.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Referrer<'a> {
    /// Its kind.
    pub kind: ResourceKind,
    /// Its namespace.
    pub namespace: &'a str,
}

/// An object that is referred to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Referent<'a> {
    /// Its group; empty is the core group.
    pub group: &'a str,
    /// Its kind.
    pub kind: &'a str,
    /// Its namespace.
    pub namespace: &'a str,
    /// Its name.
    pub name: &'a str,
}

/// Whether the reference is allowed: within a namespace always, across namespaces by a ReferenceGrant in the
/// referent's. To be asked before anybody looks whether the referent exists.
pub(crate) fn allows(reader: &Reader<'_>, from: Referrer<'_>, to: Referent<'_>) -> bool {
    if from.namespace == to.namespace {
        return true;
    }
    reader.grants(to.namespace).any(|grant| {
        let from_ok = grant.spec.from.iter().any(|entry| {
            entry.group == from.kind.group()
                && entry.kind == from.kind.as_str()
                && entry.namespace == from.namespace
        });
        let to_ok = grant.spec.to.iter().any(|entry| {
            entry.group == to.group
                && entry.kind == to.kind
                && entry.name.as_deref().is_none_or(|name| name.is_empty() || name == to.name)
        });
        from_ok && to_ok
    })
}

/// The remedy, for messages.
pub(crate) fn remedy(from: Referrer<'_>, to: Referent<'_>) -> String {
    format!(
        "no ReferenceGrant in namespace {} lets a {} of namespace {} refer to {} {}; create one there or move the {}",
        to.namespace, from.kind, from.namespace, to.kind, to.name, to.kind,
    )
}
