//! The faults.

use std::{
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use clap::ValueEnum;
use serde_json::json;
use tokio::time::sleep;

use super::{ENDPOINTS, GATEWAY, SECRET, SERVICE, Trial, cluster};
use crate::{
    Fault,
    api::path_of,
    objects::{self, SYSTEM},
    processes,
    wait::until,
};

/// Changes of endpoints in a burst.
const BURST: usize = 500;
/// How often controllers are killed.
const KILLS: usize = 4;

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Kind {
    EndpointBurst,
    CertificateRenewals,
    ControllerRestarted,
    LeaderChanged,
    ControllerKilled,
    ProxyRestartedAlone,
    ApiServerFrozen,
    ApiServerKilled,
}

impl Kind {
    pub(super) const ALL: &'static [Self] = &[
        Self::EndpointBurst,
        Self::CertificateRenewals,
        Self::ControllerRestarted,
        Self::LeaderChanged,
        Self::ControllerKilled,
        Self::ProxyRestartedAlone,
        Self::ApiServerFrozen,
        Self::ApiServerKilled,
    ];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::EndpointBurst => "endpoint-burst",
            Self::CertificateRenewals => "certificate-renewals",
            Self::ControllerRestarted => "controller-restarted",
            Self::LeaderChanged => "leader-changed",
            Self::ControllerKilled => "controller-killed",
            Self::ProxyRestartedAlone => "proxy-restarted-alone",
            Self::ApiServerFrozen => "api-server-frozen",
            Self::ApiServerKilled => "api-server-killed",
        }
    }
}

