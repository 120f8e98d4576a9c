//! All listeners of a Gateway together.

use lasthop_api_model::{Gateway, ResourceKind, TlsMode};
use lasthop_dataplane_api::{ListenerProtocol, ListenerTls, ObjectName};

use super::{Draft, certificates, conflicts, kinds};
use crate::{gateways, index::Reader, names, problem::Problem};

/// Decides about all listeners of a Gateway and its sets.
pub(crate) fn settle<'a>(
    reader: &Reader<'_>,
    gateway: &Gateway,
    name: &ObjectName,
    mut drafts: Vec<Draft<'a>>,
) -> Vec<Draft<'a>> {
    conflicts::mark(&mut drafts);
    for draft in &mut drafts {
        let (taken, problem) = kinds::taken(draft.protocol, &draft.spec.allowed_routes);
        draft.outcome.kinds = taken;
        if let Some(problem) = problem.filter(|_| draft.protocol.is_some()) {
            draft.outcome.unresolved.push(problem);
        }
        if draft.spec.filters.as_ref().is_some_and(|filters| !filters.requests.is_empty()) {
            // Left out, a filter that asks who may pass would let everybody pass.
            draft.outcome.refuse(Problem::new(
                "UnsupportedValue",
                "filters: filters of listeners are not supported; put them into the routes",
            ));
        }
        match draft.protocol {
            Some(ListenerProtocol::HTTPS) => {
                check_tls(draft, &[TlsMode::Terminate]);
                terminate(reader, draft);
                ask_clients(reader, gateway, name, draft);
            }
            Some(ListenerProtocol::TLS) => {
                check_tls(draft, &[TlsMode::Terminate, TlsMode::Passthrough]);
                if !draft.passes_tls() {
                    terminate(reader, draft);
                    note_unasked(reader, gateway, name, draft);
                }
            }
            Some(ListenerProtocol::HTTP | ListenerProtocol::TCP | ListenerProtocol::UDP) | None => {}
        }
    }
    conflicts::note_overlaps(&mut drafts);
    drafts
}

fn check_tls(draft: &mut Draft<'_>, modes: &[TlsMode]) {
    if let Some(problem) = draft.spec.tls.as_ref().and_then(|tls| certificates::unsupported(tls, modes)) {
        draft.outcome.refuse(problem);
    }
}

fn terminate(reader: &Reader<'_>, draft: &mut Draft<'_>) {
    let certificates = certificates::resolve(reader, draft);
    draft.outcome.incomplete = certificates.is_empty();
    draft.tls = Some(ListenerTls { certificates, client_validation: None });
}

/// Whoever asks for clients' certificates should know which listeners do not.
fn note_unasked(reader: &Reader<'_>, gateway: &Gateway, name: &ObjectName, draft: &Draft<'_>) {
    let frontend = gateways::frontend_of(reader, gateway, name, draft.spec.port);
    if frontend.validation.is_some() || frontend.refused.is_some() {
        let message = format!(
            "holds for HTTPS listeners only; listener {} of protocol TLS takes clients without a certificate",
            draft.outcome.key.name
        );
        reader.notice(names::key(ResourceKind::Gateway, name), "spec.tls.frontend", message);
    }
}

/// Clients' certificates are asked for by HTTPS listeners only (GEP-91).
fn ask_clients(reader: &Reader<'_>, gateway: &Gateway, name: &ObjectName, draft: &mut Draft<'_>) {
    let frontend = gateways::frontend_of(reader, gateway, name, draft.spec.port);
    draft.outcome.unresolved.extend(frontend.unresolved);
    if let Some(problem) = frontend.refused {
        draft.outcome.refuse(problem);
    }
    if let Some(tls) = &mut draft.tls {
        tls.client_validation = frontend.validation;
    }
}
