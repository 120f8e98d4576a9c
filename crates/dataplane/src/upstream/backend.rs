//! A backend as a worker sees it.

use std::{
    cell::{Cell, RefCell},
    net::SocketAddr,
    rc::{Rc, Weak},
    sync::Arc,
};

use lasthop_dataplane_api::{AppProtocol, BackendKey, FailureReason, UpstreamTlsPolicy};
use lasthop_tls_backends::UpstreamTls;

use super::{Endpoint, Want, revocation::Standing};
use crate::{metrics::BackendCounters, worker::NameStanding};

/// A backend. A changed one is another object: requests under way keep theirs.
pub(crate) struct UpstreamBackend {
    /// Its name.
    pub key: BackendKey,
    /// What the Service's port says it speaks.
    pub protocol: AppProtocol,
    /// Whether and how the hop is encrypted.
    pub hop: Hop,
    /// Whether its connections begin with a PROXY protocol header.
    pub proxy_protocol: bool,
    /// What it counts.
    pub counters: Arc<BackendCounters>,
    pub(super) endpoints: RefCell<Rc<[Rc<Endpoint>]>>,
    /// Endpoints that it had before; requests under way may still use them.
    pub(super) former: RefCell<Vec<Weak<Endpoint>>>,
    pub(super) standing: Cell<Standing>,
    retired: Cell<bool>,
    /// The same without TLS, for clients' own TLS that passes through.
    passed: RefCell<Option<Rc<UpstreamBackend>>>,
    /// The name that its endpoints are the addresses of, if there is one.
    name: RefCell<Option<Rc<NameStanding>>>,
    both_families: Cell<bool>,
}

/// Whether and how a hop is encrypted, compiled.
#[derive(Clone)]
pub(crate) enum Hop {
    /// Not, because nobody asked for it.
    Plaintext,
    /// As the policy says.
    Tls {
        /// The policy.
        policy: Arc<UpstreamTlsPolicy>,
        /// The policy as the TLS stack holds it.
        tls: Arc<dyn UpstreamTls>,
        /// What its `alpn` means for us.
        alpn: AlpnChoice,
    },
    /// It should be and cannot: no connection is made.
    Refused,
}

/// What a TLS policy's own list of protocols leaves to choose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AlpnChoice {
    /// No list: what the request needs is offered.
    ByRequest,
    /// The list decides; the peer's choice is taken.
    ByPolicy,
}

impl Hop {
    /// Whether nothing may be sent here but requests: the policy is refused, or asks for a bearer token with each of
    /// them.
    pub(crate) fn refuses_streams(&self) -> bool {
        match self {
            Self::Plaintext => false,
            Self::Tls { policy, .. } => policy.settings().bearer_token.is_some(),
            Self::Refused => true,
        }
    }
}

impl UpstreamBackend {
    /// A backend, as yet without endpoints.
    pub(crate) fn new(
        key: BackendKey,
        protocol: AppProtocol,
        hop: Hop,
        proxy_protocol: bool,
        counters: Arc<BackendCounters>,
    ) -> Self {
        Self {
            key,
            protocol,
            hop,
            proxy_protocol,
            counters,
            endpoints: RefCell::new(Rc::from([])),
            former: RefCell::default(),
            standing: Cell::default(),
            retired: Cell::new(false),
            passed: RefCell::default(),
            name: RefCell::default(),
            both_families: Cell::new(false),
        }
    }

    /// The same without TLS, as yet without endpoints; of its own, `true` if it is new.
    pub(crate) fn without_tls(&self) -> (Rc<UpstreamBackend>, bool) {
        let mut passed = self.passed.borrow_mut();
        if let Some(known) = &*passed {
            return (known.clone(), false);
        }
        let (key, counters) = (self.key.clone(), self.counters.clone());
        let new = Rc::new(Self::new(key, self.protocol, Hop::Plaintext, self.proxy_protocol, counters));
        *passed = Some(new.clone());
        (new, true)
    }

    /// The same without TLS, if somebody asked for it.
    pub(crate) fn passed(&self) -> Option<Rc<UpstreamBackend>> {
        self.passed.borrow().clone()
    }

    /// Replaces its endpoints. Those that are left without a backend close their pools.
    pub(crate) fn set_endpoints(&self, new: Rc<[Rc<Endpoint>]>) {
        new.iter().for_each(|endpoint| endpoint.enlist());
        let old = self.endpoints.replace(new);
        old.iter().for_each(|endpoint| endpoint.dismiss());
        let mut former = self.former.borrow_mut();
        former.retain(|endpoint| endpoint.strong_count() > 0);
        former.extend(old.iter().filter(|endpoint| !endpoint.is_used()).map(Rc::downgrade));
    }

