//! What the suite prints while it runs: which tests ran, how they ended, and why.

use std::collections::BTreeMap;

/// How the line of a test of the suite begins, below the one that holds them all.
const TEST: &str = "TestConformance/";

/// How one of the suite's tests ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Passed,
    Failed,
    Skipped,
}

/// One test of the suite.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Test {
    pub(crate) name: String,
    pub(crate) verdict: Verdict,
    pub(crate) seconds: f32,
}

/// What was printed so far.
#[derive(Default)]
pub(crate) struct Log {
    pub(crate) tests: Vec<Test>,
    /// The first error of each test, by the test's name; the empty name is the set-up's.
    pub(crate) errors: BTreeMap<String, String>,
    error: Option<String>,
    /// The test that begins, or goes on after those that cannot run beside others.
    begun: Option<String>,
    /// The test whose error was told last.
    told: Option<String>,
}

impl Log {
    /// Takes the next line; gives what to tell of it while the suite runs. It says how tests ended only at its end.
    pub(crate) fn take(&mut self, line: &str) -> Option<String> {
        let line = line.trim();
        if let Some(test) = ended(line) {
            self.tests.push(test);
            return None;
        }
        if let Some(name) = begins(line) {
            self.begun = Some(name.to_owned());
            return None;
        }
        // A test that is skipped applies nothing.
        if line.contains(": Applying tests/") {
            return self.begun.take();
        }
        let known = self.errors.len();
        self.note_error(line);
        if self.errors.len() == known {
            return None;
        }
        self.told.as_ref().map(|name| format!("{name}: {}", self.errors[name]))
    }

    /// Errors are blocks: `Error: …`, more lines, `Test: name`, and perhaps `Messages: …`.
    fn note_error(&mut self, line: &str) {
        if let Some(text) = line.strip_prefix("Error:") {
            self.error = Some(text.trim().to_owned());
        } else if let Some(name) = line.strip_prefix("Test:") {
            let Some(error) = self.error.take() else { return };
            let name = name.trim();
            let name = name.strip_prefix(TEST).unwrap_or_default().split('/').next().unwrap_or_default();
            let known = self.errors.contains_key(name);
            self.told = (!known).then(|| name.to_owned());
            self.errors.entry(name.to_owned()).or_insert(error);
        } else if let Some(text) = line.strip_prefix("Messages:") {
            let error = self.told.take().and_then(|name| self.errors.get_mut(&name));
            if let Some(error) = error {
                error.push_str(": ");
                error.push_str(text.trim());
            }
        } else if let Some(error) = &mut self.error
            && !line.is_empty()
            && error.len() < 600
        {
            error.push(' ');
            error.push_str(line);
        }
    }

    /// The tests that ended so.
    pub(crate) fn with(&self, verdict: Verdict) -> impl Iterator<Item = &Test> {
        self.tests.iter().filter(move |test| test.verdict == verdict)
    }
}

/// Reads `=== RUN   TestConformance/HTTPRouteWeight`.
fn begins(line: &str) -> Option<&str> {
    let rest = line.strip_prefix("=== RUN").or_else(|| line.strip_prefix("=== CONT"))?;
    rest.trim().strip_prefix(TEST).filter(|name| !name.contains('/'))
}

/// Reads `--- FAIL: TestConformance/HTTPRouteWeight (12.30s)`; tests within that test do not count.
fn ended(line: &str) -> Option<Test> {
    let (verdict, rest) = line.strip_prefix("--- ")?.split_once(": ")?;
    let verdict = match verdict {
        "PASS" => Verdict::Passed,
        "FAIL" => Verdict::Failed,
        "SKIP" => Verdict::Skipped,
        _ => return None,
    };
    let (name, time) = rest.strip_prefix(TEST)?.split_once(' ')?;
    let seconds = time.trim_start_matches('(').trim_end_matches("s)").parse().unwrap_or(0.0);
    (!name.contains('/')).then(|| Test { name: name.to_owned(), verdict, seconds })
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "\
=== RUN   TestConformance/HTTPRouteWeight
    http.go:288: request failed
        \tError Trace:\t/x/http.go:288
        \tError:      \tCondition never satisfied
        \t            \tafter 30s
        \tTest:       \tTestConformance/HTTPRouteWeight/requests_are_spread
        \tMessages:   \tweights differ
        --- FAIL: TestConformance/HTTPRouteWeight/requests_are_spread (30.00s)
    --- FAIL: TestConformance/HTTPRouteWeight (31.20s)
    --- SKIP: TestConformance/MeshBasic (0.00s)
    --- PASS: TestConformance/HTTPRouteMatching (2.10s)
--- FAIL: TestConformance (99.00s)
";

    #[test]
    fn tells_what_runs_and_what_fails_but_not_what_is_skipped() {
        let text = "=== RUN   TestConformance/MeshBasic\n\
                    === RUN   TestConformance/HTTPRouteWeight\n\
                    x.go:250: 2026: Applying tests/httproute-weight.yaml\n";
        let mut log = Log::default();
        let told: Vec<_> = text.lines().chain(TEXT.lines()).filter_map(|line| log.take(line)).collect();
        assert_eq!(told, ["HTTPRouteWeight", "HTTPRouteWeight: Condition never satisfied after 30s"]);
    }

    #[test]
    fn finds_the_tests_and_why_they_failed() {
        let mut log = Log::default();
        for line in TEXT.lines() {
            log.take(line);
        }
        let names = |verdict| log.with(verdict).map(|test| test.name.as_str()).collect::<Vec<_>>();
        assert_eq!(names(Verdict::Failed), ["HTTPRouteWeight"]);
        assert_eq!(names(Verdict::Passed), ["HTTPRouteMatching"]);
        assert_eq!(names(Verdict::Skipped), ["MeshBasic"]);
        assert_eq!(log.errors["HTTPRouteWeight"], "Condition never satisfied after 30s: weights differ");
        assert_eq!(log.tests[0].seconds, 31.2);
    }
}
