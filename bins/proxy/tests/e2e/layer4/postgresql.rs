//! PostgreSQL behind a TCPRoute. It begins TLS within its own protocol, so the client's TLS goes through.

use std::{
    fs::Permissions,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use tempfile::TempDir;

use super::manifests::{listener, route};
use crate::support::{
    ANY_STACK, PATIENCE,
    certificates::{Authority, Leaf},
    manifests, ports,
    processes::{Process, program},
    site::Site,
    within,
};

/// A running server; its data goes with it.
struct Server {
    port: u16,
    process: Process,
    _folder: TempDir,
}

/// Where Debian puts the programs of a server, or wherever the path leads.
fn server_program(name: &str) -> Option<PathBuf> {
    let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let mut found: Vec<PathBuf> =
        versions.map(|version| version.path().join("bin").join(name)).filter(|path| path.is_file()).collect();
    found.sort();
    found.pop().or_else(|| program(name))
}

/// It refuses to be root.
fn as_postgres(binary: &Path) -> Command {
    let root = Command::new("id").arg("-u").output().unwrap().stdout.trim_ascii() == b"0";
    if !root {
        return Command::new(binary);
    }
    let mut command = Command::new("setpriv");
    command.args(["--reuid=postgres", "--regid=postgres", "--clear-groups", "--"]).arg(binary);
    command
}

/// A server with this certificate. `None` where it is not installed, which is a failure in CI.
fn start(leaf: &Leaf) -> Option<Server> {
    let (Some(initdb), Some(postgres)) = (server_program("initdb"), server_program("postgres")) else {
        assert!(std::env::var_os("CI").is_none(), "CI needs PostgreSQL: cargo xtask setup");
        eprintln!("SKIPPED: there is no PostgreSQL here; `cargo xtask setup` installs it");
        return None;
    };
    let folder = tempfile::tempdir().unwrap();
    // The server's user has to come through.
    std::fs::set_permissions(folder.path(), Permissions::from_mode(0o777)).unwrap();
    let data = folder.path().join("data");
    let mut make = as_postgres(&initdb);
    make.arg("-D").arg(&data).args(["-A", "trust", "-U", "app", "-N", "--no-instructions"]);
    let made = make.current_dir("/").output().unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let (certificate, key) = leaf.write(folder.path(), "server");
    let mut install = as_postgres(Path::new("install"));
    let install = install.args(["-m", "600"]).arg(certificate).arg(key).arg(&data);
    assert!(install.status().unwrap().success());
    let port = ports::free();
    let mut command = as_postgres(&postgres);
    command.arg("-D").arg(&data).args(["-p", &port.to_string(), "-k", "", "-h", "127.0.0.1", "-F"]);
    command.args(["-c", "ssl=on", "-c", "ssl_cert_file=server.crt", "-c", "ssl_key_file=server.key"]);
    command.current_dir("/");
    let process = Process::start(command, folder.path(), "postgres");
    let server = Server { port, process, _folder: folder };
    let ready = within(PATIENCE, || server.process.err().contains("ready to accept").then_some(()));
    assert!(ready.is_some(), "{}", server.process.err());
    Some(server)
}

fn psql(port: u16, ca: &Path, query: &str) -> Output {
    let to = format!(
        "host=db.test hostaddr=127.0.0.1 port={port} user=app dbname=postgres connect_timeout=10 \
         sslmode=verify-full sslrootcert={}",
        ca.display()
    );
    Command::new("timeout").args(["20", "psql", "-X", "-A", "-t", "-c", query, &to]).output().unwrap()
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

#[test]
fn the_clients_own_tls_goes_through() {
    let _turn = crate::support::turn::shared();
    let tcp = ports::free();
    let site = Site::with_gateway(&listener("raw", tcp, "TCP", ""));
    let Some(server) = start(&site.backends.leaf(&["db.test"])) else { return };
    site.write("service-db.yaml", &manifests::service("db", &[server.port], None));
    site.write("route-raw.yaml", &route("TCPRoute", "raw", "raw", None, &[("db", 1)]));
    let mut proxy = site.start(ANY_STACK);
    proxy.wait_ready(&[tcp]);
    let ca = site.work().join("backends.pem");
    std::fs::write(&ca, site.backends.pem()).unwrap();
    let encrypted = psql(tcp, &ca, "select ssl, version from pg_stat_ssl where pid = pg_backend_pid()");
    assert_eq!(text(&encrypted), "t|TLSv1.3", "{encrypted:?}");
    // Much in both directions.
    let long = "x".repeat(100_000);
    assert_eq!(text(&psql(tcp, &ca, &format!("select length('{long}')"))), "100000");
    let rows = psql(tcp, &ca, "select repeat('y', 100) from generate_series(1, 50000)");
    assert_eq!(text(&rows).lines().count(), 50_000);
    let record = proxy.wait_access(|record| record["route"] == "TCPRoute/default/raw");
    assert!(record["protocol"] == "TCP" && record["tls"].is_null(), "{record}");

    // Whose certificate is good is the client's to say.
    std::fs::write(&ca, Authority::new("stranger").pem()).unwrap();
    let refused = psql(tcp, &ca, "select 1");
    assert!(!refused.status.success() && text(&refused).is_empty(), "{refused:?}");

    // TLS of the proxy's own it does not understand: no word of the client's reaches it.
    std::fs::write(&ca, site.backends.pem()).unwrap();
    site.policy("db", "");
    let closed = within(PATIENCE, || (!psql(tcp, &ca, "select 1").status.success()).then_some(()));
    assert!(closed.is_some());
    proxy.wait_access(|record| record["reason"].is_string() && record["route"] == "TCPRoute/default/raw");
}
