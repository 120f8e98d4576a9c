//! nginx: one worker, upstream connections kept, the backend verified.

use std::{ffi::OsString, path::PathBuf};

use super::{Site, server};
use crate::Fault;

pub(super) fn prepare(site: &Site<'_>) -> Result<(PathBuf, Vec<OsString>), Fault> {
    let configuration = site.folder.join("nginx.conf");
    std::fs::write(&configuration, text(site))?;
    let flags = [
        "-p".into(),
        site.folder.clone().into(),
        "-c".into(),
        configuration.into(),
        "-e".into(),
        "stderr".into(),
    ];
    Ok((server("nginx"), flags.into()))
}

fn text(site: &Site<'_>) -> String {
    let Site { tls_port, plain_port, tls_backend, plain_backend, name, .. } = site;
    let folder = site.folder.display();
    let (ca, certificate, key) = (
        site.ca.display(),
        site.certificates.front_certificate.display(),
        site.certificates.front_key.display(),
    );
    let access_log = if site.access_log { "access.log combined" } else { "off" };
    format!(
        "daemon off;
worker_processes 1;
pid {folder}/nginx.pid;
error_log stderr warn;
events {{ worker_connections 4096; multi_accept on; }}
http {{
  access_log {access_log};
  client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
  keepalive_requests 1000000000; keepalive_timeout 300s; tcp_nodelay on;
  upstream tls {{ server {tls_backend}; keepalive 512; keepalive_requests 1000000000; }}
  upstream plain {{ server {plain_backend}; keepalive 512; keepalive_requests 1000000000; }}
  proxy_http_version 1.1;
  proxy_set_header Connection \"\";
  proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
  server {{
    listen 127.0.0.1:{tls_port} ssl http2 reuseport;
    ssl_certificate {certificate}; ssl_certificate_key {key}; ssl_protocols TLSv1.3;
    http2_max_concurrent_streams 128;
    location / {{
      proxy_pass https://tls;
      proxy_ssl_verify on; proxy_ssl_verify_depth 3; proxy_ssl_trusted_certificate {ca};
      proxy_ssl_name {name}; proxy_ssl_server_name on; proxy_ssl_protocols TLSv1.3; proxy_ssl_session_reuse on;
    }}
  }}
  server {{ listen 127.0.0.1:{plain_port} reuseport; location / {{ proxy_pass http://plain; }} }}
}}
"
    )
}
