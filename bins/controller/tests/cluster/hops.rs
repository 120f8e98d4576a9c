//! The hop to the backend is what the policy says, or it does not happen.

use super::support::{Site, becomes, curl, find, kubectl, run, within};

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

/// What the README has its readers apply.
#[test]
fn the_example_reaches_the_api_server() {
    let Some(_site) = Site::new("example") else { return };
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/examples/api-server.yaml");
    kubectl(&["apply", "-f", file]);
    let _gone = Gone(file);
    let address = within(|| {
        let gateway: serde_json::Value =
            serde_json::from_str(&kubectl(&["get", "gateway", "try", "--output=json"])).ok()?;
        let (verdict, _) = find(&gateway["status"], "Programmed")?;
        let address = gateway["status"]["addresses"][0]["value"].as_str()?.to_owned();
        (verdict == "True/Programmed").then_some(address)
    });
    let url = format!("http://{}/version", address.expect("the Gateway is programmed"));
    let ask = || {
        let flags = ["--silent", "--max-time", "10", "--write-out", "\n%{http_code}", &url];
        String::from_utf8(run("curl", &flags, "").stdout).unwrap()
    };
    let answers = |wanted: &str, code: &str| {
        let mut last = String::new();
        let found = within(|| {
            last = ask();
            (last.contains(wanted) && last.ends_with(code)).then_some(())
        });
        assert!(found.is_some(), "{last}");
    };
    answers("gitVersion", "200");
    let patch = r#"{"spec":{"validation":{"hostname":"another.test"}}}"#;
    kubectl(&["patch", "backendtlspolicy", "kubernetes", "--type=merge", "--patch", patch]);
    answers("", "502");
}

/// Takes away what a manifest placed.
struct Gone(&'static str);

impl Drop for Gone {
    fn drop(&mut self) {
        run("kubectl", &["delete", "-f", self.0, "--wait=false"], "");
    }
}
