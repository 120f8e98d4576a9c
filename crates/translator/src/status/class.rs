//! Statuses of GatewayClasses.

use lasthop_api_model::{GatewayClass, GatewayClassStatus, Installation, SupportedFeature};

use super::{Verdict, merge, types};
use crate::{gateways, index::Reader};

/// The versions of the Gateway API whose CRDs we read as they were meant.
const VERSIONS: [&str; 2] = ["v1.6.", "v1.7."];

/// The status of a GatewayClass; `None` when it is not ours. What others wrote stays.
pub(crate) fn class_status(reader: &Reader<'_>, name: &str) -> Option<GatewayClassStatus> {
    let class = reader.find::<GatewayClass>("", name)?;
    if class.spec.controller_name != reader.options.controller_name {
        return None;
    }
    let installation = class.spec.installation.as_deref();
    let accepted = match gateways::class_problem(class, reader.options) {
        Some(problem) => Verdict::problem(types::ACCEPTED, &problem),
        None if installation.is_some_and(|installation| installation.is_held) => {
            Verdict::pending(types::ACCEPTED, message(installation))
        }
        None => Verdict::yes(types::ACCEPTED, "Accepted", message(installation)),
    };
    let verdicts: Vec<Verdict> = [accepted].into_iter().chain(installation.and_then(version)).collect();
    let mut status = class.status.clone().unwrap_or_default();
    let generation = class.metadata.generation;
    status.conditions = merge::conditions(&status.conditions, types::CLASS, &verdicts, generation);
    let features = &reader.options.supported_features;
    if !features.is_empty() {
        let absent = installation.map(|installation| &installation.absent[..]).unwrap_or_default();
        let served = features.iter().filter(|name| !absent.iter().any(|kind| kind.as_str() == **name));
        let feature = |name: &&str| SupportedFeature { name: (*name).to_owned() };
        status.supported_features = served.map(feature).collect();
        status.supported_features.sort_unstable();
    }
    Some(status)
}

fn message(installation: Option<&Installation>) -> String {
    let unread = installation.map(|installation| &installation.unread[..]).unwrap_or_default();
    if unread.is_empty() {
        return "Gateways of the class are served".to_owned();
    }
    let what = match installation.is_some_and(|installation| installation.is_held) {
        true => {
            "Proxies that serve stay as they are, and nothing changes until everything that matters can be read"
        }
        false => "Gateways of the class are served, but not everything can be read",
    };
    format!("{what}: {}", unread.join("; "))
}

/// What the versions of the CRDs are worth; nothing where nobody knows them.
fn version(installation: &Installation) -> Option<Verdict> {
    let Installation { versions, missing, .. } = installation;
    if versions.is_empty() {
        return None;
    }
    if !missing.is_empty() {
        let message = format!(
            "CRDs of the Gateway API are missing: {}; install all of v1.6 or v1.7, those that are there are of {}",
            missing.join(", "),
            versions.join(" and ")
        );
        return Some(Verdict::no(types::SUPPORTED_VERSION, "UnsupportedVersion", message));
    }
    let known = |version: &String| VERSIONS.iter().any(|known| version.starts_with(known));
    let all = versions.join(" and ");
    Some(if versions.len() == 1 && versions.iter().all(known) {
        let message = format!("The CRDs of the Gateway API are of {all}");
        Verdict::yes(types::SUPPORTED_VERSION, "SupportedVersion", message)
    } else {
        let message = format!(
            "The CRDs of the Gateway API are of {all}; supported are v1.6 and v1.7, all CRDs of the same version: \
             install those"
        );
        Verdict::no(types::SUPPORTED_VERSION, "UnsupportedVersion", message)
    })
}
