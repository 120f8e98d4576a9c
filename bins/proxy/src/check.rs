//! `check`: what every object's conditions are, and how every hop is encrypted, without serving anything.

pub(crate) mod hop;
mod print;

use std::{process::ExitCode, sync::Arc};

use lasthop_api_model::{Change, ResourceKey};
use lasthop_dataplane_api::{BackendTls, Refusal, Report};
use lasthop_runtime::{
    settings::{Flags, Settings},
    source::{Problem, folder::FolderSource},
    status::{Entry, Tone, entries},
};
use lasthop_tls_backends::TlsBackend;
use lasthop_translator::{Hop, HopTls, Notice, Options, StatusChange, Translator};

use crate::{
    cli::{self, CheckFlags, Output},
    run::{self, RunError},
};

/// What `check` found.
#[derive(Debug)]
pub(crate) struct Findings {
    pub(crate) objects: Vec<(ResourceKey, Vec<Entry>)>,
    pub(crate) hops: Vec<Hop>,
    pub(crate) problems: Vec<Problem>,
    pub(crate) notices: Vec<Notice>,
}

/// The command.
pub(crate) fn main(flags: &CheckFlags) -> ExitCode {
    let found = Settings::load(&Flags::from(&flags.settings)).map_err(RunError::from).and_then(|s| check(&s));
    match found {
        Err(error) => cli::refuse(&error),
        Ok(findings) => {
            match flags.output {
                Output::Table => cli::say(&print::text(&findings)),
                Output::Json => cli::say(&format!("{:#}\n", print::value(&findings))),
            }
            if findings.refused() == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
    }
}

/// A folder, translated.
pub(crate) struct Translated {
    pub(crate) translator: Translator,
    pub(crate) stack: Arc<dyn TlsBackend>,
    pub(crate) problems: Vec<Problem>,
    notices: Vec<Notice>,
    controller: String,
}

/// Reads the folder, translates it, and gathers what became of it.
pub(crate) fn check(settings: &Settings) -> Result<Findings, RunError> {
    let Translated { translator, problems, notices, controller, .. } = translate(settings)?;
    let objects = translator
        .statuses()
        .map(|(key, status)| {
            let change = StatusChange { key: key.clone(), status: status.clone() };
            (key.clone(), entries(&change, &controller))
        })
        .collect();
    Ok(Findings { objects, hops: translator.hops(), problems, notices })
}

/// Reads the folder and translates it. TLS policies that the stack cannot do are refused.
pub(crate) fn translate(settings: &Settings) -> Result<Translated, RunError> {
    let config = settings.config.as_deref().ok_or(RunError::NoConfig)?;
    let stack = run::stack(settings.tls_backend)?;
    let stack = run::backend(stack)?;
    let mut source = FolderSource::open(config, settings.poll_interval.0)?;
    run::has_gateway(&source, config)?;
    let event = source.take_first().unwrap_or_default();

    let options =
        Options { capabilities: stack.capabilities(), ..run::options(settings.allow_insecure_verify) };
    let controller = options.controller_name.clone();
    let mut translator = Translator::new(options);
    let applied = event.applied.into_iter();
    let changes: Vec<Change> =
        applied.map(|object| Change { key: object.key(), old: None, new: Some(object) }).collect();
    let output = translator.apply(&changes);
    let report = stack_report(stack.as_ref(), &translator);
    if !report.refused_backends.is_empty() {
        translator.programmed(&report);
    }
    let problems = event.problems.unwrap_or_default();
    Ok(Translated { translator, stack, problems, notices: output.notices, controller })
}

/// What a dataplane would say about TLS policies that its stack cannot do.
fn stack_report(stack: &dyn TlsBackend, translator: &Translator) -> Report {
    let snapshot = translator.snapshot();
    let refused = snapshot.backends.iter().filter_map(|(key, backend)| {
        let BackendTls::Policy(policy) = &backend.tls else { return None };
        let error = stack.upstream(policy).err()?;
        let refusal = Refusal {
            reason: "Invalid".into(),
            message: error.to_string().into(),
            policy: policy.source.clone(),
        };
        Some((key.clone(), refusal))
    });
    Report { version: snapshot.version, listeners: Vec::new(), refused_backends: refused.collect() }
}

impl Findings {
    /// How many things a user wrote are not in force.
    pub(crate) fn refused(&self) -> usize {
        let problems = self.problems.iter().filter(|problem| problem.refuses()).count();
        let conditions = self.objects.iter().flat_map(|(_, entries)| entries);
        let conditions = conditions.filter(|entry| entry.tone() == Tone::Bad && !entry.is_pending()).count();
        let hops = self.hops.iter().filter(|hop| is_refused(&hop.tls)).count();
        problems + conditions + hops
    }
}

/// Whether requests on a hop get an error of ours, whatever the backend does.
pub(crate) fn is_refused(tls: &HopTls) -> bool {
    match tls {
        HopTls::Plaintext { .. } | HopTls::Passthrough | HopTls::Policy(_) => false,
        HopTls::Refused(_) | HopTls::Unresolved { .. } => true,
    }
}

#[cfg(test)]
mod tests;
