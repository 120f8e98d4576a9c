//! The suite.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use lasthop_dataplane_api::TlsStack;
use rustls::{
    ProtocolVersion,
    pki_types::UnixTime,
    version::{TLS12, TLS13},
};

use crate::{
    case::{Case, Expected, Limbo},
    data, exceptions,
    row::{self, ACCEPTED, Verdict},
};

const FILE: &str = "x509-limbo.json.xz";
/// How many cases there are at least: a file that is cut short must not pass.
const CASES: usize = 9_780;
/// Every such case of the long suite shakes hands, unless all do.
const STEP: usize = 15;

fn cases() -> Option<Vec<Case>> {
    let cases = serde_json::from_slice::<Limbo>(&data::unpacked(FILE)?).unwrap().testcases;
    assert!(cases.len() >= CASES, "{} cases only; the file is not whole", cases.len());
    Some(cases)
}

/// The verifier's verdict at the case's own time is the expected one, or an exception that is written down.
#[test]
fn the_verifier_judges_as_expected() {
    let Some(cases) = cases() else { return };
    let (mut exceptions, _) = exceptions::read();
    let now = UnixTime::now();
    let mut wrong = Vec::new();
    let (mut right, mut excepted, mut accepted_bad, mut refused_good) = (0, 0, 0, 0);
    for case in &cases {
        let verdict = row::of_verifier(case, case.time(now)).word;
        let exception = exceptions.remove(&case.id);
        let as_expected = (verdict == ACCEPTED) == (case.expected_result == Expected::Success);
        match (as_expected, case.expected_result) {
            (true, _) => right += 1,
            (false, Expected::Failure) => accepted_bad += 1,
            (false, Expected::Success) => refused_good += 1,
        }
        match exception {
            None if as_expected => {}
            None => wrong.push(format!("{}: expected {:?}, got {verdict}", case.id, case.expected_result)),
            Some(_) if as_expected => wrong.push(format!("{}: the exception holds no more", case.id)),
            Some(_) if case.is_bettertls() => wrong.push(format!("{}: no exceptions here", case.id)),
            Some(ours) if ours == verdict => excepted += 1,
            Some(ours) => wrong.push(format!("{}: the exception says {ours}, got {verdict}", case.id)),
        }
    }
    wrong.extend(exceptions.keys().map(|id| format!("{id}: an exception without a case")));
    eprintln!(
        "x509-limbo, the verifier: {} cases, {right} as expected, {accepted_bad} accepted and {refused_good} refused \
         against the expectation, {excepted} of these written down",
        cases.len()
    );
    assert!(wrong.is_empty(), "{} cases:\n{}", wrong.len(), wrong.join("\n"));
}

/// A handshake of each stack comes to the verifier's verdict, and sends its alert.
#[test]
fn the_stacks_judge_as_the_verifier_does() {
    let Some(cases) = cases() else { return };
    let mut seen = 0;
    let chosen: Vec<Case> = cases
        .into_iter()
        .filter(|case| {
            let long = case.id.starts_with("bettertls::nameconstraints");
            seen += usize::from(long);
            data::all() || !long || seen % STEP == 0
        })
        .collect();
    let (chosen, next) = (Arc::new(chosen), Arc::new(AtomicUsize::new(0)));
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let differing = runtime.block_on(async {
        let workers: Vec<_> = (0..8).map(|_| tokio::spawn(compare(chosen.clone(), next.clone()))).collect();
        let mut differing = Vec::new();
        for worker in workers {
            differing.extend(worker.await.unwrap());
        }
        differing
    });
    let (_, exceptions) = exceptions::read();
    let mut wrong = Vec::new();
    for Row { id, version, verifier, rustls, boringssl } in &differing {
        let words = format!("rustls {}, boringssl {}", rustls.word, boringssl.word);
        if exceptions.get(id) != Some(&words) {
            let row = format!("verifier {verifier:?}, rustls {rustls:?}, boringssl {boringssl:?}");
            wrong.push(format!("{id}, {version:?}: {row}"));
        }
    }
    let gone = exceptions.keys().filter(|id| !differing.iter().any(|row| row.id == **id));
    wrong.extend(gone.map(|id| format!("{id}: the exception holds no more")));
    let accepted = differing.iter().filter(|row| row.disagree()).count();
    eprintln!(
        "x509-limbo, handshakes: {} cases with each stack in TLS 1.2 and 1.3, {} rows differ in reason or \
         alert, {accepted} in the verdict",
        chosen.len(),
        differing.len()
    );
    assert_eq!(accepted, 0, "one accepts what another refuses");
    assert!(wrong.is_empty(), "{} rows:\n{}", wrong.len(), wrong.join("\n"));
}

/// A case that did not come out the same all along.
struct Row {
    id: String,
    version: ProtocolVersion,
    verifier: Verdict,
    rustls: Verdict,
    boringssl: Verdict,
}

impl Row {
    /// Whether one accepts what another refuses.
    fn disagree(&self) -> bool {
        let accepted = [self.verifier, self.rustls, self.boringssl].map(|verdict| verdict.word == ACCEPTED);
        accepted.contains(&true) && accepted.contains(&false)
    }
}

/// Takes cases until none is left.
async fn compare(cases: Arc<Vec<Case>>, next: Arc<AtomicUsize>) -> Vec<Row> {
    let mut differing = Vec::new();
    while let Some(case) = cases.get(next.fetch_add(1, Ordering::Relaxed)) {
        for version in [&TLS12, &TLS13] {
            // The stacks know the present only, so the verifier is asked about it too.
            let verifier = row::of_verifier(case, UnixTime::now());
            let rustls = row::of_stack(TlsStack::Rustls, case, version).await;
            let boringssl = row::of_stack(TlsStack::Boringssl, case, version).await;
            if rustls != verifier || boringssl != verifier {
                let (id, version) = (case.id.clone(), version.version);
                differing.push(Row { id, version, verifier, rustls, boringssl });
            }
        }
    }
    differing
}
