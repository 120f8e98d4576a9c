//! Before anything is timed: the peer verifies the backend, or it is not measured.

use crate::{
    Fault, load,
    peers::{Running, Trust},
};

/// The right CA and name must give 200; another CA, and another name, must not.
pub(crate) async fn verifies(start: impl AsyncFn(Trust) -> Result<Running, Fault>) -> Result<(), Fault> {
    for trust in [Trust::OtherCa, Trust::OtherName] {
        let running = start(trust).await?;
        for attempt in 0..3 {
            if let Ok(status @ 200..=299) = load::once(&running.tls_target).await {
                return Err(format!(
                    "{} does not verify its backend: {trust:?}, attempt {attempt}, answered {status}",
                    running.name
                )
                .into());
            }
        }
    }
    let running = start(Trust::Right).await?;
    for target in [&running.tls_target, &running.plain_target] {
        match load::once(target).await {
            Ok(200) => {}
            Ok(status) => {
                return Err(format!(
                    "{} answered {status} where 200 is right; {}",
                    running.name,
                    running.log()
                )
                .into());
            }
            Err(fault) => {
                return Err(format!("{} did not answer: {fault}; {}", running.name, running.log()).into());
            }
        }
    }
    Ok(())
}
