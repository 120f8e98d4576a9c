//! curl as the client.

use std::{path::Path, process::Command};

use super::client::field;

/// What curl printed.
#[derive(Clone, Debug)]
pub(crate) struct Curled {
    pub(crate) status: u16,
    /// `1.1` or `2`.
    pub(crate) version: String,
    pub(crate) head: String,
    pub(crate) body: String,
    /// curl's own complaint, if it has one.
    pub(crate) complaint: String,
}

impl Curled {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        field(&self.head, name)
    }
}

/// Runs curl over TLS with the CA at the path; the URL's host is found at the loopback.
pub(crate) fn https(ca: &Path, host: &str, port: u16, path: &str, flags: &[&str]) -> Curled {
    let mut command = Command::new("curl");
    command.arg("--cacert").arg(ca).arg("--resolve").arg(format!("{host}:{port}:127.0.0.1"));
    run(command, &format!("https://{host}:{port}{path}"), flags)
}

/// Runs curl without TLS.
pub(crate) fn http(host: &str, port: u16, path: &str, flags: &[&str]) -> Curled {
    let mut command = Command::new("curl");
    command.arg("--resolve").arg(format!("{host}:{port}:127.0.0.1"));
    run(command, &format!("http://{host}:{port}{path}"), flags)
}

fn run(mut command: Command, url: &str, flags: &[&str]) -> Curled {
    // Heads and body go to standard output one after the other; what curl itself knows comes last.
    command.args([
        "-q",
        "-sS",
        "--noproxy",
        "*",
        "--max-time",
        "20",
        "-i",
        "-w",
        "\n%{http_code} %{http_version}",
    ]);
    let output = command.args(flags).arg(url).output().expect("curl is needed: cargo xtask setup");
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    let (answer, known) = printed.rsplit_once('\n').unwrap_or(("", &printed));
    let (status, version) = known.split_once(' ').unwrap_or(("0", ""));
    let mut rest = answer;
    // Informational responses come before the final one.
    let (head, body) = loop {
        let (head, after) = rest.split_once("\r\n\r\n").unwrap_or((rest, ""));
        if head.split(' ').nth(1).is_some_and(|status| status.starts_with('1')) {
            rest = after;
        } else {
            break (head, after);
        }
    };
    Curled {
        status: status.parse().unwrap_or(0),
        version: version.to_owned(),
        head: head.to_owned(),
        body: body.to_owned(),
        complaint: String::from_utf8_lossy(&output.stderr).trim().to_owned(),
    }
}
