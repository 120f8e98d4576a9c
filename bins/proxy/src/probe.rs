//! `probe`: shakes hands with every endpoint of every TLS backend as the dataplane would, and says what fails.

mod advice;
mod bundle;
mod certificate;
mod json;
mod plan;
mod shake;
mod text;

use std::{collections::BTreeSet, path::Path, process::ExitCode, sync::Arc};

use lasthop_dataplane::ResolverOptions;
use lasthop_dataplane_api::FailureReason;
use lasthop_runtime::{
    settings::{Flags, Settings},
    source::Problem,
};
use lasthop_tls_verify::{PeerRequirements, TlsError, Verifier};
use pki_types::{CertificateDer, UnixTime};
use tokio::{sync::Semaphore, task::JoinSet};

use crate::{
    check,
    cli::{self, Output, ProbeFlags},
    run::{self, RunError},
};
use advice::Advice;
use bundle::{Bundle, BundleError, Comparison};
use plan::{Addresses, Other, Plan, Target};
use shake::Outcome;

/// Why nothing can be probed.
#[derive(Debug, thiserror::Error)]
enum ProbeError {
    #[error(transparent)]
    Run(#[from] RunError),
    #[error(transparent)]
    Bundle(#[from] BundleError),
}

/// Everything that was found out.
struct Probed {
    endpoints: Vec<Endpoint>,
    others: Vec<Other>,
    problems: Vec<Problem>,
    bundle: Option<Bundle>,
}

/// What became of one handshake.
struct Endpoint {
    target: Target,
    outcome: Outcome,
    /// With a new bundle: what it would change.
    comparison: Option<Comparison>,
    advice: Advice,
}

/// The command.
pub(crate) fn main(flags: &ProbeFlags) -> ExitCode {
    match probe(flags) {
        Err(error) => cli::refuse(&error),
        Ok(probed) => {
            match flags.output {
                Output::Table => cli::say(&text::text(&probed)),
                Output::Json => cli::say(&format!("{:#}\n", json::value(&probed))),
            }
            if probed.failed() == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
    }
}

fn probe(flags: &ProbeFlags) -> Result<Probed, ProbeError> {
    let settings = Settings::load(&Flags::from(flags)).map_err(RunError::from)?;
    let bundle = flags.with_ca.as_deref().map(Bundle::read).transpose()?;
    let translated = check::translate(&settings)?;
    let runtime = run::runtime().map_err(RunError::from)?;
    let names = plan::names(translated.translator.snapshot());
    let addresses = runtime.block_on(resolve_all(names, &run::resolver(&settings)));
    let Plan { targets, others } = plan::plan(&translated, &addresses);
    let outcomes = runtime.block_on(shake_all(targets, flags));
    let now = UnixTime::now();
    let mut system = advice::SystemStore::default();
    let endpoints = outcomes
        .into_iter()
        .map(|(target, outcome)| {
            let comparison = bundle.as_ref().map(|bundle| bundle.compare(&target, &outcome, now));
            let mut advise =
                |target: &Target, failure| advice::advise(target, failure, &outcome, &mut system, now);
            let advice = match (&bundle, comparison.as_ref().and_then(|comparison| comparison.new.as_ref())) {
                // The question is what the new bundle would do.
                (Some(bundle), Some(Err(failure))) => advise(&bundle.in_place_of(&target), Some(failure)),
                _ => advise(&target, outcome.failure.as_ref()),
            };
            Endpoint { target, outcome, comparison, advice }
        })
        .collect();
    Ok(Probed { endpoints, others, problems: translated.problems, bundle })
}

/// What the dataplane would make of the names.
async fn resolve_all(names: BTreeSet<Arc<str>>, options: &ResolverOptions) -> Addresses {
    let mut asking = JoinSet::new();
    for name in names {
        let options = options.clone();
        asking.spawn(async move {
            let found = lasthop_dataplane::resolve(&options, &name).await;
            (name, found.map_err(|error| error.to_string()))
        });
    }
    asking.join_all().await.into_iter().collect()
}

/// All handshakes, so many at a time, in the order of the targets.
async fn shake_all(targets: Vec<Target>, flags: &ProbeFlags) -> Vec<(Target, Outcome)> {
    let jobs = Arc::new(Semaphore::new(flags.jobs.get().min(Semaphore::MAX_PERMITS)));
    let limit = flags.timeout.0;
    let running: Vec<_> = targets
        .into_iter()
        .map(|target| {
            let (jobs, asked) = (jobs.clone(), target.clone());
            let task = tokio::spawn(async move {
                // It is never closed; without a permit there would only be more at a time.
                let _permit = jobs.acquire_owned().await.ok();
                shake::shake(&asked, limit).await
            });
            (target, task)
        })
        .collect();
    let mut outcomes = Vec::with_capacity(running.len());
    for (target, task) in running {
        let outcome = task.await.unwrap_or_else(|error| Outcome::broken(&error));
        outcomes.push((target, outcome));
    }
    outcomes
}

impl Endpoint {
    /// Why it fails; with a new bundle, why it would.
    fn failure(&self) -> Option<&FailureReason> {
        match &self.comparison {
            Some(comparison) => comparison.failure(self.outcome.failure.as_ref()),
            None => self.outcome.failure.as_ref(),
        }
    }
}

impl Probed {
    /// How many things are not as they should be.
    fn failed(&self) -> usize {
        let endpoints = self.endpoints.iter().filter(|endpoint| endpoint.failure().is_some()).count();
        let others = self.others.iter().filter(|other| other.fails()).count();
        // An object that is set aside may be the policy of a hop that looks like plaintext for want of it.
        let problems = self.problems.iter().filter(|problem| problem.refuses()).count();
        endpoints + others + problems
    }
}

/// Whether a chain is accepted under these requirements, and if not, why.
fn verify(
    requirements: PeerRequirements,
    chain: &[CertificateDer<'_>],
    now: UnixTime,
) -> Result<(), TlsError> {
    let verifier = Verifier::new(requirements).map_err(|error| TlsError::Local(error.to_string()))?;
    verifier.verify_server(chain, now).map(|_| ())
}

/// A reason in words.
fn detail(failure: &FailureReason, outcome: &Outcome) -> String {
    match (failure, &outcome.socket) {
        (FailureReason::UpstreamTls(error), _) => error.to_string(),
        (_, Some(why)) => why.clone(),
        (other, None) => other.name().to_owned(),
    }
}

/// A path as messages show it.
fn shown(path: &Path) -> String {
    path.display().to_string()
}
