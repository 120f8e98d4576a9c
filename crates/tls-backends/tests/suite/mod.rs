//! Test bodies that run for each stack: `crate::STACK` says which.

mod boring_peer;
mod broken;
mod certificates;
mod client;
mod downstream;
mod floods;
mod front;
mod inspect;
mod openssl;
mod peer;
mod pki;
mod upstream;
