//! `openssl s_client` as the client, for what other clients do not show: sessions kept in files, staples, the
//! certificate that a server name and a kind of key lead to.

use std::{
    io::Write,
    path::Path,
    process::{Command, Stdio},
};

/// What it printed, its complaints last.
#[derive(Clone, Debug)]
pub(crate) struct Said {
    pub(crate) out: String,
}

impl Said {
    /// Whether a session was resumed; `None` without a handshake.
    pub(crate) fn resumed(&self) -> Option<bool> {
        let has = |text| self.out.lines().any(|line| line.starts_with(text));
        (has("Reused, TLS") || has("New, TLS")).then(|| has("Reused, TLS"))
    }

    /// The status of the response, if there was one.
    pub(crate) fn status(&self) -> Option<u16> {
        let line = self.out.lines().find(|line| line.contains("HTTP/1.1 "))?;
        line.split("HTTP/1.1 ").nth(1)?.split(' ').next()?.parse().ok()
    }

    /// The subject of the server's certificate.
    pub(crate) fn subject(&self) -> Option<&str> {
        self.out.lines().find_map(|line| line.strip_prefix("subject=")).map(str::trim)
    }
}

/// Shakes hands with the port, asks for `/` of the host over HTTP/1.1, and waits for the end of the connection. Without
/// a host, no server name is sent.
pub(crate) fn client(port: u16, host: &str, flags: &[&str]) -> Said {
    let mut command = Command::new("timeout");
    command.args(["20", "openssl", "s_client", "-ign_eof"]);
    match host {
        "" => command.arg("-noservername"),
        host => command.args(["-servername", host]),
    };
    command.args(["-connect", &format!("127.0.0.1:{port}")]).args(flags);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("openssl is needed: cargo xtask setup");
    let request = format!("GET / HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n");
    // It may have ended already, if its handshake failed.
    let _ = child.stdin.take().unwrap().write_all(request.as_bytes());
    let output = child.wait_with_output().unwrap();
    let printed = [&output.stdout[..], b"\n--- complaints\n", &output.stderr].concat();
    Said { out: String::from_utf8_lossy(&printed).into_owned() }
}

/// Runs another command of openssl in a folder; panics if it fails.
pub(crate) fn run(folder: &Path, arguments: &[&str]) {
    let output = Command::new("openssl").current_dir(folder).args(arguments).output().unwrap();
    assert!(
        output.status.success(),
        "openssl {arguments:?}: {}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}
