//! LasthopParameters: what they change, and what becomes of wrong ones.

use super::support::{Site, becomes, curl, within};

const REFERS: &str =
    "  infrastructure: {parametersRef: {group: lasthop.dev, kind: LasthopParameters, name: edge}}\n";

fn parameters(site: &Site, spec: &str) {
    site.apply(&format!(
        "apiVersion: lasthop.dev/v1alpha1\nkind: LasthopParameters\nmetadata: {{name: edge}}\nspec:\n{spec}"
    ));
}

#[test]
fn settings_reach_the_proxies_and_wrong_ones_change_nothing() {
    let Some(site) = Site::new("parameters") else { return };
    let nginx = site.nginx("right");
    site.service("shop", &[nginx.port], "");
    site.route("edge", "shop", "");
    // To nothing, at first.
    site.gateway("edge", REFERS);
    let message =
        site.condition("gateway", "edge", "Accepted", |found, _| found == "False/InvalidParameters");
    assert!(message.contains("LasthopParameters") && message.contains("create it"), "{message}");

    parameters(
        &site,
        "  settings: {limits.body-bytes: '1000', access-log-format: json}\n  drainSeconds: 5\n",
    );
    let address = site.programmed("edge");
    becomes(address, "shop.test", 200);
    let large = "x".repeat(2000);
    let answer = curl(address, "shop.test", &["--data", &large]);
    assert_eq!(answer.status, 413, "{answer:?}");
    let logged = within(|| {
        let log = site.kubectl(&["logs", "deployment/lasthop-edge"]);
        log.lines().any(|line| line.starts_with('{') && line.contains("BodyTooLarge")).then_some(())
    });
    assert!(logged.is_some(), "{}", site.kubectl(&["logs", "deployment/lasthop-edge"]));

    // A slip is named, with the nearest one that exists; what serves goes on.
    parameters(&site, "  settings: {limits.bodybytes: '1000'}\n");
    let message =
        site.condition("gateway", "edge", "Accepted", |found, _| found == "False/InvalidParameters");
    assert!(message.contains("limits.body-bytes") && message.contains("spec.settings"), "{message}");
    assert_eq!(curl(address, "shop.test", &[]).status, 200);

    // What only the API server can judge is said in its words; what stood before serves on.
    parameters(&site, "  affinity: {nodeAfinity: {}}\n");
    site.condition("gateway", "edge", "Programmed", |found, message| {
        found == "True/Programmed" && message.contains("nodeAfinity")
    });
    assert_eq!(curl(address, "shop.test", &[]).status, 200);

    parameters(&site, "  replicas: 1\n");
    site.programmed("edge");
    becomes(address, "shop.test", 200);
    let answer = within(|| {
        let answer = curl(address, "shop.test", &["--data", &large]);
        (answer.status == 200).then_some(())
    });
    assert!(answer.is_some(), "the limit is gone");
}

#[test]
fn an_image_that_cannot_be_pulled_is_named() {
    let Some(site) = Site::new("image") else { return };
    parameters(&site, "  image: registry.invalid/nobody:1\n");
    site.gateway("edge", REFERS);
    let message = site.condition("gateway", "edge", "Programmed", |found, _| found == "False/NoResources");
    assert!(
        message.contains("registry.invalid/nobody:1") && message.contains("cannot be pulled"),
        "{message}"
    );
    parameters(&site, "  replicas: 1\n");
    site.programmed("edge");
}
