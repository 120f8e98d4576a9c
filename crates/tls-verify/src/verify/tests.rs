use std::{sync::Arc, time::Duration};

use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, DistinguishedName, DnType,
    ExtendedKeyUsagePurpose, IsCa, Issuer, KeyIdMethod, KeyPair, KeyUsagePurpose, RevokedCertParams,
    SerialNumber, date_time_ymd,
};

use super::*;
use crate::TrustAnchors;

struct Ca {
    der: CertificateDer<'static>,
    issuer: Issuer<'static, KeyPair>,
}

fn params(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params.not_before = date_time_ymd(2020, 1, 1);
    params.not_after = date_time_ymd(2030, 1, 1);
    params
}

fn ca_params(name: &str) -> CertificateParams {
    let mut params = params(name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params
}

fn leaf_params(serial: u64) -> CertificateParams {
    let mut params = params("leaf");
    params.subject_alt_names = vec![rcgen::SanType::DnsName("a.example".try_into().unwrap())];
    params.serial_number = Some(SerialNumber::from(serial));
    params
}

impl Ca {
    fn root(name: &str) -> Self {
        let (params, key) = (ca_params(name), KeyPair::generate().unwrap());
        Self { der: params.self_signed(&key).unwrap().der().clone(), issuer: Issuer::new(params, key) }
    }

    fn intermediate(&self, name: &str) -> Self {
        let (params, key) = (ca_params(name), KeyPair::generate().unwrap());
        let der = params.signed_by(&key, &self.issuer).unwrap().der().clone();
        Self { der, issuer: Issuer::new(params, key) }
    }

    fn issue(&self, params: CertificateParams) -> CertificateDer<'static> {
        params.signed_by(&KeyPair::generate().unwrap(), &self.issuer).unwrap().der().clone()
    }

    /// A revocation list with this serial number on it, good until a year.
    fn crl(&self, revoked: u64, until: i32) -> Arc<[u8]> {
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
        params.signed_by(&self.issuer).unwrap().der().to_vec().into()
    }

    fn requirements(&self) -> PeerRequirements {
        let (anchors, _) = TrustAnchors::from_der(vec![self.der.clone()]).unwrap();
        PeerRequirements::new(Arc::new(anchors), vec![Identity::dns("a.example").unwrap()])
    }
}

/// 2025-01-01.
fn now() -> UnixTime {
    UnixTime::since_unix_epoch(Duration::from_secs(1_735_689_600))
}

fn pin(der: &CertificateDer<'_>) -> SpkiPin {
    let key = EndEntityCert::try_from(der).unwrap().subject_public_key_info();
    SpkiPin(digest::digest(&digest::SHA256, &key).as_ref().try_into().unwrap())
}

