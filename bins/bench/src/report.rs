//! The table: medians, ranges, and the ratio to the first peer within each round.

use std::fmt::Write;

use crate::{peers::Kind, rounds::Measurement, scenario::Scenario, statistics::Spread};

/// Above this share of foreign CPU time a measurement says little.
const CONTENDED: f64 = 0.12;

/// One table for each scenario; ratios are to nginx, or to the first peer where nginx is not measured.
pub(crate) fn table(measurements: &[Measurement]) -> String {
    let mut text = String::new();
    let mut scenarios: Vec<Scenario> = Vec::new();
    for measurement in measurements {
        if !scenarios.contains(&measurement.scenario) {
            scenarios.push(measurement.scenario);
        }
    }
    for scenario in scenarios {
        let of_scenario: Vec<_> = measurements.iter().filter(|m| m.scenario == scenario).collect();
        write_scenario(&mut text, scenario, &of_scenario);
    }
    text
}

fn write_scenario(text: &mut String, scenario: Scenario, measurements: &[&Measurement]) {
    let mut peers: Vec<Kind> = Vec::new();
    for measurement in measurements {
        if !peers.contains(&measurement.peer) {
            peers.push(measurement.peer);
        }
    }
    let Some(base) = peers.iter().copied().find(|peer| *peer == Kind::Nginx).or(peers.first().copied())
    else {
        return;
    };
    // Writing into a String cannot fail.
    let _ = writeln!(text, "\n{}", scenario.name());
    let _ = writeln!(
        text,
        "{:<10} {:>24} {:>8} {:>12} {:>6} {:>8} {:>24}",
        "peer",
        "CPU us/request",
        "req/s",
        "p50/p99 us",
        "core",
        "failed",
        format!("ratio to {}", base.name())
    );
    for peer in peers {
        let of_peer: Vec<_> = measurements.iter().filter(|m| m.peer == peer).collect();
        let median = |value: fn(&Measurement) -> f64| {
            Spread::of(of_peer.iter().map(|m| value(m))).map_or(0.0, |spread| spread.median)
        };
        let _ = writeln!(
            text,
            "{:<10} {:>24} {:>8.0} {:>12} {:>6.2} {:>8} {:>24}",
            peer.name(),
            shown(Spread::of(of_peer.iter().map(|m| m.cpu_us)), 1),
            median(|m| m.rps),
            format!("{:.0}/{:.0}", median(|m| f64::from(m.p50_us)), median(|m| f64::from(m.p99_us))),
            median(|m| m.core_share),
            of_peer.iter().map(|m| m.failed).sum::<u64>(),
            shown(ratios(measurements, peer, base), 2),
        );
    }
    let contended = measurements.iter().filter(|m| m.foreign_share > CONTENDED).count();
    if contended > 0 {
        let _ = writeln!(
            text,
            "{contended} of {} measurements had more than {:.0} % of the machine taken by others: measure again when it is idle",
            measurements.len(),
            CONTENDED * 100.0
        );
    }
}

/// CPU per request of one peer divided by that of the base, round by round.
fn ratios(measurements: &[&Measurement], peer: Kind, base: Kind) -> Option<Spread> {
    let cost = |kind: Kind, round: usize| {
        measurements.iter().find(|m| m.peer == kind && m.round == round).map(|m| m.cpu_us)
    };
    let rounds = measurements.iter().map(|m| m.round + 1).max().unwrap_or(0);
    Spread::of((0..rounds).filter_map(|round| Some(cost(peer, round)? / cost(base, round)?)))
}

fn shown(spread: Option<Spread>, digits: usize) -> String {
    spread.map_or_else(String::new, |Spread { median, min, max, .. }| {
        format!("{median:.digits$} ({min:.digits$}-{max:.digits$})")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn measurement(peer: Kind, round: usize, cpu_us: f64) -> Measurement {
        Measurement {
            scenario: Scenario::OneKib,
            round,
            peer,
            cpu_us,
            rps: 1000.0,
            p50_us: 1,
            p99_us: 2,
            answered: 10,
            failed: 0,
            core_share: 0.9,
            foreign_share: 0.0,
        }
    }

    #[test]
    fn ratios_are_paired_by_round() {
        let all = [
            measurement(Kind::Nginx, 0, 40.0),
            measurement(Kind::Lasthop, 0, 20.0),
            measurement(Kind::Nginx, 1, 80.0),
            measurement(Kind::Lasthop, 1, 60.0),
        ];
        let all: Vec<&Measurement> = all.iter().collect();
        let spread = ratios(&all, Kind::Lasthop, Kind::Nginx).unwrap();
        assert_eq!((spread.min, spread.max, spread.median), (0.5, 0.75, 0.625));
    }

    #[test]
    fn the_table_names_every_peer_and_contention() {
        let mut all = vec![measurement(Kind::Nginx, 0, 40.0), measurement(Kind::Lasthop, 0, 20.0)];
        all[1].foreign_share = 0.5;
        let text = table(&all);
        assert!(text.contains("lasthop") && text.contains("0.50 (0.50-0.50)"), "{text}");
        assert!(text.contains("1 of 2 measurements"), "{text}");
    }
}
