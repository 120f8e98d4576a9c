//! The names of backends.

use prometheus::{
    core::Desc,
    proto::{MetricFamily, MetricType},
};

use super::{NativeCollector, counter, describe, family, gauge};

const LOOKUPS: (&str, &str) =
    ("lasthop_dns_lookups_total", "Lookups of backends' names, by what came of them.");
const ADDRESSES: (&str, &str) = ("lasthop_dns_addresses", "Addresses of a backend's name that are in force.");
const AGE: (&str, &str) =
    ("lasthop_dns_answer_age_seconds", "Since a resolver last answered for a backend's name.");

pub(super) fn descriptions() -> impl Iterator<Item = Desc> {
    [describe(LOOKUPS, &["outcome"]), describe(ADDRESSES, &["name"]), describe(AGE, &["name"])]
        .into_iter()
        .flatten()
}

impl NativeCollector {
    pub(super) fn names(&self) -> [MetricFamily; 3] {
        let book = &self.metrics.names;
        let lookups = book
            .lookups()
            .map(|(outcome, count)| counter(&[("outcome", outcome.to_owned())], count))
            .collect();
        let (mut addresses, mut ages) = (Vec::new(), Vec::new());
        for (name, count, age) in book.standing() {
            let label = [("name", name)];
            addresses.push(gauge(&label, count as u64));
            ages.extend(age.map(|age| gauge(&label, age)));
        }
        [
            family(LOOKUPS, MetricType::COUNTER, lookups),
            family(ADDRESSES, MetricType::GAUGE, addresses),
            family(AGE, MetricType::GAUGE, ages),
        ]
    }
}
