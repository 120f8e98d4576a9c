//! Backends and their TLS policies, compiled once for all workers.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
};

use lasthop_dataplane_api::{
    Backend, BackendKey, BackendTls, Changes, PolicyId, Refusal, Snapshot, UpstreamTlsPolicy,
};
use lasthop_tls_backends::{TlsBackend, UpstreamTls};

use crate::worker::{BackendPlan, HopPlan};

/// The TLS policies in force. One that leaves and comes back has lost its sessions.
#[derive(Default)]
pub(super) struct Policies(HashMap<PolicyId, Arc<dyn UpstreamTls>>);

impl Policies {
    /// Compiles the changed backends. Those whose policy the stack cannot honour are refused.
    pub(super) fn compile(
        &mut self,
        stack: &dyn TlsBackend,
        changes: &Changes<BackendKey, Backend>,
        snapshot: &Snapshot,
        refused: &mut Vec<(BackendKey, Refusal)>,
    ) -> Vec<(BackendKey, Option<BackendPlan>)> {
        let mut plans = Vec::with_capacity(changes.0.len());
        for (key, backend) in &changes.0 {
            let plan = backend.as_ref().map(|backend| {
                let hop = match &backend.tls {
                    BackendTls::Plaintext(_) => HopPlan::Plaintext,
                    BackendTls::Refused(_) => HopPlan::Refused,
                    BackendTls::Policy(policy) => match self.policy(stack, policy) {
                        Ok(tls) => HopPlan::Tls { policy: policy.clone(), tls },
                        Err(refusal) => {
                            tracing::warn!(backend = %key, policy = %refusal.policy, message = %refusal.message,
                                "the TLS policy cannot be honoured; its requests get 502");
                            refused.push((key.clone(), refusal));
                            HopPlan::Refused
                        }
                    },
                };
                BackendPlan { protocol: backend.protocol, hop }
            });
            plans.push((key.clone(), plan));
        }
        if !changes.0.is_empty() {
            let in_force: BTreeSet<PolicyId> = snapshot
                .backends
                .values()
                .filter_map(|backend| match &backend.tls {
                    BackendTls::Policy(policy) => Some(policy.id()),
                    BackendTls::Plaintext(_) | BackendTls::Refused(_) => None,
                })
                .collect();
            self.0.retain(|id, _| in_force.contains(id));
        }
        plans
    }

    fn policy(
        &mut self,
        stack: &dyn TlsBackend,
        policy: &Arc<UpstreamTlsPolicy>,
    ) -> Result<Arc<dyn UpstreamTls>, Refusal> {
        if let Some(tls) = self.0.get(&policy.id()) {
            return Ok(tls.clone());
        }
        let tls = stack.upstream(policy).map_err(|error| Refusal {
            reason: Arc::from("Invalid"),
            message: Arc::from(error.to_string()),
            policy: policy.source.clone(),
        })?;
        self.0.insert(policy.id(), tls.clone());
        Ok(tls)
    }
}
