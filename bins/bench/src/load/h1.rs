//! HTTP/1.1 clients.

use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::{Seen, Stream, Target, connect};
use crate::{Fault, certificates::FRONT_NAME};

/// Request after request on one connection, which is opened anew when it ends.
pub(super) async fn until(target: &Target, until: Instant) -> Seen {
    let mut seen = Seen::default();
    let mut connection = None;
    let mut buffer = Vec::with_capacity(80 * 1024);
    while Instant::now() < until {
        let mut stream = match connection.take() {
            Some(stream) => stream,
            None => match connect(target).await {
                Ok(stream) => stream,
                Err(_) => {
                    seen.failed += 1;
                    tokio::time::sleep(Duration::from_millis(10)).await;
                    continue;
                }
            },
        };
        let begun = Instant::now();
        let outcome = exchange(&mut stream, target.path, &mut buffer).await;
        seen.note(begun, matches!(outcome, Ok(Answer { status: 200, .. })));
        connection = outcome.is_ok_and(|answer| answer.keep).then_some(stream);
    }
    seen
}

/// A new connection for each request.
pub(super) async fn anew_until(target: &Target, until: Instant) -> Seen {
    let mut seen = Seen::default();
    while Instant::now() < until {
        let begun = Instant::now();
        let outcome = once(target).await;
        seen.note(begun, matches!(outcome, Ok(200)));
    }
    seen
}

pub(super) async fn once(target: &Target) -> Result<u16, Fault> {
    let mut stream = connect(target).await?;
    let answer = exchange(&mut stream, target.path, &mut Vec::new()).await?;
    // The peer may have closed first.
    let _ = stream.shutdown().await;
    Ok(answer.status)
}

struct Answer {
    status: u16,
    keep: bool,
}

async fn exchange(stream: &mut Box<dyn Stream>, path: &str, buffer: &mut Vec<u8>) -> Result<Answer, Fault> {
    let request = format!("GET {path} HTTP/1.1\r\nhost: {FRONT_NAME}\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    stream.flush().await?;
    buffer.clear();
    let (head_length, head) = loop {
        if let Some(end) = buffer.windows(4).position(|window| window == b"\r\n\r\n") {
            break (end + 4, String::from_utf8_lossy(&buffer[..end]).to_ascii_lowercase());
        }
        if stream.read_buf(buffer).await? == 0 {
            return Err("the connection ended before the answer".into());
        }
    };
    let status = head.get(9..12).and_then(|digits| digits.parse().ok()).ok_or("no status")?;
    let field = |name: &str| head.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
    let keep = field("connection:") != Some("close");
    // An error page may come in chunks; its connection is of no more use.
    let Some(length) = field("content-length:").and_then(|text| text.parse::<usize>().ok()) else {
        return Ok(Answer { status: if status == 200 { 0 } else { status }, keep: false });
    };
    while buffer.len() < head_length + length {
        if stream.read_buf(buffer).await? == 0 {
            return Err("the connection ended inside the answer".into());
        }
    }
    Ok(Answer { status, keep })
}
