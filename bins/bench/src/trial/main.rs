//! Trials of Lasthop on a cluster: how soon a change is in force, and what fails when something else fails.
//!
//! Runs inside the cluster's namespaces on its only node (`cargo xtask bench propagation` and `resilience` see to that), so
//! that it is client, backend and user at once, and sees the processes of controller and proxies.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a command-line tool speaks to the terminal")]

mod api;
mod backend;
mod client;
mod load;
mod objects;
mod pki;
mod processes;
mod propagation;
mod resilience;
mod steps;
mod wait;

use std::{net::IpAddr, path::PathBuf, process::ExitCode};

use clap::{Args, Parser, Subcommand};

/// What can go wrong: told, not handled.
type Fault = Box<dyn std::error::Error + Send + Sync>;

/// Trials of Lasthop on a cluster, from inside the cluster's namespaces.
#[derive(Parser)]
#[command(name = "lasthop-trial")]
struct Arguments {
    #[command(subcommand)]
    trial: Trial,
}

#[derive(Subcommand)]
enum Trial {
    /// How soon a change of one route is in force, what controller and proxies take of memory
    Propagation(propagation::Options),
    /// A steady load over verified TLS while everything else fails
    Resilience(resilience::Options),
}

/// How the API server is reached, and where the node is.
#[derive(Args)]
struct Cluster {
    /// The API server's address and port
    #[arg(long)]
    api: std::net::SocketAddr,
    /// The CA of the API server's certificate, PEM
    #[arg(long)]
    ca: PathBuf,
    /// The user's certificate, PEM
    #[arg(long)]
    certificate: PathBuf,
    /// Its key, PEM
    #[arg(long)]
    key: PathBuf,
    /// The node's address, where pods reach this program
    #[arg(long)]
    node: IpAddr,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let outcome = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(Fault::from)
        .and_then(|runtime| {
            runtime.block_on(async {
                match &arguments.trial {
                    Trial::Propagation(options) => propagation::run(options).await,
                    Trial::Resilience(options) => resilience::run(options).await,
                }
            })
        });
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(fault) => {
            eprintln!("lasthop-trial: {fault}");
            ExitCode::FAILURE
        }
    }
}
