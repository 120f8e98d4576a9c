//! The standalone proxy: ordinary Kubernetes manifests in a folder, verified re-encryption out.

mod check;
mod cli;
mod demo;
mod probe;
mod run;
mod table;

use std::process::ExitCode;

use clap::Parser;

use cli::{Cli, Command};

// The default allocator's arenas grow with every thread that ever allocated much; this one's do not.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    match Cli::parse().command {
        Command::Run(flags) => run::main(&flags),
        Command::Check(flags) => check::main(&flags),
        Command::Probe(flags) => probe::main(&flags),
        Command::Demo(flags) => demo::main(&flags),
    }
}