fn verdict(requirements: PeerRequirements, chain: &[&CertificateDer<'static>]) -> Result<Verified, TlsError> {
    let chain: Vec<_> = chain.iter().map(|der| (*der).clone()).collect();
    Verifier::new(requirements).unwrap().verify_server(&chain, now())
}

fn with(mut requirements: PeerRequirements, change: impl FnOnce(&mut PeerRequirements)) -> PeerRequirements {
    change(&mut requirements);
    requirements
}

#[test]
fn an_accepted_leaf_tells_when_it_expires() {
    let ca = Ca::root("ca");
    let verified = verdict(ca.requirements(), &[&ca.issue(leaf_params(1))]).unwrap();
    assert_eq!(verified.not_after.unwrap().as_secs(), 1_893_456_000);
}

#[test]
fn nothing_and_rubbish_are_refused_in_every_mode() {
    let ca = Ca::root("ca");
    for mode in [VerifyMode::Full, VerifyMode::Chain, VerifyMode::None] {
        let requirements = with(ca.requirements(), |r| r.mode = mode);
        assert_eq!(verdict(requirements.clone(), &[]), Err(TlsError::NoPeerCertificate));
        for rubbish in [&[][..], &[0x30], &[0x30, 0x03, 1, 2, 3], b"hello"] {
            let verdict = verdict(requirements.clone(), &[&CertificateDer::from(rubbish.to_vec())]);
            assert!(matches!(verdict, Err(TlsError::BadCertificate(_))), "{verdict:?}");
        }
    }
}

#[test]
fn a_bad_chain_is_told_before_a_wrong_name() {
    let ca = Ca::root("ca");
    let mut params = leaf_params(1);
    params.not_after = date_time_ymd(2021, 1, 1);
    let requirements = with(ca.requirements(), |r| r.identities = vec![]);
    assert_eq!(verdict(requirements, &[&ca.issue(params)]), Err(TlsError::Expired));
}

#[test]
fn required_names_count_beside_the_others() {
    let ca = Ca::root("ca");
    let uri = |text: &str| Identity::uri(text).unwrap();
    let dns = |text: &str| Identity::dns(text).unwrap();
    let leaf = {
        let mut params = leaf_params(1);
        params.subject_alt_names.push(rcgen::SanType::URI("spiffe://a/b".try_into().unwrap()));
        params.subject_alt_names.push(rcgen::SanType::DnsName("*.w.example".try_into().unwrap()));
        ca.issue(params)
    };
    let names = |identities: &[Identity], required: &[Identity]| {
        let requirements = with(ca.requirements(), |r| {
            (r.identities, r.required) = (identities.to_vec(), required.to_vec());
        });
        verdict(requirements, &[&leaf]).map(|_| ())
    };
    let (host, workload, other) = (dns("a.example"), uri("spiffe://a/b"), uri("spiffe://a/c"));
    let one = std::slice::from_ref;
    assert_eq!(names(&[other.clone(), workload.clone()], one(&host)), Ok(()));
    assert_eq!(names(one(&workload), &[host.clone(), dns("x.w.example")]), Ok(()));
    for (identities, required) in [
        (vec![other.clone()], vec![host.clone()]),
        (vec![workload.clone()], vec![dns("b.example")]),
        (vec![workload.clone()], vec![host.clone(), dns("b.example")]),
        (vec![workload], vec![host.clone(), dns("w.example")]),
        (vec![], vec![host.clone()]),
    ] {
        let presented = ["DNS:a.example", "URI:spiffe://a/b", "DNS:*.w.example"].map(str::to_owned).to_vec();
        let expected = Err(TlsError::NameMismatch {
            expected: identities.clone(),
            required: required.clone(),
            presented,
        });
        assert_eq!(names(&identities, &required), expected);
    }
    let error = names(&[other, dns("c.example")], one(&host)).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the certificate lacks an expected name: expected DNS:a.example and one of URI:spiffe://a/c, DNS:c.example; \
         presented DNS:a.example, URI:spiffe://a/b, DNS:*.w.example"
    );
    // Where no name counts, none is required.
    let chain_only = with(ca.requirements(), |r| {
        (r.mode, r.required) = (VerifyMode::Chain, vec![dns("b.example")]);
    });
    verdict(chain_only, &[&leaf]).unwrap();
}

#[test]
fn any_key_of_the_path_may_be_pinned_and_no_other() {
    let root = Ca::root("root");
    let (used, unused) = (root.intermediate("used"), root.intermediate("unused"));
    let leaf = used.issue(leaf_params(1));
    let pinned = |key: &CertificateDer<'_>| {
        let requirements = with(root.requirements(), |r| r.pins = vec![SpkiPin([0; 32]), pin(key)]);
        verdict(requirements, &[&leaf, &used.der, &unused.der]).map(|_| ())
    };
    assert_eq!(pinned(&leaf), Ok(()));
    assert_eq!(pinned(&used.der), Ok(()));
    assert_eq!(pinned(&root.der), Ok(()));
    // It was sent, but nothing depends on it.
    assert_eq!(pinned(&unused.der), Err(TlsError::PinMismatch));
}

