//! Tests of the whole: manifests in, snapshot and status out.

mod whole;
