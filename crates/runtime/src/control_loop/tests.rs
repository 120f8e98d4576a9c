use std::sync::{
    Mutex,
    atomic::{AtomicUsize, Ordering},
};

use async_trait::async_trait;
use lasthop_api_model::{Resource, ResourceKind, read::read_file_bytes};
use lasthop_dataplane_api::{TlsCapabilities, Update};
use lasthop_translator::{ClassPolicy, Options};
use tokio::sync::Semaphore;

use super::*;
use crate::status::{LoggedStatus, Tone};

const GATEWAY: &str = "
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: edge}
spec:
  gatewayClassName: lasthop
  listeners:
  - {name: http, protocol: HTTP, port: 8080}
";

fn route(name: &str) -> String {
    format!(
        "
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {{name: {name}}}
spec:
  parentRefs: [{{name: edge}}]
  hostnames: [{name}.example]
  rules: [{{filters: [{{type: RequestRedirect, requestRedirect: {{scheme: https}}}}]}}]
"
    )
}

fn objects(text: &str) -> Vec<Resource> {
    let outcome = read_file_bytes("test.yaml", text.as_bytes());
    assert!(outcome.problems.is_empty(), "{:?}", outcome.problems);
    outcome.objects.into_iter().map(|(object, _)| object).collect()
}

fn applied(text: &str) -> SourceEvent {
    SourceEvent { applied: objects(text), ..SourceEvent::default() }
}

/// A dataplane that does as it is told, and lets each update wait for a permit.
struct Fake {
    permits: Semaphore,
    updates: Mutex<Vec<Arc<Update>>>,
    waiting: AtomicUsize,
    fails: bool,
    /// What it says by itself.
    say: mpsc::UnboundedSender<Report>,
    says: tokio::sync::Mutex<mpsc::UnboundedReceiver<Report>>,
}

impl Fake {
    fn new(permits: usize, fails: bool) -> Arc<Self> {
        let (say, says) = mpsc::unbounded_channel();
        Arc::new(Self {
            say,
            says: tokio::sync::Mutex::new(says),
            permits: Semaphore::new(permits),
            updates: Mutex::default(),
            waiting: AtomicUsize::new(0),
            fails,
        })
    }
}

#[async_trait]
impl Dataplane for Fake {
    fn tls_capabilities(&self) -> TlsCapabilities {
        Options::default().capabilities
    }

    async fn apply(&self, update: Arc<Update>) -> Report {
        self.waiting.fetch_add(1, Ordering::SeqCst);
        self.permits.acquire().await.unwrap().forget();
        let state = match self.fails {
            false => ListenerState::Bound(vec!["0.0.0.0:8080".parse().unwrap()]),
            true => ListenerState::Failed {
                reason: "PortUnavailable".into(),
                message: "port 8080 is taken".into(),
            },
        };
        let listeners = update.listeners.0.iter().map(|(key, _)| (key.clone(), state.clone())).collect();
        self.updates.lock().unwrap().push(update.clone());
        Report { version: update.version, listeners, refused_backends: Vec::new() }
    }

    async fn reported(&self) -> Report {
        match self.says.lock().await.recv().await {
            Some(report) => report,
            None => std::future::pending().await,
        }
    }

    async fn drain(&self, _: Duration) {}
}

fn control(dataplane: &Arc<Fake>) -> ControlLoop<Fake, LoggedStatus> {
    let options = Options { class_policy: ClassPolicy::OwnAllWithoutClass, ..Options::default() };
    let state = Arc::new(State::new(options.controller_name.clone()));
    let metrics = Metrics::new().unwrap();
    ControlLoop {
        translator: Translator::new(options),
        dataplane: dataplane.clone(),
        sink: LoggedStatus::new(state.clone(), metrics.clone()),
        state,
        metrics,
    }
}

