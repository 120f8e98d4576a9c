//! What a gateway must do to messages besides routing them: refuse those that two parties could read differently,
//! and turn each into the next hop's form (RFC 9110 §7.6, RFC 9112, RFC 9113 §8).
//!
//! The order of calls for a request, so that what is matched is what is forwarded and no client can undo a filter:
//!
//! 1. [`check_request`]: refuses, normalises the path, and takes away what belongs to the client's connection.
//! 2. [`add_forwarded`]: says who asked (`X-Forwarded-*`), from the request as the client sent it.
//! 3. routing and filters. The request's authority is its `Host` field, else that of its URI ([`authority`]).
//! 4. [`to_upstream`], per attempt: puts the request into the form of the connection it goes out on.
//!
//! For a response: [`check_response`], [`to_downstream`] and then the filters. Trailers either way:
//! [`clean_trailers`].

mod aliases;
mod connection_fields;
mod forwarded;
mod host;
mod limits;
mod path;
mod request;
mod response;
mod trailers;
mod upstream;

pub(crate) use self::{
    connection_fields::ends_here,
    forwarded::{Downstream, add_forwarded},
    host::{HostName, authority, is_authority},
    limits::HeaderLimits,
    path::{normal, with_path},
    request::check_request,
    response::{check_response, to_downstream},
    trailers::clean_trailers,
    upstream::{UpstreamForm, to_upstream},
};
