//! Whether a run is a pass. Everything has to say so: exit status, log and report, and none may be missing.

use super::{
    log::{Log, Verdict},
    report::{Level, Report},
};

/// What a run left behind.
pub(crate) struct Run<'a> {
    /// How the suite's process ended, for people; none when it ended well.
    pub(crate) exit: Option<String>,
    pub(crate) log: &'a Log,
    pub(crate) report: Result<&'a Report, &'a String>,
    /// The profiles asked for.
    pub(crate) profiles: &'a [String],
    /// The single test asked for.
    pub(crate) single: Option<&'a str>,
    /// As `1.6.3`.
    pub(crate) version: &'a str,
    /// Every feature that has a test is to be supported.
    pub(crate) complete: bool,
}

/// Features of v1.7.0 that no test of the suite asks for, and that are not served.
const UNTESTED: [&str; 3] =
    ["GatewayAddressRoutability", "GatewayAddressRoutabilityCluster", "GatewayListenerFilters"];

/// Everything that speaks against a pass; nothing when it is one.
pub(crate) fn objections(run: &Run<'_>) -> Vec<String> {
    let mut found: Vec<String> = run.exit.iter().map(|exit| format!("the suite ended with {exit}")).collect();
    let failed = run.log.with(Verdict::Failed).count();
    let passed = run.log.with(Verdict::Passed).count();
    if failed > 0 {
        found.push(format!("{failed} tests failed"));
    }
    if passed == 0 {
        found.push("no test passed".to_owned());
    }
    if let Some(name) = run.single {
        let verdict = run.log.tests.iter().find(|test| test.name == name).map(|test| test.verdict);
        if verdict != Some(Verdict::Passed) {
            found.push(match verdict {
                Some(verdict) => format!("{name}: {verdict:?}"),
                None => format!("{name} did not run"),
            });
        }
        return found;
    }
    match run.report {
        Ok(report) => found.extend(report_objections(report, run)),
        Err(error) => found.push(format!("the report {error}")),
    }
    found
}

fn report_objections(report: &Report, run: &Run<'_>) -> Vec<String> {
    let mut found = Vec::new();
    if report.version != format!("v{}", run.version) {
        found.push(format!("the report is of Gateway API {}, not v{}", report.version, run.version));
    }
    for name in run.profiles {
        let Some(profile) = report.profiles.iter().find(|profile| profile.name == *name) else {
            found.push(format!("{name} is not in the report"));
            continue;
        };
        level(name, "core", &profile.core, &mut found);
        if profile.core.passed == 0 {
            found.push(format!("{name}: no core test passed"));
        }
        let left_out = profile.unsupported.iter().filter(|feature| !UNTESTED.contains(&feature.as_str()));
        let left_out: Vec<&str> = left_out.map(String::as_str).collect();
        if run.complete && !left_out.is_empty() {
            found.push(format!("{name}: these features are no longer supported: {}", left_out.join(", ")));
        }
        if !profile.supported.is_empty() {
            level(name, "extended", &profile.extended, &mut found);
        }
    }
    found
}

