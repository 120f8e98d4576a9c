//! Names that no honest tool writes, and the borders of how names are compared.

use lasthop_tls_verify::Identity;
use rcgen::{CertificateParams, CustomExtension};

use super::{Cases, HOST, NAME, Refusal, leaf_params};
use crate::suite::pki::Ca;

/// Tags of GeneralName (RFC 5280 §4.2.1.6).
const OTHER: u8 = 0xa0;
const EMAIL: u8 = 0x81;
const DNS: u8 = 0x82;
const URI: u8 = 0x86;
const ADDRESS: u8 = 0x87;

/// id-on-dnsSRV and the UPN of Microsoft, whose values could be taken for host names.
const SRV: &[u8] = &[6, 8, 0x2b, 6, 1, 5, 5, 7, 8, 7];
const UPN: &[u8] = &[6, 10, 0x2b, 6, 1, 4, 1, 0x82, 0x37, 0x14, 2, 3];

fn element(tag: u8, content: &[u8]) -> Vec<u8> {
    assert!(content.len() < 128);
    [&[tag, content.len() as u8], content].concat()
}

/// An otherName with a string of this kind.
fn other_name(id: &[u8], kind: u8, text: &[u8]) -> Vec<u8> {
    element(OTHER, &[id, &element(0xa0, &element(kind, text))].concat())
}

/// A leaf whose subject alternative names are these bytes.
fn leaf(names: &[Vec<u8>]) -> CertificateParams {
    let mut params = leaf_params(&[]);
    let names = element(0x30, &names.concat());
    params.custom_extensions = vec![CustomExtension::from_oid_content(&[2, 5, 29, 17], names)];
    params
}

pub(super) fn odd_names() -> Cases {
    let mut cases = Cases::default();
    let ca = Ca::new("ca");
    let mut add = |name, names: &[Vec<u8>], identity: &str, expected: Refusal| {
        let identity = match identity.parse() {
            Ok(address) => Identity::Ip(address),
            Err(_) if identity.contains("://") => Identity::uri(identity).unwrap(),
            Err(_) => Identity::dns(identity).unwrap(),
        };
        cases.add_for(name, ca.issue(leaf(names)), ca.anchors(), &[identity], expected);
    };
    let dns = |name: &[u8]| element(DNS, name);
    let spiffe = "spiffe://a.example/b";
    let wide: Vec<u8> = HOST.bytes().flat_map(|byte| [0, byte]).collect();
    let wider: Vec<u8> = HOST.bytes().flat_map(|byte| [0, 0, 0, byte]).collect();

    add("written by hand", &[dns(HOST.as_bytes())], HOST, None);
    add("NUL at the end", &[dns(b"backend.example\0")], HOST, NAME);
    add("NUL at the front", &[dns(b"\0backend.example")], HOST, NAME);
    add("NUL within", &[dns(b"backend\0.example")], HOST, NAME);
    add("NUL, then the host", &[dns(b"attacker.example\0backend.example")], HOST, NAME);
    add("NUL beside the host", &[dns(b"backend.example\0.attacker"), dns(HOST.as_bytes())], HOST, None);
    add("wildcard and NUL", &[dns(b"*.ns.example\0.attacker")], "a.ns.example", NAME);
    add("URI with NUL at the end", &[element(URI, b"spiffe://a.example/b\0")], spiffe, NAME);
    add("URI with NUL within", &[element(URI, b"spiffe://a.example/b\0c")], spiffe, NAME);
    add("URI with NUL in front", &[element(URI, b"\0spiffe://a.example/b")], spiffe, NAME);
    add("otherName SRV in IA5", &[other_name(SRV, 0x16, HOST.as_bytes())], HOST, NAME);
    add("otherName UPN in UTF-8", &[other_name(UPN, 0x0c, HOST.as_bytes())], HOST, NAME);
    add("otherName in two octets a letter", &[other_name(UPN, 0x1e, &wide)], HOST, NAME);
    add("otherName in four octets a letter", &[other_name(UPN, 0x1c, &wider)], HOST, NAME);
    add("otherName with NUL", &[other_name(UPN, 0x1e, b"backend.example\0x")], HOST, NAME);
    add("otherName beside the host", &[other_name(UPN, 0x0c, b"x"), dns(HOST.as_bytes())], HOST, None);
    add("rfc822Name as the host", &[element(EMAIL, HOST.as_bytes())], HOST, NAME);
    add("rfc822Name at the host", &[element(EMAIL, b"root@backend.example")], HOST, NAME);
    add("URI of the host", &[element(URI, b"https://backend.example")], HOST, NAME);
    add("URI that is the host", &[element(URI, HOST.as_bytes())], HOST, NAME);
    add("dNSName that is the URI", &[dns(spiffe.as_bytes())], spiffe, NAME);
    add("trailing dot expected", &[dns(HOST.as_bytes())], "backend.example.", None);
    add("trailing dot in the certificate", &[dns(b"backend.example.")], HOST, NAME);
    add("trailing dots on both", &[dns(b"backend.example.")], "backend.example.", NAME);
    add("leading dot", &[dns(b".backend.example")], HOST, NAME);
    add("upper case expected", &[dns(HOST.as_bytes())], "BACKEND.Example", None);
    add("upper case in the certificate", &[dns(b"BACKEND.EXAMPLE")], HOST, None);
    add("upper case in a wildcard", &[dns(b"*.NS.Example")], "a.ns.example", None);
    add("A-label", &[dns(b"xn--bcher-kva.example")], "xn--bcher-kva.example", None);
    add("A-label in upper case", &[dns(b"XN--BCHER-KVA.example")], "xn--bcher-kva.example", None);
    add("U-label in UTF-8", &[dns("bücher.example".as_bytes())], "xn--bcher-kva.example", NAME);
    add("U-label in Latin-1", &[dns(b"b\xfccher.example")], "xn--bcher-kva.example", NAME);
    add("wildcard for an A-label", &[dns(b"*.ns.example")], "xn--bcher-kva.ns.example", None);
    add("wildcard within an A-label", &[dns(b"xn--*-kva.ns.example")], "xn--bcher-kva.ns.example", NAME);
    add("two wildcards", &[dns(b"*.*.example")], "a.ns.example", NAME);
    add("wildcard that is not leftmost", &[dns(b"a.*.example")], "a.ns.example", NAME);
    add("wildcard with a suffix", &[dns(b"*a.ns.example")], "aa.ns.example", NAME);
    add("empty name", &[dns(b"")], HOST, NAME);
    add("space after the host", &[dns(b"backend.example ")], HOST, NAME);
    add("address as text in iPAddress", &[element(ADDRESS, b"10.0.0.1")], "10.0.0.1", NAME);
    add(
        "IPv4 in IPv6",
        &[element(ADDRESS, &[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 255, 255, 10, 0, 0, 1])],
        "10.0.0.1",
        NAME,
    );
    add("address with a mask", &[element(ADDRESS, &[10, 0, 0, 1, 255, 255, 255, 255])], "10.0.0.1", NAME);
    add("address that spells the name", &[element(ADDRESS, b"ab.c")], "ab.c", NAME);
    cases
}
