//! OpenSSL's command line as backend and as client. Without it on the machine these tests do nothing but say so.

use std::{
    net::SocketAddr,
    path::Path,
    process::{Command, Stdio},
    sync::Arc,
    time::Duration,
};

use base64_free::pem;
use lasthop_dataplane_api::TlsVersion;
use lasthop_tls_verify::TlsError;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::{
    client::{compile, connect, settings},
    front::{Front, entry},
    pki::{Ca, Chain},
};

/// PEM by hand: a dependency less.
mod base64_free {
    pub fn pem(label: &str, der: &[u8]) -> String {
        const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        let digits: String = der
            .chunks(3)
            .flat_map(|chunk| {
                let bits = u32::from_be_bytes([
                    0,
                    chunk[0],
                    *chunk.get(1).unwrap_or(&0),
                    *chunk.get(2).unwrap_or(&0),
                ]);
                (0..4).map(move |i| {
                    if i <= chunk.len() {
                        char::from(DIGITS[(bits >> (18 - 6 * i)) as usize & 63])
                    } else {
                        '='
                    }
                })
            })
            .collect();
        let lines: Vec<&str> =
            digits.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).unwrap()).collect();
        format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", lines.join("\n"))
    }
}

fn write(folder: &Path, chain: &Chain) {
    let certificates: String = chain.certificates.iter().map(|der| pem("CERTIFICATE", der)).collect();
    std::fs::write(folder.join("chain.pem"), certificates).unwrap();
    std::fs::write(folder.join("key.pem"), pem("PRIVATE KEY", chain.key.secret_der())).unwrap();
}

fn available() -> bool {
    let found = Command::new("openssl").arg("version").stdout(Stdio::null()).status().is_ok();
    if !found {
        eprintln!("openssl is not on this machine; nothing was tested");
    }
    found
}

/// `openssl s_server -rev`, which answers each line with its reverse.
struct Server {
    process: std::process::Child,
    address: SocketAddr,
    _folder: TempDir,
}

