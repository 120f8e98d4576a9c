//! Since when this replica hears proxies.

use std::{sync::Arc, time::Duration};

use tokio::{
    sync::SetOnce,
    time::{Instant, sleep_until},
};

/// Within this time every proxy that can reach a replica has done so: they try again after a few seconds.
const SETTLED: Duration = Duration::from_secs(60);

/// Since when this replica hears proxies. Clones are the same.
#[derive(Clone, Debug, Default)]
pub struct Hearing(Arc<SetOnce<Instant>>);

impl Hearing {
    /// From now on proxies can be heard.
    pub fn begin(&self) {
        // Once is enough.
        let _ = self.0.set(Instant::now());
    }

    /// Whether a proxy that was not heard is none.
    pub(super) fn is_settled(&self) -> bool {
        self.0.get().is_some_and(|since| since.elapsed() >= SETTLED)
    }

    /// Waits until it is so.
    pub(super) async fn settled(&self) {
        sleep_until(*self.0.wait().await + SETTLED).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn who_has_just_begun_knows_no_proxy_to_be_gone() {
        let hearing = Hearing::default();
        assert!(!hearing.is_settled(), "no proxy could come");
        hearing.begin();
        assert!(!hearing.is_settled());
        let Some(long_ago) = Instant::now().checked_sub(SETTLED) else { return };
        let hearing = Hearing(Arc::new(SetOnce::new_with(Some(long_ago))));
        hearing.settled().await;
        hearing.begin();
        assert!(hearing.is_settled(), "it does not begin anew");
    }
}
