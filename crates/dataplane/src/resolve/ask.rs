//! Questions to the resolvers.

use std::{
    net::{IpAddr, SocketAddr},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use hickory_resolver::{
    Resolver, TokioResolver,
    config::{ConnectionConfig, NameServerConfig, ResolveHosts, ResolverConfig, ResolverOpts},
    net::{DnsError, NetError, runtime::TokioRuntimeProvider},
    proto::{
        op::ResponseCode,
        rr::{Name, RData, RecordType},
    },
    system_conf::read_system_conf,
};

/// How long a resolver may take for one try.
const TRY: Duration = Duration::from_secs(2);
/// How long one question may take, all tries together.
const QUESTION: Duration = Duration::from_secs(8);
/// How old the system's configuration must be to be read again after a failure.
const CONFIGURATION: Duration = Duration::from_secs(10);

/// What was said to one question.
#[derive(Clone, Debug)]
pub(super) enum Said {
    /// These, for so long.
    Addresses(Vec<IpAddr>, Duration),
    /// There are none, for so long if that was said.
    Nothing(Option<Duration>),
    /// Nobody answered, or not in a way that says anything.
    Failed(Arc<str>),
}

/// Who asks.
pub(super) struct Asker {
    servers: Vec<SocketAddr>,
    resolver: Mutex<Option<Current>>,
}

struct Current {
    resolver: Result<Arc<TokioResolver>, Arc<str>>,
    since: Instant,
}

impl Asker {
    /// Asks these, or those of the system if there are none.
    pub(super) fn new(servers: Vec<SocketAddr>) -> Self {
        Self { servers, resolver: Mutex::default() }
    }

    fn resolver(&self) -> Result<Arc<TokioResolver>, Arc<str>> {
        let mut current = self.resolver.lock().unwrap_or_else(PoisonError::into_inner);
        let make = || Current {
            resolver: build(&self.servers).map(Arc::new).map_err(|error| {
                let from = if self.servers.is_empty() { "/etc/resolv.conf" } else { "the setting resolver" };
                format!("no DNS resolver could be taken from {from}: {error}").into()
            }),
            since: Instant::now(),
        };
        current.get_or_insert_with(make).resolver.clone()
    }

    /// Reads the system's configuration again, if it was not just now: its resolvers may be others by now.
    pub(super) fn renew(&self) {
        let mut current = self.resolver.lock().unwrap_or_else(PoisonError::into_inner);
        if self.servers.is_empty() && current.as_ref().is_some_and(|c| c.since.elapsed() > CONFIGURATION) {
            *current = None;
        }
    }

    /// The name's addresses of one family.
    pub(super) async fn ask(&self, name: Name, kind: RecordType) -> Said {
        let resolver = match self.resolver() {
            Ok(resolver) => resolver,
            Err(error) => return Said::Failed(error),
        };
        let lookup = match tokio::time::timeout(QUESTION, resolver.lookup(name, kind)).await {
            Ok(Ok(lookup)) => lookup,
            Ok(Err(error)) => return failure(&error),
            Err(_) => return Said::Failed("no answer in time".into()),
        };
        let addresses: Vec<IpAddr> = lookup
            .answers()
            .iter()
            .filter_map(|record| match &record.data {
                RData::A(address) => Some(IpAddr::V4(address.0)),
                RData::AAAA(address) => Some(IpAddr::V6(address.0)),
                _ => None,
            })
            .collect();
        // Aliases on the way count too: any of them may change first.
        let ttl = lookup.answers().iter().map(|record| record.ttl).min();
        let ttl = ttl.map(|seconds| Duration::from_secs(seconds.into()));
        match (addresses.is_empty(), ttl) {
            (false, Some(ttl)) => Said::Addresses(addresses, ttl),
            (_, ttl) => Said::Nothing(ttl),
        }
    }
}

fn failure(error: &NetError) -> Said {
    match error {
        // An empty answer, or a name that does not exist, is an answer; SERVFAIL and REFUSED are none.
        NetError::Dns(DnsError::NoRecordsFound(none))
            if matches!(none.response_code, ResponseCode::NoError | ResponseCode::NXDomain) =>
        {
            Said::Nothing(none.negative_ttl.map(|seconds| Duration::from_secs(seconds.into())))
        }
        NetError::Dns(DnsError::NoRecordsFound(none)) => {
            Said::Failed(format!("the resolver said {}", none.response_code).into())
        }
        error => Said::Failed(error.to_string().into()),
    }
}

fn build(servers: &[SocketAddr]) -> Result<TokioResolver, NetError> {
    let (config, mut options) = match servers {
        [] => read_system_conf()?,
        servers => {
            let config = ResolverConfig::from_parts(None, Vec::new(), name_servers(servers));
            (config, ResolverOpts::default())
        }
    };
    // What is remembered is remembered by us, for all workers.
    options.cache_size = 0;
    // DNS, as said: a machine's own table of hosts is none.
    options.use_hosts_file = ResolveHosts::Never;
    options.timeout = TRY;
    options.attempts = 2;
    options.try_tcp_on_error = true;
    let mut builder = Resolver::builder_with_config(config, TokioRuntimeProvider::default());
    *builder.options_mut() = options;
    builder.build()
}

fn name_servers(servers: &[SocketAddr]) -> Vec<NameServerConfig> {
    let one = |server: &SocketAddr| {
        let connections = [ConnectionConfig::udp(), ConnectionConfig::tcp()].map(|mut connection| {
            connection.port = server.port();
            connection
        });
        NameServerConfig::new(server.ip(), true, connections.into())
    };
    servers.iter().map(one).collect()
}
