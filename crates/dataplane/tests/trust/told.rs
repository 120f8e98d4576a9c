//! What is told of the endpoints' certificates.

use std::time::{Duration, SystemTime};

use lasthop_dataplane_api::*;
use lasthop_tls_verify::leaf_not_after;

use crate::{
    plaintext, proxy, put_app,
    support::{backend_key, pki::Ca},
    trusting,
    witness::{Witness, ask},
};

const EXPIRY: &str = "lasthop_backend_certificate_expiry_seconds";

pub async fn what_endpoints_present_is_told(stack: TlsStack) {
    let ca = Ca::new();
    let day = |days: u64| SystemTime::now() + Duration::from_secs(days * 86_400);
    let leaves = [ca.leaf_until(&["app.internal"], day(9)), ca.leaf_until(&["app.internal", "b"], day(5))];
    let expiry = leaves.each_ref().map(|leaf| leaf_not_after(&leaf.der).unwrap().as_secs());
    let pods = [Witness::start(&leaves[0], None).await, Witness::start(&leaves[1], None).await];
    let at = |n: usize| [pods[0].address, pods[1].address][..n].to_vec();
    let put =
        |snapshot: &mut Snapshot, tls, n| put_app(snapshot, "app", AppProtocol::Unspecified, tls, &at(n));
    let mut proxy = proxy(stack, 2, |snapshot| put(snapshot, trusting(&[&ca]), 1)).await;
    let line = format!("{EXPIRY}{{backend=\"{}\"}}", backend_key("app"));
    assert!(!proxy.metrics().contains(EXPIRY), "nothing was presented yet");
    let report = &proxy.dataplane.endpoints()[..];
    assert!(matches!(report, [EndpointReport { last: None, failed: None, .. }]), "{report:?}");

    ask(proxy.port, "/app/close").await;
    assert_eq!(proxy.metric(&line), expiry[0] as f64);
    // A resumed session tells of the certificate that it began with.
    assert!(ask(proxy.port, "/app/close").await.resumed);
    assert_eq!(proxy.metric(&line), expiry[0] as f64);
    let [report] = &proxy.dataplane.endpoints()[..] else { panic!("one endpoint") };
    assert_eq!((&report.backend, report.endpoint), (&backend_key("app"), pods[0].address));
    assert_eq!(&*report.policy, "default/policy");
    let last = report.last.as_ref().unwrap();
    assert!(
        last.resumed && last.version == TlsVersion::V1_3 && last.group == Some("X25519MLKEM768"),
        "{last:?}"
    );
    assert!(last.at.abs_diff(SystemTime::UNIX_EPOCH.elapsed().unwrap().as_secs()) < 60);
    let certificate = last.certificate.as_ref().unwrap();
    assert!(certificate.issuer.starts_with("CN=CA "), "{certificate:?}");
    assert_eq!(
        (&certificate.names[..], certificate.not_after),
        (&["DNS:app.internal".to_owned()][..], expiry[0])
    );

    // The earliest of all endpoints counts.
    proxy.change(|snapshot| put(snapshot, trusting(&[&ca]), 2)).await;
    while pods[1].made() == 0 {
        ask(proxy.port, "/app/close").await;
    }
    assert_eq!(proxy.metric(&line), expiry[1] as f64);
    proxy.change(|snapshot| put(snapshot, trusting(&[&ca]), 1)).await;
    assert_eq!(proxy.metric(&line), expiry[0] as f64);

    // A failure is told beside it, and another policy has seen nothing yet.
    let other = Ca::new();
    proxy.change(|snapshot| put(snapshot, trusting(&[&other]), 1)).await;
    assert!(!proxy.metrics().contains(EXPIRY));
    assert_eq!(ask(proxy.port, "/app/close").await.status, 502);
    let [report] = &proxy.dataplane.endpoints()[..] else { panic!("one endpoint") };
    assert_eq!(report.failed.as_ref().map(|failed| failed.reason), Some("UntrustedChain"));
    assert_eq!(report.last, None);

    for gone in [true, false] {
        proxy.change(|snapshot| put(snapshot, trusting(&[&ca]), 1)).await;
        ask(proxy.port, "/app/close").await;
        assert_eq!(proxy.metric(&line), expiry[0] as f64);
        proxy
            .change(|snapshot| match gone {
                true => drop(snapshot.backends.remove(&backend_key("app"))),
                false => put(snapshot, plaintext(), 1),
            })
            .await;
        assert!(!proxy.metrics().contains(EXPIRY));
        assert!(proxy.dataplane.endpoints().is_empty());
    }
}
