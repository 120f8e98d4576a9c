//! What was found out, as tables.

use pki_types::{CertificateDer, UnixTime};

use super::{
    Endpoint, Probed,
    bundle::{Bundle, Comparison},
    certificate, detail,
    plan::{NoHandshake, Speaks},
};
use crate::{check::hop, table::Table};

/// As tables.
pub(super) fn text(probed: &Probed) -> String {
    let now = UnixTime::now();
    let mut text = String::new();
    section(&mut text, "ENDPOINTS", &endpoints(probed, now).to_string());
    if let Some(bundle) = &probed.bundle {
        section(&mut text, "NEW CA BUNDLE", &comparison(probed, bundle));
    }
    let chains = chains(probed, now);
    if !chains.is_empty() {
        section(&mut text, "CERTIFICATES", &chains);
    }
    let failures = failures(probed);
    if !failures.is_empty() {
        section(&mut text, "WHAT TO DO", &failures);
    }
    if !probed.problems.is_empty() {
        let mut problems = Table::new(["", "PROBLEM"]);
        probed
            .problems
            .iter()
            .for_each(|problem| problems.row([mark(problem.refuses()), problem.to_string()]));
        section(&mut text, "PROBLEMS", &problems.to_string());
    }
    let asked = probed.endpoints.len();
    let asked = format!("{asked} handshake{}", if asked == 1 { "" } else { "s" });
    text.push_str(&match probed.failed() {
        0 => format!("{asked}; nothing failed.\n"),
        1 => format!("{asked}; 1 thing failed; it is marked with !\n"),
        count => format!("{asked}; {count} things failed; they are marked with !\n"),
    });
    text
}

fn section(text: &mut String, title: &str, body: &str) {
    text.push_str(&format!("{title}\n{body}\n"));
}

fn endpoints(probed: &Probed, now: UnixTime) -> Table<9> {
    let mut table =
        Table::new(["", "BACKEND", "ENDPOINT", "VERDICT", "TLS", "CIPHER SUITE", "GROUP", "ALPN", "LEAF"]);
    for endpoint in &probed.endpoints {
        let Endpoint { target, outcome, .. } = endpoint;
        let peer = outcome.peer.as_ref();
        let dash = || "-".to_owned();
        let leaf = outcome.chain.first().and_then(lasthop_tls_verify::CertificateSummary::of);
        table.row([
            mark(endpoint.failure().is_some()),
            target.backend.to_string(),
            of(endpoint),
            outcome.failure.as_ref().map_or("ok", |failure| failure.name()).to_owned(),
            peer.map_or_else(dash, |peer| peer.version.to_string()),
            peer.map_or_else(dash, |peer| peer.cipher_suite.to_owned()),
            peer.and_then(|peer| peer.group).map_or_else(dash, str::to_owned),
            peer.and_then(|peer| peer.alpn).map_or_else(dash, |alpn| alpn.to_string()),
            leaf.map_or_else(dash, |leaf| certificate::left(leaf.not_after, now)),
        ]);
    }
    for other in &probed.others {
        let (verdict, why) = match &other.why {
            NoHandshake::Plaintext(reason) => {
                let why = hop::plaintext(*reason);
                ("plaintext", why.strip_prefix("plaintext: ").unwrap_or(why).to_owned())
            }
            NoHandshake::Passthrough => ("left alone", "the client's own TLS goes through".to_owned()),
            NoHandshake::Unresolved { host, why, policy } => {
                ("no address", format!("policy {}: {host}: {why}", policy.policy))
            }
            NoHandshake::Refused(refusal) => {
                let said = format!("policy {}: {}: {}", refusal.policy, refusal.reason, refusal.message);
                ("refused", said)
            }
            NoHandshake::NoEndpoint(policy) => {
                ("nobody to ask", format!("policy {}: no endpoint is ready", policy.policy))
            }
        };
        let dash = || "-".to_owned();
        table.row([
            mark(other.fails()),
            other.backend.to_string(),
            dash(),
            verdict.to_owned(),
            dash(),
            dash(),
            dash(),
            dash(),
            why,
        ]);
    }
    table
}

