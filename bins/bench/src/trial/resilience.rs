//! A steady load over verified TLS while everything else fails: no request may, and the state afterwards is the right one.

mod cluster;
mod faults;

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use clap::Args;
use serde_json::json;
use tokio::time::sleep;

use crate::{
    Cluster, Fault,
    api::{Api, path_of},
    backend,
    client::Target,
    load::Load,
    objects::{self, holds},
    pki::{BACKEND_NAME, FRONT_NAME, Pki},
    processes,
    steps::{programmed, remove_namespace, serves},
    wait::until,
};

/// Endpoints the backends have.
const ENDPOINTS: usize = 8;
/// The names of Gateway, Service and route.
const GATEWAY: &str = "edge";
const SERVICE: &str = "shop";
const SECRET: &str = "edge-tls";
const CA: &str = "shop-ca";
/// For the right state to be there after a fault: the API server's clients back off for so long.
const RECOVERY: Duration = Duration::from_secs(120);

#[derive(Args)]
pub(crate) struct Options {
    #[command(flatten)]
    cluster: Cluster,
    /// Requests a second
    #[arg(long, default_value_t = 100)]
    rate: u32,
    /// How long the API server is away, in seconds
    #[arg(long, default_value_t = 60)]
    away: u64,
    /// How often the certificate is renewed, once a second
    #[arg(long, default_value_t = 60)]
    renewals: u32,
    /// Only these faults
    #[arg(long, value_enum, value_delimiter = ',')]
    only: Vec<faults::Kind>,
}

/// Everything a fault needs.
struct Trial<'a> {
    options: &'a Options,
    api: Api,
    pki: Pki,
    target: Target,
    /// The ports of the endpoints.
    ports: Vec<u16>,
    load: Load,
}

pub(crate) async fn run(options: &Options) -> Result<(), Fault> {
    let api = Api::new(&options.cluster)?;
    remove_namespace(&api).await?;
    let trial = Trial::prepare(options, api).await?;
    println!("fault                    requests  failed  again  slowest ms  right after s  remarks");
    let mut failed = Vec::new();
    for &kind in faults::Kind::ALL {
        if !options.only.is_empty() && !options.only.contains(&kind) {
            continue;
        }
        if let Err(why) = trial.go_through(kind).await {
            println!("  {}: {why}", kind.name());
            failed.push(kind.name());
        }
    }
    let Trial { api, load, .. } = trial;
    drop(load);
    remove_namespace(&api).await?;
    if failed.is_empty() { Ok(()) } else { Err(format!("not survived: {}", failed.join(", ")).into()) }
}

impl<'a> Trial<'a> {
    async fn prepare(options: &'a Options, api: Api) -> Result<Self, Fault> {
        let (pki, node) = (Pki::new()?, options.cluster.node);
        let tls = pki.backend()?;
        let mut ports = Vec::new();
        for _ in 0..ENDPOINTS {
            ports.push(backend::start(node, Some(tls.clone())).await?);
        }
        let (certificate, key, _) = pki.front()?;
        let mut all = vec![
            objects::namespace(),
            objects::service(SERVICE),
            objects::ca(CA, &pki.pem()),
            objects::tls_policy(SERVICE, CA, BACKEND_NAME),
            objects::secret(SECRET, &certificate, &key),
            objects::parameters(GATEWAY, 2),
            objects::route(SERVICE, GATEWAY, SERVICE, "0"),
        ];
        for (number, port) in ports.iter().enumerate() {
            all.push(objects::slice(SERVICE, &format!("{SERVICE}-{number}"), node, *port, true));
        }
        let gateway = objects::gateway(GATEWAY, Some(SECRET), Some(GATEWAY));
        all.push(gateway.clone());
        for object in &all {
            api.apply(object).await?;
        }
        let (address, _) = programmed(&api, &path_of(&gateway), Duration::from_secs(120)).await?;
        let tls = Some(pki.client()?);
        let target = Target { address: SocketAddr::new(address, 443), host: FRONT_NAME.to_owned(), tls };
        serves(&target, &format!("/{SERVICE}"), "0", Duration::from_secs(60)).await?;
        cluster::proxies_ready(&api, 2, Duration::from_secs(60)).await?;
        let load = Load::start(&target, &format!("/{SERVICE}"), options.rate);
        sleep(Duration::from_secs(2)).await;
        Ok(Self { options, api, pki, target, ports, load })
    }

    /// One fault: what it did to the requests, and whether the state is right afterwards.
    async fn go_through(&self, kind: faults::Kind) -> Result<(), Fault> {
        self.load.take();
        let remarks = self.inflict(kind).await?;
        let mended = Instant::now();
        self.is_right(&format!("after-{}", kind.name())).await?;
        let right = mended.elapsed();
        // Late failures are failures, too.
        sleep(Duration::from_secs(1)).await;
        let seen = self.load.take();
        println!(
            "{:24} {:8}  {:6}  {:5}  {:10.0}  {:13.1}  {remarks}; load {}",
            kind.name(),
            seen.answered + seen.failed,
            seen.failed,
            seen.again,
            seen.slowest.as_secs_f64() * 1000.0,
            right.as_secs_f64(),
            processes::load(),
        );
        if seen.failed == 0 { Ok(()) } else { Err(seen.why.join("; ").into()) }
    }

    /// A change made now comes into force at every proxy, and all statuses speak of what there is.
    async fn is_right(&self, mark: &str) -> Result<(), Fault> {
        let route = objects::route(SERVICE, GATEWAY, SERVICE, mark);
        let path = path_of(&route);
        let patch = json!({"spec": {"rules": [objects::rule(SERVICE, SERVICE, mark)]}});
        until(RECOVERY, Duration::from_millis(200), "a change of the route", || async {
            self.api.merge(&path, &patch).await.map(Some)
        })
        .await?;
        serves(&self.target, &format!("/{SERVICE}"), mark, RECOVERY).await?;
        until(RECOVERY, Duration::from_millis(100), "a status that is current", || self.is_current(&path))
            .await?;
        cluster::proxies_ready(&self.api, 2, RECOVERY).await?;
        // A connection goes to any of the proxies: so many in a row will have met both.
        let what = format!("{mark} at every proxy");
        let ask = || async {
            for _ in 0..20 {
                serves(&self.target, &format!("/{SERVICE}"), mark, Duration::ZERO).await?;
            }
            Ok(Some(()))
        };
        until(RECOVERY, Duration::from_millis(10), &what, ask).await?;
        Ok(())
    }

    async fn is_current(&self, route: &str) -> Result<Option<()>, Fault> {
        let route = self.api.get(route).await?;
        let generation = &route["metadata"]["generation"];
        let parents = &route["status"]["parents"];
        let accepted = holds(&parents[0]["conditions"], "Accepted", generation)
            && holds(&parents[0]["conditions"], "ResolvedRefs", generation);
        let gateway = objects::gateway(GATEWAY, None, None);
        let gateway = self.api.get(&path_of(&gateway)).await?;
        let generation = &gateway["metadata"]["generation"];
        let programmed = holds(&gateway["status"]["conditions"], "Programmed", generation);
        Ok((accepted && programmed).then_some(()))
    }
}
