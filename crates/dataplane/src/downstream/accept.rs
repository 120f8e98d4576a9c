//! Accepting connections and evening them out between workers.

use std::{future::poll_fn, io, net::SocketAddr, rc::Rc, task::Poll, time::Duration};

use tokio::net::{TcpListener, TcpStream};

use super::connection;
use crate::{
    wire,
    worker::{Command, Worker, better},
};

/// Accepts until the task is ended. What the kernel had queued for the socket by then is still served.
pub(crate) async fn accept(worker: Rc<Worker>, listener: TcpListener, port: u16) {
    struct Rest {
        worker: Rc<Worker>,
        listener: TcpListener,
        port: u16,
    }
    impl Drop for Rest {
        fn drop(&mut self) {
            let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
            while let Poll::Ready(Ok((stream, client))) = self.listener.poll_accept(&mut cx) {
                place(&self.worker, stream, client, self.port);
            }
        }
    }
    let rest = Rest { worker, listener, port };
    loop {
        match poll_fn(|cx| rest.listener.poll_accept(cx)).await {
            Ok((stream, client)) => place(&rest.worker, stream, client, port),
            Err(error) if is_of_one_connection(&error) => {}
            Err(error) => {
                // Out of descriptors or memory: those who are served go on, and what they free lets us go on.
                tracing::warn!(port, %error, "cannot accept connections; trying again");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
}

fn is_of_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset | io::ErrorKind::Interrupted
    )
}

/// Serves a new connection here or hands it to a worker that has less to do.
fn place(worker: &Rc<Worker>, stream: TcpStream, client: SocketAddr, port: u16) {
    let peers = &worker.peers;
    if peers.len() > 1
        && let Some(peer) =
            better(worker.index, peers.iter().map(|peer| &peer.load)).and_then(|index| peers.get(index))
    {
        let Ok(stream) = stream.into_std() else { return };
        peer.load.add();
        if peer.commands.send(Command::Serve { stream, client, port }).is_err() {
            peer.load.drop_one();
        }
        return;
    }
    match wire::prepared(stream) {
        Ok(stream) => {
            if let Some(load) = worker.load() {
                load.add();
            }
            serve(worker, stream, client, port);
        }
        Err(error) => tracing::debug!(%error, "a connection was gone before it was served"),
    }
}

/// Serves a connection that the worker's load counts already.
pub(crate) fn serve(worker: &Rc<Worker>, stream: TcpStream, client: SocketAddr, port: u16) {
    tokio::task::spawn_local(connection::run(worker.clone(), stream, wire::canonical(client), port));
}
