//! The cases as the export has them.

use base64::{Engine, engine::general_purpose::STANDARD};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::Value;

/// How many cases there are at least: a file that is cut short must not pass.
const CASES: usize = 9_572;
/// How many of the long suite a sample has; of the short one it has all.
const SAMPLED: usize = 500;

pub struct Suites {
    /// The CA of them all, in DER.
    pub root: Vec<u8>,
    pub cases: Vec<Case>,
}

pub struct Case {
    pub suite: String,
    pub id: u64,
    /// A DNS name or an address.
    pub hostname: String,
    pub expected: Expected,
    pub chain: Vec<CertificateDer<'static>>,
    pub key: PrivateKeyDer<'static>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expected {
    Accept,
    Reject,
}

fn decoded(value: &Value) -> Vec<u8> {
    STANDARD.decode(value.as_str().unwrap()).unwrap()
}

pub fn read(json: &[u8]) -> Suites {
    let all: Value = serde_json::from_slice(json).unwrap();
    let suites = all["suites"].as_object().unwrap();
    let cases = suites.values().flat_map(|suite| suite["testCases"].as_array().unwrap()).map(|case| Case {
        suite: case["suite"].as_str().unwrap().to_owned(),
        id: case["id"].as_u64().unwrap(),
        hostname: case["hostname"].as_str().unwrap().to_owned(),
        expected: match case["expected"].as_str().unwrap() {
            "ACCEPT" => Expected::Accept,
            "REJECT" => Expected::Reject,
            other => panic!("{other}: a verdict that is not known"),
        },
        chain: case["certificates"].as_array().unwrap().iter().map(|der| decoded(der).into()).collect(),
        key: PrivateKeyDer::Pkcs8(decoded(&case["leafKeyPkcs8"]).into()),
    });
    let suites = Suites { root: decoded(&all["trustRoot"]), cases: cases.collect() };
    assert!(suites.cases.len() >= CASES, "{} cases only; the file is not whole", suites.cases.len());
    suites
}

/// All cases about path building, and some of the others, evenly spread.
pub fn sample(cases: Vec<Case>) -> Vec<Case> {
    let (long, mut sample): (Vec<_>, Vec<_>) =
        cases.into_iter().partition(|case| case.suite == "nameconstraints");
    let (total, mut taken) = (long.len(), 0);
    for (place, case) in long.into_iter().enumerate() {
        if place * SAMPLED / total >= taken {
            taken += 1;
            sample.push(case);
        }
    }
    sample
}
