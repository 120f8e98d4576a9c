//! The layers, and how they are laid over one another.

use std::{
    collections::BTreeMap,
    ffi::OsString,
    path::{Path, PathBuf},
};

use figment::{
    Figment, Metadata, Profile, Provider,
    providers::{Format, Serialized, Toml},
    value::{Dict, Map, Value},
};

use serde::{Serialize, de::DeserializeOwned};

use super::SettingsError;

const PREFIX: &str = "LASTHOP_";
/// The one table.
const LIMITS: &str = "limits-";
const FILE: &str = "LASTHOP_SETTINGS";

/// The settings of one binary: its defaults, with the layers over them. `settings` is the file that a flag names.
pub(super) fn load<S: Default + Serialize + DeserializeOwned>(
    flags: &impl Serialize,
    settings: Option<&Path>,
    environment: impl IntoIterator<Item = (OsString, OsString)>,
) -> Result<S, SettingsError> {
    let environment = Environment::take(environment)?;
    let defaults = Serialized::defaults(S::default());
    let known = keys(&defaults).map_err(|error| invalid(&error, "the defaults".to_owned()))?;

    let mut figment = Figment::from(defaults);
    if let Some(path) = settings.or(environment.file.as_deref()) {
        figment = figment.merge(file(path, &known)?);
    }
    for name in environment.values.keys() {
        if !known.contains(name) {
            return Err(SettingsError::unknown("environment".to_owned(), name, &known, variable));
        }
    }
    figment
        .merge(environment)
        .merge(Serialized::globals(flags))
        .extract()
        .map_err(|error| invalid(&error, "the settings".to_owned()))
}

/// The variables of an environment that say these settings, if all of them exist and fit.
pub(super) fn variables<S: Default + Serialize + DeserializeOwned>(
    settings: &BTreeMap<String, String>,
    flags: &impl Serialize,
    place: &str,
) -> Result<BTreeMap<String, String>, SettingsError> {
    let defaults = Serialized::defaults(S::default());
    let known = keys(&defaults).map_err(|error| invalid(&error, "the defaults".to_owned()))?;
    let wrong = |key: &str, reason: &str| SettingsError::Invalid {
        place: place.to_owned(),
        key: key.to_owned(),
        reason: reason.to_owned(),
    };
    for (key, value) in settings {
        if !known.contains(key) {
            return Err(SettingsError::unknown(place.to_owned(), key, &known, str::to_owned));
        }
        // An empty variable counts as none.
        if value.is_empty() {
            return Err(wrong(key, "it is empty; give a value or leave it out"));
        }
    }
    let variables: BTreeMap<String, String> =
        settings.iter().map(|(key, value)| (variable(key), value.clone())).collect();
    let environment = variables.iter().map(|(name, value)| (name.into(), value.into()));
    match load::<S>(flags, None, environment) {
        Ok(_) => Ok(variables),
        Err(SettingsError::Invalid { key, reason, .. }) => Err(wrong(&key, &reason)),
        Err(other) => Err(other),
    }
}

fn file(path: &Path, known: &[String]) -> Result<impl Provider + use<>, SettingsError> {
    let failed = |reason: String| SettingsError::File { path: path.to_owned(), reason };
    let text = std::fs::read_to_string(path).map_err(|error| failed(error.to_string()))?;
    let layer = Toml::file_exact(path);
    // Parsed from the text once more, so that a syntax error names the file and not the whole chain of layers.
    let found = keys(&Toml::string(&text)).map_err(|error| failed(error.to_string().trim().to_owned()))?;
    for key in found {
        if !known.contains(&key) {
            let place = format!("settings file {}", path.display());
            return Err(SettingsError::unknown(place, &key, known, str::to_owned));
        }
    }
    Ok(layer)
}

/// All keys of a layer, those of a table as `table.key`.
fn keys(layer: &dyn Provider) -> Result<Vec<String>, Box<figment::Error>> {
    let data = layer.data()?;
    Ok(data.values().flat_map(|dict| dict.iter().flat_map(|(key, value)| keys_of(key, value))).collect())
}

fn keys_of(key: &str, value: &Value) -> Vec<String> {
    match value.as_dict().filter(|dict| !dict.is_empty()) {
        None => vec![key.to_owned()],
        Some(dict) => {
            dict.iter().flat_map(|(below, value)| keys_of(&format!("{key}.{below}"), value)).collect()
        }
    }
}

fn invalid(error: &figment::Error, otherwise: String) -> SettingsError {
    let key = error.path.join(".");
    let place = match &error.metadata {
        Some(metadata) if metadata.name == Environment::NAME => {
            format!("environment variable {}", variable(&key))
        }
        Some(metadata) => match metadata.source.as_ref().and_then(|source| source.file_path()) {
            Some(path) => format!("settings file {}", path.display()),
            None => otherwise,
        },
        None => otherwise,
    };
    SettingsError::Invalid { place, key, reason: error.kind.to_string() }
}

/// The variable of a setting.
fn variable(key: &str) -> String {
    format!("{PREFIX}{}", key.replace(['-', '.'], "_").to_ascii_uppercase())
}

/// What the environment says. All values are texts: `LASTHOP_CONFIG=1` is a folder named 1.
struct Environment {
    file: Option<PathBuf>,
    values: Map<String, String>,
}

impl Environment {
    const NAME: &'static str = "environment";

    fn take(variables: impl IntoIterator<Item = (OsString, OsString)>) -> Result<Self, SettingsError> {
        let mut taken = Self { file: None, values: Map::new() };
        for (name, value) in variables {
            let Some(name) = name.to_str() else { continue };
            // Templates leave variables empty that they do not mean to set.
            if value.is_empty() {
                continue;
            }
            if name == FILE {
                taken.file = Some(value.into());
                continue;
            }
            let Some(key) = name.strip_prefix(PREFIX) else { continue };
            let key = key.replace('_', "-").to_ascii_lowercase();
            let key = match key.strip_prefix(LIMITS) {
                Some(limit) => format!("limits.{limit}"),
                None => key,
            };
            let Ok(value) = value.into_string() else {
                return Err(SettingsError::Invalid {
                    place: format!("environment variable {name}"),
                    key,
                    reason: "the value is not UTF-8".to_owned(),
                });
            };
            if !is_service_link(name, &value) {
                taken.values.insert(key, value);
            }
        }
        Ok(taken)
    }
}

impl Provider for Environment {
    fn metadata(&self) -> Metadata {
        Metadata::named(Self::NAME)
    }

    fn data(&self) -> Result<Map<Profile, Dict>, figment::Error> {
        let mut dict = Dict::new();
        let mut limits = Dict::new();
        for (key, value) in &self.values {
            match key.strip_prefix("limits.") {
                Some(limit) => limits.insert(limit.to_owned(), value.clone().into()),
                None => dict.insert(key.clone(), value.clone().into()),
            };
        }
        if !limits.is_empty() {
            dict.insert("limits".to_owned(), limits.into());
        }
        Ok(Map::from([(Profile::Global, dict)]))
    }
}

/// Whether Kubernetes put the variable there for a Service whose name begins with "lasthop": it does so in every pod
/// of the Service's namespace, unasked.
fn is_service_link(name: &str, value: &str) -> bool {
    let address = ["tcp://", "udp://", "sctp://"].iter().any(|scheme| value.starts_with(scheme));
    let part = ["_TCP_", "_UDP_", "_SCTP_"].iter().any(|protocol| name.contains(protocol));
    name.ends_with("_SERVICE_HOST")
        || name.contains("_SERVICE_PORT")
        || (name.contains("_PORT") && address)
        || (name.contains("_PORT_") && part)
}