fn level(profile: &str, name: &str, level: &Level, found: &mut Vec<String>) {
    if level.result != "success" || level.failed > 0 || !level.failed_tests.is_empty() {
        let Level { result, failed, skipped, .. } = level;
        found.push(format!("{profile}, {name}: {result}, {failed} failed, {skipped} skipped"));
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::{log::Test, report::tests::TEXT},
        *,
    };

    fn log(tests: &[(&str, Verdict)]) -> Log {
        let tests = tests.iter().map(|(name, verdict)| Test {
            name: (*name).to_owned(),
            verdict: *verdict,
            seconds: 1.0,
        });
        let mut log = Log::default();
        log.tests.extend(tests);
        log
    }

    fn good_report() -> Report {
        let text = TEXT.replace("result: failure", "result: success").replace("Failed: 1", "Failed: 0");
        Report::read(&text.replace("    failedTests:\n    - TLSRouteMixedTermination\n", "")).unwrap()
    }

    fn tls() -> Vec<String> {
        vec!["GATEWAY-TLS".to_owned()]
    }

    fn judge(exit: Option<&str>, log: &Log, report: Result<&Report, &String>) -> Vec<String> {
        let exit = exit.map(str::to_owned);
        objections(&Run {
            exit,
            log,
            report,
            profiles: &tls(),
            single: None,
            version: "1.6.3",
            complete: false,
        })
    }

    #[test]
    fn a_pass_needs_exit_log_and_report() {
        let (report, missing) = (good_report(), "is missing".to_owned());
        let good = log(&[("A", Verdict::Passed), ("B", Verdict::Skipped)]);
        assert_eq!(judge(None, &good, Ok(&report)), [""; 0]);
        assert!(!judge(Some("exit status: 1"), &good, Ok(&report)).is_empty());
        assert!(!judge(None, &good, Err(&missing)).is_empty());
        assert!(!judge(None, &Log::default(), Ok(&report)).is_empty(), "nothing ran");
        assert!(!judge(None, &log(&[("A", Verdict::Skipped)]), Ok(&report)).is_empty(), "all skipped");
        let failing = log(&[("A", Verdict::Passed), ("B", Verdict::Failed)]);
        assert!(!judge(None, &failing, Ok(&report)).is_empty(), "a log that differs from the report");
        assert!(!judge(None, &good, Ok(&Report::read(TEXT).unwrap())).is_empty(), "a failure in the report");
        assert!(!judge(None, &good, Ok(&Report::default())).is_empty(), "an empty report");
        let mut skipping = good_report();
        skipping.profiles[0].core.result = "partial".to_owned();
        assert!(!judge(None, &good, Ok(&skipping)).is_empty(), "tests left out");
    }

    #[test]
    fn all_profiles_asked_for_must_be_there_and_of_this_version() {
        let (report, good) = (good_report(), log(&[("A", Verdict::Passed)]));
        let run = |profiles: &[String], version| {
            let report = Ok(&report);
            objections(&Run {
                exit: None,
                log: &good,
                report,
                profiles,
                single: None,
                version,
                complete: false,
            })
        };
        assert!(run(&tls(), "1.6.3").is_empty());
        assert_eq!(run(&["GATEWAY-UDP".to_owned()], "1.6.3"), ["GATEWAY-UDP is not in the report"]);
        assert_eq!(run(&tls(), "1.7.0").len(), 1);
    }

    #[test]
    fn a_feature_that_is_left_out_is_no_pass_where_all_are_wanted() {
        let (mut report, good) = (good_report(), log(&[("A", Verdict::Passed)]));
        report.profiles[0].unsupported = vec!["GatewayListenerFilters".to_owned()];
        let run = |report: &Report, complete| {
            let profiles = &tls();
            let report = Ok(report);
            objections(&Run {
                exit: None,
                log: &good,
                report,
                profiles,
                single: None,
                version: "1.6.3",
                complete,
            })
        };
        assert!(run(&report, true).is_empty(), "no test asks for it");
        report.profiles[0].unsupported.push("TLSRouteModeMixed".to_owned());
        assert_eq!(run(&report, true).len(), 1);
        assert!(run(&report, false).is_empty(), "a cluster of the user's may not have it");
    }

    #[test]
    fn a_single_test_must_have_passed_itself() {
        let missing = "is not written for one test".to_owned();
        let run = |log: &Log| {
            objections(&Run {
                exit: None,
                log,
                report: Err(&missing),
                profiles: &tls(),
                single: Some("A"),
                version: "1.6.3",
                complete: true,
            })
        };
        assert!(run(&log(&[("A", Verdict::Passed)])).is_empty());
        assert!(!run(&log(&[("A", Verdict::Skipped), ("B", Verdict::Passed)])).is_empty());
        assert!(!run(&log(&[("B", Verdict::Passed)])).is_empty());
        assert!(!run(&Log::default()).is_empty());
    }
}
