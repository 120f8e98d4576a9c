//! Waiting, bounded.

use std::{
    future::Future,
    time::{Duration, Instant},
};

use tokio::time::sleep;

use crate::Fault;

/// Asks again and again; what was waited for, and how long it took. `None` and faults are asked again.
pub(crate) async fn until<T, F>(
    limit: Duration,
    pause: Duration,
    what: &str,
    mut ask: impl FnMut() -> F,
) -> Result<(T, Duration), Fault>
where
    F: Future<Output = Result<Option<T>, Fault>>,
{
    let begun = Instant::now();
    loop {
        let answer = ask().await;
        if let Ok(Some(found)) = answer {
            return Ok((found, begun.elapsed()));
        }
        if begun.elapsed() > limit {
            let why = answer.err().map(|fault| format!(": {fault}")).unwrap_or_default();
            return Err(format!("{what}: not within {} s{why}", limit.as_secs()).into());
        }
        sleep(pause).await;
    }
}
