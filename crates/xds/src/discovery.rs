//! The messages of delta xDS (`envoy.service.discovery.v3`), with the field numbers of the public protocol. Fields that
//! we neither say nor read are left out; protobuf passes over them.

use std::{collections::HashMap, fmt};

use bytes::Bytes;

/// The one method: both directions stream.
pub(crate) const METHOD: &str =
    "/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources";

/// `google.protobuf.Any`.
#[derive(Clone, PartialEq, prost::Message)]
#[prost(skip_debug)]
pub(crate) struct Any {
    #[prost(string, tag = "1")]
    pub(crate) type_url: String,
    #[prost(bytes = "bytes", tag = "2")]
    pub(crate) value: Bytes,
}

/// The value may hold a private key.
impl fmt::Debug for Any {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Any({}, {} bytes)", self.type_url, self.value.len())
    }
}

/// `google.rpc.Status`.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct RpcStatus {
    #[prost(int32, tag = "1")]
    pub(crate) code: i32,
    #[prost(string, tag = "2")]
    pub(crate) message: String,
}

/// `envoy.config.core.v3.Node`.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Node {
    /// The pod.
    #[prost(string, tag = "1")]
    pub(crate) id: String,
    /// The Gateway, as `namespace/name`.
    #[prost(string, tag = "2")]
    pub(crate) cluster: String,
    #[prost(string, tag = "6")]
    pub(crate) user_agent_name: String,
    #[prost(string, tag = "7")]
    pub(crate) user_agent_version: String,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct DeltaDiscoveryRequest {
    #[prost(message, optional, tag = "1")]
    pub(crate) node: Option<Node>,
    #[prost(string, tag = "2")]
    pub(crate) type_url: String,
    #[prost(string, repeated, tag = "3")]
    pub(crate) resource_names_subscribe: Vec<String>,
    #[prost(map = "string, string", tag = "5")]
    pub(crate) initial_resource_versions: HashMap<String, String>,
    #[prost(string, tag = "6")]
    pub(crate) response_nonce: String,
    #[prost(message, optional, tag = "7")]
    pub(crate) error_detail: Option<RpcStatus>,
    /// Ours: what the dataplane says, see [`crate::report`]. Far from the numbers that the protocol gives out; a server
    /// that does not know it passes over it.
    #[prost(bytes = "bytes", tag = "21001")]
    pub(crate) report: Bytes,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct DeltaDiscoveryResponse {
    #[prost(string, tag = "1")]
    pub(crate) system_version_info: String,
    #[prost(message, repeated, tag = "2")]
    pub(crate) resources: Vec<Resource>,
    #[prost(string, tag = "4")]
    pub(crate) type_url: String,
    #[prost(string, tag = "5")]
    pub(crate) nonce: String,
    #[prost(string, repeated, tag = "6")]
    pub(crate) removed_resources: Vec<String>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Resource {
    #[prost(string, tag = "1")]
    pub(crate) version: String,
    #[prost(message, optional, tag = "2")]
    pub(crate) resource: Option<Any>,
    #[prost(string, tag = "3")]
    pub(crate) name: String,
}

#[cfg(test)]
mod tests {
    use prost::Message as _;

    use super::*;

    #[test]
    fn the_bytes_are_those_of_the_public_protocol() {
        let request = DeltaDiscoveryRequest {
            node: Some(Node { id: "p".into(), cluster: "n/g".into(), ..Node::default() }),
            type_url: "t".into(),
            resource_names_subscribe: vec!["*".into()],
            initial_resource_versions: HashMap::from([("a".to_owned(), "1".to_owned())]),
            response_nonce: "7".into(),
            error_detail: Some(RpcStatus { code: 3, message: "m".into() }),
            report: Bytes::new(),
        };
        let expected = b"\x0a\x08\x0a\x01p\x12\x03n/g\x12\x01t\x1a\x01*\x2a\x06\x0a\x01a\x12\x011\x32\x017\x3a\x05\x08\x03\x12\x01m";
        assert_eq!(request.encode_to_vec(), expected);
        let any = Any { type_url: "u".into(), value: Bytes::from_static(b"v") };
        let response = DeltaDiscoveryResponse {
            system_version_info: "1".into(),
            resources: vec![Resource { version: "2".into(), resource: Some(any), name: "r".into() }],
            type_url: "t".into(),
            nonce: "n".into(),
            removed_resources: vec!["x".into()],
        };
        let expected =
            b"\x0a\x011\x12\x0e\x0a\x012\x12\x06\x0a\x01u\x12\x01v\x1a\x01r\x22\x01t\x2a\x01n\x32\x01x";
        assert_eq!(response.encode_to_vec(), expected);
    }

    #[test]
    fn secrets_are_not_shown() {
        let any = Any { type_url: "u".into(), value: Bytes::from_static(b"secret") };
        assert_eq!(format!("{any:?}"), "Any(u, 6 bytes)");
    }
}
