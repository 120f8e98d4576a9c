//! A backend that says its name, and requests that count what is not answered as it should be.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio::{
    io::{self, AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
    time::timeout,
};

const LONG: Duration = Duration::from_secs(20);

pub(crate) struct Backend {
    pub(crate) address: SocketAddr,
}

impl Backend {
    pub(crate) async fn start(says: &'static str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(answer(stream, says));
            }
        });
        Self { address }
    }
}

/// Answers every request on the connection; none has a body.
async fn answer(mut stream: TcpStream, says: &str) -> io::Result<()> {
    let mut bytes = Vec::new();
    loop {
        while !bytes.windows(4).any(|window| window == b"\r\n\r\n") {
            if stream.read_buf(&mut bytes).await? == 0 {
                return Ok(());
            }
        }
        bytes.clear();
        let length = says.len();
        let response = format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n{says}");
        stream.write_all(response.as_bytes()).await?;
    }
}

/// Status and body of one request on a connection of its own.
pub(crate) async fn get(port: u16, path: &str) -> io::Result<(u16, String)> {
    let exchange = async {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).await?;
        let request = format!("GET {path} HTTP/1.1\r\nhost: shop.example\r\nconnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await?;
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).await?;
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let status = text.split(' ').nth(1).and_then(|status| status.parse().ok());
        let body = text.split_once("\r\n\r\n").map(|(_, body)| body.to_owned());
        status.zip(body).ok_or_else(|| io::Error::other(format!("no answer: {text:?}")))
    };
    timeout(LONG, exchange).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}

/// Requests without a pause.
pub(crate) struct Load {
    stop: Arc<AtomicBool>,
    tasks: Vec<JoinHandle<(usize, BTreeMap<String, usize>)>>,
}

impl Load {
    pub(crate) fn start(port: u16, clients: usize) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let client = |stop: Arc<AtomicBool>| async move {
            let (mut requests, mut failed) = (0, BTreeMap::new());
            while !stop.load(Ordering::Relaxed) {
                requests += 1;
                let fault = match get(port, "/").await {
                    Ok((200, _)) => continue,
                    Ok((status, _)) => status.to_string(),
                    Err(error) => error.to_string(),
                };
                *failed.entry(fault).or_insert(0) += 1;
            }
            (requests, failed)
        };
        let tasks = (0..clients).map(|_| tokio::spawn(client(stop.clone()))).collect();
        Self { stop, tasks }
    }

    /// How many there were, and how those failed that did.
    pub(crate) async fn stop(self) -> (usize, BTreeMap<String, usize>) {
        self.stop.store(true, Ordering::Relaxed);
        let (mut requests, mut failed) = (0, BTreeMap::new());
        for task in self.tasks {
            let (some, faults) = task.await.unwrap();
            requests += some;
            faults.into_iter().for_each(|(fault, count)| *failed.entry(fault).or_insert(0) += count);
        }
        (requests, failed)
    }
}
