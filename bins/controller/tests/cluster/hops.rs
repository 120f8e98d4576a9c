//! The hop to the backend is what the policy says, or it does not happen.

use super::support::{Site, becomes, curl};

#[test]
fn verified_or_not_at_all() {
    let Some(site) = Site::new("hops") else { return };
    let nginx = site.nginx("right");
    site.gateway("edge", "");
    site.service("shop", &[nginx.port], "");
    site.route("edge", "shop", "");
    let address = site.programmed("edge");
    let answer = becomes(address, "shop.test", 200);
    assert_eq!(
        (answer.header("x-backend"), answer.header("x-tls")),
        (Some("right"), Some("TLSv1.3 backend.test"))
    );
    assert_eq!(answer.body, "right\n");

    // As a user would look at it.
    let seen = site.kubectl(&["get", "gateway,httproute,backendtlspolicy"]);
    assert!(seen.contains("True") && seen.contains(&address.to_string()), "{seen}");
    site.condition("backendtlspolicy", "shop", "Accepted", |found, _| found == "True/Accepted");

    let patch = r#"{"spec":{"validation":{"hostname":"another.test"}}}"#;
    site.kubectl(&["patch", "backendtlspolicy", "shop", "--type=merge", "--patch", patch]);
    let refused = becomes(address, "shop.test", 502);
    assert!(!refused.head.contains("NameMismatch") && !refused.body.contains("another"), "{refused:?}");
    let patch = r#"{"spec":{"validation":{"hostname":"backend.test"}}}"#;
    site.kubectl(&["patch", "backendtlspolicy", "shop", "--type=merge", "--patch", patch]);
    becomes(address, "shop.test", 200);

    // A CA that is gone leaves nothing to verify by.
    site.kubectl(&["delete", "configmap", "ca"]);
    let message =
        site.condition("backendtlspolicy", "shop", "Accepted", |found, _| found.starts_with("False/"));
    assert!(message.contains("ca"), "{message}");
    becomes(address, "shop.test", 502);
    assert_eq!(curl(address, "nobody.test", &[]).status, 404);
}
