//! Starting the suite and following what it prints.

use std::{
    fs::File,
    io::{BufRead, BufReader, Write},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use super::{Options, log::Log};
use crate::cluster::{
    kubectl::Kubectl,
    programs::{Program, SUITE_1_6_3, SUITE_1_7_0},
};

/// The suite of that version.
pub(crate) fn program(version: &str) -> Program {
    if version == "1.7.0" { SUITE_1_7_0 } else { SUITE_1_6_3 }
}

/// The suite's flags.
pub(crate) fn arguments(
    options: &Options,
    addresses: Option<(&str, &str)>,
    features: &[String],
    report: &Path,
) -> Vec<String> {
    let mut arguments = vec![
        "-test.run=^TestConformance$".to_owned(),
        "-test.v".to_owned(),
        "-test.timeout=90m".to_owned(),
        format!("-test.parallel={}", options.parallel),
        format!("--gateway-class={}", options.gateway_class),
        format!("--conformance-profiles={}", options.profiles().join(",")),
    ];
    if let Some((usable, unusable)) = addresses {
        arguments.push(format!("--usable-address={usable}"));
        arguments.push(format!("--unusable-address={unusable}"));
    }
    if let Some(test) = &options.test {
        arguments.push(format!("--run-test={test}"));
        // With one test named the suite no longer asks the GatewayClass.
        arguments.push(format!("--supported-features={}", features.join(",")));
        return arguments;
    }
    arguments.extend([
        format!("--report-output={}", report.display()),
        "--organization=lasthop".to_owned(),
        "--project=lasthop".to_owned(),
        "--url=https://github.com/lasthop/lasthop".to_owned(),
        format!("--version=v{}", env!("CARGO_PKG_VERSION")),
        "--contact=https://github.com/lasthop/lasthop/issues".to_owned(),
        format!("--mode={}", options.dataplane.mode()),
    ]);
    arguments
}

/// Runs the suite; its whole output goes to a file, what runs and what fails to the terminal. Gives how it ended, if badly.
pub(crate) fn follow(
    kubectl: &Kubectl<'_>,
    binary: &Path,
    arguments: &[String],
    file: PathBuf,
) -> Result<(Option<String>, Log), String> {
    let failed = |error: std::io::Error| format!("{}: {error}", file.display());
    let mut output = File::create(&file).map_err(failed)?;
    let mut command: Command = kubectl.inside(Path::new("sh"));
    // The suite writes errors to the one and its log to the other; their order matters.
    command.args(["-c", "exec \"$0\" \"$@\" 2>&1"]).arg(binary).args(arguments);
    command.stdin(Stdio::null()).stdout(Stdio::piped());
    let mut child = command.spawn().map_err(|error| format!("the suite: {error}"))?;
    let mut log = Log::default();
    if let Some(stdout) = child.stdout.take() {
        for line in BufReader::new(stdout).split(b'\n').map_while(Result::ok) {
            output.write_all(&line).and_then(|()| output.write_all(b"\n")).map_err(failed)?;
            if let Some(news) = log.take(&String::from_utf8_lossy(&line)) {
                println!("    {news}");
            }
        }
    }
    let status = child.wait().map_err(|error| format!("the suite: {error}"))?;
    Ok(((!status.success()).then(|| status.to_string()), log))
}