#[test]
fn without_verification_only_the_leafs_own_key_counts_as_pinned() {
    let root = Ca::root("root");
    let leaf = root.issue(leaf_params(1));
    let pinned = |key: &CertificateDer<'_>| {
        let requirements = with(Ca::root("other").requirements(), |r| {
            r.mode = VerifyMode::None;
            r.pins = vec![pin(key)];
        });
        verdict(requirements, &[&leaf, &root.der]).map(|_| ())
    };
    assert_eq!(pinned(&leaf), Ok(()));
    assert_eq!(pinned(&root.der), Err(TlsError::PinMismatch));
}

#[test]
fn depth_counts_intermediates() {
    let root = Ca::root("root");
    let intermediate = root.intermediate("intermediate");
    let leaf = intermediate.issue(leaf_params(1));
    let depth = |most| {
        let requirements = with(root.requirements(), |r| r.max_depth = Some(most));
        verdict(requirements, &[&leaf, &intermediate.der]).map(|_| ())
    };
    assert_eq!(depth(1), Ok(()));
    assert!(matches!(depth(0), Err(TlsError::ConstraintViolation(_))));
}

#[test]
fn lists_revoke_and_must_speak_for_everyone() {
    let root = Ca::root("root");
    let intermediate = root.intermediate("intermediate");
    let (revoked, other) = (intermediate.issue(leaf_params(7)), intermediate.issue(leaf_params(8)));
    let verdict = |leaf: &CertificateDer<'static>, crls: &[Arc<[u8]>]| {
        let requirements = with(root.requirements(), |r| r.crls = crls.to_vec());
        verdict(requirements, &[leaf, &intermediate.der]).map(|_| ())
    };
    let crls = [root.crl(1, 2026), intermediate.crl(7, 2026)];
    assert_eq!(verdict(&revoked, &[]), Ok(()));
    assert_eq!(verdict(&revoked, &crls), Err(TlsError::Revoked));
    assert_eq!(verdict(&other, &crls), Ok(()));
    assert_eq!(verdict(&other, &crls[1..]), Err(TlsError::RevocationUnknown));
    assert_eq!(verdict(&other, &crls[..1]), Err(TlsError::RevocationUnknown));
    let stale = [root.crl(1, 2026), intermediate.crl(7, 2024)];
    assert_eq!(verdict(&other, &stale), Err(TlsError::RevocationUnknown));
    let forged = [root.crl(1, 2026), Ca::root("intermediate").crl(7, 2026)];
    assert_eq!(verdict(&other, &forged), Err(TlsError::RevocationUnknown));
}

#[test]
fn an_anchor_that_may_not_sign_lists_speaks_for_nobody() {
    for (usages, expected) in [
        (vec![KeyUsagePurpose::KeyCertSign], Err(TlsError::RevocationUnknown)),
        (vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign], Ok(())),
        (vec![], Ok(())),
    ] {
        let mut params = ca_params("root");
        params.key_usages = usages.clone();
        let key = KeyPair::generate().unwrap();
        let der = params.self_signed(&key).unwrap().der().clone();
        // What signs the list says it may; only the certificate in the bundle says otherwise.
        let ca = Ca { der, issuer: Issuer::new(ca_params("root"), key) };
        let leaf = ca.issue(leaf_params(8));
        let of =
            |crls: Vec<Arc<[u8]>>| verdict(with(ca.requirements(), |r| r.crls = crls), &[&leaf]).map(|_| ());
        assert_eq!(of(vec![ca.crl(7, 2026)]), expected, "{usages:?}");
        assert_eq!(of(vec![]), Ok(()));
    }
}

#[test]
fn a_list_that_cannot_be_parsed_is_named() {
    let ca = Ca::root("ca");
    let requirements =
        with(ca.requirements(), |r| r.crls = vec![ca.crl(1, 2026), b"rubbish".to_vec().into()]);
    assert_eq!(Verifier::new(requirements).unwrap_err().position, 2);
}

