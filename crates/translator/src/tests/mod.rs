//! Tests of the whole: manifests in, snapshot and status out.

mod cluster;
mod cost;
mod gateways;
mod incremental;
mod l4;
mod listener_sets;
mod listeners;
mod options;
mod policies;
mod proxy_protocol;
mod routes;
mod rules;
mod services;
mod statuses;
mod whole;
mod xbackends;
