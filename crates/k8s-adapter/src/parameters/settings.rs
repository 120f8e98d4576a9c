//! Settings of the proxies, as parameters name them.

use std::collections::BTreeMap;

use lasthop_runtime::settings::Settings;

/// The settings that are not the user's on a cluster, and whose they are.
const DECIDED: [(&str, &str); 12] = [
    ("config", "the controller tells the proxies what to serve"),
    ("control-plane", "the controller tells the proxies where it is"),
    ("control-plane-ca", "the controller tells the proxies whom to trust"),
    ("control-plane-token", "the controller gives the proxies their token"),
    ("gateway", "the controller tells the proxies whose they are"),
    ("admin", "the controller and the probes ask at port 15021"),
    ("drain-timeout", "use spec.drainSeconds"),
    ("log-level", "use spec.logLevel"),
    ("session-key-file", "the controller gives the proxies of a Gateway one key"),
    ("bearer-token-directory", "use spec.bearerTokens"),
    ("poll-interval", "there is no folder to look over"),
    ("allow-insecure-verify", "it is a setting of the controller"),
];

/// The settings as variables of a proxy's environment; otherwise which one cannot be used, and why.
pub(super) fn variables(settings: &BTreeMap<String, String>) -> Result<BTreeMap<String, String>, String> {
    for name in settings.keys() {
        if let Some((_, why)) = DECIDED.iter().find(|(decided, _)| decided == name) {
            return Err(format!("spec.settings[{name}]: it cannot be set here: {why}"));
        }
    }
    Settings::variables(settings, "spec.settings").map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_become_variables() {
        let given =
            [("access-log-format", "json"), ("limits.header-timeout", "5s"), ("tls-backend", "rustls")];
        let given = given.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let variables = variables(&BTreeMap::from(given)).unwrap();
        let variables: Vec<(&str, &str)> =
            variables.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let expected = [
            ("LASTHOP_ACCESS_LOG_FORMAT", "json"),
            ("LASTHOP_LIMITS_HEADER_TIMEOUT", "5s"),
            ("LASTHOP_TLS_BACKEND", "rustls"),
        ];
        assert_eq!(variables, expected);
    }

    #[test]
    fn every_setting_is_somebody_s() {
        // A new one has to be thought about here.
        let all = serde_json::to_value(Settings::default()).unwrap();
        let own: Vec<&str> = all
            .as_object()
            .unwrap()
            .keys()
            .map(String::as_str)
            .filter(|name| !DECIDED.iter().any(|(decided, _)| decided == name))
            .collect();
        let expected = [
            "access-log",
            "access-log-format",
            "limits",
            "log-format",
            "resolver",
            "resolver-allow-local",
            "resolver-max-stale",
            "tls-backend",
            "workers",
        ];
        let mut own = own;
        own.sort_unstable();
        assert_eq!(own, expected);
    }
}