#[test]
fn clients_need_their_own_purpose_and_no_name() {
    let ca = Ca::root("ca");
    let verifier = Verifier::new(with(ca.requirements(), |r| r.identities = vec![])).unwrap();
    let verdict = |purpose: Option<ExtendedKeyUsagePurpose>| {
        let mut params = leaf_params(1);
        params.extended_key_usages = purpose.into_iter().collect();
        verifier.verify_client(&[ca.issue(params)], now()).map(|_| ())
    };
    assert_eq!(verdict(Some(ExtendedKeyUsagePurpose::ClientAuth)), Ok(()));
    assert_eq!(verdict(None), Ok(()));
    assert_eq!(verdict(Some(ExtendedKeyUsagePurpose::ServerAuth)), Err(TlsError::WrongPurpose));
}

#[test]
fn another_root_with_the_same_name_does_not_hide_the_right_one() {
    let (old, new) = (Ca::root("ca"), Ca::root("ca"));
    let anchors = TrustAnchors::from_der(vec![old.der.clone(), new.der.clone()]).unwrap().0;
    let identities = vec![Identity::dns("a.example").unwrap()];
    let requirements = PeerRequirements::new(Arc::new(anchors), identities);
    for ca in [&old, &new] {
        assert!(verdict(requirements.clone(), &[&ca.issue(leaf_params(1))]).is_ok());
    }
}

/// `openssl req -x509 -newkey rsa:1024 -days 36500 -subj /CN=weak`
const WEAK: &[u8] = b"-----BEGIN CERTIFICATE-----
MIICEjCCAXugAwIBAgIUGAlqnHqHCDc9b88GdVTnDLa0vk8wDQYJKoZIhvcNAQEL
BQAwDzENMAsGA1UEAwwEd2VhazAgFw0yNjExMjMxOTMxNDNaGA8yMTI2MTAzMDE5
MzE0M1owDzENMAsGA1UEAwwEd2VhazCBnzANBgkqhkiG9w0BAQEFAAOBjQAwgYkC
gYEA1bHOIOC1lSgY5lJdQ9mg+PYLUx4yEbdZhmVNVoItb7R3/L+xXb5OpAkm793u
YGH1QjqbBuaGglkfLks1QHWjWOG0JvLoSMRsim69K82ajo3OvbUi01aE8A/Ld+Kn
gbMXCGmG0uVsL7oI4OfAoR70HYK9+bsoEhoE5Y1TgXEUxfcCAwEAAaNpMGcwHQYD
VR0OBBYEFC25p27J0xHtxUFunpo311yntAfFMB8GA1UdIwQYMBaAFC25p27J0xHt
xUFunpo311yntAfFMA8GA1UdEwEB/wQFMAMBAf8wFAYDVR0RBA0wC4IJYS5leGFt
cGxlMA0GCSqGSIb3DQEBCwUAA4GBAC932BwK9Hji/5MTgx8Fv2zwb+P8JD1De/zh
0UgKwkNA+Lhv7YyTHMRfxIC4ODwtvaTZu1ALOM1hjnIQyz9QSPJ58+XZwWOxs8Lb
CKNnnAFXoA8KcjTdTFO8JG9+pfv2h4zCw/e2ehLbMczRJo/mWtcRgLT9qKBHiDNL
8NK6LzlS
-----END CERTIFICATE-----";

#[test]
fn a_weak_key_is_refused_in_every_mode() {
    use pki_types::pem::PemObject;
    let weak = CertificateDer::from_pem_slice(WEAK).unwrap();
    let anchors = Arc::new(TrustAnchors::from_der(vec![weak.clone()]).unwrap().0);
    for mode in [VerifyMode::Full, VerifyMode::None] {
        let requirements = with(PeerRequirements::new(anchors.clone(), vec![]), |r| r.mode = mode);
        let Err(TlsError::BadCertificate(why)) = verdict(requirements, &[&weak]) else { panic!("{mode:?}") };
        assert!(why.contains("1024 bits"), "{why}");
    }
}
