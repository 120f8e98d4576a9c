//! One name, asked for once, for whoever wants to know what the dataplane would be told.

use std::net::IpAddr;

use hickory_resolver::proto::rr::{Name, RecordType};

use super::{
    ResolverOptions,
    addresses::choose,
    ask::{Asker, Said},
};

/// Why a name leads nowhere.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ResolveError {
    /// No domain name.
    #[error("it is not a name that DNS could hold")]
    NoName,
    /// Neither of the two questions got an answer.
    #[error("{0}")]
    Failed(String),
    /// There are none.
    #[error("it has no address")]
    NoAddress,
    /// There are some, and none of them counts.
    #[error(
        "its addresses are of this machine or this link, {0} in number, and do not count; \
         resolver-allow-local = true lets them count"
    )]
    Local(usize),
}

/// The addresses that backends of this name would have now: those of both families that count, in order.
///
/// # Errors
/// When there is none to connect to.
pub async fn resolve(options: &ResolverOptions, name: &str) -> Result<Vec<IpAddr>, ResolveError> {
    // Fully qualified: no search list makes another name of it.
    let query = Name::from_ascii(format!("{name}.")).map_err(|_| ResolveError::NoName)?;
    let asker = Asker::new(options.servers.clone());
    let said = tokio::join!(asker.ask(query.clone(), RecordType::A), asker.ask(query, RecordType::AAAA));
    let mut all = Vec::new();
    let mut failure = None;
    for said in [said.0, said.1] {
        match said {
            Said::Addresses(addresses, _) => all.extend(addresses),
            Said::Nothing(_) => {}
            Said::Failed(why) => failure = Some(why.to_string()),
        }
    }
    let chosen = choose(all, options.allow_local);
    match (chosen.addresses.is_empty(), chosen.local, failure) {
        (false, ..) => Ok(chosen.addresses.to_vec()),
        (true, 0, Some(why)) => Err(ResolveError::Failed(why)),
        (true, 0, None) => Err(ResolveError::NoAddress),
        (true, local, _) => Err(ResolveError::Local(local)),
    }
}
