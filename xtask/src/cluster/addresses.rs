//! The addresses of a cluster. Each has a /16 of its own, though none is reachable from outside its namespace.

use std::net::Ipv4Addr;

/// How many clusters can stand side by side.
const CLUSTERS: u8 = 100;
/// The second octet of the first cluster's addresses.
const FIRST: u8 = 100;

/// The ranges of one cluster, all of 10.N.0.0/16.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Addresses {
    octet: u8,
}

impl Addresses {
    /// The addresses of the cluster with this index.
    pub(crate) fn of(index: u8) -> Result<Self, String> {
        if index < CLUSTERS {
            Ok(Self { octet: FIRST + index })
        } else {
            Err(format!("{CLUSTERS} clusters stand already; take one down with `cargo xtask cluster down`"))
        }
    }

    fn at(self, third: u8, fourth: u8) -> Ipv4Addr {
        Ipv4Addr::new(10, self.octet, third, fourth)
    }

    /// The node's address, on its bridge.
    pub(crate) fn node(self) -> Ipv4Addr {
        self.at(0, 1)
    }

    /// Where pods get their addresses from.
    pub(crate) fn pods(self) -> String {
        format!("{}/20", self.at(16, 0))
    }

    /// Where Services get their addresses from.
    pub(crate) fn services(self) -> String {
        format!("{}/20", self.at(32, 0))
    }

    /// The API server's Service: the first address of the Services' range, by Kubernetes' own rule.
    pub(crate) fn api(self) -> Ipv4Addr {
        self.at(32, 1)
    }

    /// The Service of the cluster's DNS.
    pub(crate) fn dns(self) -> Ipv4Addr {
        self.at(32, 10)
    }

    /// Where Services of type `LoadBalancer` get their outer addresses from; the first 16 only on request.
    pub(crate) fn balancers(self) -> String {
        format!("{}/20", self.at(48, 0))
    }

    /// An address that a Gateway may ask for and get.
    pub(crate) fn usable(self) -> Ipv4Addr {
        self.at(48, 10)
    }

    /// An address that no Gateway can get (TEST-NET-1, RFC 5737).
    pub(crate) fn unusable() -> Ipv4Addr {
        Ipv4Addr::new(192, 0, 2, 1)
    }
}

/// The lowest index that no cluster has.
pub(crate) fn free(taken: &[u8]) -> u8 {
    (0..=u8::MAX).find(|index| !taken.contains(index)).unwrap_or(u8::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The first and last address of a range written as `10.1.2.0/20`.
    fn bounds(range: &str) -> (u32, u32) {
        let (address, length) = range.split_once('/').unwrap();
        let first = u32::from(address.parse::<Ipv4Addr>().unwrap());
        let size = 1u32 << (32 - length.parse::<u32>().unwrap());
        assert_eq!(first % size, 0, "{range} does not begin where a range of its length can");
        (first, first + size - 1)
    }

    #[test]
    fn ranges_of_one_cluster_do_not_overlap() {
        let addresses = Addresses::of(3).unwrap();
        let node = u32::from(addresses.node());
        let mut ranges = [
            (node & !0xff, node | 0xff),
            bounds(&addresses.pods()),
            bounds(&addresses.services()),
            bounds(&addresses.balancers()),
        ];
        ranges.sort_unstable();
        for pair in ranges.windows(2) {
            assert!(pair[0].1 < pair[1].0, "{pair:?}");
        }
        let (first, last) = bounds(&addresses.services());
        assert_eq!(u32::from(addresses.api()), first + 1);
        assert!((first..=last).contains(&u32::from(addresses.dns())));
        let (first, last) = bounds(&addresses.balancers());
        assert!((first..=last).contains(&u32::from(addresses.usable())));
        assert!(!(first..=last).contains(&u32::from(Addresses::unusable())));
    }

    #[test]
    fn clusters_share_no_address() {
        let (first, second) = (Addresses::of(0).unwrap(), Addresses::of(1).unwrap());
        assert!(bounds(&first.balancers()).1 < u32::from(second.node()));
        assert_ne!(first.pods(), second.pods());
    }

    #[test]
    fn a_new_cluster_takes_the_lowest_free_index() {
        assert_eq!(free(&[]), 0);
        assert_eq!(free(&[0, 2, 1, 4]), 3);
        assert!(Addresses::of(CLUSTERS).is_err());
    }
}
