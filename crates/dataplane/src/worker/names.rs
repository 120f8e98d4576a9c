//! Names of backends, and taking over what they resolve to.

use std::{cell::Cell, collections::BTreeSet, net::IpAddr, rc::Rc, sync::Arc, time::Duration};

use lasthop_dataplane_api::EndpointsKey;
use tokio::sync::Notify;

use super::{View, Worker};

/// A name that backends are reached by.
#[derive(Default)]
pub(crate) struct NameView {
    /// Its addresses; none before the first answer.
    pub addresses: Arc<[IpAddr]>,
    /// What requests see of it.
    pub standing: Rc<NameStanding>,
    /// Whose endpoints they are.
    pub users: BTreeSet<EndpointsKey>,
}

/// Whether a name has been answered for.
#[derive(Default)]
pub(crate) struct NameStanding {
    answered: Cell<bool>,
    told: Notify,
}

impl NameStanding {
    /// Whether nothing is known yet.
    pub(crate) fn is_pending(&self) -> bool {
        !self.answered.get()
    }

    /// Waits for the first answer, for so long.
    pub(crate) async fn answered(&self, limit: Duration) {
        let mut told = std::pin::pin!(self.told.notified());
        told.as_mut().enable();
        if self.is_pending() {
            // Too late is as no answer: there is no endpoint then.
            let _ = tokio::time::timeout(limit, told).await;
        }
    }
}

impl View {
    /// Endpoints have another name, or none. A name without users stays until the resolver forgets it.
    pub(super) fn rename(&mut self, key: &EndpointsKey, old: Option<&Arc<str>>, new: Option<&Arc<str>>) {
        if old == new {
            return;
        }
        if let Some(name) = old.and_then(|old| self.names.get_mut(old)) {
            name.users.remove(key);
        }
        if let Some(new) = new {
            self.names.entry(new.clone()).or_default().users.insert(key.clone());
        }
    }
}

impl Worker {
    /// Takes over a name's addresses; `None`: the resolver has forgotten it. What stays keeps its connections.
    pub(crate) fn resolved(&self, name: Arc<str>, addresses: Option<Arc<[IpAddr]>>) {
        let mut view = self.view.borrow_mut();
        let Some(addresses) = addresses else {
            if view.names.get(&name).is_some_and(|known| known.users.is_empty()) {
                view.names.remove(&name);
            }
            return;
        };
        let known = view.names.entry(name).or_default();
        known.addresses = addresses;
        known.standing.answered.set(true);
        let standing = known.standing.clone();
        let backends = known.users.clone();
        let view = &*view;
        for key in backends.iter().filter_map(|key| view.backends_of.get(key)).flatten() {
            self.renew_endpoints(view, key);
        }
        self.updates.set(self.updates.get() + 1);
        self.endpoints.borrow_mut().retain(|_, endpoint| endpoint.is_used());
        standing.told.notify_waiters();
    }
}
