//! A DNS server whose answers a test sets: over UDP, and over TCP what is too large for that.

use std::{
    collections::HashMap,
    io::{Read, Write},
    net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, UdpSocket},
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

/// What UDP carries; more is for TCP.
const DATAGRAM: usize = 1232;

/// A DNS server that runs until the test ends.
#[derive(Clone)]
pub(crate) struct Dns {
    pub(crate) address: SocketAddr,
    zone: Arc<Mutex<Zone>>,
}

#[derive(Default)]
struct Zone {
    names: HashMap<String, (Vec<IpAddr>, u32)>,
    mood: Mood,
    asked: Vec<(Instant, String, Family)>,
}

/// How it treats questions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Mood {
    #[default]
    Answers,
    /// Drops every question.
    Silent,
    /// Says SERVFAIL.
    Fails,
    /// Drops questions for IPv6 addresses.
    SilentOnV6,
    /// Answers after this many milliseconds.
    Slow(u64),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Family {
    V4,
    V6,
    Other,
}

impl Dns {
    pub(crate) fn start() -> Self {
        let (udp, tcp) = (0..50)
            .find_map(|_| {
                let udp = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
                let tcp = TcpListener::bind(udp.local_addr().unwrap()).ok()?;
                Some((udp, tcp))
            })
            .expect("a port that is free for UDP and TCP");
        let dns = Self { address: udp.local_addr().unwrap(), zone: Arc::default() };
        let zone = dns.zone.clone();
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok((length, from)) = udp.recv_from(&mut buffer) {
                let Some((answer, pause)) = answer(&zone, &buffer[..length], DATAGRAM) else { continue };
                let udp = udp.try_clone().unwrap();
                std::thread::spawn(move || {
                    std::thread::sleep(pause);
                    let _ = udp.send_to(&answer, from);
                });
            }
        });
        let zone = dns.zone.clone();
        std::thread::spawn(move || {
            for mut stream in tcp.incoming().flatten() {
                let zone = zone.clone();
                std::thread::spawn(move || {
                    let mut length = [0; 2];
                    while stream.read_exact(&mut length).is_ok() {
                        let mut question = vec![0; u16::from_be_bytes(length).into()];
                        if stream.read_exact(&mut question).is_err() {
                            return;
                        }
                        let Some((answer, pause)) = answer(&zone, &question, usize::from(u16::MAX)) else {
                            return;
                        };
                        std::thread::sleep(pause);
                        let length = u16::try_from(answer.len()).unwrap().to_be_bytes();
                        let _ = stream.write_all(&[&length[..], &answer].concat());
                    }
                });
            }
        });
        dns
    }

    /// The name has these addresses; an empty list is a name that exists without any.
    pub(crate) fn set(&self, name: &str, addresses: &[&str], ttl: u32) {
        let addresses = addresses.iter().map(|text| text.parse().unwrap()).collect();
        self.set_all(name, addresses, ttl);
    }

    pub(crate) fn set_all(&self, name: &str, addresses: Vec<IpAddr>, ttl: u32) {
        self.zone.lock().unwrap().names.insert(name.to_owned(), (addresses, ttl));
    }

    /// The name does not exist.
    pub(crate) fn remove(&self, name: &str) {
        self.zone.lock().unwrap().names.remove(name);
    }

    pub(crate) fn mood(&self, mood: Mood) {
        self.zone.lock().unwrap().mood = mood;
    }

    /// When the name's IPv4 addresses were asked for.
    pub(crate) fn asked(&self, name: &str) -> Vec<Instant> {
        let zone = self.zone.lock().unwrap();
        let of = zone.asked.iter().filter(|(_, asked, family)| asked == name && *family == Family::V4);
        of.map(|(when, ..)| *when).collect()
    }
}

/// The response and how long it takes; `None`: there is none.
fn answer(zone: &Mutex<Zone>, question: &[u8], room: usize) -> Option<(Vec<u8>, Duration)> {
    let mut zone = zone.lock().unwrap();
    let mut labels = Vec::new();
    let mut at = 12;
    loop {
        let length = usize::from(*question.get(at)?);
        at += 1;
        if length == 0 {
            break;
        }
        labels.push(String::from_utf8_lossy(question.get(at..at + length)?).to_ascii_lowercase());
        at += length;
    }
    let (name, end) = (labels.join("."), at + 4);
    let family = match question.get(at..at + 2)? {
        [0, 1] => Family::V4,
        [0, 28] => Family::V6,
        _ => Family::Other,
    };
    zone.asked.push((Instant::now(), name.clone(), family));
    let pause = match zone.mood {
        Mood::Silent => return None,
        Mood::SilentOnV6 if family == Family::V6 => return None,
        Mood::Slow(millis) => Duration::from_millis(millis),
        Mood::Answers | Mood::Fails | Mood::SilentOnV6 => Duration::ZERO,
    };
    let known = zone.names.get(&name).filter(|_| zone.mood != Mood::Fails);
    let code: u8 = match known {
        Some(_) => 0,
        None if zone.mood == Mood::Fails => 2,
        None => 3,
    };
    let mut records = Vec::new();
    let mut count: u16 = 0;
    for address in known.iter().flat_map(|(addresses, _)| addresses) {
        let (kind, data) = match (address, family) {
            (IpAddr::V4(address), Family::V4) => (1, address.octets().to_vec()),
            (IpAddr::V6(address), Family::V6) => (28, address.octets().to_vec()),
            _ => continue,
        };
        let ttl = known.map_or(0, |(_, ttl)| *ttl).to_be_bytes();
        // The name is the one at the question's place.
        records.extend([0xc0, 12, 0, kind, 0, 1]);
        records.extend(ttl);
        records.extend([0, u8::try_from(data.len()).unwrap()]);
        records.extend(data);
        count += 1;
    }
    let mut truncated = 0;
    if end + records.len() > room {
        (truncated, count) = (2, 0);
        records.clear();
    }
    let mut response = question.get(..2)?.to_vec();
    response.extend([0x85 | truncated, 0x80 | code, 0, 1]);
    response.extend(count.to_be_bytes());
    response.extend([0; 4]);
    response.extend(question.get(12..end)?);
    response.extend(records);
    Some((response, pause))
}
