//! The report that the suite writes: what each profile's tests came to.

use serde_json::Value;

use super::yaml;

/// What the suite says of itself and of each profile.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Report {
    pub(crate) version: String,
    pub(crate) channel: String,
    pub(crate) profiles: Vec<Profile>,
}

#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Profile {
    /// As `GATEWAY-HTTP`.
    pub(crate) name: String,
    pub(crate) core: Level,
    pub(crate) extended: Level,
    pub(crate) supported: Vec<String>,
    pub(crate) unsupported: Vec<String>,
}

/// The tests of one level of support.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Level {
    /// `success`, `partial`, `failure`; empty where the profile has no such level.
    pub(crate) result: String,
    pub(crate) passed: u64,
    pub(crate) failed: u64,
    pub(crate) skipped: u64,
    pub(crate) failed_tests: Vec<String>,
}

impl Report {
    /// Reads the suite's own file.
    pub(crate) fn read(text: &str) -> Result<Self, String> {
        let value = yaml::read(text)?;
        if value["kind"] != "ConformanceReport" {
            return Err(format!("is no ConformanceReport but {}", value["kind"]));
        }
        let profiles = value["profiles"].as_array().ok_or("has no profiles")?;
        Ok(Self {
            version: string(&value["gatewayAPIVersion"]),
            channel: string(&value["gatewayAPIChannel"]),
            profiles: profiles.iter().map(profile).collect::<Result<_, _>>()?,
        })
    }
}

fn profile(value: &Value) -> Result<Profile, String> {
    let name = string(&value["name"]);
    let extended = &value["extended"];
    Ok(Profile {
        core: level(&value["core"]).map_err(|error| format!("{name}, core: {error}"))?,
        extended: if extended.is_null() {
            Level::default()
        } else {
            level(extended).map_err(|error| format!("{name}, extended: {error}"))?
        },
        supported: strings(&extended["supportedFeatures"]),
        unsupported: strings(&extended["unsupportedFeatures"]),
        name,
    })
}

fn level(value: &Value) -> Result<Level, String> {
    let count = |name: &str| {
        value["statistics"][name].as_u64().ok_or_else(|| format!("no number for {name:?} in its statistics"))
    };
    Ok(Level {
        result: string(&value["result"]),
        passed: count("Passed")?,
        failed: count("Failed")?,
        skipped: count("Skipped")?,
        failed_tests: strings(&value["failedTests"]),
    })
}

fn string(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn strings(value: &Value) -> Vec<String> {
    value.as_array().into_iter().flatten().map(string).collect()
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) const TEXT: &str = "
apiVersion: gateway.networking.k8s.io/v1
kind: ConformanceReport
gatewayAPIChannel: experimental
gatewayAPIVersion: v1.6.3
profiles:
- core:
    result: success
    statistics:
      Failed: 0
      Passed: 19
      Skipped: 0
  extended:
    failedTests:
    - TLSRouteMixedTermination
    result: failure
    statistics:
      Failed: 1
      Passed: 15
      Skipped: 0
    supportedFeatures:
    - GatewayPort8080
    - TLSRouteModeMixed
    unsupportedFeatures:
    - GatewayStaticAddresses
  name: GATEWAY-TLS
  summary: Core tests succeeded. Extended tests failed with 1 test failures.
";

    #[test]
    fn reads_what_the_suite_writes() {
        let report = Report::read(TEXT).unwrap();
        assert_eq!((report.version.as_str(), report.channel.as_str()), ("v1.6.3", "experimental"));
        let profile = &report.profiles[0];
        assert_eq!(
            (profile.name.as_str(), profile.core.passed, profile.extended.failed),
            ("GATEWAY-TLS", 19, 1)
        );
        assert_eq!(profile.extended.failed_tests, ["TLSRouteMixedTermination"]);
        assert_eq!(profile.unsupported, ["GatewayStaticAddresses"]);
    }

    #[test]
    fn a_report_without_counts_is_no_report() {
        assert!(Report::read(&TEXT.replace("Passed: 19", "Passd: 19")).is_err());
        assert!(Report::read(&TEXT.replace("ConformanceReport", "Report")).is_err());
        assert!(Report::read("").is_err());
    }
}
