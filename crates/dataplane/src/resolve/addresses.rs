//! Which of the addresses in an answer count.

use std::{
    collections::BTreeSet,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    sync::Arc,
};

/// Addresses of a name that count; further ones are left out.
pub(super) const MOST_ADDRESSES: usize = 64;

/// The addresses that count.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Chosen {
    /// Sorted, at most [`MOST_ADDRESSES`].
    pub(super) addresses: Arc<[IpAddr]>,
    /// Of this machine or this link, and therefore left out.
    pub(super) local: usize,
    /// Left out because there are too many.
    pub(super) over: usize,
}

/// The same addresses for the same answer, in whatever order a resolver gives them: what rotates changes nothing.
pub(super) fn choose(answer: impl IntoIterator<Item = IpAddr>, allow_local: bool) -> Chosen {
    let all: BTreeSet<IpAddr> = answer.into_iter().map(|address| address.to_canonical()).collect();
    let (kept, local): (Vec<_>, Vec<_>) =
        all.into_iter().partition(|address| allow_local || !is_local(*address));
    let (v4, v6): (Vec<_>, Vec<_>) = kept.iter().partition(|address| address.is_ipv4());
    // Half of the room for each family, and what one leaves for the other.
    let room = MOST_ADDRESSES;
    let of_v4 = v4.len().min(room - v6.len().min(room / 2));
    let of_v6 = v6.len().min(room - of_v4);
    let addresses: Arc<[IpAddr]> = v4.into_iter().take(of_v4).chain(v6.into_iter().take(of_v6)).collect();
    Chosen { over: kept.len() - addresses.len(), local: local.len(), addresses }
}

/// Whether an address is of this machine, of this link, or nobody's: nothing that a name outside should lead to.
fn is_local(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => is_local_v4(v4),
        IpAddr::V6(v6) => {
            let [first, ..] = v6.segments();
            v6.is_loopback()
                || v6.is_unspecified()
                || v6.is_multicast()
                // fe80::/10, and fec0::/10, which it once was.
                || first & 0xff80 == 0xfe80
                // Where a cloud's machines ask who they are, as at 169.254.169.254.
                || v6 == Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254)
                || embedded(v6).is_some_and(is_local_v4)
        }
    }
}

fn is_local_v4(v4: Ipv4Addr) -> bool {
    let [first, ..] = v4.octets();
    // 0.0.0.0/8 is this machine to many systems.
    first == 0 || v4.is_loopback() || v4.is_link_local() || v4.is_multicast() || v4.is_broadcast()
}

/// The IPv4 address that a translator would make of it: 64:ff9b::/96 (RFC 6052), 2002::/16 (RFC 3056), ::/96.
fn embedded(v6: Ipv6Addr) -> Option<Ipv4Addr> {
    let join = |high: u16, low: u16| Ipv4Addr::from_bits((u32::from(high) << 16) | u32::from(low));
    match v6.segments() {
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] | [0, 0, 0, 0, 0, 0, high, low] => Some(join(high, low)),
        [0x2002, high, low, ..] => Some(join(high, low)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(texts: &[&str]) -> Vec<IpAddr> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    #[test]
    fn what_leads_back_to_the_gateway_does_not_count() {
        let local = [
            "127.0.0.1",
            "127.8.8.8",
            "0.0.0.0",
            "0.1.2.3",
            "169.254.169.254",
            "224.0.0.1",
            "255.255.255.255",
            "::1",
            "::",
            "fe80::1",
            "fec0::1",
            "ff02::1",
            "fd00:ec2::254",
            "::ffff:127.0.0.1",
            "::127.0.0.1",
            "64:ff9b::169.254.169.254",
            "2002:7f00:1::",
        ];
        let chosen = choose(parse(&local), false);
        // The mapped one is the first one.
        assert_eq!((chosen.addresses.len(), chosen.local), (0, local.len() - 1));
        assert_eq!(choose(parse(&local), true).addresses.len(), local.len() - 1);
        let others = ["10.0.0.1", "192.0.2.1", "64:ff9b::192.0.2.1", "2001:db8::1", "fd00::1"];
        assert_eq!(&*choose(parse(&others), false).addresses, parse(&others));
    }

    #[test]
    fn the_same_answer_in_another_order_is_the_same() {
        let one = choose(parse(&["192.0.2.2", "2001:db8::1", "192.0.2.1", "192.0.2.2"]), false);
        assert_eq!(one, choose(parse(&["2001:db8::1", "192.0.2.1", "192.0.2.2"]), false));
        assert_eq!(one.addresses.len(), 3);
    }

    #[test]
    fn too_many_leave_room_for_both_families() {
        let v4 = (0..1000u32).map(|n| IpAddr::V4(Ipv4Addr::from_bits(0x0a00_0000 + n)));
        let v6 = |count: u16| (0..count).map(|n| IpAddr::V6([0x2001, 0xdb8, 0, 0, 0, 0, 0, n].into()));
        let families = |chosen: &Chosen| {
            let v4 = chosen.addresses.iter().filter(|address| address.is_ipv4()).count();
            (v4, chosen.addresses.len() - v4, chosen.over)
        };
        assert_eq!(families(&choose(v4.clone(), false)), (64, 0, 936));
        assert_eq!(families(&choose(v4.clone().chain(v6(2)), false)), (62, 2, 938));
        assert_eq!(families(&choose(v4.chain(v6(1000)), false)), (32, 32, 1936));
        assert_eq!(families(&choose(v6(65), false)), (0, 64, 1));
    }
}
