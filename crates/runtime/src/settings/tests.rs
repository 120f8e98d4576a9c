use std::{ffi::OsString, fs, path::Path, time::Duration};

use super::*;

fn variables(pairs: &[(&str, &str)]) -> Vec<(OsString, OsString)> {
    pairs.iter().map(|(name, value)| (name.into(), value.into())).collect()
}

fn load(file: &str, environment: &[(&str, &str)], flags: Flags) -> Result<Settings, SettingsError> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("settings.toml");
    fs::write(&path, file).unwrap();
    layers::load(&flags, Some(&path), variables(environment))
}

#[test]
fn without_anything_the_defaults_hold() {
    let settings: Settings = layers::load(&Flags::default(), None, []).unwrap();
    assert_eq!(settings, Settings::default());
    assert_eq!(settings.admin.to_string(), "127.0.0.1:15021");
}

#[test]
fn each_layer_wins_over_the_one_below() {
    let file =
        "config = \"from-file\"\nworkers = 2\nlog-level = \"debug\"\ndrain-timeout = \"5s\"\nadmin = 1234";
    let environment = [("LASTHOP_CONFIG", "from-environment"), ("LASTHOP_WORKERS", "3"), ("OTHER", "x")];
    let flags = Flags { config: Some("from-flag".into()), ..Flags::default() };
    let settings = load(file, &environment, flags).unwrap();
    assert_eq!(settings.config.as_deref(), Some(Path::new("from-flag")));
    assert_eq!(settings.workers.unwrap().get(), 3);
    assert_eq!(settings.log_level, "debug");
    assert_eq!(settings.drain_timeout.0, Duration::from_secs(5));
    assert_eq!(settings.admin.to_string(), "127.0.0.1:1234");
    assert_eq!(settings.log_format, LogFormat::Text);
}

#[test]
fn every_setting_can_come_from_the_environment_as_text() {
    let environment = variables(&[
        ("LASTHOP_CONFIG", "1"),
        ("LASTHOP_CONTROL_PLANE", "controller.system.svc:15010"),
        ("LASTHOP_GATEWAY", "shop/edge"),
        ("LASTHOP_CONTROL_PLANE_CA", "/ca.crt"),
        ("LASTHOP_CONTROL_PLANE_TOKEN", "/token"),
        ("LASTHOP_TLS_BACKEND", "boringssl"),
        ("LASTHOP_ADMIN", "off"),
        ("LASTHOP_DRAIN_TIMEOUT", "1500ms"),
        ("LASTHOP_LOG_FORMAT", "json"),
        ("LASTHOP_LOG_LEVEL", "warn,hyper=off"),
        ("LASTHOP_ACCESS_LOG", "/var/log/access"),
        ("LASTHOP_ACCESS_LOG_FORMAT", "text"),
        ("LASTHOP_POLL_INTERVAL", "1m"),
        ("LASTHOP_ALLOW_INSECURE_VERIFY", "true"),
    ]);
    let settings: Settings = layers::load(&Flags::default(), None, environment).unwrap();
    assert_eq!(settings.config.as_deref(), Some(Path::new("1")));
    assert_eq!(settings.control_plane.as_deref(), Some("controller.system.svc:15010"));
    assert_eq!(settings.gateway.unwrap().to_string(), "shop/edge");
    assert_eq!(settings.control_plane_ca.as_deref(), Some(Path::new("/ca.crt")));
    assert_eq!(settings.control_plane_token.as_deref(), Some(Path::new("/token")));
    assert_eq!(settings.tls_backend.unwrap().to_string(), "boringssl");
    assert_eq!(settings.admin, AdminAddress::Off);
    assert_eq!(settings.drain_timeout.to_string(), "1500ms");
    assert_eq!(settings.log_format, LogFormat::Json);
    assert_eq!(settings.access_log, AccessLogOutput::File("/var/log/access".into()));
    assert_eq!(settings.access_log_format, Some(LogFormat::Text));
    assert_eq!(settings.poll_interval, Span::seconds(60));
    assert!(settings.allow_insecure_verify);
}

#[test]
fn the_environment_can_name_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("s.toml");
    fs::write(&path, "workers = 7").unwrap();
    let environment = variables(&[("LASTHOP_SETTINGS", path.to_str().unwrap())]);
    let settings: Settings = layers::load(&Flags::default(), None, environment).unwrap();
    assert_eq!(settings.workers.unwrap().get(), 7);
}

#[test]
fn an_unknown_key_is_refused_and_the_nearest_named() {
    let error = load("log-fromat = \"json\"", &[], Flags::default()).unwrap_err().to_string();
    assert!(error.contains("settings.toml"), "{error}");
    assert!(
        error.contains("there is no setting \"log-fromat\"; the nearest one is \"log-format\""),
        "{error}"
    );

    let error = load("", &[("LASTHOP_WORKER", "1")], Flags::default()).unwrap_err().to_string();
    assert!(error.contains("\"LASTHOP_WORKER\"; the nearest one is \"LASTHOP_WORKERS\""), "{error}");

    let error = load("[zzz]\nfoo = 1", &[], Flags::default()).unwrap_err().to_string();
    assert!(error.contains("there are access-log, "), "{error}");
}

