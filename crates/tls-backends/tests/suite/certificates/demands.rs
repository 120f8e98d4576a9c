//! What a policy demands beyond a path and a name: revocation lists, pinned keys, a short chain.

use std::sync::Arc;

use lasthop_dataplane_api::UpstreamTlsSettings;
use lasthop_tls_verify::{CertificateSummary, SpkiPin, VerifyMode};
use rcgen::{CertificateRevocationListParams, KeyIdMethod, RevokedCertParams, SerialNumber, date_time_ymd};
use rustls::pki_types::CertificateDer;

use super::{CONSTRAINT, Case, Cases, Refusal, ca_params, host, settings, with};
use crate::suite::pki::{Ca, Chain};

const REVOKED: Refusal = Some(("Revoked", 44));
const UNKNOWN: Refusal = Some(("RevocationUnknown", 48));
const PIN: Refusal = Some(("PinMismatch", 49));

/// A list of this CA with one serial number on it, good until a year.
fn list(ca: &Ca, revoked: u64, until: i32) -> Arc<[u8]> {
    let params = CertificateRevocationListParams {
        this_update: date_time_ymd(2020, 1, 1),
        next_update: date_time_ymd(until, 1, 1),
        crl_number: SerialNumber::from(1),
        issuing_distribution_point: None,
        revoked_certs: vec![RevokedCertParams {
            serial_number: SerialNumber::from(revoked),
            revocation_time: date_time_ymd(2020, 1, 2),
            reason_code: None,
            invalidity_date: None,
        }],
        key_identifier_method: KeyIdMethod::Sha256,
    };
    params.signed_by(&ca.issuer).unwrap().der().to_vec().into()
}

fn pin(certificate: &CertificateDer<'_>) -> SpkiPin {
    CertificateSummary::of(certificate).unwrap().pin
}

fn leaf(ca: &Ca, serial: u64) -> Chain {
    ca.issue(with(host(), |params| params.serial_number = Some(SerialNumber::from(serial))))
}

pub(super) fn lists_pins_and_depths() -> Cases {
    let mut cases = Cases::default();
    let root = Ca::new("root");
    let middle = root.intermediate(with(ca_params("middle"), |params| {
        params.serial_number = Some(SerialNumber::from(7_u64));
    }));
    let stranger = Ca::new("stranger");
    let mut add = |name, chain, change: &dyn Fn(&mut UpstreamTlsSettings), expected| {
        let mut settings = settings(root.anchors());
        change(&mut settings);
        cases.0.push(Case { name, chain, settings, expected });
    };
    let direct = || leaf(&root, 1);
    let below = || leaf(&middle, 1).with(&middle);

    add("on no list", direct(), &|s| s.peer.crls = vec![list(&root, 2, 2090)], None);
    add("on the list", direct(), &|s| s.peer.crls = vec![list(&root, 1, 2090)], REVOKED);
    add("a list out of date", direct(), &|s| s.peer.crls = vec![list(&root, 2, 2021)], UNKNOWN);
    add("a list of nobody's", direct(), &|s| s.peer.crls = vec![list(&stranger, 2, 2090)], UNKNOWN);
    let both = |root_list: u64, middle_list: u64| {
        let lists = vec![list(&root, root_list, 2090), list(&middle, middle_list, 2090)];
        move |s: &mut UpstreamTlsSettings| s.peer.crls = lists.clone()
    };
    add("lists for all", below(), &both(9, 9), None);
    add("the intermediate on a list", below(), &both(7, 9), REVOKED);
    add("the leaf below on a list", below(), &both(9, 1), REVOKED);
    add("no list of the root", below(), &|s| s.peer.crls = vec![list(&middle, 9, 2090)], UNKNOWN);
    add("no list of the intermediate", below(), &|s| s.peer.crls = vec![list(&root, 9, 2090)], UNKNOWN);
    let forged = {
        // Of the CA's name, by another key.
        let other = Ca::new("root");
        list(&other, 9, 2090)
    };
    add("a forged list", direct(), &|s| s.peer.crls = vec![forged.clone()], UNKNOWN);

    let chain = below();
    let key = pin(&chain.certificates[0]);
    add("the leaf's key pinned", chain, &|s| s.peer.pins = vec![SpkiPin([0; 32]), key], None);
    add("the intermediate's key pinned", below(), &|s| s.peer.pins = vec![pin(&middle.der)], None);
    add("the root's key pinned", below(), &|s| s.peer.pins = vec![pin(&root.der)], None);
    add("another key pinned", below(), &|s| s.peer.pins = vec![SpkiPin([0; 32])], PIN);
    // A certificate beside the path proves nothing.
    add(
        "a bystander's key pinned",
        below().with(&stranger),
        &|s| s.peer.pins = vec![pin(&stranger.der)],
        PIN,
    );
    let unverified = |pin: SpkiPin| {
        move |s: &mut UpstreamTlsSettings| {
            s.peer.mode = VerifyMode::None;
            s.peer.pins = vec![pin];
        }
    };
    let chain = leaf(&stranger, 1);
    let key = pin(&chain.certificates[0]);
    add("unverified, the leaf's key pinned", chain, &unverified(key), None);
    add("unverified, the CA's key pinned", leaf(&stranger, 1), &unverified(pin(&stranger.der)), PIN);

    add("no intermediate allowed, none there", direct(), &|s| s.peer.max_depth = Some(0), None);
    add("no intermediate allowed, one there", below(), &|s| s.peer.max_depth = Some(0), CONSTRAINT);
    add("one intermediate allowed", below(), &|s| s.peer.max_depth = Some(1), None);

    let chain_only = |s: &mut UpstreamTlsSettings| {
        s.peer.identities.clear();
        s.peer.mode = VerifyMode::Chain;
    };
    add("the chain only", direct(), &chain_only, None);
    add("the chain only, of a stranger", leaf(&stranger, 1), &chain_only, super::UNTRUSTED);
    cases
}
