//! The messages of the interoperability service, by their public field numbers (grpc/testing/messages.proto).

use prost::Message;

#[derive(Clone, PartialEq, Message)]
pub(super) struct Empty {}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Payload {
    #[prost(bytes = "vec", tag = "2")]
    pub(super) body: Vec<u8>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct EchoStatus {
    #[prost(int32, tag = "1")]
    pub(super) code: i32,
    #[prost(string, tag = "2")]
    pub(super) message: String,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct SimpleRequest {
    #[prost(int32, tag = "2")]
    pub(super) response_size: i32,
    #[prost(message, optional, tag = "3")]
    pub(super) payload: Option<Payload>,
    #[prost(message, optional, tag = "7")]
    pub(super) response_status: Option<EchoStatus>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct SimpleResponse {
    #[prost(message, optional, tag = "1")]
    pub(super) payload: Option<Payload>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct StreamingInputCallRequest {
    #[prost(message, optional, tag = "1")]
    pub(super) payload: Option<Payload>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct StreamingInputCallResponse {
    #[prost(int32, tag = "1")]
    pub(super) aggregated_payload_size: i32,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct ResponseParameters {
    #[prost(int32, tag = "1")]
    pub(super) size: i32,
    #[prost(int32, tag = "2")]
    pub(super) interval_us: i32,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct StreamingOutputCallRequest {
    #[prost(message, repeated, tag = "2")]
    pub(super) response_parameters: Vec<ResponseParameters>,
    #[prost(message, optional, tag = "3")]
    pub(super) payload: Option<Payload>,
    #[prost(message, optional, tag = "7")]
    pub(super) response_status: Option<EchoStatus>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct StreamingOutputCallResponse {
    #[prost(message, optional, tag = "1")]
    pub(super) payload: Option<Payload>,
}

impl Payload {
    /// So many bytes, all of them zero.
    pub(super) fn of(size: usize) -> Option<Self> {
        Some(Self { body: vec![0; size] })
    }
}

/// How long a payload is.
pub(super) fn length(payload: Option<&Payload>) -> usize {
    payload.map_or(0, |payload| payload.body.len())
}