impl Server {
    async fn new(chain: &Chain, clients: Option<&Ca>, arguments: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        write(folder.path(), chain);
        let address = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let mut command = Command::new("openssl");
        command.current_dir(folder.path()).args(["s_server", "-accept", &address.to_string()]);
        command.args(["-cert", "chain.pem", "-cert_chain", "chain.pem", "-key", "key.pem", "-rev", "-quiet"]);
        if let Some(clients) = clients {
            std::fs::write(folder.path().join("clients.pem"), pem("CERTIFICATE", &clients.der)).unwrap();
            command.args(["-CAfile", "clients.pem", "-Verify", "1", "-verify_return_error"]);
        }
        let process =
            command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let process = process.spawn().unwrap();
        for _ in 0..200 {
            if tokio::net::TcpStream::connect(address).await.is_ok() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Self { process, address, _folder: folder }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[tokio::test]
async fn s_server_is_verified_and_resumed() {
    if !available() {
        return;
    }
    let ca = Ca::new("ca");
    for (argument, version) in [("-tls1_2", TlsVersion::V1_2), ("-tls1_3", TlsVersion::V1_3)] {
        let server = Server::new(&ca.leaf(&["DNS:backend.example"]), None, &[argument]).await;
        let policy = compile(settings(ca.anchors()));
        for resumed in [false, true, true] {
            let (mut stream, info) = connect(&policy, server.address, &[]).await.unwrap();
            assert_eq!((info.version, info.resumed), (version, resumed));
            stream.write_all(b"hello\n").await.unwrap();
            stream.flush().await.unwrap();
            let mut answer = [0; 6];
            stream.read_exact(&mut answer).await.unwrap();
            assert_eq!(&answer, b"olleh\n");
        }
        let stranger = compile(settings(Ca::new("stranger").anchors()));
        assert_eq!(connect(&stranger, server.address, &[]).await.err(), Some(TlsError::UntrustedChain));
    }
}

#[tokio::test]
async fn s_server_asks_for_a_client_certificate() {
    if !available() {
        return;
    }
    let (ca, clients) = (Ca::new("ca"), Ca::new("clients"));
    for version in ["-tls1_2", "-tls1_3"] {
        let server = Server::new(&ca.leaf(&["DNS:backend.example"]), Some(&clients), &[version]).await;
        let verdict = async |certificate| {
            let mut settings = settings(ca.anchors());
            settings.client_certificate = certificate;
            let (mut stream, _) = connect(&compile(settings), server.address, &[]).await?;
            stream.write_all(b"hello\n").await.unwrap();
            stream.flush().await.unwrap();
            let read = stream.read_exact(&mut [0; 6]).await;
            read.map(|_| ()).map_err(|error| lasthop_tls_backends::classify_io(&error).unwrap())
        };
        assert_eq!(verdict(Some(clients.client())).await, Ok(()));
        // OpenSSL sends handshake_failure in TLS 1.2, which may mean anything.
        let missing =
            if version == "-tls1_2" { TlsError::PeerAlert(40) } else { TlsError::ClientCertRefused(116) };
        assert_eq!(verdict(None).await, Err(missing));
        let refused = verdict(Some(Ca::new("strangers").client())).await.unwrap_err();
        assert!(matches!(refused, TlsError::ClientCertRefused(_)), "{refused:?}");
    }
}

#[tokio::test]
async fn s_client_verifies_us() {
    if !available() {
        return;
    }
    let ca = Ca::new("ca");
    let mut front = Front::new(vec![entry("a.example", &[&ca.leaf(&["DNS:a.example"]).certified()])]).await;
    let folder = Arc::new(tempfile::tempdir().unwrap());
    std::fs::write(folder.path().join("ca.pem"), pem("CERTIFICATE", &ca.der)).unwrap();
    for (version, name, alpn) in
        [("-tls1_2", "a.example", "h2"), ("-tls1_3", "a.example", "http/1.1"), ("-tls1_3", "b.example", "h2")]
    {
        let address = front.address.to_string();
        let folder = folder.clone();
        let output = tokio::task::spawn_blocking(move || {
            let mut command = Command::new("openssl");
            command.current_dir(folder.path()).args(["s_client", "-connect", &address, "-servername", name]);
            command.args(["-verify_hostname", name, "-CAfile", "ca.pem", "-verify_return_error"]);
            command.args(["-alpn", alpn, version]).stdin(Stdio::null()).output().unwrap()
        });
        let output = output.await.unwrap();
        let text =
            String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
        if name == "a.example" {
            assert!(text.contains("Verify return code: 0 (ok)"), "{text}");
            assert!(text.contains(&format!("ALPN protocol: {alpn}")), "{text}");
            front.handshake().await.unwrap();
        } else {
            assert!(text.contains("unrecognized name"), "{text}");
            assert_eq!(front.handshake().await.unwrap_err().reason(), "UnrecognizedName");
        }
    }
}

#[tokio::test]
async fn keys_in_openssls_old_forms_are_taken() {
    if !available() {
        return;
    }
    let ca = Ca::new("ca");
    let folder = tempfile::tempdir().unwrap();
    let rsa = rcgen::KeyPair::generate_rsa_for(&rcgen::PKCS_RSA_SHA256, rcgen::RsaKeySize::_2048).unwrap();
    for key in [rsa, rcgen::KeyPair::generate().unwrap()] {
        write(folder.path(), &ca.issue_for(super::pki::leaf_params(&["DNS:backend.example"]), key));
        let mut command = Command::new("openssl");
        let old = command.current_dir(folder.path()).args(["pkey", "-in", "key.pem", "-traditional"]);
        let old = old.output().unwrap().stdout;
        assert!(old.starts_with(b"-----BEGIN RSA") || old.starts_with(b"-----BEGIN EC"));
        let chain = std::fs::read(folder.path().join("chain.pem")).unwrap();
        let certified = Arc::new(lasthop_tls_verify::CertifiedKey::from_pem(&chain, &old).unwrap());
        let front = Front::new(vec![entry("", &[&certified])]).await;
        connect(&compile(settings(ca.anchors())), front.address, &[]).await.unwrap();
    }
}
