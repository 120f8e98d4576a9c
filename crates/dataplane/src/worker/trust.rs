//! Trust that shrinks: what was begun under more of it ends soon.

use std::{
    rc::{Rc, Weak},
    time::Duration,
};

use lasthop_dataplane_api::Trust;

use super::{View, Worker};
use crate::upstream::{Hop, UpstreamBackend};

/// How long what is under way may go on: a little less than the 5 s that are promised.
const GRACE: Duration = Duration::from_millis(4_500);

impl Worker {
    /// Backends were replaced or removed. Those whose trust what is in force no longer has are cut soon: also such as
    /// were replaced by earlier updates and still serve a request.
    pub(super) fn revoke_trust(self: &Rc<Self>, replaced: &[Rc<UpstreamBackend>], view: &View) {
        let mut retired = self.retired.borrow_mut();
        retired.retain(|backend| backend.strong_count() > 0);
        retired.extend(replaced.iter().map(Rc::downgrade));
        let revoked: Vec<_> = alive(&retired).filter(|old| lost(old, view)).collect();
        if revoked.is_empty() {
            return;
        }
        revoked.iter().for_each(|backend| backend.revoke());
        // Those that have sent nothing yet go on with what replaced the backend.
        self.deadlines.wake_all();
        let worker = Rc::downgrade(self);
        tokio::task::spawn_local(async move {
            tokio::time::sleep(GRACE).await;
            if let Some(worker) = worker.upgrade() {
                worker.cut(&revoked);
            }
        });
    }

    fn cut(&self, revoked: &[Rc<UpstreamBackend>]) {
        let others: Vec<_> = alive(&self.retired.borrow()).filter(|backend| !backend.is_revoked()).collect();
        revoked.iter().for_each(|backend| backend.cut(&others));
        self.deadlines.wake_all();
    }
}

fn alive(retired: &[Weak<UpstreamBackend>]) -> impl Iterator<Item = Rc<UpstreamBackend>> {
    retired.iter().filter_map(Weak::upgrade)
}

/// Whether a replaced backend trusted somebody whom its successor does not trust.
fn lost(old: &UpstreamBackend, view: &View) -> bool {
    if old.is_revoked() {
        return false;
    }
    let new = match (view.backends.get(&old.key), &old.hop) {
        (Some(new), _) => new.hop.trust(),
        // Nothing was trusted, so nothing is lost: requests end as they began.
        (None, Hop::Plaintext) => return false,
        (None, _) => Trust::Nobody,
    };
    old.hop.trust().shrinks_to(new)
}
