//! One request, or one connection that is handed on as a whole, as a line of text (`key=value`) or JSON. Nothing is
//! allocated but the buffer's own growth.

use std::{
    fmt::{self, Write as _},
    io::Write as _,
    time::Duration,
};

use lasthop_dataplane_api::{AccessRecord, FailureReason};

use crate::settings::LogFormat;

/// The longest text of one field, in bytes; what clients and backends send could be of any length.
const LONGEST: usize = 2048;

/// Adds the line. A value that is not there is `-` in text and `null` in JSON.
pub(super) fn write(buffer: &mut Vec<u8>, format: LogFormat, time: &str, record: &AccessRecord<'_>) {
    // Destructured, so that a new field cannot be forgotten here.
    let AccessRecord {
        client,
        listener,
        method,
        host,
        path,
        protocol,
        status,
        rule,
        backend,
        endpoint,
        attempts,
        upstream_tls,
        upstream_resumed,
        upstream_reused,
        reason,
        bytes_in,
        bytes_out,
        duration,
        upstream_duration,
    } = record;

    let mut line = Line::begin(buffer, format);
    line.text("time", Some(time));
    line.shown("client", Some(client));
    line.shown("listener", listener.as_ref());
    // Connections that are handed on as a whole have no request in them, so no status either.
    let is_request = *status != 0;
    line.text("method", is_request.then_some(method));
    line.text("host", (is_request || !host.is_empty()).then_some(host));
    line.text("path", is_request.then_some(path));
    line.text("protocol", Some(protocol));
    match is_request {
        true => line.bare("status", status),
        false => line.missing("status"),
    }
    line.shown("route", rule.map(|rule| &rule.route));
    match rule {
        Some(rule) => line.bare("rule", rule.index),
        None => line.missing("rule"),
    }
    line.shown("backend", backend.map(|backend| &backend.endpoints));
    line.shown("endpoint", endpoint.as_ref());
    line.bare("attempts", attempts);
    line.text("tls", *upstream_tls);
    line.bare("resumed", upstream_resumed);
    line.bare("reused", upstream_reused);
    line.text("reason", reason.map(FailureReason::name));
    if let Some(FailureReason::UpstreamTls(error) | FailureReason::DownstreamTls(error)) = reason {
        line.shown("detail", Some(error));
    }
    line.bare("bytes_in", bytes_in);
    line.bare("bytes_out", bytes_out);
    line.bare("duration_ms", Millis(*duration));
    match upstream_duration {
        Some(duration) => line.bare("upstream_ms", Millis(*duration)),
        None => line.missing("upstream_ms"),
    }
    line.end();
}

struct Line<'b> {
    out: &'b mut Vec<u8>,
    format: LogFormat,
    separator: &'static [u8],
}

impl<'b> Line<'b> {
    fn begin(out: &'b mut Vec<u8>, format: LogFormat) -> Self {
        let separator: &[u8] = match format {
            LogFormat::Text => b"",
            LogFormat::Json => b"{",
        };
        Self { out, format, separator }
    }

    fn end(self) {
        let end: &[u8] = match self.format {
            LogFormat::Text => b"\n",
            LogFormat::Json => b"}\n",
        };
        self.out.extend_from_slice(end);
    }

    fn key(&mut self, key: &str) {
        self.out.extend_from_slice(self.separator);
        match self.format {
            LogFormat::Text => {
                self.separator = b" ";
                self.out.extend_from_slice(key.as_bytes());
                self.out.push(b'=');
            }
            LogFormat::Json => {
                self.separator = b",";
                self.out.push(b'"');
                self.out.extend_from_slice(key.as_bytes());
                self.out.extend_from_slice(b"\":");
            }
        }
    }

    fn missing(&mut self, key: &str) {
        self.key(key);
        let nothing: &[u8] = match self.format {
            LogFormat::Text => b"-",
            LogFormat::Json => b"null",
        };
        self.out.extend_from_slice(nothing);
    }

    /// A number or a truth value.
    fn bare(&mut self, key: &str, value: impl fmt::Display) {
        self.key(key);
        // A Vec takes everything.
        let _ = write!(self.out, "{value}");
    }

    fn text(&mut self, key: &str, value: Option<&str>) {
        match value {
            Some(value) => self.quoted(key, |out| out.write_str(value)),
            None => self.missing(key),
        }
    }

    fn shown(&mut self, key: &str, value: Option<&impl fmt::Display>) {
        match value {
            Some(value) => self.quoted(key, |out| write!(out, "{value}")),
            None => self.missing(key),
        }
    }

    fn quoted(&mut self, key: &str, write: impl FnOnce(&mut Escaped<'_>) -> fmt::Result) {
        self.key(key);
        if self.format == LogFormat::Json {
            self.out.push(b'"');
        }
        let start = self.out.len();
        // The only error is "long enough".
        let _ = write(&mut Escaped { out: self.out, left: LONGEST });
        let quotes_needed = match self.format {
            LogFormat::Json => false,
            LogFormat::Text => {
                let value = &self.out[start..];
                value.is_empty()
                    || value == b"-"
                    || value.iter().any(|b| matches!(b, b' ' | b'=' | b'"' | b'\\'))
            }
        };
        if quotes_needed {
            self.out.insert(start, b'"');
        }
        if quotes_needed || self.format == LogFormat::Json {
            self.out.push(b'"');
        }
    }
}

/// Writes text so that it stays inside its quotes and on its line: JSON's escapes (RFC 8259 §7), and all control
/// characters.
struct Escaped<'b> {
    out: &'b mut Vec<u8>,
    left: usize,
}

impl fmt::Write for Escaped<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let (text, cut) = match text.len() > self.left {
            true => (&text[..text.floor_char_boundary(self.left)], true),
            false => (text, false),
        };
        self.left -= text.len();
        let plain = |b: &u8| (0x20..0x7f).contains(b) && *b != b'"' && *b != b'\\';
        if text.as_bytes().iter().all(plain) {
            self.out.extend_from_slice(text.as_bytes());
        } else {
            text.chars().for_each(|c| self.character(c));
        }
        if cut {
            self.out.extend_from_slice("…".as_bytes());
            return Err(fmt::Error);
        }
        Ok(())
    }
}

impl Escaped<'_> {
    fn character(&mut self, c: char) {
        match c {
            '"' => self.out.extend_from_slice(b"\\\""),
            '\\' => self.out.extend_from_slice(b"\\\\"),
            '\n' => self.out.extend_from_slice(b"\\n"),
            '\r' => self.out.extend_from_slice(b"\\r"),
            '\t' => self.out.extend_from_slice(b"\\t"),
            c if c.is_control() => {
                let _ = write!(self.out, "\\u{:04x}", u32::from(c));
            }
            c => self.out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
}

/// A length of time in milliseconds with three decimals.
struct Millis(Duration);

impl fmt::Display for Millis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let micros = self.0.as_micros();
        write!(f, "{}.{:03}", micros / 1000, micros % 1000)
    }
}
