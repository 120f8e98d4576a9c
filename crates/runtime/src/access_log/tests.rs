use std::{
    io::{self, Write},
    sync::Mutex,
    thread,
    time::Instant,
};

use lasthop_dataplane_api::{
    BackendKey, EndpointsKey, FailureReason, ListenerKey, ObjectName, RouteKey, RouteKind, RuleKey,
};
use lasthop_tls_verify::{Identity, TlsError};

use super::*;

#[derive(Clone, Default)]
struct Output(Arc<Mutex<Vec<u8>>>);

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Output {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

struct Keys {
    listener: ListenerKey,
    rule: RuleKey,
    backend: BackendKey,
}

fn keys() -> Keys {
    let gateway = ObjectName::new("infra", "edge");
    let service = EndpointsKey::service(ObjectName::new("shop", "cart"), 8443);
    let route = RouteKey { kind: RouteKind::HTTPRoute, object: ObjectName::new("shop", "cart") };
    Keys {
        listener: ListenerKey { gateway: gateway.clone(), set: None, name: "https".into() },
        rule: RuleKey { route, gateway: gateway.clone(), index: 2 },
        backend: BackendKey { gateway, endpoints: service },
    }
}

fn record<'a>(keys: &'a Keys, path: &'a str, reason: Option<&'a FailureReason>) -> AccessRecord<'a> {
    AccessRecord {
        client: "[::1]:5000".parse().unwrap(),
        listener: Some(&keys.listener),
        method: "GET",
        host: "shop.example",
        path,
        protocol: "HTTP/2",
        status: 200,
        rule: Some(&keys.rule),
        backend: Some(&keys.backend),
        endpoint: Some("127.0.0.1:9443".parse().unwrap()),
        attempts: 1,
        upstream_tls: Some("1.3"),
        upstream_resumed: true,
        upstream_reused: false,
        reason,
        bytes_in: 0,
        bytes_out: 1024,
        duration: Duration::from_micros(1234),
        upstream_duration: Some(Duration::from_micros(1000)),
    }
}

fn line(format: LogFormat, record: &AccessRecord<'_>) -> String {
    let mut buffer = Vec::new();
    line::write(&mut buffer, format, "2026-01-01T00:00:00.000Z", record);
    String::from_utf8(buffer).unwrap()
}