/// What the board says about the Gateway: condition, status and reason, the bad ones only.
fn bad(state: &State) -> Vec<String> {
    state.change_board(|board| {
        let entries = board.objects().flat_map(|(_, entries)| entries.to_vec());
        entries.filter(|entry| entry.tone() == Tone::Bad).map(|entry| entry.to_string()).collect()
    })
}

struct Script(tokio::sync::mpsc::UnboundedReceiver<SourceEvent>);

#[async_trait]
impl Source for Script {
    async fn next(&mut self) -> Option<SourceEvent> {
        self.0.recv().await
    }
}

#[tokio::test]
async fn what_the_source_says_is_in_force_before_it_is_said_to_be() {
    let dataplane = Fake::new(0, false);
    let mut control = control(&dataplane);
    let state = control.state.clone();
    let taking = tokio::spawn(async move {
        control.take(applied(&format!("{GATEWAY}---{}", route("a")))).await;
        control
    });
    while dataplane.waiting.load(Ordering::SeqCst) == 0 {
        tokio::task::yield_now().await;
    }
    assert_eq!(state.phase(), Phase::Starting);
    assert_eq!(state.snapshot().version, 0);
    let programmed = |state: &State| {
        let json = state.change_board(|board| board.to_json()).to_string();
        json.contains(r#""reason":"Programmed""#)
    };
    assert!(!programmed(&state));

    dataplane.permits.add_permits(1);
    let control = taking.await.unwrap();
    assert_eq!(state.phase(), Phase::Ready);
    assert_eq!((state.snapshot().listeners.len(), state.snapshot().http_rules.len()), (1, 1));
    assert!(programmed(&state));
    assert_eq!(control.metrics.reloads.get(), 1);
    assert_eq!(bad(&state), Vec::<String>::new());
}

#[tokio::test]
async fn a_listener_that_cannot_be_bound_is_not_programmed() {
    let dataplane = Fake::new(9, true);
    let mut control = control(&dataplane);
    control.take(applied(GATEWAY)).await;
    let bad = bad(&control.state);
    assert!(bad.iter().any(|said| said.contains("listener http: Programmed=False")), "{bad:?}");
    assert!(bad.iter().any(|said| said.contains("port 8080 is taken")), "{bad:?}");
}

#[tokio::test]
async fn changes_that_wait_are_taken_together() {
    let dataplane = Fake::new(0, false);
    let control = control(&dataplane);
    let state = control.state.clone();
    let (sender, events) = tokio::sync::mpsc::unbounded_channel();
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let running = tokio::spawn(control.run(Script(events), async {
        let _ = stopped.await;
    }));
    sender.send(applied(GATEWAY)).unwrap();
    while dataplane.waiting.load(Ordering::SeqCst) == 0 {
        tokio::task::yield_now().await;
    }
    for name in ["a", "b", "c", "d"] {
        sender.send(applied(&route(name))).unwrap();
    }
    let gone = objects(&route("d")).remove(0).key();
    assert_eq!(gone.kind, ResourceKind::HttpRoute);
    sender.send(SourceEvent { removed: vec![gone], ..SourceEvent::default() }).unwrap();
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    dataplane.permits.add_permits(9);
    while state.snapshot().http_rules.len() != 3 {
        tokio::task::yield_now().await;
    }
    drop(stop);
    running.await.unwrap();
    assert_eq!(dataplane.updates.lock().unwrap().len(), 2);
}

#[tokio::test]
async fn problems_are_counted_while_they_last() {
    let dataplane = Fake::new(9, false);
    let mut control = control(&dataplane);
    let problem = Problem::of_file("a.yaml".as_ref(), ProblemClass::Syntax, "no YAML", "mend it");
    let event = |problems: &[&Problem]| SourceEvent {
        problems: Some(problems.iter().map(|problem| (*problem).clone()).collect()),
        ..SourceEvent::default()
    };
    let shown = |control: &ControlLoop<Fake, LoggedStatus>| {
        String::from_utf8(control.metrics.encode().unwrap()).unwrap()
    };
    control.take(event(&[&problem])).await;
    assert!(shown(&control).contains("lasthop_config_problems{class=\"syntax\"} 1"));
    assert_eq!(control.metrics.reload_failures.get(), 1);
    let other = Problem { class: ProblemClass::PassedOver, ..problem.clone() };
    control.take(event(&[&problem, &other])).await;
    assert_eq!(
        control.metrics.reload_failures.get(),
        1,
        "the problem is not new, and the other one refuses nothing"
    );
    control.take(event(&[])).await;
    assert!(shown(&control).contains("lasthop_config_problems{class=\"syntax\"} 0"));
    assert_eq!(control.state.change_board(|board| board.problems().len()), 0);
    // Nothing to serve is a configuration, too.
    assert_eq!(control.state.phase(), Phase::Ready);
}

#[tokio::test]
async fn an_object_that_is_gone_has_no_conditions() {
    let dataplane = Fake::new(9, false);
    let mut control = control(&dataplane);
    control.take(applied(&format!("{GATEWAY}---{}", route("a")))).await;
    let objects_known = |control: &ControlLoop<Fake, LoggedStatus>| {
        control
            .state
            .change_board(|board| board.objects().map(|(key, _)| key.to_string()).collect::<Vec<_>>())
    };
    assert_eq!(objects_known(&control), ["Gateway default/edge", "HTTPRoute default/a"]);
    let gone = objects(&route("a")).remove(0).key();
    control.take(SourceEvent { removed: vec![gone], ..SourceEvent::default() }).await;
    assert_eq!(objects_known(&control), ["Gateway default/edge"]);
}

#[tokio::test]
async fn what_is_not_everything_reaches_no_dataplane() {
    let dataplane = Fake::new(9, false);
    let mut control = control(&dataplane);
    control.take(SourceEvent { is_partial: true, ..SourceEvent::default() }).await;
    // Proxies that serve would be told that there is nothing.
    assert_eq!(dataplane.updates.lock().unwrap().len(), 0);
    assert_eq!(control.state.phase(), Phase::Starting);
    control.take(SourceEvent::default()).await;
    assert_eq!(dataplane.updates.lock().unwrap().len(), 1);
    assert_eq!(control.state.phase(), Phase::Ready);
}

#[tokio::test]
async fn what_the_dataplane_says_by_itself_reaches_the_conditions() {
    let dataplane = Fake::new(9, false);
    let control = control(&dataplane);
    let state = control.state.clone();
    let (sender, events) = tokio::sync::mpsc::unbounded_channel();
    let running = tokio::spawn(control.run(Script(events), std::future::pending()));
    sender.send(applied(GATEWAY)).unwrap();
    state.ready().await;
    assert_eq!(bad(&state), Vec::<String>::new());
    let snapshot = state.snapshot();
    let states = snapshot.listeners.keys().map(|key| {
        let (reason, message) = ("PortUnavailable".into(), "the address is gone".into());
        (key.clone(), ListenerState::Failed { reason, message })
    });
    let report = Report { version: snapshot.version, listeners: states.collect(), ..Report::default() };
    dataplane.say.send(report).unwrap();
    while !bad(&state).iter().any(|said| said.contains("the address is gone")) {
        tokio::task::yield_now().await;
    }
    drop(sender);
    running.await.unwrap();
}

#[tokio::test]
async fn a_dataplane_is_told_once_that_there_is_nothing() {
    let dataplane = Fake::new(9, false);
    let mut control = control(&dataplane);
    control.take(SourceEvent::default()).await;
    control.take(SourceEvent::default()).await;
    let updates = dataplane.updates.lock().unwrap().clone();
    assert_eq!(updates.len(), 1);
    assert!(updates[0].is_empty());
    assert_eq!(control.metrics.reloads.get(), 0);
}
