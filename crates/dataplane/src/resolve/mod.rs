//! Names of backends, resolved once for all workers.
//!
//! A thread of its own asks, begun with the first name there is. Workers are told what changes; until the first answer
//! of a name is there its requests wait, and none waits for DNS after that: an answer is asked for again before it
//! ends.

mod addresses;
mod ask;
mod follow;
mod once;
mod options;

use std::{
    collections::{HashMap, hash_map::Entry},
    net::IpAddr,
    sync::{Arc, Mutex, PoisonError},
};

use lasthop_dataplane_api::{EndpointsKey, Update};
use tokio::{
    runtime::Builder,
    sync::mpsc::{self, UnboundedReceiver, UnboundedSender},
    task::AbortHandle,
};

pub use once::{ResolveError, resolve};
pub use options::ResolverOptions;

use self::{ask::Asker, follow::Manner};
use crate::{
    metrics::{LookupOutcome, Metrics},
    worker::{Command, Peer},
};

/// The names of all backends.
pub(crate) struct Names {
    options: ResolverOptions,
    publisher: Publisher,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    of: HashMap<EndpointsKey, Arc<str>>,
    /// How many backends have each.
    names: HashMap<Arc<str>, usize>,
    /// To the thread, once there is one.
    orders: Option<UnboundedSender<Order>>,
}

/// What the thread is told.
enum Order {
    Follow(Arc<str>),
    Forget(Arc<str>),
}

/// Where answers go.
#[derive(Clone)]
struct Publisher {
    workers: Arc<[Peer]>,
    metrics: Arc<Metrics>,
}

impl Publisher {
    /// Tells the workers; `None`: the name is nobody's any more.
    fn publish(&self, name: &Arc<str>, addresses: Option<Arc<[IpAddr]>>) {
        self.metrics.names.resolved(name, addresses.as_ref());
        self.metrics.peers.resolved(name, addresses.as_ref());
        for worker in self.workers.iter() {
            let command = Command::Resolved { name: name.clone(), addresses: addresses.clone() };
            // One that is gone serves nothing.
            let _ = worker.commands.send(command);
        }
    }

    fn count(&self, outcome: LookupOutcome) {
        self.metrics.names.count(outcome);
    }

    fn confirm(&self, name: &Arc<str>) {
        self.metrics.names.confirm(name);
    }
}

impl Names {
    /// None yet.
    pub(crate) fn new(options: ResolverOptions, workers: Arc<[Peer]>, metrics: Arc<Metrics>) -> Self {
        Self { options, publisher: Publisher { workers, metrics }, state: Mutex::default() }
    }

    /// Follows an update's names, and forgets those that nobody has any more.
    pub(crate) fn follow(&self, update: &Update) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let mut left = Vec::new();
        for (key, set) in &update.endpoints.0 {
            let new = set.as_ref().and_then(|set| set.hostname.clone());
            let old = match &new {
                Some(name) => state.of.insert(key.clone(), name.clone()),
                None => state.of.remove(key),
            };
            if let Some(name) = new {
                match state.names.entry(name) {
                    Entry::Occupied(mut known) => *known.get_mut() += 1,
                    Entry::Vacant(place) => {
                        let name = place.key().clone();
                        place.insert(1);
                        self.order(&mut state.orders, Order::Follow(name));
                    }
                }
            }
            left.extend(old);
        }
        // Last, so that a name that stays is not asked for anew.
        for name in left {
            if let Some(count) = state.names.get_mut(&name) {
                *count -= 1;
                if *count == 0 {
                    state.names.remove(&name);
                    self.order(&mut state.orders, Order::Forget(name));
                }
            }
        }
    }

    fn order(&self, orders: &mut Option<UnboundedSender<Order>>, order: Order) {
        let orders = orders.get_or_insert_with(|| {
            let (orders, received) = mpsc::unbounded_channel();
            let (options, publisher) = (self.options.clone(), self.publisher.clone());
            let run = move || obey(received, options, publisher);
            if let Err(error) = std::thread::Builder::new().name("resolver".to_owned()).spawn(run) {
                tracing::error!(%error, "the resolver's thread cannot be started; no name is resolved");
            }
            orders
        });
        // Without the thread no name has an answer, and requests say so.
        let _ = orders.send(order);
    }
}

/// The thread; it ends with the last sender of orders.
fn obey(mut orders: UnboundedReceiver<Order>, options: ResolverOptions, publisher: Publisher) {
    let runtime = match Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return tracing::error!(%error, "the resolver cannot start; no name is resolved"),
    };
    let manner = Manner { allow_local: options.allow_local, max_stale: options.max_stale };
    let asker = Arc::new(Asker::new(options.servers));
    runtime.block_on(async move {
        let mut followed: HashMap<Arc<str>, AbortHandle> = HashMap::new();
        while let Some(order) = orders.recv().await {
            match order {
                Order::Follow(name) => {
                    let task = follow::follow(name.clone(), asker.clone(), manner, publisher.clone());
                    followed.insert(name, tokio::spawn(task).abort_handle());
                }
                Order::Forget(name) => {
                    if let Some(task) = followed.remove(&name) {
                        task.abort();
                        publisher.publish(&name, None);
                    }
                }
            }
        }
    });
}