#[test]
fn a_value_that_does_not_fit_names_its_place() {
    let error = load("workers = 0", &[], Flags::default()).unwrap_err().to_string();
    assert!(error.contains("settings.toml: setting \"workers\": "), "{error}");
    assert!(error.contains("a whole number above 0"), "{error}");

    let error = load("", &[("LASTHOP_WORKERS", "many")], Flags::default()).unwrap_err().to_string();
    assert!(error.contains("environment variable LASTHOP_WORKERS"), "{error}");
    assert!(error.contains("\"many\" is not a whole number above 0"), "{error}");

    let error = load("tls-backend = \"openssl\"", &[], Flags::default()).unwrap_err().to_string();
    assert!(error.contains("rustls or boringssl"), "{error}");
}

#[test]
fn a_file_that_is_missing_or_no_toml_is_an_error() {
    let flags = Flags { settings: Some("/nonexistent/settings.toml".into()), ..Flags::default() };
    let error = layers::load::<Settings>(&flags, flags.settings.as_deref(), []).unwrap_err().to_string();
    assert!(error.starts_with("settings file /nonexistent/settings.toml: "), "{error}");
    let error = load("workers = = 1", &[], Flags::default()).unwrap_err();
    assert!(matches!(error, SettingsError::File { .. }), "{error}");
}

#[test]
fn an_empty_variable_says_nothing() {
    let environment = [("LASTHOP_SETTINGS", ""), ("LASTHOP_WORKERS", ""), ("LASTHOP_CONFIG", "x")];
    let settings: Settings = layers::load(&Flags::default(), None, variables(&environment)).unwrap();
    assert_eq!((settings.workers, settings.config.as_deref()), (None, Some(Path::new("x"))));
}

#[test]
fn service_links_of_kubernetes_are_not_settings() {
    let environment = [
        ("LASTHOP_SERVICE_HOST", "10.0.0.1"),
        ("LASTHOP_PROXY_SERVICE_PORT_HTTP", "80"),
        ("LASTHOP_PORT", "tcp://10.0.0.1:80"),
        ("LASTHOP_PORT_80_TCP_ADDR", "10.0.0.1"),
        ("LASTHOP_PORT_80_TCP", "tcp://10.0.0.1:80"),
    ];
    assert!(load("", &environment, Flags::default()).is_ok());
}

#[test]
fn lengths_of_time_have_units() {
    assert_eq!("2m".parse::<Span>().unwrap(), Span::seconds(120));
    for bad in ["", "5", "s", "-1s", "1d", "99999999999999999999s", "1.5s"] {
        assert!(bad.parse::<Span>().is_err(), "{bad:?}");
    }
}

#[test]
fn limits_have_a_table_of_their_own() {
    let file = "[limits]\nheader-bytes = 1024\nidle-timeout = \"5s\"\nhttp2-streams = 7\nconnections = 9\n";
    let environment = [
        ("LASTHOP_LIMITS_HEADER_BYTES", "2048"),
        ("LASTHOP_LIMITS_CONNECT_TIMEOUT", "250ms"),
        ("LASTHOP_LIMITS_BODY_BYTES", "5000000000"),
    ];
    let limits = load(file, &environment, Flags::default()).unwrap().limits;
    assert_eq!(limits.header_bytes, Some(2048));
    assert_eq!(limits.idle_timeout, Some(Span::seconds(5)));
    assert_eq!(limits.http2_streams, Some(7));
    assert_eq!(limits.connect_timeout.unwrap().to_string(), "250ms");
    assert_eq!((limits.connections, limits.body_bytes), (Some(9), Some(5_000_000_000)));
    assert_eq!(limits.buffer_bytes, None);

    let told = |file: &str, environment: &[(&str, &str)]| {
        load(file, environment, Flags::default()).unwrap_err().to_string()
    };
    let error = told("[limits]\nheader-byte = 1", &[]);
    assert!(error.contains("\"limits.header-byte\"; the nearest one is \"limits.header-bytes\""), "{error}");
    let error = told("", &[("LASTHOP_LIMITS_IDLE_TIME", "1s")]);
    assert!(error.contains("the nearest one is \"LASTHOP_LIMITS_IDLE_TIMEOUT\""), "{error}");
    for (file, key) in
        [("http2-streams = 5000000000", "http2-streams"), ("idle-timeout = \"0s\"", "idle-timeout")]
    {
        let error = told(&format!("[limits]\n{file}"), &[]);
        assert!(error.contains(&format!("setting \"limits.{key}\"")), "{error}");
    }
    let error = told("", &[("LASTHOP_LIMITS_HEADER_BYTES", "0")]);
    assert!(error.contains("environment variable LASTHOP_LIMITS_HEADER_BYTES: "), "{error}");
    let error = told("limits = 5", &[]);
    assert!(error.contains("limits"), "{error}");
}
