//! A worker's thread: commands in, connections served, until the last sender of commands is gone.

use std::{collections::HashMap, io, net::SocketAddr, rc::Rc, time::Duration};

use tokio::{
    runtime::{Builder, LocalOptions},
    sync::mpsc,
    task::JoinHandle,
};

use lasthop_dataplane_api::Transport;

use super::{Command, Socket, SocketKey, Worker, clock};
use crate::{downstream, l4, wire};

/// Starts a worker's thread. `make` runs on it.
pub(crate) fn spawn(
    index: usize,
    mut commands: mpsc::UnboundedReceiver<Command>,
    make: impl FnOnce() -> Worker + Send + 'static,
) -> io::Result<()> {
    // Built on the thread that drives it: a local runtime cannot move.
    let (ready, started) = std::sync::mpsc::channel();
    std::thread::Builder::new().name(format!("worker-{index}")).spawn(move || {
        let runtime = Builder::new_current_thread().enable_all().build_local(LocalOptions::default());
        let runtime = match runtime {
            Ok(runtime) => {
                let _ = ready.send(Ok(()));
                runtime
            }
            Err(error) => return drop(ready.send(Err(error))),
        };
        runtime.block_on(async move {
            let worker = Rc::new(make());
            tokio::task::spawn_local(tick(Rc::downgrade(&worker)));
            let mut accepting = HashMap::new();
            while let Some(command) = commands.recv().await {
                if matches!(command, Command::Stop) {
                    return;
                }
                obey(&worker, &mut accepting, command);
            }
        });
    })?;
    started.recv().unwrap_or_else(|_| Err(io::Error::other("the thread ended at once")))
}

fn obey(worker: &Rc<Worker>, accepting: &mut HashMap<SocketKey, JoinHandle<()>>, command: Command) {
    match command {
        Command::Update(update, done) => {
            worker.take_over(&update);
            for (key, socket) in update.listen {
                match listen(worker, key.1, socket) {
                    Ok(task) => drop(accepting.insert(key, task)),
                    Err(error) => tracing::error!(address = %key.1, %error, "cannot listen"),
                }
            }
            let _ = done.send(());
        }
        Command::Resolved { name, addresses } => worker.resolved(name, addresses),
        Command::Unlisten(addresses, done) => {
            let tasks: Vec<_> = addresses.iter().filter_map(|address| accepting.remove(address)).collect();
            tokio::task::spawn_local(async move {
                for task in tasks {
                    task.abort();
                    // The socket is closed when the task is gone.
                    let _ = task.await;
                }
                let _ = done.send(());
            });
        }
        Command::Serve { stream, client, socket } => {
            let stream = tokio::net::TcpStream::from_std(stream).and_then(wire::prepared);
            match stream {
                Ok(stream) => downstream::serve(worker, stream, client, socket),
                Err(error) => {
                    tracing::debug!(%error, "lost a connection on its way between workers");
                    if let Some(load) = worker.load() {
                        load.drop_one();
                    }
                }
            }
        }
        Command::Stop => {}
        Command::Drain(done) => {
            // What UDP clients are at is not waited for in vain: their sockets stay until it has ended.
            accepting.extract_if(|key, _| key.0 == Transport::TCP).for_each(|(_, task)| task.abort());
            worker.draining.set(true);
            worker.deadlines.wake_all();
            let worker = worker.clone();
            tokio::task::spawn_local(async move {
                while worker.open.get() > 0 {
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
                let _ = done.send(());
            });
        }
    }
}

/// Serves a socket until the task is ended.
fn listen(worker: &Rc<Worker>, address: SocketAddr, socket: Socket) -> io::Result<JoinHandle<()>> {
    let worker = worker.clone();
    Ok(match socket {
        Socket::Connections(listener) => {
            let listener = tokio::net::TcpListener::from_std(listener)?;
            tokio::task::spawn_local(downstream::accept(worker, listener, address))
        }
        Socket::Datagrams(socket) => {
            let socket = l4::DatagramSocket::new(socket)?;
            tokio::task::spawn_local(l4::receive(worker, socket, address))
        }
    })
}

/// Moves the clock, wakes what is due and closes what idles, while the worker lives.
async fn tick(worker: std::rc::Weak<Worker>) {
    let mut interval = tokio::time::interval(clock::TICK);
    interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        interval.tick().await;
        let Some(worker) = worker.upgrade() else { return };
        worker.deadlines.tick(worker.started);
        let idle_before = clock::now().checked_sub(clock::millis(worker.limits.upstream_idle_timeout));
        if let Some(idle_before) = idle_before {
            worker.endpoints.borrow().values().for_each(|endpoint| endpoint.sweep(idle_before));
        }
    }
}
