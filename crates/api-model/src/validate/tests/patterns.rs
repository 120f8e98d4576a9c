//! The predicates, each with good and bad strings.

use super::super::patterns::*;
use crate::schema::Pattern;

fn check(pattern: Pattern, good: &[&str], bad: &[&str]) {
    for text in good {
        assert!((pattern.accepts)(text), "{text:?} should be {}", pattern.says);
    }
    for text in bad {
        assert!(!(pattern.accepts)(text), "{text:?} should not be {}", pattern.says);
    }
}

#[test]
fn names() {
    check(DNS_LABEL, &["a", "9", "a-b", "a--b"], &["", "-a", "a-", "A", "a.b", "a_b", "é"]);
    check(DNS_NAME, &["a", "a.b", "1.2.3.4"], &["", ".", "a.", ".a", "a..b", "A.b", "*.a"]);
    check(DNS_NAME_OR_WILDCARD, &["*.a", "a.b"], &["*", "*.", "*a", "a.*", "*.*.a"]);
    check(API_GROUP, &["", "a.b"], &["A", "a/b"]);
    check(KIND, &["A", "HTTPRoute", "a-b9"], &["", "9a", "-a", "a-", "a.b"]);
    check(PREFIXED_PATH, &["a/b", "a.b/c/d", "a/%~"], &["", "a", "/b", "a/", "A/b", "a/b c"]);
    check(LABEL_VALUE, &["", "a", "A_b.c-9"], &["-a", "a-", "a b", "a/b"]);
    check(QUALIFIED_NAME, &["a", "A.b_c", "x.y/Z"], &["", "/a", "a/", "X/a", "a/b/c", "-a", "a b"]);
    check(ANNOTATION_KEY, &["X/a"], &["X/", "/a"]);
    check(PROTOCOL, &["HTTP", "a-b", "a.b/c", "A B.c/d"], &["", "-a", "a.b", "a/", "a/b-c"]);
    check(
        ADDRESS_TYPE,
        &["IPAddress", "Hostname", "NamedAddress", "a/b", "HostnameX"],
        &["", "other", "a/", "/b"],
    );
    check(WELL_KNOWN_CA, &["System", "a.b/c", "a/B_c"], &["", "system", "a", "a/", "/a", "a/-b"]);
}

#[test]
fn http() {
    check(FIELD_NAME, &["a", "X-A", "!#$%&'*+-.^_`|~"], &["", "a b", "a:", "é", "a/b"]);
    check(
        URI_PATH,
        &["/", "a", "/a%20b", "/~$&'()*+,;=:@"],
        &["", "/a b", "/%", "/%2", "/%zz", "/é", "/?", "/#"],
    );
    check(
        ORIGIN,
        &["*", "http://a", "https://a.b:1", "https://*.a", "http://*", "http://*:80", "https://A-b.c:65535"],
        &[
            "",
            "a",
            "http://",
            "ftp://a",
            "http://a:",
            "http://a:123456",
            "http://a/b",
            "http://a.*.b",
            "http://a.",
            "https://**",
        ],
    );
    check(ABSOLUTE_URI, &["a://b", "spiffe://x/y?z#w", "1://"], &["", "a:b", "://a", "a/b://c", "urn:x"]);
    check(DURATION, &["0s", "1h1m1s1ms"], &["", "1", "1h1h1h1h1h", "123456s"]);
    for (value, carried) in [
        ("a b", true),
        ("a\tb", true),
        ("", true),
        ("é", true),
        (" a", false),
        ("a\r\nb: c", false),
        ("\0", false),
        ("\x7f", false),
    ] {
        assert_eq!(is_field_value(value), carried, "{value:?}");
    }
}

#[test]
fn status_and_data() {
    check(CONDITION_REASON, &["A", "a_", "A,b:c", "A1"], &["", "1a", "a,", "a b", "_a"]);
    check(CONDITION_TYPE, &["Accepted", "x.y/Z", "a.b_c"], &["", "a/", "/a", "X/a", "-a", "a/b/c"]);
    check(DATA_KEY, &["ca.crt", "a", ".a", "A_b-c"], &["", ".", "..", "..a", "a/b", "a b"]);
    check(BASE64, &["", "YQ==", "YWJj", "YW\r\nJj"], &["YQ", "YQ=", "a b", "Y"]);
    check(TIMESTAMP, &["2026-01-31T12:00:00Z", "2026-01-31T12:00:00.5+01:00"], &["", "2026-01-31", "now"]);
}
