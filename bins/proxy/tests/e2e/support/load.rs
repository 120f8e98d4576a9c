//! A steady load: requests over kept and over new connections, every failure noted.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use rustls::ClientConfig;

use super::{client::Client, site::Site};

/// Clients that send requests until they are told to stop.
pub(crate) struct Load {
    shared: Arc<Shared>,
    clients: Vec<JoinHandle<()>>,
}

struct Shared {
    port: u16,
    host: String,
    config: Arc<ClientConfig>,
    begun: Instant,
    sent: AtomicUsize,
    new: AtomicUsize,
    stop: AtomicBool,
    faults: Mutex<Vec<String>>,
}

/// What a load came to.
#[derive(Debug)]
pub(crate) struct Outcome {
    /// Requests that were sent.
    pub(crate) sent: usize,
    /// Connections that were made for them.
    pub(crate) connections: usize,
    /// What went wrong, request by request.
    pub(crate) faults: Vec<String>,
}

/// How long each client waits between two requests.
const PAUSE: Duration = Duration::from_millis(8);

impl Load {
    /// Four clients that keep their connections and two that make a new one for each request, some hundred requests a
    /// second together. Half of them ask for what takes a while, so that something is always under way.
    pub(crate) fn start(site: &Site, host: &str) -> Self {
        let shared = Arc::new(Shared {
            port: site.https,
            host: host.to_owned(),
            config: site.client_config(),
            begun: Instant::now(),
            sent: AtomicUsize::new(0),
            new: AtomicUsize::new(0),
            stop: AtomicBool::new(false),
            faults: Mutex::new(Vec::new()),
        });
        let client = |(keeps, path): (bool, &'static str)| {
            let shared = Arc::clone(&shared);
            std::thread::spawn(move || shared.run(keeps, path))
        };
        let kept = [(true, "/"), (true, "/"), (true, "/slow?30"), (true, "/slow?30")];
        let clients = kept.into_iter().chain([(false, "/"), (false, "/slow?30")]).map(client).collect();
        Self { shared, clients }
    }

    /// Requests so far.
    pub(crate) fn sent(&self) -> usize {
        self.shared.sent.load(Ordering::SeqCst)
    }

    pub(crate) fn stop(self) -> Outcome {
        self.shared.stop.store(true, Ordering::SeqCst);
        self.clients.into_iter().for_each(|client| client.join().unwrap());
        Outcome {
            sent: self.shared.sent.load(Ordering::SeqCst),
            connections: self.shared.new.load(Ordering::SeqCst),
            faults: self.shared.faults.lock().unwrap().clone(),
        }
    }
}

impl Shared {
    fn run(&self, keeps: bool, path: &str) {
        let mut kept: Option<Client> = None;
        while !self.stop.load(Ordering::SeqCst) {
            std::thread::sleep(PAUSE);
            let reused = kept.is_some();
            self.sent.fetch_add(1, Ordering::SeqCst);
            let answer = kept.take().map_or_else(|| self.connect(), Ok).and_then(|mut client| {
                let answer = client.get(&self.host, path)?;
                Ok((client, answer))
            });
            match answer {
                Ok((client, answer)) if answer.status == 200 => {
                    let last = answer.header("connection") == Some("close");
                    kept = (keeps && !last).then_some(client);
                }
                Ok((_, answer)) => self.fault(reused, &format!("{answer:?}")),
                Err(error) => self.fault(reused, &error.to_string()),
            }
        }
    }

    fn connect(&self) -> std::io::Result<Client> {
        self.new.fetch_add(1, Ordering::SeqCst);
        Client::tls(self.port, &self.host, &self.config)
    }

    fn fault(&self, reused: bool, what: &str) {
        let connection = if reused { "kept" } else { "new" };
        let text = format!("after {:?}, {connection} connection: {what}", self.begun.elapsed());
        self.faults.lock().unwrap().push(text);
    }
}
