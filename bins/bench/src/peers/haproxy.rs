//! HAProxy: one thread, upstream connections kept and shared, the backend verified.

use std::{ffi::OsString, path::PathBuf};

use super::{Site, server};
use crate::Fault;

pub(super) fn prepare(site: &Site<'_>) -> Result<(PathBuf, Vec<OsString>), Fault> {
    let pair = site.folder.join("front.pem");
    let mut pem = std::fs::read_to_string(&site.certificates.front_certificate)?;
    pem.push_str(&std::fs::read_to_string(&site.certificates.front_key)?);
    std::fs::write(&pair, pem)?;
    let configuration = site.folder.join("haproxy.cfg");
    std::fs::write(&configuration, text(site, &pair.display().to_string()))?;
    Ok((server("haproxy"), vec!["-db".into(), "-f".into(), configuration.into()]))
}

fn text(site: &Site<'_>, pair: &str) -> String {
    let Site { tls_port, plain_port, tls_backend, plain_backend, name, .. } = site;
    let ca = site.ca.display();
    let log = if site.access_log { "log stdout format raw daemon\n  option httplog" } else { "no log" };
    format!(
        "global
  nbthread 1
  maxconn 4096
  tune.pool-low-fd-ratio 90
  tune.pool-high-fd-ratio 95
  ssl-default-bind-options ssl-min-ver TLSv1.3
  ssl-default-server-options ssl-min-ver TLSv1.3
defaults
  mode http
  {log}
  timeout connect 5s
  timeout client 300s
  timeout server 300s
  timeout http-keep-alive 300s
  http-reuse always
frontend tls
  bind 127.0.0.1:{tls_port} ssl crt {pair} alpn h2,http/1.1
  option forwardfor
  default_backend tls
frontend plain
  bind 127.0.0.1:{plain_port}
  option forwardfor
  default_backend plain
backend tls
  retries 0
  server one {tls_backend} ssl verify required ca-file {ca} verifyhost {name} sni str({name}) pool-max-conn 512
backend plain
  server one {plain_backend} pool-max-conn 512
"
    )
}
