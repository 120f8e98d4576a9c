//! The benchmark driver: the CPU time that a request costs in Lasthop and in its peers, side by side.
//!
//! All peers run at once, each pinned to the same core, and are asked in turn; the clients and the backend share the
//! other core. What is counted is the CPU time of the peer's process tree, divided by the requests that the clients
//! saw answered. Absolute figures depend on the machine and the hour: compare the ratios within one round.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a command-line tool speaks to the terminal")]

mod backend;
mod certificates;
mod cpu;
mod load;
mod peers;
mod proof;
mod report;
mod rounds;
mod scenario;
mod statistics;

use std::{path::PathBuf, process::ExitCode, time::Duration};

use clap::{Parser, ValueEnum};

use peers::Kind;
use scenario::Scenario;

/// What can go wrong: told, not handled.
type Fault = Box<dyn std::error::Error + Send + Sync>;

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Output {
    Table,
    Json,
}

/// CPU time per request of Lasthop and its peers, backend certificates verified, one core each, rounds interleaved.
#[derive(Debug, Parser)]
#[command(name = "lasthop-bench")]
struct Arguments {
    /// The lasthop-proxy program.
    #[arg(long, value_name = "FILE")]
    lasthop: Option<PathBuf>,
    /// Flags for lasthop-proxy beside those of the benchmark, such as "--tls-backend boringssl".
    #[arg(long, value_name = "FLAGS", default_value = "", allow_hyphen_values = true)]
    lasthop_flags: String,
    /// Whom to measure, in this order; Lasthop and nginx by default.
    #[arg(long, value_enum, value_delimiter = ',', default_value = "nginx,lasthop")]
    peers: Vec<Kind>,
    /// What to measure.
    #[arg(long, value_enum, value_delimiter = ',', default_value = "1k")]
    scenarios: Vec<Scenario>,
    /// How often each peer is measured.
    #[arg(long, default_value_t = 7)]
    rounds: usize,
    /// Seconds that one measurement takes.
    #[arg(long, default_value_t = 4.0)]
    seconds: f64,
    /// Client connections.
    #[arg(long, default_value_t = 64)]
    connections: usize,
    /// The core the peers are pinned to.
    #[arg(long, default_value_t = 1)]
    peer_core: usize,
    /// The core that clients and backend are pinned to.
    #[arg(long, default_value_t = 0)]
    load_core: usize,
    /// Have every peer write an access log.
    #[arg(long)]
    access_log: bool,
    /// How to print the outcome.
    #[arg(long, value_enum, default_value = "table")]
    output: Output,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match measure(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(fault) => {
            eprintln!("lasthop-bench: {fault}");
            ExitCode::FAILURE
        }
    }
}

fn measure(arguments: &Arguments) -> Result<(), Fault> {
    if arguments.peers.contains(&Kind::Lasthop) && arguments.lasthop.is_none() {
        return Err("say where lasthop-proxy is: --lasthop target/release/lasthop-proxy".into());
    }
    cpu::pin_ourselves(arguments.load_core)?;
    // One thread: a second one would only wander to the peers' core.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let results = runtime.block_on(rounds::run(arguments))?;
    match arguments.output {
        Output::Table => print!("{}", report::table(&results)),
        Output::Json => println!("{}", serde_json::to_string_pretty(&results)?),
    }
    Ok(())
}

impl Arguments {
    fn measurement(&self) -> Duration {
        Duration::from_secs_f64(self.seconds)
    }
}