#[test]
fn a_connection_that_is_handed_on_has_no_request_in_it() {
    let keys = keys();
    let mut record = record(&keys, "", None);
    (record.method, record.host, record.protocol, record.status) = ("", "app.test", "TLS", 0);
    let text = line(LogFormat::Text, &record);
    assert!(text.contains(" method=- host=app.test path=- protocol=TLS status=- "), "{text}");
    record.host = "";
    let json = line(LogFormat::Json, &record);
    assert!(
        json.contains(r#""method":null,"host":null,"path":null,"protocol":"TLS","status":null,"#),
        "{json}"
    );
}

fn counter() -> IntCounter {
    IntCounter::new("dropped", "dropped").unwrap()
}

#[test]
fn text_has_one_pair_for_each_fact() {
    let keys = keys();
    assert_eq!(
        line(LogFormat::Text, &record(&keys, "/cart", None)),
        "time=2026-01-01T00:00:00.000Z client=[::1]:5000 listener=infra/edge/https method=GET \
         host=shop.example path=/cart protocol=HTTP/2 status=200 route=HTTPRoute/shop/cart rule=2 \
         backend=shop/cart:8443 endpoint=127.0.0.1:9443 attempts=1 tls=1.3 resumed=true reused=false reason=- \
         bytes_in=0 bytes_out=1024 duration_ms=1.234 upstream_ms=1.000\n"
    );
}

#[test]
fn json_says_the_same() {
    let keys = keys();
    let json = line(LogFormat::Json, &record(&keys, "/cart", None));
    let value: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(value["route"], "HTTPRoute/shop/cart");
    assert_eq!(value["rule"], 2);
    assert_eq!(value["status"], 200);
    assert_eq!(value["resumed"], true);
    assert_eq!(value["reason"], serde_json::Value::Null);
    assert_eq!(value["duration_ms"], 1.234);
}

#[test]
fn what_a_client_sends_cannot_leave_its_field() {
    let keys = keys();
    let path = "/a\"b\\c\n\u{7f}\u{85}é status=200";
    let json = line(LogFormat::Json, &record(&keys, path, None));
    assert_eq!(json.matches('\n').count(), 1);
    let value: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(value["path"], path);
    let text = line(LogFormat::Text, &record(&keys, path, None));
    assert_eq!(text.matches('\n').count(), 1);
    assert!(text.contains(r#" path="/a\"b\\c\n\u007f\u0085é status=200" protocol="#), "{text}");
}

#[test]
fn a_very_long_field_is_cut() {
    let keys = keys();
    let path = format!("/{}", "ä".repeat(10_000));
    let value: serde_json::Value =
        serde_json::from_str(&line(LogFormat::Json, &record(&keys, &path, None))).unwrap();
    let logged = value["path"].as_str().unwrap();
    assert!(logged.len() <= 2051 && logged.ends_with("ä…"), "{}", logged.len());
}

#[test]
fn a_failed_handshake_says_why() {
    let keys = keys();
    let reason = FailureReason::UpstreamTls(TlsError::NameMismatch {
        expected: vec![Identity::dns("cart.shop").unwrap()],
        required: Vec::new(),
        presented: vec!["DNS:other.shop".to_owned()],
    });
    let text = line(LogFormat::Text, &record(&keys, "/", Some(&reason)));
    assert!(text.contains(" reason=NameMismatch detail=\"the certificate has none"), "{text}");
    assert!(text.contains("presented DNS:other.shop\""), "{text}");
}

#[test]
fn a_buffer_that_is_large_enough_is_never_replaced() {
    let keys = keys();
    let mut buffer = Vec::with_capacity(4096);
    let place = buffer.as_ptr();
    for format in [LogFormat::Text, LogFormat::Json] {
        buffer.clear();
        line::write(&mut buffer, format, "t", &record(&keys, "/a b", Some(&FailureReason::NoRoute)));
        assert_eq!(buffer.as_ptr(), place);
    }
}

#[test]
fn lines_of_all_threads_arrive_whole() {
    let output = Output::default();
    let log = Arc::new(
        AccessLogWriter::over(Sink::Test(Box::new(output.clone())), LogFormat::Json, counter()).unwrap(),
    );
    let threads: Vec<_> = (0..4)
        .map(|_| {
            let log = log.clone();
            thread::spawn(move || {
                let keys = keys();
                (0..500).for_each(|_| log.record(&record(&keys, "/x", None)));
            })
        })
        .collect();
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    log.close(Duration::from_secs(10));
    let text = output.text();
    assert_eq!(text.lines().count(), 2000);
    assert!(text.lines().all(|line| serde_json::from_str::<serde_json::Value>(line).is_ok()));
}

#[test]
fn a_stuck_output_costs_lines_and_not_time() {
    struct Stuck(Arc<Mutex<()>>);
    impl Write for Stuck {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            drop(self.0.lock().unwrap());
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let gate = Arc::new(Mutex::new(()));
    let closed = gate.lock().unwrap();
    let dropped = counter();
    let sink = Sink::Test(Box::new(Stuck(gate.clone())));
    let log = AccessLogWriter::over(sink, LogFormat::Text, dropped.clone()).unwrap();
    let keys = keys();
    let began = Instant::now();
    while dropped.get() == 0 && began.elapsed() < Duration::from_secs(20) {
        log.record(&record(&keys, "/x", None));
    }
    assert!(dropped.get() > 0);
    let ended = Instant::now();
    log.close(Duration::from_millis(50));
    assert!(ended.elapsed() < Duration::from_secs(5));
    drop(closed);
}

#[test]
fn an_output_that_fails_is_counted() {
    struct Failing;
    impl Write for Failing {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::BrokenPipe.into())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let dropped = counter();
    let log = AccessLogWriter::over(Sink::Test(Box::new(Failing)), LogFormat::Text, dropped.clone()).unwrap();
    let keys = keys();
    (0..3).for_each(|_| log.record(&record(&keys, "/x", None)));
    log.close(Duration::from_secs(10));
    assert_eq!(dropped.get(), 3);
}

#[test]
fn a_file_is_opened_anew_on_demand() {
    let folder = tempfile::tempdir().unwrap();
    let (path, moved) = (folder.path().join("access"), folder.path().join("access.1"));
    let output = AccessLogOutput::File(path.clone());
    let log = AccessLogWriter::start(&output, LogFormat::Text, counter()).unwrap().unwrap();
    let keys = keys();
    let wait_for = |file: &std::path::Path| {
        let began = Instant::now();
        while std::fs::read(file).unwrap_or_default().is_empty() {
            assert!(began.elapsed() < Duration::from_secs(10), "{} stays empty", file.display());
            thread::sleep(Duration::from_millis(2));
        }
    };
    log.record(&record(&keys, "/1", None));
    wait_for(&path);
    std::fs::rename(&path, &moved).unwrap();
    log.reopen();
    log.record(&record(&keys, "/2", None));
    wait_for(&path);
    assert!(std::fs::read_to_string(&path).unwrap().contains("path=/2"));

    let missing = AccessLogOutput::File("/nonexistent/access".into());
    let error = AccessLogWriter::start(&missing, LogFormat::Text, counter()).err().unwrap().to_string();
    assert!(error.contains("/nonexistent/access cannot be opened for writing"), "{error}");
    assert!(AccessLogWriter::start(&AccessLogOutput::Off, LogFormat::Text, counter()).unwrap().is_none());
}