impl Trial<'_> {
    /// Does it; says what is worth saying.
    pub(super) async fn inflict(&self, kind: Kind) -> Result<String, Fault> {
        match kind {
            Kind::EndpointBurst => self.endpoint_burst().await,
            Kind::CertificateRenewals => self.renewals().await,
            Kind::ControllerRestarted => {
                cluster::restart(&self.api, &format!("{:x}", fastrand::u64(..))).await?;
                Ok("rolled over, 2 replicas".to_owned())
            }
            Kind::LeaderChanged => self.leader_changed().await,
            Kind::ControllerKilled => self.controllers_killed().await,
            Kind::ProxyRestartedAlone => self.proxy_alone().await,
            Kind::ApiServerFrozen => {
                let pids = processes::named("kube-apiserver");
                processes::signal("STOP", &pids)?;
                sleep(Duration::from_secs(self.options.away)).await;
                processes::signal("CONT", &pids)?;
                Ok(format!("stopped for {} s", self.options.away))
            }
            Kind::ApiServerKilled => self.api_server_killed().await,
        }
    }

    /// Endpoints come and go as fast as the API server takes it; in the end one is left.
    async fn endpoint_burst(&self) -> Result<String, Fault> {
        let begun = Instant::now();
        let mut ready = [true; ENDPOINTS];
        let slice = |number: usize, ready: bool| {
            let (node, name) = (self.options.cluster.node, format!("{SERVICE}-{number}"));
            objects::slice(SERVICE, &name, node, self.ports[number], ready)
        };
        let set = async |number: usize, is_ready: bool| self.api.apply(&slice(number, is_ready)).await;
        for change in 0..BURST {
            let number = change % ENDPOINTS;
            ready[number] = !ready[number] || ready.iter().filter(|ready| **ready).count() == 1;
            set(number, ready[number]).await?;
        }
        let took = begun.elapsed();
        set(0, true).await?;
        for number in 1..ENDPOINTS {
            set(number, false).await?;
        }
        // Requests go to the one that is left, and soon.
        let only = self.ports[0].to_string();
        let alone = || async {
            let backends = self.load.backends();
            Ok((backends.len() == 1 && backends.contains_key(&only)).then_some(()))
        };
        let (_, converged) =
            until(Duration::from_secs(10), Duration::from_millis(100), "the last endpoint alone", alone)
                .await?;
        for number in 1..ENDPOINTS {
            set(number, true).await?;
        }
        Ok(format!(
            "{BURST} changes in {:.1} s, right {:.2} s later",
            took.as_secs_f64(),
            converged.as_secs_f64()
        ))
    }

    /// A new certificate every second; the last one is shown in the end.
    async fn renewals(&self) -> Result<String, Fault> {
        let mut last = Vec::new();
        for _ in 0..self.options.renewals {
            let next = Instant::now() + Duration::from_secs(1);
            let (certificate, key, der) = self.pki.front()?;
            self.api.apply(&objects::secret(SECRET, &certificate, &key)).await?;
            last = der;
            tokio::time::sleep_until(next.into()).await;
        }
        let shown = || async { Ok((self.shown().await? == last).then_some(())) };
        let (_, time) =
            until(Duration::from_secs(10), Duration::from_millis(20), "the last certificate", shown).await?;
        // A handshake may be with any of the proxies.
        for _ in 0..10 {
            if self.shown().await? != last {
                return Err("a proxy shows an older certificate".into());
            }
        }
        Ok(format!(
            "{} certificates, the last one shown after {} ms",
            self.options.renewals,
            time.as_millis()
        ))
    }

    /// The certificate that a handshake shows.
    async fn shown(&self) -> Result<Vec<u8>, Fault> {
        let stream = tokio::net::TcpStream::connect(self.target.address).await?;
        let Some(tls) = self.target.tls.clone() else { return Err("no TLS".into()) };
        let name = self.target.host.clone().try_into()?;
        let stream = tokio_rustls::TlsConnector::from(tls).connect(name, stream).await?;
        let shown = stream.get_ref().1.peer_certificates().and_then(<[_]>::first);
        Ok(shown.map(|certificate| certificate.to_vec()).unwrap_or_default())
    }

    async fn leader_changed(&self) -> Result<String, Fault> {
        let before = cluster::leader(&self.api).await?;
        cluster::delete_pod(&self.api, SYSTEM, &before).await?;
        let begun = Instant::now();
        let other = || async {
            let now = cluster::leader(&self.api).await?;
            Ok((now != before).then_some(()))
        };
        until(Duration::from_secs(60), Duration::from_millis(50), "another leader", other).await?;
        let after = begun.elapsed();
        cluster::settled(&self.api, 2).await?;
        Ok(format!("another led after {:.1} s", after.as_secs_f64()))
    }

    /// Killed at random moments, while the route changes all the time.
    async fn controllers_killed(&self) -> Result<String, Fault> {
        let route = objects::route(SERVICE, GATEWAY, SERVICE, "");
        let (path, mut killed) = (path_of(&route), 0);
        for round in 0..KILLS {
            let until = Instant::now() + Duration::from_millis(500 + fastrand::u64(..4000));
            let mut change = 0;
            while Instant::now() < until {
                change += 1;
                let mark = format!("kill-{round}-{change}");
                let rules = json!([objects::rule(SERVICE, SERVICE, &mark)]);
                self.api.merge(&path, &json!({"spec": {"rules": rules}})).await?;
                sleep(Duration::from_millis(20)).await;
            }
            let pids = processes::named("lasthop-controller");
            killed += pids.len();
            processes::signal("KILL", &pids)?;
        }
        Ok(format!("all that ran killed {KILLS} times, {killed} processes"))
    }

    /// A proxy ends while there is no controller: its successor has nothing to serve, the other serves.
    async fn proxy_alone(&self) -> Result<String, Fault> {
        cluster::scale(&self.api, 0).await?;
        let pods = cluster::proxies(&self.api).await?;
        let name =
            pods.first().and_then(|pod| pod["metadata"]["name"].as_str()).ok_or("there is no proxy")?;
        cluster::delete_pod(&self.api, objects::NAMESPACE, name).await?;
        sleep(Duration::from_secs(20)).await;
        let pods = cluster::proxies(&self.api).await?;
        let ready = pods.iter().filter(|pod| cluster::is_ready(pod)).count();
        let begun = Instant::now();
        cluster::scale(&self.api, 2).await?;
        if ready != 1 {
            return Err(
                format!("{ready} of {} proxies were ready without a controller, not 1", pods.len()).into()
            );
        }
        cluster::proxies_ready(&self.api, 2, Duration::from_secs(60)).await?;
        Ok(format!(
            "20 s alone; both ready {:.1} s after controllers were asked for",
            begun.elapsed().as_secs_f64()
        ))
    }

    async fn api_server_killed(&self) -> Result<String, Fault> {
        let pids = processes::named("kube-apiserver");
        let words = pids.first().map(|pid| processes::words(*pid)).unwrap_or_default();
        let (program, arguments) = words.split_first().ok_or("no API server runs here")?;
        processes::signal("KILL", &pids)?;
        sleep(Duration::from_secs(self.options.away)).await;
        Command::new("setsid")
            .arg(program)
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        let path = path_of(&objects::namespace());
        let back = || async { self.api.get(&path).await.map(Some) };
        let (_, took) =
            until(Duration::from_secs(120), Duration::from_millis(250), "the API server", back).await?;
        Ok(format!("away for {} s, back after {:.1} s more", self.options.away, took.as_secs_f64()))
    }
}
