//! How soon a change of one route is in force: from the API server's answer to the first changed answer of the proxy.

use std::{
    net::SocketAddr,
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, Instant},
};

use clap::Args;
use serde_json::{Value, json};
use tokio::time::sleep;

use crate::{
    Cluster, Fault,
    api::{Api, path_of},
    backend,
    client::{Connection, Target, once},
    objects::{self, GATEWAY_API, MARK, NAMESPACE},
    processes,
    steps::{programmed, remove_namespace, serves},
    wait::until,
};

/// For one change to be in force.
const LIMIT: Duration = Duration::from_secs(20);
/// Connections that make the routes side by side.
const MAKERS: usize = 8;

#[derive(Args)]
pub(crate) struct Options {
    #[command(flatten)]
    cluster: Cluster,
    /// How many HTTPRoutes there are, over all Gateways; one measurement each
    #[arg(long, value_delimiter = ',', default_value = "10,1000")]
    routes: Vec<usize>,
    /// How many Gateways share them
    #[arg(long, default_value_t = 1)]
    gateways: usize,
    /// How often a route is changed
    #[arg(long, default_value_t = 30)]
    changes: usize,
    /// How many new Gateways are timed
    #[arg(long, default_value_t = 3)]
    new_gateways: usize,
}

struct Trial<'a> {
    options: &'a Options,
    api: Api,
}

pub(crate) async fn run(options: &Options) -> Result<(), Fault> {
    let trial = Trial { options, api: Api::new(&options.cluster)? };
    remove_namespace(&trial.api).await?;
    trial.api.apply(&objects::namespace()).await?;
    for service in ["a", "b"] {
        let port = backend::start(options.cluster.node, None).await?;
        trial.api.apply(&objects::service(service)).await?;
        trial.api.apply(&objects::slice(service, service, options.cluster.node, port, true)).await?;
    }
    let outcome = trial.measure().await;
    remove_namespace(&trial.api).await?;
    outcome
}

