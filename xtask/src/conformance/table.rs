//! What a run came to, for people: failures first, then profiles, then features.

use std::{collections::BTreeMap, fmt::Write as _};

use super::{
    log::{Log, Verdict},
    report::{Level, Report},
};
use crate::suite::Tally;

/// Failed tests with their first error, then counts.
pub(crate) fn tests(log: &Log) -> String {
    let mut text = String::new();
    let failed: Vec<_> = log.with(Verdict::Failed).collect();
    if !failed.is_empty() {
        let _ = writeln!(text, "Failed tests");
    }
    for test in &failed {
        let error = log.errors.get(&test.name).map_or("see the log", String::as_str);
        let _ = writeln!(text, "  {} ({:.0} s): {error}", test.name, test.seconds);
    }
    if let Some(error) = log.errors.get("") {
        let _ = writeln!(text, "Set-up: {error}");
    }
    let _ = writeln!(
        text,
        "Tests: {} failed, {} passed, {} skipped",
        failed.len(),
        log.with(Verdict::Passed).count(),
        log.with(Verdict::Skipped).count()
    );
    text
}

/// What the line of [`tests`] counts. Tests that the suite leaves out are for meshes, or for gateways that can do less.
pub(crate) fn counts(table: &str) -> Tally {
    let line = table.lines().find_map(|line| line.strip_prefix("Tests: ")).unwrap_or_default();
    let count = |what: &str| {
        let word = line.split(", ").find_map(|part| part.strip_suffix(what));
        word.and_then(|number| number.trim().parse().ok()).unwrap_or(0)
    };
    Tally { passed: count("passed"), failed: count("failed"), ignored: 0 }
}

/// One row for each profile, those with failures first.
pub(crate) fn profiles(report: &Report) -> String {
    let mut text = format!("{:<14} {:>16} {:>16} {:>14}\n", "profile", "core", "extended", "features");
    let mut rows: Vec<_> = report.profiles.iter().collect();
    rows.sort_by_key(|profile| (profile.core.failed + profile.extended.failed == 0, &profile.name));
    for profile in rows {
        let features =
            format!("{} of {}", profile.supported.len(), profile.supported.len() + profile.unsupported.len());
        let _ = writeln!(
            text,
            "{:<14} {:>16} {:>16} {:>14}",
            profile.name,
            level(&profile.core),
            level(&profile.extended),
            features
        );
    }
    text
}

fn level(level: &Level) -> String {
    let run = level.passed + level.failed;
    let mut text = format!("{} of {run}", level.passed);
    if level.skipped > 0 {
        let _ = write!(text, ", {} skipped", level.skipped);
    }
    text
}

/// For each extended feature, in which profiles it is tested and whether it is supported.
fn features(report: &Report) -> BTreeMap<&str, BTreeMap<&str, bool>> {
    let mut all: BTreeMap<&str, BTreeMap<&str, bool>> = BTreeMap::new();
    for profile in &report.profiles {
        let supported = profile.supported.iter().map(|feature| (feature, true));
        for (feature, yes) in supported.chain(profile.unsupported.iter().map(|feature| (feature, false))) {
            all.entry(feature).or_default().insert(&profile.name, yes);
        }
    }
    all
}

/// The features that some profile knows and we do not support.
pub(crate) fn unsupported(report: &Report) -> Vec<&str> {
    features(report).into_iter().filter(|(_, by)| by.values().any(|yes| !yes)).map(|(name, _)| name).collect()
}

/// The same as Markdown, as the README shows it.
pub(crate) fn markdown(report: &Report) -> String {
    let mut names: Vec<&str> = report.profiles.iter().map(|profile| profile.name.as_str()).collect();
    names.sort_unstable();
    let short = |name: &str| name.trim_start_matches("GATEWAY-").to_owned();
    let mut text = format!("Gateway API {}, channel {}\n\n", report.version, report.channel);
    text.push_str("| profile | core tests | extended tests | extended features |\n|---|---|---|---|\n");
    for name in &names {
        for profile in report.profiles.iter().filter(|profile| profile.name == *name) {
            let (yes, no) = (profile.supported.len(), profile.unsupported.len());
            let (core, extended) = (level(&profile.core), level(&profile.extended));
            let _ = writeln!(text, "| {} | {core} | {extended} | {yes} of {} |", short(name), yes + no);
        }
    }
    let _ = writeln!(
        text,
        "\n| feature | {} |",
        names.iter().map(|name| short(name)).collect::<Vec<_>>().join(" | ")
    );
    let _ = writeln!(text, "|---|{}", "---|".repeat(names.len()));
    for (feature, by) in features(report) {
        let cells = names.iter().map(|name| match by.get(name) {
            Some(true) => "yes",
            Some(false) => "no",
            None => "",
        });
        let _ = writeln!(text, "| {feature} | {} |", cells.collect::<Vec<_>>().join(" | "));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::{
        super::report::{Profile, tests::TEXT},
        *,
    };

    #[test]
    fn profiles_with_failures_come_first() {
        let mut report = Report::read(TEXT).unwrap();
        report.profiles.insert(0, Profile { name: "GATEWAY-GRPC".into(), ..Profile::default() });
        let text = profiles(&report);
        let lines: Vec<_> = text.lines().collect();
        assert!(lines[1].starts_with("GATEWAY-TLS") && lines[1].contains("15 of 16"), "{text}");
        assert!(lines[2].starts_with("GATEWAY-GRPC"), "{text}");
    }

    #[test]
    fn features_are_told_by_profile() {
        let report = Report::read(TEXT).unwrap();
        assert_eq!(unsupported(&report), ["GatewayStaticAddresses"]);
        let text = markdown(&report);
        assert!(text.contains("| TLS | 19 of 19 | 15 of 16 | 2 of 3 |"), "{text}");
        assert!(text.contains("| GatewayStaticAddresses | no |"), "{text}");
        assert!(text.contains("| TLSRouteModeMixed | yes |"), "{text}");
    }

    #[test]
    fn the_readme_has_the_tables_of_the_kept_report() {
        let readme = include_str!("../../../README.md");
        let kept = include_str!("../../../conformance/reports/1.6.3.md");
        let tables = kept.trim().split("\n\n").filter(|block| block.starts_with('|'));
        assert!(tables.clone().count() >= 2);
        tables.for_each(|table| assert!(readme.contains(table), "README.md lacks\n{table}"));
    }

    #[test]
    fn failed_tests_are_named_with_their_error() {
        let mut log = Log::default();
        for line in ["--- PASS: TestConformance/A (1.0s)", "--- FAIL: TestConformance/B (2.4s)"] {
            log.take(line);
        }
        log.errors.insert("B".into(), "no answer".into());
        let text = tests(&log);
        assert_eq!(text, "Failed tests\n  B (2 s): no answer\nTests: 1 failed, 1 passed, 0 skipped\n");
        assert_eq!(counts(&text), Tally { passed: 1, failed: 1, ignored: 0 });
    }
}
