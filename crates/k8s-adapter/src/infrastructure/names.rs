//! Names of what is placed for a Gateway.

use std::net::IpAddr;

use lasthop_dataplane_api::ObjectName;

/// The longest label, and the longest name of a Service.
const LONGEST: usize = 63;
/// What names begin with; a Gateway's own may begin with a digit, a Service's may not.
const PREFIX: &str = "lasthop-";

/// The name of the ServiceAccount, the Deployment, the Service and whatever else is placed for a Gateway.
///
/// A Gateway's name has up to 253 characters and may have dots; one that is no Service's name is cut, and told apart by a
/// hash of the whole.
pub fn placed(gateway: &ObjectName) -> String {
    let plain = format!("{PREFIX}{}", gateway.name);
    if plain.len() <= LONGEST && !plain.contains('.') {
        return plain;
    }
    cut(&plain.replace('.', "-"), &gateway.name)
}

/// The Services that are placed for a Gateway that asks for these addresses: the first one is there in any case.
pub fn services(gateway: &ObjectName, addresses: &[IpAddr]) -> Vec<String> {
    let further = addresses.iter().skip(1).map(|address| for_address(gateway, *address));
    std::iter::once(placed(gateway)).chain(further).collect()
}

/// The name of the Service that asks for a further address; no other Gateway's Service has it.
pub(super) fn for_address(gateway: &ObjectName, address: IpAddr) -> String {
    let plain = format!("{PREFIX}{}", gateway.name).replace('.', "-");
    cut(&plain, &format!("{} at {address}", gateway.name))
}

/// The name as the value of a label.
pub fn label_value(name: &str) -> String {
    if name.len() <= LONGEST { name.to_owned() } else { cut(name, name) }
}

fn cut(text: &str, whole: &str) -> String {
    let hash = format!("{:016x}", hash(whole.as_bytes()));
    let room = LONGEST - 1 - hash.len();
    let kept: String = text.chars().take(room).collect();
    format!("{}-{hash}", kept.trim_end_matches(['-', '.', '_']))
}

/// FNV-1a: the same in every version of every process.
pub(super) fn hash(bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(name: &str) -> String {
        placed(&ObjectName::new("infra", name))
    }

    #[test]
    fn names_are_services_names_and_differ() {
        let long = "a".repeat(253);
        let other = format!("{}b", "a".repeat(252));
        for name in ["edge", "7-up", "a.b", &long, &other, &"x.".repeat(30)[..59]] {
            let placed = of(name);
            let label = placed.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
            assert!(placed.len() <= 63 && label && !placed.ends_with('-'), "{placed}");
        }
        assert_eq!(of("edge"), "lasthop-edge");
        assert_ne!(of("a.b"), of("a-b"));
        assert_ne!(of(&long), of(&other));
    }

    #[test]
    fn each_address_has_a_service_of_its_own() {
        let gateway = ObjectName::new("infra", "edge");
        let addresses = ["192.0.2.1", "192.0.2.2", "2001:db8::1"].map(|text| text.parse().unwrap());
        let all = services(&gateway, &addresses);
        assert_eq!((all[0].as_str(), all.len()), ("lasthop-edge", 3));
        // It stays with its address, whatever else is asked for.
        assert_eq!(services(&gateway, &[addresses[0], addresses[2]])[1], all[2]);
        assert_eq!(services(&gateway, &[]), ["lasthop-edge"]);
        let long = ObjectName::new("infra", "a.".repeat(100) + "b");
        assert!(services(&long, &addresses).iter().all(|name| name.len() <= 63 && !name.contains('.')));
        assert!(all[1].starts_with("lasthop-edge-"), "{all:?}");
    }

    #[test]
    fn labels_keep_what_fits() {
        assert_eq!(label_value("a.b"), "a.b");
        let long = label_value(&"a.".repeat(100));
        assert!(long.len() <= 63 && !long.contains(".-"), "{long}");
    }
}