    /// Its endpoints are, or are not, the addresses of a name.
    pub(crate) fn set_name(&self, name: Option<Rc<NameStanding>>) {
        let endpoints = self.endpoints.borrow();
        let is_v4 = |endpoint: &Rc<Endpoint>| endpoint.address.is_ipv4();
        let both = endpoints.iter().any(is_v4) && !endpoints.iter().all(is_v4);
        self.both_families.set(name.is_some() && both);
        self.name.replace(name);
    }

    /// Whether it has a name with addresses of both families: then they race (RFC 8305).
    pub(crate) fn races(&self) -> bool {
        self.both_families.get()
    }

    /// The name that nothing is known of yet: requests wait for the first answer.
    pub(crate) fn awaited(&self) -> Option<Rc<NameStanding>> {
        self.name.borrow().clone().filter(|name| name.is_pending())
    }

    /// Whether it was replaced before its name was answered for: its successor has the endpoints.
    pub(crate) fn is_forsaken(&self) -> bool {
        self.retired.get() && self.endpoints.borrow().is_empty() && self.name.borrow().is_some()
    }

    /// Why it has no endpoint.
    pub(crate) fn without_endpoint(&self) -> FailureReason {
        match *self.name.borrow() {
            Some(_) => FailureReason::NameNotResolved,
            None => FailureReason::NoEndpoint,
        }
    }

    /// Whether an endpoint is among its own.
    pub(crate) fn has(&self, endpoint: &Endpoint) -> bool {
        self.endpoints.borrow().iter().any(|own| std::ptr::eq(&**own, endpoint))
    }

    /// It is replaced: it needs its endpoints for requests under way only, which keep what they hold.
    pub(crate) fn retire(&self) {
        if !self.retired.replace(true) {
            self.endpoints.borrow().iter().for_each(|endpoint| endpoint.dismiss());
            self.passed.borrow().iter().for_each(|passed| passed.retire());
        }
    }

    /// The version to ask for; `http2`: the request can be carried by no other.
    pub(crate) fn want(&self, http2: bool, upgrade: bool) -> Want {
        if upgrade {
            return Want::Http1;
        }
        if http2 {
            return Want::Http2;
        }
        match (self.protocol, &self.hop) {
            (AppProtocol::H2c, _) => Want::Http2,
            (AppProtocol::Unspecified, Hop::Tls { alpn: AlpnChoice::ByPolicy, .. }) => Want::Negotiated,
            (AppProtocol::Unspecified | AppProtocol::WebSocket | AppProtocol::WebSocketTls, _) => Want::Http1,
        }
    }

    /// The endpoint at an address, if it is there and has not failed lately.
    pub(crate) fn at(&self, address: SocketAddr) -> Option<Rc<Endpoint>> {
        let endpoints = self.endpoints.borrow();
        endpoints.iter().find(|endpoint| endpoint.address == address && endpoint.is_up()).cloned()
    }

    /// As [`pick`](Self::pick), of the other family than the last one if there is such a one that has not failed lately.
    pub(crate) fn pick_across(&self, tried: &[SocketAddr], last: SocketAddr) -> Option<Rc<Endpoint>> {
        let endpoints = self.endpoints.borrow();
        let mut across = endpoints.iter().filter(|endpoint| {
            endpoint.address.is_ipv4() != last.is_ipv4()
                && endpoint.is_up()
                && !tried.contains(&endpoint.address)
        });
        across.next().cloned().or_else(|| self.pick(tried))
    }

    /// An endpoint for the next attempt: of two random ones that with fewer requests under way; one that failed
    /// lately only if there is no other. `None`: none is left beside those tried.
    pub(crate) fn pick(&self, tried: &[SocketAddr]) -> Option<Rc<Endpoint>> {
        let endpoints = self.endpoints.borrow();
        let count = endpoints.len();
        if count == 1 {
            return endpoints.first().filter(|endpoint| !tried.contains(&endpoint.address)).cloned();
        }
        let random = || endpoints.get(fastrand::usize(..count.max(1)));
        let fit = |endpoint: &&Rc<Endpoint>| endpoint.is_up() && !tried.contains(&endpoint.address);
        let chosen = match (random().filter(fit), random().filter(fit)) {
            (Some(a), Some(b)) => Some(if b.in_flight() < a.in_flight() { b } else { a }),
            (Some(one), None) | (None, Some(one)) => Some(one),
            (None, None) => {
                let start = fastrand::usize(..count.max(1));
                let from = |i: usize| endpoints.get((start + i) % count);
                (0..count)
                    .filter_map(from)
                    .find(fit)
                    // All are down as far as we know: then anyone may be up again.
                    .or_else(|| (0..count).filter_map(from).find(|e| !tried.contains(&e.address)))
            }
        };
        chosen.cloned()
    }
}
