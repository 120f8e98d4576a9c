//! What both trials do.

use std::{net::IpAddr, time::Duration};

use crate::{
    Fault,
    api::{Api, path_of},
    client::{Target, once},
    objects::{MARK, holds, namespace},
    wait::until,
};

/// Waits until a Gateway is programmed, as its status says of its newest generation: its address, and the time.
pub(crate) async fn programmed(api: &Api, path: &str, limit: Duration) -> Result<(IpAddr, Duration), Fault> {
    let what = format!("{path} programmed");
    until(limit, Duration::from_millis(25), &what, || async {
        let object = api.get(path).await?;
        let status = &object["status"];
        if !holds(&status["conditions"], "Programmed", &object["metadata"]["generation"]) {
            return Ok(None);
        }
        Ok(status["addresses"][0]["value"].as_str().and_then(|address| address.parse().ok()))
    })
    .await
}

/// Waits until an answer has the mark: the time.
pub(crate) async fn serves(
    target: &Target,
    path: &str,
    mark: &str,
    limit: Duration,
) -> Result<Duration, Fault> {
    let what = format!("{path} with {mark}");
    let ask = || async {
        let answer = once(target, path).await?;
        Ok((answer.status == 200 && answer.field(MARK) == Some(mark)).then_some(()))
    };
    until(limit, Duration::from_millis(5), &what, ask).await.map(|((), time)| time)
}

/// Removes the trials' namespace and waits until it is gone.
pub(crate) async fn remove_namespace(api: &Api) -> Result<(), Fault> {
    let path = path_of(&namespace());
    api.delete(&path).await?;
    let gone = || async {
        match api.get(&path).await {
            Ok(_) => Ok(None),
            Err(fault) if fault.to_string().contains(": 404 ") => Ok(Some(())),
            Err(fault) => Err(fault),
        }
    };
    until(Duration::from_secs(300), Duration::from_millis(500), "the end of the trial's namespace", gone)
        .await
        .map(drop)
}
