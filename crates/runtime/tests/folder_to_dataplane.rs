//! A folder, the loop and the native dataplane together: what a client sees while files change.
#![expect(clippy::unwrap_used, reason = "a test ends there")]

use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::{Ipv4Addr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use lasthop_dataplane::{Limits, NativeDataplane, NativeOptions, ResolverOptions};
use lasthop_dataplane_api::{AccessLog, AccessRecord, Dataplane, TlsStack};
use lasthop_runtime::{
    control_loop::ControlLoop, metrics::Metrics, source::folder::FolderSource, state::State,
    status::LoggedStatus,
};
use lasthop_translator::{ClassPolicy, Options, Translator};
use tokio::{runtime::Runtime, sync::oneshot};

struct Nowhere;

impl AccessLog for Nowhere {
    fn record(&self, _: &AccessRecord<'_>) {}
}

/// A backend in plaintext that answers every request with its name.
fn backend(name: &'static str) -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            thread::spawn(move || answer(name, stream));
        }
    });
    port
}

fn answer(name: &str, mut stream: TcpStream) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let mut line = String::new();
    while reader.read_line(&mut line).is_ok_and(|read| read > 0) {
        if line == "\r\n" {
            let response = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{name}", name.len());
            if stream.write_all(response.as_bytes()).is_err() {
                return;
            }
        }
        line.clear();
    }
}

fn free_port() -> u16 {
    TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0)).unwrap().local_addr().unwrap().port()
}

struct Site {
    folder: tempfile::TempDir,
    port: u16,
    state: Arc<State>,
    _stop: oneshot::Sender<()>,
    _runtime: Runtime,
}

impl Site {
    fn start(files: &[(&str, String)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let port = free_port();
        let gateway = format!(
            "apiVersion: gateway.networking.k8s.io/v1\nkind: Gateway\nmetadata: {{name: edge}}\nspec:\n  \
             gatewayClassName: lasthop\n  listeners:\n  - {{name: http, protocol: HTTP, port: {port}}}\n"
        );
        fs::write(folder.path().join("gateway.yaml"), gateway).unwrap();
        files.iter().for_each(|(name, text)| fs::write(folder.path().join(name), text).unwrap());

        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let source = FolderSource::open(folder.path(), Duration::from_secs(3600)).unwrap();
        let dataplane = Arc::new(
            NativeDataplane::new(NativeOptions {
                workers: 1,
                tls_stack: TlsStack::Rustls,
                access_log: Arc::new(Nowhere),
                limits: Limits::default(),
                session_key: None,
                bearer_tokens: None,
                resolver: ResolverOptions::default(),
            })
            .unwrap(),
        );
        let options = Options {
            class_policy: ClassPolicy::OwnAllWithoutClass,
            capabilities: dataplane.tls_capabilities(),
            ..Options::default()
        };
        let state = Arc::new(State::new(options.controller_name.clone()));
        let metrics = Metrics::new().unwrap();
        let control = ControlLoop {
            translator: Translator::new(options),
            dataplane,
            sink: LoggedStatus::new(state.clone(), metrics.clone()),
            state: state.clone(),
            metrics,
        };
        let (stop, stopped) = oneshot::channel::<()>();
        runtime.spawn(control.run(source, async {
            let _ = stopped.await;
        }));
        runtime.block_on(state.ready());
        Self { folder, port, state, _stop: stop, _runtime: runtime }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn get(&self, path: &str) -> String {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).unwrap();
        write!(stream, "GET {path} HTTP/1.1\r\nhost: x.example\r\nconnection: close\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let status = answer.split(' ').nth(1).unwrap_or_default().to_owned();
        let body = answer.split_once("\r\n\r\n").map(|(_, body)| body.to_owned()).unwrap_or_default();
        if status == "200" { body } else { status }
    }

    /// How long it takes until a client sees this.
    fn time_to(&self, path: &str, wanted: &str) -> Duration {
        let began = Instant::now();
        loop {
            let seen = self.get(path);
            if seen == wanted {
                return began.elapsed();
            }
            assert!(began.elapsed() < Duration::from_secs(10), "{path} still is {seen}, not {wanted}");
            thread::sleep(Duration::from_millis(2));
        }
    }
}

fn service(name: &str, port: u16) -> String {
    format!(
        "---\napiVersion: v1\nkind: Service\nmetadata: {{name: {name}}}\nspec: {{ports: [{{port: 80}}]}}\n---\n\
         apiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata:\n  name: {name}-1\n  labels: \
         {{kubernetes.io/service-name: {name}}}\naddressType: IPv4\nports: [{{port: {port}}}]\nendpoints:\n- addresses: \
         [127.0.0.1]\n"
    )
}

fn route(name: &str, path: &str, service: &str) -> String {
    format!(
        "---\napiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {{name: {name}}}\nspec:\n  \
         parentRefs: [{{name: edge}}]\n  rules:\n  - matches: [{{path: {{value: {path}}}}}]\n    backendRefs: [{{name: \
         {service}, port: 80}}]\n"
    )
}

fn replace(path: &Path, text: &str) {
    let beside = path.with_extension("new");
    fs::write(&beside, text).unwrap();
    fs::rename(&beside, path).unwrap();
}

#[test]
fn clients_see_changes_of_files_at_once_and_broken_files_not_at_all() {
    let services = service("one", backend("one")) + &service("two", backend("two"));
    let site = Site::start(&[("services.yaml", services), ("route.yaml", route("r", "/", "one"))]);
    assert_eq!(site.get("/"), "one");

    // A change is in force within a tenth of a second; the median of some, for a machine that is busy.
    let mut times: Vec<Duration> = ["two", "one", "two", "one", "two"]
        .into_iter()
        .map(|to| {
            replace(&site.path("route.yaml"), &route("r", "/", to));
            site.time_to("/", to)
        })
        .collect();
    times.sort();
    assert!(times[2] < Duration::from_millis(100), "{times:?}");

    // Broken: what was good stays. The other file of the same moment is taken.
    fs::write(site.path("route.yaml"), route("r", "/", "one").replace("backendRefs", "backendrefs")).unwrap();
    fs::write(site.path("more.yaml"), route("more", "/more", "one")).unwrap();
    site.time_to("/more", "one");
    assert_eq!(site.get("/"), "two");
    let status = site.state.change_board(|board| board.to_json()).to_string();
    assert!(status.contains("backendrefs") && status.contains("last-good"), "{status}");

    // The same object in a second file changes nothing.
    fs::write(site.path("zzz.yaml"), route("more", "/more", "two")).unwrap();
    fs::write(site.path("last.yaml"), route("last", "/last", "two")).unwrap();
    site.time_to("/last", "two");
    assert_eq!(site.get("/more"), "one");

    // Mended, and gone.
    replace(&site.path("route.yaml"), &route("r", "/", "one"));
    site.time_to("/", "one");
    fs::remove_file(site.path("route.yaml")).unwrap();
    site.time_to("/", "404");
    assert_eq!(site.get("/more"), "one");
}