/// The address, and what distinguishes this handshake from others with the same endpoint.
fn of(endpoint: &Endpoint) -> String {
    let target = &endpoint.target;
    let mut text = target.address.to_string();
    if let Some(host) = &target.host {
        text.push_str(&format!(" for {host}"));
    }
    match target.speaks {
        Speaks::Http2 => text.push_str(" over HTTP/2"),
        Speaks::Stream => text.push_str(" for streams"),
        Speaks::Http1 | Speaks::Negotiated => {}
    }
    text
}

fn comparison(probed: &Probed, bundle: &Bundle) -> String {
    let mut table = Table::new(["", "BACKEND", "ENDPOINT", "BY THE POLICY", "BY THE FILE"]);
    for endpoint in &probed.endpoints {
        let (old, new) = match &endpoint.comparison {
            Some(Comparison { old: Some(old), new: Some(new) }) => (
                old.as_ref().err().map_or("verified", |error| error.reason()),
                new.as_ref().err().map_or("verified", |failure| failure.name()),
            ),
            _ => ("presented nothing", "presented nothing"),
        };
        table.row([
            mark(endpoint.failure().is_some()),
            endpoint.target.backend.to_string(),
            of(endpoint),
            old.to_owned(),
            new.to_owned(),
        ]);
    }
    let count = bundle.anchors.certificates().len();
    let mut text = format!("{}: {count} certificate{}\n", bundle.file, if count == 1 { "" } else { "s" });
    for skipped in &bundle.skipped {
        text.push_str(&format!("certificate {} is passed over: {}\n", skipped.position, skipped.reason));
    }
    text.push_str(&table.to_string());
    text
}

/// Every chain that was presented, once, with those who presented it.
fn chains(probed: &Probed, now: UnixTime) -> String {
    let mut all: Vec<(&[CertificateDer<'_>], Vec<String>)> = Vec::new();
    for endpoint in probed.endpoints.iter().filter(|endpoint| !endpoint.outcome.chain.is_empty()) {
        let chain = &*endpoint.outcome.chain;
        let name = format!("{} {}", endpoint.target.backend.endpoints, endpoint.target.address);
        match all.iter_mut().find(|(known, _)| *known == chain) {
            Some((_, who)) if who.contains(&name) => {}
            Some((_, who)) => who.push(name),
            None => all.push((chain, vec![name])),
        }
    }
    let mut text = String::new();
    for (chain, who) in all {
        text.push_str(&format!("{}\n", who.join(", ")));
        for (index, summary) in certificate::summaries(chain).into_iter().enumerate() {
            let Some(summary) = summary else {
                text.push_str(&format!("  {index}  cannot be read\n"));
                continue;
            };
            let names =
                if summary.names.is_empty() { String::new() } else { summary.names.join(", ") + "; " };
            text.push_str(&format!("  {index}  {}\n", summary.subject));
            let until = match certificate::left(summary.not_after, now) {
                over if certificate::days_left(summary.not_after, now) < 0 => over,
                left => format!("until {} ({left})", certificate::day(summary.not_after)),
            };
            text.push_str(&format!("     {names}issued by {}; {until}\n", summary.issuer));
        }
    }
    text
}

fn failures(probed: &Probed) -> String {
    let mut text = String::new();
    for endpoint in &probed.endpoints {
        let now = endpoint.outcome.failure.as_ref();
        let then = endpoint.failure();
        let notes = &endpoint.advice.notes;
        if now.is_none() && then.is_none() && notes.is_empty() {
            continue;
        }
        let target = &endpoint.target;
        text.push_str(&format!(
            "{} {}, policy {}\n",
            target.backend.endpoints,
            of(endpoint),
            target.policy.source
        ));
        if let Some(failure) = now {
            text.push_str(&format!("  {}: {}\n", failure.name(), detail(failure, &endpoint.outcome)));
        }
        if let Some(failure) = then.filter(|then| now != Some(*then)) {
            let said = detail(failure, &endpoint.outcome);
            text.push_str(&format!("  with the new bundle {}: {said}\n", failure.name()));
        }
        for line in endpoint.advice.remedies.iter().chain(notes) {
            text.push_str(&format!("  → {line}\n"));
        }
    }
    text
}

fn mark(failed: bool) -> String {
    if failed { "!" } else { " " }.to_owned()
}
