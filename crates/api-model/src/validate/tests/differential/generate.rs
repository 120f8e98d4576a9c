//! Values along a schema: most of them such as it asks for, some not.

use serde_json::{Map, Value, json};

use super::super::fixtures::STRINGS;
use crate::schema::{Schema, Shape};

/// Numbers of a known row: the same objects in every run of a seed (splitmix64).
pub(super) struct Random(u64);

impl Random {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `end`, which is not 0.
    pub(super) fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % end as u64).unwrap()
    }

    pub(super) fn one_in(&mut self, times: usize) -> bool {
        self.below(times) == 0
    }

    pub(super) fn pick<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        &of[self.below(of.len())]
    }
}

/// Strings that mean something somewhere.
pub(super) const MEANT: &[&str] = &[
    "",
    "a",
    "b",
    "edge",
    "http",
    "Service",
    "ConfigMap",
    "Secret",
    "Gateway",
    "HTTPRoute",
    "GRPCRoute",
    "XBackend",
    "ListenerSet",
    "ClusterTrustBundle",
    "Namespace",
    "gateway.networking.k8s.io",
    "gateway.networking.x-k8s.io",
    "certificates.k8s.io",
    "multicluster.x-k8s.io",
    "example.com",
    "a.example.com",
    "*.example.com",
    "*.com",
    "com",
    "*.",
    "*",
    "192.0.2.1",
    "192.0.2.300",
    "10.0.0.0/8",
    "::1",
    "2001:db8::1",
    "::ffff:192.0.2.1",
    "localhost",
    "localhost.localdomain",
    "127.0.0.1",
    "169.254.1.1",
    "224.0.0.1",
    "0.0.0.0",
    "fe80::1",
    "ff02::1",
    "::",
    "1.example.com",
    "1.2.3.4.5",
    "10s",
    "0s",
    "1h30m",
    "100ms",
    "1.5s",
    "10",
    "-1s",
    "100000s",
    "99999h",
    "1m1m",
    "5d",
    "GET",
    "POST",
    "get",
    "*",
    "X-Header",
    "x-header",
    "a, b",
    "Host",
    "host",
    ":authority",
    "connection",
    "x:y",
    "/",
    "/a",
    "/a/",
    "/a//b",
    "/a/../b",
    "/a/..",
    "/a/./b",
    "/.",
    "/a%20b",
    "/a%2fb",
    "/a%zz",
    "/a#b",
    "/a?b",
    "a/b",
    "/a b",
    "/ä",
    "/a*",
    "(",
    "[a-z]+",
    "^/a.*$",
    "foo.Bar",
    "a.b.C",
    "com.example.Svc",
    "Get",
    "Get/Put",
    "1a",
    "https://a.example:8443",
    "http://a.example",
    "https://*.example.com",
    "https://*",
    "ftp://a",
    "https://a/b",
    "null",
    "https://192.0.2.1:99999",
    "spiffe://example.com/web",
    "spiffe:",
    "urn:a",
    "//a",
    "a:b",
    "http://%zz",
    "80",
    "8443",
    "65536",
    "https-web",
    "http2",
    "kubernetes.io/h2c",
    "kubernetes.io/ws",
    "lasthop.dev/gateway",
    "lasthop.dev/",
    "example.com/private",
    "Example.com/a",
    "2026-01-31T12:00:00Z",
    "Core",
    "System",
    "Exact",
    "RegularExpression",
    "PathPrefix",
    "HTTP",
    "HTTPS",
    "TLS",
    "TCP",
    "UDP",
    "GRPC",
    "Hostname",
    "URI",
    "IPAddress",
    "Cookie",
    "Permanent",
    "Session",
    "All",
    "Same",
    "Selector",
    "None",
    "In",
    "Exists",
    "DoesNotExist",
    "NotIn",
    "line\nbreak",
    "tab\there",
    "\u{0}",
    "ü",
    "名前",
    "a\u{7f}",
    "Y2VydA==",
    "Y2VydA",
    "Y2Vy dA==",
    "Y2Vy\ndA==",
    "====",
    "-_-_",
];

pub(super) fn strings() -> impl Iterator<Item = &'static str> {
    STRINGS.iter().chain(MEANT).copied()
}

/// A string for this node: as asked for, nine times in ten.
fn text(schema: &Schema, random: &mut Random) -> String {
    let Shape::Text { min, max, pattern, one_of } = &schema.shape else { return String::new() };
    if random.one_in(10) {
        let all: Vec<&str> = strings().collect();
        return (*random.pick(&all)).to_owned();
    }
    if !one_of.is_empty() {
        return (*random.pick(one_of)).to_owned();
    }
    let fits = |text: &&str| {
        let length = text.chars().count();
        length >= *min && length <= *max && pattern.is_none_or(|pattern| (pattern.accepts)(text))
    };
    let fitting: Vec<&str> = strings().filter(fits).collect();
    if fitting.is_empty() { "a".to_owned() } else { (*random.pick(&fitting)).to_owned() }
}

/// A value for this node.
pub(super) fn value(schema: &Schema, random: &mut Random, depth: usize) -> Value {
    match &schema.shape {
        Shape::Object(fields) => {
            let mut object = Map::new();
            for field in fields {
                let wanted = if field.required { !random.one_in(25) } else { depth > 0 && random.one_in(3) };
                if wanted {
                    let below = value(&field.schema, random, depth.saturating_sub(1));
                    object.insert(field.name.to_owned(), below);
                }
            }
            Value::Object(object)
        }
        Shape::Map { value: below, .. } => {
            let keys = random.below(3);
            (0..keys)
                .map(|_| {
                    let all: Vec<&str> = strings().collect();
                    ((*random.pick(&all)).to_owned(), value(below, random, depth.saturating_sub(1)))
                })
                .collect::<Map<_, _>>()
                .into()
        }
        Shape::List { item, min, .. } => {
            let entries = (*min).min(3) + random.below(3);
            (0..entries).map(|_| value(item, random, depth.saturating_sub(1))).collect()
        }
        Shape::Text { .. } => text(schema, random).into(),
        Shape::Integer { min, max, one_of } => integer(*min, *max, one_of, random),
        Shape::Boolean => random.one_in(2).into(),
        Shape::IntegerOrText => {
            if random.one_in(2) {
                json!(random.below(70_000))
            } else {
                json!(random.pick(MEANT))
            }
        }
        Shape::Anything => json!("any"),
    }
}

fn integer(min: i64, max: i64, one_of: &[i64], random: &mut Random) -> Value {
    if !one_of.is_empty() && !random.one_in(10) {
        return json!(random.pick(one_of));
    }
    let usual = [min, min.saturating_add(1), max, 0, 1, 80, 443, 8080, 200, 301, 404, 503];
    json!(random.pick(&usual))
}
