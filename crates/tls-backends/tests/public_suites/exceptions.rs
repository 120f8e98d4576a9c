//! `conformance/trust/exceptions.json`: the cases on which we differ from x509-limbo, and why.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::data::root;

#[derive(Deserialize)]
struct File {
    limbo: Vec<Group>,
    handshakes: Vec<Group>,
}

/// Cases with one reason.
#[derive(Deserialize)]
struct Group {
    reason: String,
    /// Our verdict on each.
    cases: BTreeMap<String, String>,
}

/// Exceptions by the case's id.
pub type Exceptions = BTreeMap<String, String>;

/// The verifier's verdict on each case on which it differs from the expectation; and the reasons that the stacks give
/// in handshakes that differ from the verifier's verdict or from each other's.
pub fn read() -> (Exceptions, Exceptions) {
    let path = root().join("conformance/trust/exceptions.json");
    let file: File = serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
    (flat(file.limbo), flat(file.handshakes))
}

fn flat(groups: Vec<Group>) -> Exceptions {
    let mut all = BTreeMap::new();
    for group in groups {
        assert!(group.reason.len() > 20, "a reason that says nothing: {:?}", group.reason);
        for (id, verdict) in group.cases {
            assert!(all.insert(id.clone(), verdict).is_none(), "{id} stands in the exceptions twice");
        }
    }
    all
}
