//! A backend of our own: one thread a connection, HTTP/1.1, every connection and request noted.

use std::{
    io::{Read, Write},
    net::{Shutdown, TcpListener, TcpStream},
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use rustls::{ServerConfig, ServerConnection, StreamOwned};

use super::{client::read_message, ports, websocket};

/// What reached the backend.
#[derive(Default)]
pub(crate) struct Seen {
    pub(crate) connections: AtomicUsize,
    /// Connections that are over.
    pub(crate) ended: AtomicUsize,
    /// Connections whose handshake ended well.
    pub(crate) handshakes: AtomicUsize,
    /// Bytes, before any TLS.
    pub(crate) bytes: AtomicUsize,
    /// The heads of requests, as they came.
    pub(crate) requests: Mutex<Vec<String>>,
    pub(crate) server_names: Mutex<Vec<Option<String>>>,
}

/// A backend that runs until the test ends.
pub(crate) struct Server {
    pub(crate) port: u16,
    pub(crate) seen: Arc<Seen>,
    tls: Option<Arc<Mutex<Arc<ServerConfig>>>>,
}

/// Anything that bytes go through both ways.
pub(crate) trait Stream: Read + Write + Send {}
impl<S: Read + Write + Send> Stream for S {}

impl Server {
    /// HTTP/1.1 over TLS. Each response says `name` in `x-backend`.
    pub(crate) fn tls(name: &str, config: Arc<ServerConfig>) -> Self {
        let config = Arc::new(Mutex::new(config));
        let (name, current) = (name.to_owned(), Arc::clone(&config));
        let mut server = Self::scripted(move |stream, seen| {
            let config = Arc::clone(&current.lock().unwrap());
            let mut connection = ServerConnection::new(config).unwrap();
            let mut stream = stream;
            if connection.complete_io(&mut stream).is_err() {
                return;
            }
            // The client's Finished may stand unread; a client that refuses us closes before it sends a request.
            while connection.is_handshaking() {
                if connection.complete_io(&mut stream).is_err() {
                    return;
                }
            }
            seen.handshakes.fetch_add(1, Ordering::SeqCst);
            seen.server_names.lock().unwrap().push(connection.server_name().map(str::to_owned));
            let mut stream: Box<dyn Stream> = Box::new(StreamOwned::new(connection, stream));
            serve(&name, &mut stream, seen);
        });
        server.tls = Some(config);
        server
    }

    /// HTTP/1.1 without TLS.
    pub(crate) fn plain(name: &str) -> Self {
        let name = name.to_owned();
        Self::scripted(move |stream, seen| {
            let mut stream: Box<dyn Stream> = Box::new(stream);
            serve(&name, &mut stream, seen);
        })
    }

    /// Takes connections, counts their bytes, and says nothing.
    pub(crate) fn silent() -> Self {
        Self::scripted(|mut stream, _| while stream.read(&mut [0; 4096]).is_ok_and(|read| read > 0) {})
    }

    /// Whatever the function does with a connection.
    pub(crate) fn scripted(serve: impl Fn(Counted, &Seen) + Send + Sync + 'static) -> Self {
        // Another run of these tests may take the port meanwhile.
        let bound = (0..20).find_map(|_| {
            let port = ports::free();
            TcpListener::bind(("127.0.0.1", port)).ok().map(|listener| (port, listener))
        });
        let (port, listener) = bound.expect("a port that stays free");
        let seen = Arc::new(Seen::default());
        let (serve, of_threads) = (Arc::new(serve), Arc::clone(&seen));
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (serve, seen) = (Arc::clone(&serve), Arc::clone(&of_threads));
                seen.connections.fetch_add(1, Ordering::SeqCst);
                std::thread::spawn(move || {
                    stream.set_nodelay(true).unwrap();
                    serve(Counted { stream, seen: Arc::clone(&seen) }, &seen);
                    seen.ended.fetch_add(1, Ordering::SeqCst);
                });
            }
        });
        Self { port, seen, tls: None }
    }

    /// Another certificate for the connections to come.
    pub(crate) fn set_tls(&self, config: Arc<ServerConfig>) {
        *self.tls.as_ref().unwrap().lock().unwrap() = config;
    }

    pub(crate) fn connections(&self) -> usize {
        self.seen.connections.load(Ordering::SeqCst)
    }

    pub(crate) fn ended(&self) -> usize {
        self.seen.ended.load(Ordering::SeqCst)
    }

    pub(crate) fn bytes(&self) -> usize {
        self.seen.bytes.load(Ordering::SeqCst)
    }

    pub(crate) fn requests(&self) -> Vec<String> {
        self.seen.requests.lock().unwrap().clone()
    }
}

/// A connection whose bytes are counted as they come.
pub(crate) struct Counted {
    stream: TcpStream,
    seen: Arc<Seen>,
}

impl Counted {
    /// Ends the connection both ways.
    pub(crate) fn close(&self) {
        // It may be gone already.
        let _ = self.stream.shutdown(Shutdown::Both);
    }
}

impl Read for Counted {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let read = self.stream.read(buffer)?;
        self.seen.bytes.fetch_add(read, Ordering::SeqCst);
        Ok(read)
    }
}

impl Write for Counted {
    fn write(&mut self, buffer: &[u8]) -> std::io::Result<usize> {
        self.stream.write(buffer)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.stream.flush()
    }
}

/// `/echo` gives the request's body back, `/head` its head, `/slow?MS` waits, `/trailers` ends with one, `/early` sends
/// half and closes, `/close` closes after its response; all else says hello.
pub(crate) fn serve(name: &str, stream: &mut Box<dyn Stream>, seen: &Seen) {
    let mut buffer = Vec::new();
    while let Some((head, body)) = read_message(stream, &mut buffer, |stream, head| {
        if head.to_ascii_lowercase().contains("\r\nexpect: 100-continue") {
            let _ = stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n");
        }
    }) {
        seen.requests.lock().unwrap().push(head.clone());
        let target = head.split(' ').nth(1).unwrap_or_default().to_owned();
        if head.to_ascii_lowercase().contains("\r\nupgrade: websocket") {
            websocket::serve(&head, stream);
            return;
        }
        let answer = match target.split('?').next().unwrap_or_default() {
            "/echo" => answer(name, &body),
            "/head" => answer(name, head.as_bytes()),
            "/close" => {
                let _ =
                    stream.write_all(b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 0\r\n\r\n");
                let _ = stream.flush();
                return;
            }
            "/slow" => {
                let millis = target.split('?').nth(1).and_then(|text| text.parse().ok()).unwrap_or(1000);
                std::thread::sleep(Duration::from_millis(millis));
                answer(name, b"slow")
            }
            "/trailers" => format!(
                "HTTP/1.1 200 OK\r\nx-backend: {name}\r\ntrailer: x-sum\r\ntransfer-encoding: chunked\r\n\r\n\
                 5\r\nhello\r\n0\r\nx-sum: 5\r\n\r\n"
            )
            .into_bytes(),
            "/early" => {
                let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf");
                let _ = stream.flush();
                return;
            }
            _ => answer(name, b"hello"),
        };
        if stream.write_all(&answer).and_then(|()| stream.flush()).is_err() {
            return;
        }
    }
}

fn answer(name: &str, body: &[u8]) -> Vec<u8> {
    let length = body.len();
    let head = format!("HTTP/1.1 200 OK\r\nx-backend: {name}\r\ncontent-length: {length}\r\n\r\n");
    [head.as_bytes(), body].concat()
}
