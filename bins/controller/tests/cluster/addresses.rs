//! The addresses that a Gateway asks for.

use std::net::{IpAddr, Ipv4Addr};

use super::support::{Site, becomes, within};

#[test]
fn all_of_them_serve_and_each_that_is_missing_is_named() {
    let Some(site) = Site::new("addresses") else { return };
    let nginx = site.nginx("right");
    site.service("shop", &[nginx.port], "");
    site.route("edge", "shop", "");
    // Of the load balancers' range of our clusters, and of none.
    let IpAddr::V4(node) = site.node else { panic!("the node has {}", site.node) };
    let [a, b, ..] = node.octets();
    let [first, second] = [200, 201].map(|last| Ipv4Addr::new(a, b, 50, last));
    let nobodys = Ipv4Addr::new(192, 0, 2, 77);
    let asking = |addresses: &[Ipv4Addr]| {
        let values: Vec<String> = addresses.iter().map(|address| format!("{{value: {address}}}")).collect();
        site.gateway("edge", &format!("  addresses: [{}]\n", values.join(", ")));
    };
    let becomes_all = |wanted: &[Ipv4Addr]| {
        let found = within(|| {
            let mut found = site.addresses("edge");
            found.sort();
            (found == wanted).then_some(())
        });
        assert!(found.is_some(), "{:?} instead of {wanted:?}", site.addresses("edge"));
    };

    asking(&[second, first]);
    site.programmed("edge");
    becomes_all(&[first, second]);
    for address in [first, second] {
        becomes(address.into(), "shop.test", 200);
    }

    asking(&[first, second, nobodys]);
    let message =
        site.condition("gateway", "edge", "Programmed", |found, _| found == "False/AddressNotUsable");
    assert!(message.contains(&nobodys.to_string()) && !message.contains(&first.to_string()), "{message}");
    // The others go on.
    becomes(first.into(), "shop.test", 200);

    asking(&[first]);
    site.programmed("edge");
    becomes_all(&[first]);
    let left = within(|| {
        let services = site.kubectl(&["get", "services", "--output=name"]);
        (services.lines().filter(|name| name.contains("lasthop-edge")).count() == 1).then_some(())
    });
    assert!(left.is_some(), "{}", site.kubectl(&["get", "services"]));
    becomes(first.into(), "shop.test", 200);

    // Without a Gateway nothing of it is left.
    asking(&[first, second]);
    becomes_all(&[first, second]);
    site.kubectl(&["delete", "gateway", "edge"]);
    let gone = within(|| {
        let left = site.kubectl(&["get", "services,deployments,serviceaccounts", "--output=name"]);
        (!left.contains("lasthop-edge")).then_some(())
    });
    assert!(gone.is_some(), "{}", site.kubectl(&["get", "services,deployments,serviceaccounts"]));
}

#[test]
fn two_gateways_that_want_one_address_are_told() {
    let Some(site) = Site::new("taken") else { return };
    let IpAddr::V4(node) = site.node else { panic!("the node has {}", site.node) };
    let [a, b, ..] = node.octets();
    let asked = format!("  addresses: [{{value: {}}}]\n", Ipv4Addr::new(a, b, 50, 210));
    site.gateway("first", &asked);
    site.programmed("first");
    site.gateway("second", &asked);
    let message =
        site.condition("gateway", "second", "Programmed", |found, _| found == "False/AddressNotUsable");
    assert!(message.contains("spec.addresses"), "{message}");
    site.kubectl(&["delete", "gateway", "first"]);
    site.programmed("second");
}
