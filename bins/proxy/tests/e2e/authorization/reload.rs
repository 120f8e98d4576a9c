//! Another service decides, then its hop is no longer verified, while requests run: nothing passes that the service in
//! force did not allow.

use std::{
    collections::HashSet,
    path::Path,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use base64::{Engine, engine::general_purpose::STANDARD};

use super::{HTTP, authorized_by, nginx};
use crate::{
    for_each_stack,
    support::{PATIENCE, Stack, client::field, manifests, proxy::Proxy, server::Server, site::Site, within},
};

for_each_stack!(alone: nothing_passes_unasked);

/// What every worker needs at most to take up what the folder's reader has told; the machine may be busy.
const SETTLED: Duration = Duration::from_millis(1_000);

fn nothing_passes_unasked(stack: Stack) {
    let site = Arc::new(Site::new());
    let shop = Server::tls("shop", site.leaf().server(&["http/1.1"]));
    site.tls_backend("shop", shop.port);
    // Each service knows one user.
    let users = ["ada", "bob"];
    let services = users.map(|user| {
        let (port, process) = nginx(&site, &site.leaf(), user);
        site.write(&format!("service-{user}.yaml"), &manifests::service(user, &[port], None));
        site.policy(user, "");
        (port, process)
    });
    authorized_by(&site, "ada", HTTP);
    let proxy = site.start(stack);
    let load = Load::start(&site);
    std::thread::sleep(SETTLED);

    // Who decides from when on, and until when nobody else did.
    let mut decided: Vec<(&str, Instant, Instant)> = Vec::new();
    let (mut who, mut since) = ("ada", Instant::now());
    for turn in 0..5 {
        std::thread::sleep(SETTLED);
        decided.push((who, since, Instant::now()));
        who = users[(turn + 1) % 2];
        since = change(&proxy, || authorized_by(&site, who, HTTP));
    }
    // The one that decides now is bob's; its policy asks for a name that it has not.
    assert_eq!(who, "bob");
    std::thread::sleep(SETTLED);
    decided.push((who, since, Instant::now()));
    let refused_since = change(&proxy, || {
        site.write("policy-bob.yaml", &manifests::policy("bob", "bob", "else.test", "ca", ""));
    });
    std::thread::sleep(SETTLED);
    let refused_until = Instant::now();
    // The other one's hop is as good as before, and bob's becomes good again.
    let since = change(&proxy, || authorized_by(&site, "ada", HTTP));
    std::thread::sleep(SETTLED);
    decided.push(("ada", since, Instant::now()));
    let since = change(&proxy, || {
        site.policy("bob", "");
        authorized_by(&site, "bob", HTTP);
    });
    std::thread::sleep(SETTLED);
    decided.push(("bob", since, Instant::now()));
    let answers = load.stop();

    let between = |answer: &Answer, from: Instant, to: Instant| answer.begun > from && answer.ended < to;
    for (who, from, to) in &decided {
        let meanwhile: Vec<_> = answers.iter().filter(|answer| between(answer, *from, *to)).collect();
        for answer in &meanwhile {
            let wanted = if answer.who == *who { 200 } else { 401 };
            assert_eq!(answer.status, wanted, "{who} decides: {answer:?}");
        }
        let passed = meanwhile.iter().filter(|answer| answer.status == 200).count();
        assert!(passed > 20 && meanwhile.len() > 2 * passed, "{passed} of {}", meanwhile.len());
    }
    let refused: Vec<_> =
        answers.iter().filter(|answer| between(answer, refused_since, refused_until)).collect();
    assert!(refused.len() > 60, "{}", refused.len());
    for answer in &answers {
        // Only a hop that is not verified makes a failure, and nobody passes whom no service knows.
        let may_fail = answer.ended > decided[5].2 && answer.begun < decided[6].1;
        assert!(matches!(answer.status, 200 | 401) || (may_fail && answer.status >= 500), "{answer:?}");
        assert!(answer.who != "nobody" || answer.status != 200, "{answer:?}");
    }

    // What reached the shop is what a service has allowed, under the name that it gave, and has been answered for.
    let said = services.each_ref().map(|(port, _)| said(site.work(), *port));
    let mut reached = HashSet::new();
    for head in shop.requests() {
        let path = head.split(' ').nth(1).unwrap().to_owned();
        let user = field(&head, "x-user").unwrap_or_default();
        let service = users.iter().position(|one| *one == user);
        assert!(service.is_some_and(|it| said[it].contains(&format!("{path} 200"))), "{head}");
        assert_eq!(path.split('/').nth(1), Some(user), "{head}");
        assert!(reached.insert(path), "twice: {head}");
    }
    let passed: HashSet<_> =
        answers.iter().filter(|answer| answer.status == 200).map(|answer| answer.path.clone()).collect();
    assert_eq!(reached, passed);
    // No question reached the service whose hop was not verified, not even over a connection of before.
    let asked: HashSet<&str> = said[1].iter().filter_map(|line| line.split(' ').next()).collect();
    for answer in refused {
        assert!(answer.status >= 500, "the hop is not verified: {answer:?}");
        assert!(!asked.contains(answer.path.as_str()) && !reached.contains(&answer.path), "{answer:?}");
    }
    let record = proxy.wait_access(|record| record["reason"] == "NameMismatch");
    assert_eq!(record["backend"], "default/bob:443", "{record}");
    eprintln!("{} requests, of which {} passed", answers.len(), reached.len());
}

/// What a service was asked about and said, a path and a status each.
fn said(work: &Path, port: u16) -> HashSet<String> {
    let text = std::fs::read_to_string(work.join(format!("authz-{port}/said"))).unwrap();
    text.lines().map(str::to_owned).collect()
}

/// Makes a change, and waits until it is in force everywhere; since when.
fn change(proxy: &Proxy, make: impl FnOnce()) -> Instant {
    let reloads = || proxy.metric("lasthop_config_reloads_total", &[]);
    let before = reloads();
    make();
    let done = within(PATIENCE, || (reloads() > before).then_some(()));
    assert!(done.is_some(), "the change is never taken up: {}", proxy.log());
    std::thread::sleep(SETTLED);
    Instant::now()
}

/// A request and its answer.
#[derive(Debug)]
struct Answer {
    who: &'static str,
    path: String,
    status: u16,
    begun: Instant,
    ended: Instant,
}

/// Clients that ask until they are told to stop: two for each user, and two that show nothing.
struct Load {
    stop: Arc<AtomicBool>,
    answers: Arc<Mutex<Vec<Answer>>>,
    clients: Vec<JoinHandle<()>>,
}

impl Load {
    fn start(site: &Arc<Site>) -> Self {
        let (stop, answers) = (Arc::<AtomicBool>::default(), Arc::<Mutex<Vec<Answer>>>::default());
        let users = ["ada", "bob", "nobody"];
        let clients = users.into_iter().flat_map(|who| [(who, 0), (who, 1)]).map(|(who, number)| {
            let (site, stop, answers) = (site.clone(), stop.clone(), answers.clone());
            std::thread::spawn(move || {
                let mut kept = None;
                for turn in 0.. {
                    if stop.load(Ordering::SeqCst) {
                        return;
                    }
                    std::thread::sleep(Duration::from_millis(10));
                    let mut client = kept.take().unwrap_or_else(|| site.connect("shop.test"));
                    let path = format!("/{who}/{number}/{turn}");
                    let begun = Instant::now();
                    let answer = client.exchange(request(who, &path).as_bytes());
                    let answer = answer.unwrap_or_else(|error| panic!("{path}: {error}"));
                    let (status, ended) = (answer.status, Instant::now());
                    answers.lock().unwrap().push(Answer { who, path, status, begun, ended });
                    kept = (answer.header("connection") != Some("close")).then_some(client);
                }
            })
        });
        let clients = clients.collect();
        Self { stop, answers, clients }
    }

    fn stop(self) -> Vec<Answer> {
        self.stop.store(true, Ordering::SeqCst);
        self.clients.into_iter().for_each(|client| client.join().unwrap());
        std::mem::take(&mut *self.answers.lock().unwrap())
    }
}

fn request(who: &str, path: &str) -> String {
    let shown = match who {
        "nobody" => String::new(),
        _ => format!("authorization: Basic {}\r\n", STANDARD.encode(format!("{who}:secret"))),
    };
    format!("GET {path} HTTP/1.1\r\nhost: shop.test\r\n{shown}\r\n")
}
