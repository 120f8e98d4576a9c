//! The gateway proves itself to a backend by a token for that backend.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::Value;

use super::support::{Site, becomes};

#[test]
fn a_backend_is_shown_a_token_for_its_audience() {
    let Some(site) = Site::new("tokens") else { return };
    let nginx = site.nginx("pay");
    site.apply(
        "apiVersion: lasthop.dev/v1alpha1\nkind: LasthopParameters\nmetadata: {name: edge}\nspec:\n  \
         bearerTokens: [{name: payments, audience: https://payments.test, expirationSeconds: 600}]\n",
    );
    site.gateway(
        "edge",
        "  infrastructure: {parametersRef: {group: lasthop.dev, kind: LasthopParameters, name: edge}}\n",
    );
    site.service("pay", &[nginx.port], "lasthop.dev/bearer-token: payments");
    site.route("edge", "pay", "");
    let address = site.programmed("edge");
    let answer = becomes(address, "pay.test", 200);
    let token = answer.header("x-token").and_then(|value| value.strip_prefix("Bearer ")).expect("a token");
    let claims = token.split('.').nth(1).unwrap();
    let claims: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(claims).unwrap()).unwrap();
    assert_eq!(claims["aud"], serde_json::json!(["https://payments.test"]), "{claims}");
    let subject = format!("system:serviceaccount:{}:lasthop-edge", site.namespace);
    assert_eq!(claims["sub"], subject, "{claims}");

    // One that nobody gave the proxies: nothing is sent at all.
    site.service("pay", &[nginx.port], "lasthop.dev/bearer-token: nobodys");
    let refused = becomes(address, "pay.test", 502);
    assert_eq!(refused.header("x-backend"), None, "{refused:?}");
}

#[test]
fn the_controllers_own_audience_is_refused() {
    let Some(site) = Site::new("audience") else { return };
    let manifest = "apiVersion: lasthop.dev/v1alpha1\nkind: LasthopParameters\nmetadata: {name: edge}\nspec:\n  \
                    bearerTokens: [{name: link, audience: lasthop.dev/link}]\n";
    let arguments = ["--namespace", &site.namespace, "apply", "--server-side", "-f", "-"];
    let refused = super::support::run("kubectl", &arguments, manifest);
    let said = String::from_utf8_lossy(&refused.stderr);
    assert!(!refused.status.success() && said.contains("controller's own audience"), "{said}");
}
