//! Backends and their TLS policies, compiled once for all workers.

use std::{
    collections::{HashMap, hash_map::Entry},
    sync::Arc,
};

use lasthop_dataplane_api::{Backend, BackendKey, BackendTls, Changes, PolicyId, Refusal, UpstreamTlsPolicy};
use lasthop_tls_backends::{TlsBackend, UpstreamTls};

use crate::worker::{BackendPlan, HopPlan};

/// The TLS policies in force. One that leaves and comes back has lost its sessions.
#[derive(Default)]
pub(super) struct Policies {
    compiled: HashMap<PolicyId, Compiled>,
    of: HashMap<BackendKey, PolicyId>,
    /// The policies of backends that are or should be encrypted, as `namespace/name`.
    named: HashMap<BackendKey, Arc<str>>,
}

struct Compiled {
    tls: Arc<dyn UpstreamTls>,
    /// Backends that have it.
    backends: usize,
}

impl Policies {
    /// Compiles the changed backends. Those whose policy the stack cannot honour are refused.
    pub(super) fn compile(
        &mut self,
        stack: &dyn TlsBackend,
        changes: &Changes<BackendKey, Backend>,
        refused: &mut Vec<(BackendKey, Refusal)>,
    ) -> Vec<(BackendKey, Option<BackendPlan>)> {
        let mut left = Vec::new();
        let mut plans = Vec::with_capacity(changes.0.len());
        for (key, backend) in &changes.0 {
            left.extend(self.of.remove(key));
            self.note_protection(key, backend.as_deref());
            let plan = backend.as_ref().map(|backend| {
                let hop = match &backend.tls {
                    BackendTls::Plaintext(_) => HopPlan::Plaintext,
                    BackendTls::Refused(_) => HopPlan::Refused,
                    BackendTls::Policy(policy) => match self.enlist(stack, key, policy) {
                        Ok(tls) => HopPlan::Tls { policy: policy.clone(), tls },
                        Err(refusal) => {
                            tracing::warn!(backend = %key, policy = %refusal.policy, message = %refusal.message,
                                "the TLS policy cannot be honoured; its requests get 502");
                            refused.push((key.clone(), refusal));
                            HopPlan::Refused
                        }
                    },
                };
                BackendPlan { protocol: backend.protocol, hop, proxy_protocol: backend.proxy_protocol }
            });
            plans.push((key.clone(), plan));
        }
        // Last, so that a policy that moves from one backend to another keeps its sessions.
        left.iter().for_each(|id| self.dismiss(id));
        plans
    }

    /// Nothing goes over to plaintext without a word. That is what removing a policy asks for; it may still be a
    /// mistake.
    fn note_protection(&mut self, key: &BackendKey, backend: Option<&Backend>) {
        let now = match backend.map(|backend| &backend.tls) {
            Some(BackendTls::Policy(policy)) => Some(policy.source.clone()),
            Some(BackendTls::Refused(refusal)) => Some(refusal.policy.clone()),
            Some(BackendTls::Plaintext(_)) | None => None,
        };
        let before = match now {
            Some(now) => self.named.insert(key.clone(), now),
            None => self.named.remove(key),
        };
        if let (Some(policy), Some(Backend { tls: BackendTls::Plaintext(_), .. })) = (before, backend) {
            tracing::warn!(backend = %key, policy = %policy,
                "the backend has lost its TLS policy: from now on it is spoken to in plaintext, unverified");
        }
    }

    fn enlist(
        &mut self,
        stack: &dyn TlsBackend,
        key: &BackendKey,
        policy: &Arc<UpstreamTlsPolicy>,
    ) -> Result<Arc<dyn UpstreamTls>, Refusal> {
        let compiled = match self.compiled.entry(policy.id()) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(place) => {
                let tls = stack.upstream(policy).map_err(|error| Refusal {
                    reason: Arc::from("Invalid"),
                    message: Arc::from(error.to_string()),
                    policy: policy.source.clone(),
                })?;
                place.insert(Compiled { tls, backends: 0 })
            }
        };
        compiled.backends += 1;
        self.of.insert(key.clone(), policy.id());
        Ok(compiled.tls.clone())
    }

    fn dismiss(&mut self, id: &PolicyId) {
        if let Some(compiled) = self.compiled.get_mut(id) {
            compiled.backends -= 1;
            if compiled.backends == 0 {
                self.compiled.remove(id);
            }
        }
    }
}

#[cfg(test)]
mod tests;
