//! The rounds: every peer once in each, in turn, so that a slow minute of the machine is slow for all.

use std::time::{Duration, Instant};

use serde::Serialize;

use crate::{
    Arguments, Fault, backend,
    certificates::Certificates,
    cpu,
    load::{self, Target},
    peers::{self, Backends, Kind, Running, Trust},
    proof,
    scenario::Scenario,
};

/// One measurement.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Measurement {
    pub(crate) scenario: Scenario,
    pub(crate) round: usize,
    pub(crate) peer: Kind,
    /// CPU time per request, microseconds.
    pub(crate) cpu_us: f64,
    /// Requests per second.
    pub(crate) rps: f64,
    pub(crate) p50_us: u32,
    pub(crate) p99_us: u32,
    pub(crate) answered: u64,
    pub(crate) failed: u64,
    /// How much of its core the peer used.
    pub(crate) core_share: f64,
    /// CPU time of everything else than peer, clients and backend, as a share of the two cores.
    pub(crate) foreign_share: f64,
}

/// Proves that every peer verifies, then measures.
pub(crate) async fn run(arguments: &Arguments) -> Result<Vec<Measurement>, Fault> {
    let folder = tempfile::tempdir()?;
    let certificates = Certificates::make(folder.path())?;
    let backends = Backends {
        tls: backend::start(Some(certificates.server()?)).await?,
        plain: backend::start(None).await?,
    };
    let start = async |kind, trust| {
        peers::start(kind, trust, arguments, &certificates, backends, folder.path()).await
    };
    for kind in &arguments.peers {
        proof::verifies(async |trust| start(*kind, trust).await).await?;
        eprintln!("{}: verifies its backend (another CA and another name are refused)", kind.name());
    }
    let mut running = Vec::new();
    for kind in &arguments.peers {
        running.push((*kind, start(*kind, Trust::Right).await?));
    }
    let mut measurements = Vec::new();
    for scenario in &arguments.scenarios {
        for (_, peer) in &running {
            // Fills the pools; not counted.
            load::run(*scenario, &target(peer, *scenario), arguments.connections, Duration::from_millis(500))
                .await;
        }
        for round in 0..arguments.rounds {
            for (kind, peer) in &running {
                let measurement = one(*scenario, round, *kind, peer, arguments).await?;
                eprintln!(
                    "{} round {} {}: {:.1} us CPU/request, {:.0} requests/s, core {:.0} %, foreign {:.0} %",
                    scenario.name(),
                    round + 1,
                    kind.name(),
                    measurement.cpu_us,
                    measurement.rps,
                    measurement.core_share * 100.0,
                    measurement.foreign_share * 100.0
                );
                measurements.push(measurement);
            }
        }
    }
    Ok(measurements)
}

fn target(peer: &Running, scenario: Scenario) -> Target {
    let target = match scenario {
        Scenario::Plain => &peer.plain_target,
        Scenario::H2 => &peer.h2_target,
        _ => &peer.tls_target,
    };
    Target { path: scenario.path(), ..target.clone() }
}

async fn one(
    scenario: Scenario,
    round: usize,
    kind: Kind,
    peer: &Running,
    arguments: &Arguments,
) -> Result<Measurement, Fault> {
    let ourselves = std::process::id();
    let begun = Instant::now();
    let (peer_before, all_before) = (peer.cpu()?, cpu::used_by_machine()?);
    let own_before = cpu::used_by_process(ourselves)?;
    let mut seen =
        load::run(scenario, &target(peer, scenario), arguments.connections, arguments.measurement()).await;
    let peer_used = peer.cpu()?.saturating_sub(peer_before);
    let own_used = cpu::used_by_process(ourselves)?.saturating_sub(own_before);
    let all_used = cpu::used_by_machine()?.saturating_sub(all_before);
    let took = begun.elapsed().as_secs_f64();
    if seen.answered == 0 {
        return Err(format!(
            "{}: no request of {} was answered; {}",
            scenario.name(),
            kind.name(),
            peer.log()
        )
        .into());
    }
    Ok(Measurement {
        scenario,
        round,
        peer: kind,
        cpu_us: peer_used.as_secs_f64() * 1e6 / seen.answered as f64,
        rps: seen.answered as f64 / took,
        p50_us: seen.percentile(0.5),
        p99_us: seen.percentile(0.99),
        answered: seen.answered,
        failed: seen.failed,
        core_share: peer_used.as_secs_f64() / took,
        foreign_share: all_used.saturating_sub(peer_used + own_used).as_secs_f64() / took / 2.0,
    })
}
