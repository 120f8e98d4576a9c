//! grpcurl, as a developer asks a backend.

use std::process::{Command, Output};

use serde_json::Value;

use super::{route, tls_service};
use crate::{
    for_each_stack,
    support::{Stack, manifests, peers, site::Site, within},
};

for_each_stack!(calls_streams_and_errors);

/// What of the interoperability service is asked for here, by its public field numbers.
const PROTO: &str = "syntax = \"proto3\";
package grpc.testing;
message Empty {}
message Payload { int32 type = 1; bytes body = 2; }
message EchoStatus { int32 code = 1; string message = 2; }
message SimpleRequest { int32 response_size = 2; Payload payload = 3; EchoStatus response_status = 7; }
message SimpleResponse { Payload payload = 1; }
message ResponseParameters { int32 size = 1; int32 interval_us = 2; }
message StreamingOutputCallRequest { repeated ResponseParameters response_parameters = 2; }
message StreamingOutputCallResponse { Payload payload = 1; }
service TestService {
  rpc UnaryCall(SimpleRequest) returns (SimpleResponse);
  rpc StreamingOutputCall(StreamingOutputCallRequest) returns (stream StreamingOutputCallResponse);
  rpc FullDuplexCall(stream StreamingOutputCallRequest) returns (stream StreamingOutputCallResponse);
}
service Nobody { rpc Call(Empty) returns (Empty); }
";

/// The exit code of a status.
const fn exit(status: i32) -> Option<i32> {
    Some(64 + status)
}

fn calls_streams_and_errors(stack: Stack) {
    let Some(grpcurl) = peers::go_program("grpcurl") else { return };
    let site = Site::new();
    let Some(peer) = peers::grpc_interop(site.work(), Some(&site.leaf())) else { return };
    tls_service(&site, "peer", peer.port);
    let rule = "  - matches:\n    - method: {service: grpc.testing.TestService}\n    backendRefs:\n    - {name: peer, port: 443}\n";
    site.write("route.yaml", &route("all", rule));
    let proxy = site.start(stack);
    std::fs::write(site.work().join("test.proto"), PROTO).unwrap();
    let ca = site.front_ca();
    let ask = |tls: bool, method: &str, messages: &str| -> Output {
        let mut command = Command::new(&grpcurl);
        command.current_dir(site.work()).args(["-proto", "test.proto", "-max-time", "20", "-d", messages]);
        match tls {
            true => command.arg("-cacert").arg(&ca).args(["-authority", "peer.test"]),
            false => command.args(["-plaintext", "-authority", "peer.test"]),
        };
        let port = if tls { site.https } else { site.http };
        command.arg(format!("127.0.0.1:{port}")).arg(format!("grpc.testing.{method}")).output().unwrap()
    };
    for tls in [true, false] {
        let answer = ask(tls, "TestService/UnaryCall", r#"{"response_size": 10}"#);
        let message: Value = serde_json::from_slice(&answer.stdout).unwrap_or_else(|_| panic!("{answer:?}"));
        assert_eq!(message["payload"]["body"], "AAAAAAAAAAAAAA==", "{answer:?}");

        let sizes =
            r#"{"response_parameters": [{"size": 1}, {"size": 2, "interval_us": 1000}, {"size": 3}]}"#;
        for (method, messages) in
            [("StreamingOutputCall", sizes.to_owned()), ("FullDuplexCall", format!("{sizes}{sizes}"))]
        {
            let answer = ask(tls, &format!("TestService/{method}"), &messages);
            let received = serde_json::Deserializer::from_slice(&answer.stdout).into_iter::<Value>();
            let bodies: Vec<String> =
                received.map(|one| one.unwrap()["payload"]["body"].as_str().unwrap().to_owned()).collect();
            let once = ["AA==", "AAA=", "AAAA"];
            let expected = if method == "FullDuplexCall" { [once, once].concat() } else { once.to_vec() };
            assert_eq!(bodies, expected, "{answer:?}");
        }

        let answer =
            ask(tls, "TestService/UnaryCall", r#"{"response_status": {"code": 5, "message": "nowhere"}}"#);
        assert_eq!(answer.status.code(), exit(5), "{answer:?}");
        assert!(String::from_utf8_lossy(&answer.stderr).contains("nowhere"), "{answer:?}");

        // No rule takes it.
        assert_eq!(ask(tls, "Nobody/Call", "{}").status.code(), exit(12));
    }
    site.write("policy-peer.yaml", &manifests::policy("peer", "peer", "other.test", "ca", ""));
    let refused = within(crate::support::PATIENCE, || {
        let answer = ask(true, "TestService/UnaryCall", "{}");
        (answer.status.code() == exit(14)).then_some(answer)
    });
    let refused = refused.expect("the call is refused");
    assert!(!String::from_utf8_lossy(&refused.stderr).contains("NameMismatch"), "{refused:?}");
    proxy.wait_access(|record| record["reason"] == "NameMismatch");
}
