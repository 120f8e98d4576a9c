//! The controller: watches an API server, places proxies for Gateways, and tells them what to serve.

mod cli;
mod link;
mod run;

use std::process::ExitCode;

use clap::Parser;

use cli::{Cli, Command};

// The default allocator's arenas grow with every thread that ever allocated much; this one's do not.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    match Cli::parse().command {
        Command::Run(flags) => run::main(&flags),
        Command::Manifests(flags) => cli::say(&cli::manifests(&flags)),
        Command::Crds => {
            cli::say(&lasthop_k8s_adapter::to_yaml(&lasthop_k8s_adapter::parameters::definition()))
        }
        Command::Rights => cli::say(&cli::rights()),
    }
}
