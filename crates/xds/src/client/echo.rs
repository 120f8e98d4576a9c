//! The controllers that are not followed: they are told what the dataplane says.
//!
//! Any of them may be the one that writes statuses. What a proxy says names the versions it is about, and a version is a
//! hash of content; so its word means the same to every replica, whichever told it what to serve.

use std::{
    collections::{HashMap, hash_map::Entry},
    net::SocketAddr,
    sync::Arc,
    time::Duration,
};

use tokio::{
    sync::watch,
    task::JoinHandle,
    time::{sleep, timeout},
};

use super::{
    ClientOptions,
    backoff::Backoff,
    stream::{self, LinkError},
    transport,
};
use crate::{discovery::DeltaDiscoveryRequest, kind::REPORT, report::WireReport};

/// How often new controllers are looked for.
const LOOK: Duration = Duration::from_secs(15);

/// What all controllers are told.
#[derive(Default)]
pub(super) struct Words {
    /// The controller that is followed; it hears it anyway.
    pub(super) followed: Option<SocketAddr>,
    pub(super) report: WireReport,
}

/// Tells every controller but the one that is followed.
pub(super) async fn run(options: ClientOptions, mut words: watch::Receiver<Words>) {
    let options = Arc::new(options);
    let mut echoes: HashMap<SocketAddr, Echo> = HashMap::new();
    loop {
        let followed = words.borrow_and_update().followed;
        if let Some(followed) = followed
            && let Ok(addresses) = transport::resolve(&options.address).await
        {
            echoes.retain(|address, _| *address != followed && addresses.contains(address));
            for address in addresses.into_iter().filter(|address| *address != followed) {
                if let Entry::Vacant(vacant) = echoes.entry(address) {
                    let task = tokio::spawn(tell(options.clone(), address, words.clone()));
                    vacant.insert(Echo(task));
                }
            }
        }
        if let Ok(Err(_)) = timeout(LOOK, words.wait_for(|words| words.followed != followed)).await {
            return;
        }
    }
}

/// Ends with its place in the map.
struct Echo(JoinHandle<()>);

impl Drop for Echo {
    fn drop(&mut self) {
        self.0.abort();
    }
}

async fn tell(options: Arc<ClientOptions>, address: SocketAddr, mut words: watch::Receiver<Words>) {
    let mut backoff = Backoff::new(options.backoff);
    loop {
        match tell_once(&options, address, &mut words).await {
            Ok(()) => backoff.reset(),
            Err(error) => tracing::debug!(%address, "another controller cannot be told what serves: {error}"),
        }
        sleep(backoff.next()).await;
    }
}

async fn tell_once(
    options: &ClientOptions,
    address: SocketAddr,
    words: &mut watch::Receiver<Words>,
) -> Result<(), LinkError> {
    let channel = transport::connect(address, &options.ca_file).await?;
    let mut told = words.borrow_and_update().report.clone();
    let (requests, mut responses) = stream::open(options, channel, request(&told)).await?;
    loop {
        tokio::select! {
            changed = words.changed() => {
                changed.map_err(|_| LinkError::Ended)?;
                let report = words.borrow_and_update().report.clone();
                if report != told {
                    requests.send(request(&report)).await?;
                    told = report;
                }
            }
            // Nothing is ever sent; it only ends.
            response = responses.message() => {
                if response?.is_none() {
                    return Ok(());
                }
            }
        }
    }
}

fn request(report: &WireReport) -> DeltaDiscoveryRequest {
    DeltaDiscoveryRequest {
        type_url: REPORT.to_owned(),
        report: report.encode(),
        ..DeltaDiscoveryRequest::default()
    }
}