impl Trial<'_> {
    async fn measure(&self) -> Result<(), Fault> {
        println!(
            "gateways  routes  changes  least ms  median ms  p90 ms   max ms  controller MiB (most)  proxy MiB (most)  load"
        );
        let mut made = 0;
        let addresses = self.gateways().await?;
        for &routes in &self.options.routes {
            self.routes(made, routes).await?;
            made = made.max(routes);
            let last = format!("r{}", routes - 1);
            let address = addresses[(routes - 1) % addresses.len()];
            serves(&target(address), &format!("/{last}"), "0", Duration::from_secs(120)).await?;
            // What making the routes left to do, the writing of their statuses above all, is not to be measured.
            self.settled().await?;
            sleep(Duration::from_secs(2)).await;
            let mut times = self.changes(routes, &addresses).await?;
            times.sort_unstable();
            let at = |share: f64| millis(times[((times.len() - 1) as f64 * share).round() as usize]);
            let (controller, controller_most) = processes::memory("lasthop-controller");
            let (proxy, proxy_most) = processes::memory("lasthop-proxy");
            println!(
                "{:8}  {routes:6}  {:7}  {:8.1}  {:9.1}  {:6.1}  {:7.1}  {controller:14.1} ({controller_most:.1})  \
                 {proxy:9.1} ({proxy_most:.1})  {}",
                addresses.len(),
                times.len(),
                at(0.0),
                at(0.5),
                at(0.9),
                at(1.0),
                processes::load(),
            );
        }
        for number in 0..self.options.new_gateways {
            self.new_gateway(number).await?;
        }
        Ok(())
    }

    async fn gateways(&self) -> Result<Vec<SocketAddr>, Fault> {
        let mut addresses = Vec::new();
        for number in 0..self.options.gateways.max(1) {
            self.api.apply(&objects::gateway(&format!("gw-{number}"), None, None)).await?;
        }
        for number in 0..self.options.gateways.max(1) {
            let gateway = objects::gateway(&format!("gw-{number}"), None, None);
            let (address, _) = programmed(&self.api, &path_of(&gateway), Duration::from_secs(180)).await?;
            addresses.push(SocketAddr::new(address, 80));
        }
        Ok(addresses)
    }

    /// Makes the routes from one number to another.
    async fn routes(&self, from: usize, to: usize) -> Result<(), Fault> {
        let gateways = self.options.gateways.max(1);
        let mut makers = Vec::new();
        for maker in 0..MAKERS {
            let api = self.api.another();
            makers.push(tokio::spawn(async move {
                for number in (from..to).filter(|number| number % MAKERS == maker) {
                    let gateway = format!("gw-{}", number % gateways);
                    api.apply(&objects::route(&format!("r{number}"), &gateway, "a", "0")).await?;
                }
                Ok::<_, Fault>(())
            }));
        }
        for maker in makers {
            maker.await??;
        }
        Ok(())
    }

    /// Waits until every route has a status.
    async fn settled(&self) -> Result<(), Fault> {
        let path = format!("/apis/{GATEWAY_API}/namespaces/{NAMESPACE}/httproutes");
        let all = || async {
            let list = self.api.get(&path).await?;
            let mut routes = list["items"].as_array().into_iter().flatten();
            let has = |route: &Value| !route["status"]["parents"][0]["conditions"].is_null();
            Ok(routes.all(has).then_some(()))
        };
        until(Duration::from_secs(300), Duration::from_secs(1), "the routes' statuses", all).await.map(drop)
    }

    /// Changes one route after the other: its filter, every third time its backend too.
    async fn changes(&self, routes: usize, addresses: &[SocketAddr]) -> Result<Vec<Duration>, Fault> {
        let mut times = Vec::new();
        for change in 1..=self.options.changes {
            let number = fastrand::usize(..routes);
            let (name, gateway) = (format!("r{number}"), number % addresses.len());
            let service = if change % 3 == 0 { "b" } else { "a" };
            let mark = format!("{routes}-{change}");
            let route = objects::route(&name, "", "", "");
            let patch = json!({"spec": {"rules": [objects::rule(&name, service, &mark)]}});
            let mut connection = Connection::open(&target(addresses[gateway])).await?;
            let path = path_of(&route);
            // Both connections are warm before the time counts.
            let _ = connection.get(&format!("/{name}")).await;
            self.api.get(&path).await?;
            let answered = AtomicBool::new(false);
            let ask = async {
                let at = self.api.merge(&path, &patch).await.map(|_| Instant::now());
                answered.store(true, Ordering::Relaxed);
                at
            };
            let see = see(&mut connection, &name, &mark, &answered);
            let (asked, seen) = tokio::join!(ask, see);
            times.push(seen?.saturating_duration_since(asked?));
            sleep(Duration::from_millis(100 + fastrand::u64(..200))).await;
        }
        Ok(times)
    }

    /// From the API server's answer until `Programmed`, and until the first answer through it.
    async fn new_gateway(&self, number: usize) -> Result<(), Fault> {
        let name = format!("new-{number}");
        let gateway = objects::gateway(&name, None, None);
        self.api.apply(&objects::route(&name, &name, "a", "new")).await?;
        self.api.apply(&gateway).await?;
        let begun = Instant::now();
        let (address, _) = programmed(&self.api, &path_of(&gateway), Duration::from_secs(60)).await?;
        let said = begun.elapsed();
        let target = target(SocketAddr::new(address, 80));
        serves(&target, &format!("/{name}"), "new", Duration::from_secs(60)).await?;
        println!(
            "new Gateway: Programmed after {:.2} s, serving after {:.2} s, load {}",
            said.as_secs_f64(),
            begun.elapsed().as_secs_f64(),
            processes::load()
        );
        once(&target, &format!("/{name}")).await.map(drop)
    }
}

/// When the first answer came that has the mark.
async fn see(
    connection: &mut Connection,
    name: &str,
    mark: &str,
    answered: &AtomicBool,
) -> Result<Instant, Fault> {
    let path = format!("/{name}");
    let begun = Instant::now();
    while begun.elapsed() < LIMIT {
        let answer = connection.get(&path).await.map_err(|lost| format!("a request was lost: {lost:?}"))?;
        if answer.status != 200 {
            return Err(format!("{path} was answered with {}", answer.status).into());
        }
        if answer.field(MARK) == Some(mark) {
            return Ok(Instant::now());
        }
        // Asking without a pause before there is anything to see would only take time from the others.
        if !answered.load(Ordering::Relaxed) {
            sleep(Duration::from_millis(1)).await;
        }
    }
    Err(format!("{path}: the change to {mark} was not in force within {} s", LIMIT.as_secs()).into())
}

fn target(address: SocketAddr) -> Target {
    Target { address, host: "trial.test".to_owned(), tls: None }
}

fn millis(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}
