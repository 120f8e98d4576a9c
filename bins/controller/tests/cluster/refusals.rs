//! What a user got wrong, and what a proxy must not get.

use std::process::Command;

use super::support::{Site, becomes, kubectl, run, within};

#[test]
fn a_secret_that_is_no_certificate_is_named_at_its_listener() {
    let Some(site) = Site::new("certificate") else { return };
    let nginx = site.nginx("right");
    site.service("shop", &[nginx.port], "");
    site.route("edge", "shop", "");
    // The API server itself looks at this type: what it lets through is nonsense all the same.
    site.apply(
        "apiVersion: v1\nkind: Secret\nmetadata: {name: front}\ntype: kubernetes.io/tls\n\
         stringData: {tls.crt: no certificate, tls.key: no key}\n",
    );
    site.gateway(
        "edge",
        "  - {name: https, port: 443, protocol: HTTPS, tls: {certificateRefs: [{name: front}]}}\n",
    );
    let address = site.programmed("edge");
    becomes(address, "shop.test", 200);
    let listener = |wanted: &str| {
        within(|| {
            let gateway = site.object("gateway", "edge");
            let listeners = gateway["status"]["listeners"].as_array()?.clone();
            let https = listeners.iter().find(|listener| listener["name"] == "https")?;
            let (verdict, message) = super::support::find(https, "ResolvedRefs")?;
            (verdict == wanted).then_some(message)
        })
    };
    let message = listener("False/InvalidCertificateRef").expect("the listener says so");
    assert!(message.contains("front"), "{message}");
    let (certificate, key) = site.leaf("shop.test");
    let indented = |pem: &str| pem.lines().map(|line| format!("    {line}\n")).collect::<String>();
    site.apply(&format!(
        "apiVersion: v1\nkind: Secret\nmetadata: {{name: front}}\ntype: kubernetes.io/tls\nstringData:\n  \
         tls.crt: |\n{}  tls.key: |\n{}",
        indented(&certificate),
        indented(&key)
    ));
    assert!(listener("True/ResolvedRefs").is_some());
    let ca = site.folder().join("ca.pem");
    std::fs::write(&ca, site.authority.pem()).unwrap();
    let resolve = format!("shop.test:443:{address}");
    let mut last = run("true", &[], "");
    let served = within(|| {
        let ca = ca.to_str().unwrap();
        let flags = ["--silent", "--show-error", "--cacert", ca, "--resolve", &resolve, "https://shop.test/"];
        last = run("curl", &flags, "");
        (last.stdout == b"right\n").then_some(())
    });
    assert!(served.is_some(), "{last:?}");
}

/// A proxy of one Gateway asks for another Gateway's configuration, keys included.
#[test]
fn another_gateways_token_gets_nothing() {
    let Some(site) = Site::new("stranger") else { return };
    let Some(proxy) = std::env::var_os("LASTHOP_TEST_PROXY") else {
        panic!("LASTHOP_TEST_PROXY names the proxy")
    };
    site.gateway("own", "");
    site.gateway("other", "");
    site.programmed("own");
    site.programmed("other");
    let folder = site.folder();
    let token = site.kubectl(&["create", "token", "lasthop-own", "--audience=lasthop.dev/link"]);
    std::fs::write(folder.join("token"), token.trim()).unwrap();
    let ca = site.object("configmap", "lasthop-own")["data"]["ca.crt"].as_str().unwrap().to_owned();
    std::fs::write(folder.join("ca.crt"), ca).unwrap();
    let pods =
        ["--namespace=lasthop-system", "get", "pods", "--selector=app.kubernetes.io/name=lasthop-controller"];
    let path = "--output=jsonpath={.items[*].status.podIP}";
    let addresses = kubectl(&[&pods[..], &[path]].concat());
    let denied = || -> u64 {
        let of = |address: &str| {
            let url = format!("http://{address}:15021/metrics");
            let text = String::from_utf8(run("curl", &["--silent", &url], "").stdout).unwrap();
            let line = text.lines().find(|line| {
                line.starts_with("lasthop_link_denied_total") && line.contains("reason=\"other_account\"")
            });
            line.and_then(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).unwrap_or(0.0) as u64
        };
        addresses.split_whitespace().map(of).sum()
    };
    let before = denied();
    let controllers: Vec<String> = addresses.split_whitespace().map(|ip| format!("{ip}:15010")).collect();
    let start = |gateway: &str, admin: u16| {
        let mut command = Command::new(&proxy);
        // The proxy takes them for settings.
        let ours = std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("LASTHOP_"));
        for (name, _) in ours {
            command.env_remove(name);
        }
        command.args(["run", "--gateway", &format!("{}/{gateway}", site.namespace)]);
        command.args(["--control-plane", &controllers.join(",")]);
        command.arg("--control-plane-ca").arg(folder.join("ca.crt"));
        command.arg("--control-plane-token").arg(folder.join("token"));
        command.args([
            "--admin",
            &format!("127.0.0.1:{admin}"),
            "--access-log",
            "off",
            "--log-level",
            "warn",
        ]);
        let log = std::fs::File::create(folder.join(format!("{gateway}.log"))).unwrap();
        command.stdout(log.try_clone().unwrap()).stderr(log).spawn().unwrap()
    };
    let ready = |admin: u16| {
        let url = format!("http://127.0.0.1:{admin}/readyz");
        let flags = ["--silent", "--output", "/dev/null", "--write-out", "%{http_code}", &url];
        String::from_utf8(run("curl", &flags, "").stdout).unwrap() == "200"
    };
    let mut stranger = start("other", 18021);
    let refused = within(|| (denied() > before).then_some(()));
    let (is_ready, page) = (ready(18021), run("curl", &["--silent", "http://127.0.0.1:18021/snapshot"], ""));
    let _ = stranger.kill();
    let _ = stranger.wait();
    assert!(refused.is_some(), "{}", std::fs::read_to_string(folder.join("other.log")).unwrap());
    assert!(!is_ready, "it has a configuration");
    assert!(!String::from_utf8_lossy(&page.stdout).contains("other/http"), "{page:?}");

    // With its own it would have got what it asked for: port 80 is in use here, but not in its snapshot.
    let mut own = start("own", 18022);
    let got = within(|| {
        let page = run("curl", &["--silent", "http://127.0.0.1:18022/snapshot"], "");
        String::from_utf8_lossy(&page.stdout).contains("own/http").then_some(())
    });
    let _ = own.kill();
    let _ = own.wait();
    assert!(got.is_some(), "{}", std::fs::read_to_string(folder.join("own.log")).unwrap());
}
