//! Accepting connections and evening them out between workers.

use std::{
    future::poll_fn,
    io,
    net::SocketAddr,
    rc::Rc,
    sync::{Mutex, PoisonError},
    task::Poll,
    time::{Duration, Instant},
};

use tokio::net::{TcpListener, TcpStream};

use super::connection;
use crate::{
    wire,
    worker::{Command, Worker, better},
};

/// How long nothing is accepted before it is tried again.
const PAUSE: Duration = Duration::from_millis(50);
/// How often the log says that nothing is accepted.
const REMINDER: Duration = Duration::from_secs(5);

/// Accepts until the task is ended. What the kernel had queued for the socket by then is still served.
///
/// At the limit of connections, and without file descriptors or memory, it waits: clients queue in the kernel, those who
/// are served go on, and what they free lets it go on.
pub(crate) async fn accept(worker: Rc<Worker>, listener: TcpListener, socket: SocketAddr) {
    struct Rest {
        worker: Rc<Worker>,
        listener: TcpListener,
        socket: SocketAddr,
    }
    impl Drop for Rest {
        fn drop(&mut self) {
            let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
            while !is_full(&self.worker)
                && let Poll::Ready(Ok((stream, client))) = self.listener.poll_accept(&mut cx)
            {
                place(&self.worker, stream, client, self.socket);
            }
        }
    }
    let rest = Rest { worker, listener, socket };
    loop {
        let accepted = poll_fn(|cx| match is_full(&rest.worker) {
            true => Poll::Ready(None),
            false => rest.listener.poll_accept(cx).map(Some),
        });
        match accepted.await {
            Some(Ok((stream, client))) => place(&rest.worker, stream, client, socket),
            Some(Err(error)) if is_of_one_connection(&error) => {}
            Some(Err(error)) => {
                remind(|| tracing::warn!(%socket, %error, "cannot accept connections; trying again"));
                tokio::time::sleep(PAUSE).await;
            }
            None => {
                let most = rest.worker.limits.connections;
                remind(|| tracing::warn!(most, "the limit of connections is reached; new ones wait"));
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

/// Whether all workers together have as many connections as there may be. Two of them that look at the same time may both
/// take one more.
fn is_full(worker: &Worker) -> bool {
    worker
        .limits
        .connections
        .is_some_and(|most| worker.peers.iter().map(|peer| peer.load.get()).sum::<usize>() >= most)
}

/// Says something now and then, whichever worker has to say it.
fn remind(say: impl FnOnce()) {
    static LAST: Mutex<Option<Instant>> = Mutex::new(None);
    let mut last = LAST.lock().unwrap_or_else(PoisonError::into_inner);
    if last.is_none_or(|last| last.elapsed() >= REMINDER) {
        *last = Some(Instant::now());
        drop(last);
        say();
    }
}

fn is_of_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset | io::ErrorKind::Interrupted
    )
}

/// Serves a new connection here or hands it to a worker that has less to do.
fn place(worker: &Rc<Worker>, stream: TcpStream, client: SocketAddr, socket: SocketAddr) {
    let peers = &worker.peers;
    if peers.len() > 1
        && let Some(peer) =
            better(worker.index, peers.iter().map(|peer| &peer.load)).and_then(|index| peers.get(index))
    {
        let Ok(stream) = stream.into_std() else { return };
        peer.load.add();
        if peer.commands.send(Command::Serve { stream, client, socket }).is_err() {
            peer.load.drop_one();
        }
        return;
    }
    match wire::prepared(stream) {
        Ok(stream) => {
            if let Some(load) = worker.load() {
                load.add();
            }
            serve(worker, stream, client, socket);
        }
        Err(error) => tracing::debug!(%error, "a connection was gone before it was served"),
    }
}

/// Serves a connection that the worker's load counts already.
pub(crate) fn serve(worker: &Rc<Worker>, stream: TcpStream, client: SocketAddr, socket: SocketAddr) {
    tokio::task::spawn_local(connection::run(worker.clone(), stream, wire::canonical(client), socket));
}
