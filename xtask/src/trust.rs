//! `cargo xtask trust`: the verifier, both TLS stacks and the proxy on public suites of certificate chains.

use std::path::{Path, PathBuf};

use clap::Args;

use crate::{
    Outcome,
    processes::{cargo, in_path},
    root,
    suite::{self, Tally},
};

/// The name of the test targets, in each crate that has one.
pub(crate) const TARGET: &str = "public_suites";

/// The suites: the file, what is tried on it, and where it comes from.
const SUITES: [(&str, &str, &str); 2] = [
    (
        "x509-limbo.json.xz",
        "the verifier and a handshake of each stack on 9,780 chains",
        "limbo.json of https://github.com/C2SP/x509-limbo",
    ),
    (
        "x509-bettertls-with-keys.json.xz",
        "the proxy with each stack before servers that show the 9,572 chains of BetterTLS",
        "an export of https://github.com/Netflix/bettertls",
    ),
];

#[derive(Args, Default)]
pub(crate) struct Options {
    /// Where the suites are [default: LASTHOP_TRUST_DATA, else ../shared/data]
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Every case in every way; otherwise a sample of the long suites is tried
    #[arg(long)]
    all: bool,
}

pub(crate) fn run(options: &Options) -> Outcome {
    let mut tally = Tally::default();
    let outcome = counted(options, &mut tally);
    println!("trust: {} passed, {} failed, {} skipped", tally.passed, tally.failed, tally.ignored);
    outcome
}

/// The same, added to a count.
pub(crate) fn counted(options: &Options, tally: &mut Tally) -> Outcome {
    let data = options.data.clone().or_else(|| std::env::var_os("LASTHOP_TRUST_DATA").map(PathBuf::from));
    let data = data.unwrap_or_else(|| root().join("../shared/data"));
    let missing: Vec<_> = SUITES.iter().filter(|(file, ..)| !data.join(file).is_file()).collect();
    if !missing.is_empty() {
        return without(&data, &missing, tally);
    }
    if !in_path("xz") {
        return Err("`xz` is missing; install it with `cargo xtask setup`".to_owned());
    }
    let data = data.canonicalize().map_err(|error| format!("{}: {error}", data.display()))?;
    let mut command =
        cargo(["test", "--locked", "--workspace", "--all-features", "--no-fail-fast", "--test", TARGET]);
    command.env("LASTHOP_TRUST_DATA", data);
    if options.all {
        command.env("LASTHOP_TRUST_ALL", "1");
    }
    // The figures are the result, so they are shown.
    command.args(["--", "--nocapture"]);
    let (counted, outcome) = suite::count(command);
    *tally = tally.plus(counted);
    outcome
}

/// Says what cannot be tried. In CI that is an error.
fn without(data: &Path, missing: &[&(&str, &str, &str)], tally: &mut Tally) -> Outcome {
    println!("    ******************************************************************************");
    println!("    SKIPPED: trust was not tried on public suites; see conformance/trust/README.md");
    for (file, what, origin) in missing {
        println!("    {} is missing: {what}", data.join(file).display());
        println!("      it is {origin}, packed with xz");
    }
    println!("    ******************************************************************************");
    if std::env::var("CI").as_deref() == Ok("true") {
        return Err(format!(
            "CI must not skip it; put the files into {} or name their folder",
            data.display()
        ));
    }
    *tally = tally.plus(Tally { ignored: 1, ..Tally::default() });
    Ok(())
}
