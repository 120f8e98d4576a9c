//! Which statuses are to be written.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use lasthop_api_model::{ResourceKey, ResourceKind};
use lasthop_translator::Status;
use tokio::sync::Notify;

/// So many Gateways are written before one of the others is, if such wait.
const AHEAD: u32 = 8;

/// The newest status of every object, and which of them are to be written, the longest waiting first. Gateways are few,
/// and somebody waits for each of them: they go before thousands of routes.
#[derive(Debug, Default)]
pub struct Queue {
    state: Mutex<State>,
    filled: Notify,
}

#[derive(Debug, Default)]
struct State {
    newest: HashMap<ResourceKey, Arc<Status>>,
    order: VecDeque<ResourceKey>,
    /// Those that go before.
    ahead: VecDeque<ResourceKey>,
    /// How many of those went before in a row.
    passed: u32,
    waiting: HashSet<ResourceKey>,
    /// Being written; another word about them waits until that is over.
    busy: HashSet<ResourceKey>,
}

impl Queue {
    /// An empty queue.
    pub fn new() -> Arc<Self> {
        Arc::default()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Has a status written. A later one of the same object takes its place.
    pub(super) fn put(&self, key: ResourceKey, status: Status) {
        let mut state = self.state();
        state.newest.insert(key.clone(), Arc::new(status));
        state.line_up(key);
        drop(state);
        self.filled.notify_one();
    }

    /// Forgets an object that is gone.
    pub(super) fn forget(&self, key: &ResourceKey) {
        let mut state = self.state();
        state.newest.remove(key);
        if state.waiting.remove(key) {
            state.line_of(key).retain(|waiting| waiting != key);
        }
    }

    /// Has everything written: another replica may have written something else.
    pub(super) fn put_all(&self) {
        let mut state = self.state();
        let mut all: Vec<ResourceKey> = state.newest.keys().cloned().collect();
        all.sort_unstable();
        all.into_iter().for_each(|key| state.line_up(key));
        drop(state);
        self.filled.notify_one();
    }

    /// Has a status written again, unless the object is gone.
    pub(super) fn again(&self, key: ResourceKey) {
        let mut state = self.state();
        if state.newest.contains_key(&key) {
            state.line_up(key);
            drop(state);
            self.filled.notify_one();
        }
    }

    /// The next status to write. It is busy until [`Queue::done`].
    pub(super) async fn next(&self) -> (ResourceKey, Arc<Status>) {
        loop {
            let filled = self.filled.notified();
            if let Some(next) = self.state().take() {
                return next;
            }
            filled.await;
        }
    }

    /// A status was written, or could not be.
    pub(super) fn done(&self, key: &ResourceKey) {
        self.state().busy.remove(key);
        // The next word about it may have waited for this.
        self.filled.notify_one();
    }

    /// How many wait.
    pub fn len(&self) -> usize {
        self.state().waiting.len()
    }

    /// Whether none waits.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl State {
    fn line_of(&mut self, key: &ResourceKey) -> &mut VecDeque<ResourceKey> {
        if goes_ahead(key) { &mut self.ahead } else { &mut self.order }
    }

    fn line_up(&mut self, key: ResourceKey) {
        if self.waiting.insert(key.clone()) {
            self.line_of(&key).push_back(key);
        }
    }

    fn take(&mut self) -> Option<(ResourceKey, Arc<Status>)> {
        let key = match self.passed < AHEAD {
            true => free(&mut self.ahead, &self.busy).or_else(|| free(&mut self.order, &self.busy)),
            false => free(&mut self.order, &self.busy).or_else(|| free(&mut self.ahead, &self.busy)),
        }?;
        self.passed = if goes_ahead(&key) { self.passed + 1 } else { 0 };
        self.waiting.remove(&key);
        let status = self.newest.get(&key)?.clone();
        self.busy.insert(key.clone());
        Some((key, status))
    }
}

fn goes_ahead(key: &ResourceKey) -> bool {
    matches!(key.kind, ResourceKind::GatewayClass | ResourceKind::Gateway | ResourceKind::ListenerSet)
}

/// Takes the first that is not being written.
fn free(line: &mut VecDeque<ResourceKey>, busy: &HashSet<ResourceKey>) -> Option<ResourceKey> {
    let place = line.iter().position(|key| !busy.contains(key))?;
    line.remove(place)
}

#[cfg(test)]
mod tests {
    use lasthop_api_model::{ResourceKind, RouteStatus, SupportedFeature};

    use super::*;

    fn key(name: &str) -> ResourceKey {
        ResourceKey::new(ResourceKind::HttpRoute, "shop", name)
    }

    fn class(feature: &str) -> Status {
        let features = vec![SupportedFeature { name: feature.to_owned() }];
        Status::GatewayClass(lasthop_api_model::GatewayClassStatus {
            supported_features: features,
            ..Default::default()
        })
    }

    #[tokio::test]
    async fn the_last_word_about_an_object_is_written_in_its_turn() {
        let queue = Queue::new();
        queue.put(key("a"), class("1"));
        queue.put(key("b"), Status::Route(RouteStatus::default()));
        queue.put(key("a"), class("2"));
        assert_eq!(queue.next().await, (key("a"), Arc::new(class("2"))));
        // While it is being written, the next word waits and others go first.
        queue.put(key("a"), class("3"));
        assert_eq!(queue.next().await.0, key("b"));
        assert_eq!(queue.len(), 1);
        queue.done(&key("a"));
        assert_eq!(queue.next().await.1, Arc::new(class("3")));
        queue.done(&key("a"));
        queue.put_all();
        queue.forget(&key("a"));
        queue.again(key("a"));
        assert_eq!(queue.len(), 1, "only b is left");
    }

    #[tokio::test]
    async fn gateways_go_before_routes_but_not_for_ever() {
        let queue = Queue::new();
        let gateway = |number: u32| ResourceKey::new(ResourceKind::Gateway, "infra", format!("g{number}"));
        queue.put(key("a"), class("1"));
        queue.put(key("b"), class("1"));
        (0..2 * AHEAD).for_each(|number| queue.put(gateway(number), class("1")));
        queue.forget(&gateway(0));
        let mut order = Vec::new();
        while !queue.is_empty() {
            order.push(queue.next().await.0);
        }
        let place = |key: ResourceKey| order.iter().position(|one| *one == key);
        assert_eq!(place(gateway(1)), Some(0));
        assert_eq!(place(gateway(0)), None, "it is gone");
        assert_eq!(place(key("a")), Some(AHEAD as usize), "after {AHEAD} Gateways");
        assert_eq!(place(key("b")), Some(order.len() - 1));
    }
}
