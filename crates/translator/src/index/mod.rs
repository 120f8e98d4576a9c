//! Who reads what: the part that makes translation incremental.
//!
//! Every unit of translation is a [`Node`]: a function that reads [`Fact`]s through a [`Reader`], which notes each of
//! them. When a fact changes, the nodes that read it are done again, and nothing else. Nodes are ordered so that one
//! only reads what lower ones give: doing the lowest first does each at most once.

mod collections;
mod fact;
mod reader;
mod tracker;
mod uses;

pub(crate) use collections::Collections;
pub(crate) use fact::{Fact, Node};
pub(crate) use reader::{Derived, Inputs, Reader};
pub(crate) use tracker::Tracker;
pub(crate) use uses::{RouteUses, Uses, WholeUse};
