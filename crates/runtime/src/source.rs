//! Where resources come from.

pub mod folder;
mod problem;

use async_trait::async_trait;
use lasthop_api_model::{Resource, ResourceKey};

pub use problem::{InForce, Problem, ProblemClass};

/// What changed at a source.
#[derive(Clone, Debug, Default)]
pub struct SourceEvent {
    /// Objects that are new or changed.
    pub applied: Vec<Resource>,
    /// Objects that are gone.
    pub removed: Vec<ResourceKey>,
    /// Everything that is wrong at the source now, if that changed.
    pub problems: Option<Vec<Problem>>,
    /// Whether a source that cannot tell everything yet says only what statuses are written from, such as GatewayClasses:
    /// nothing to serve is in it, and nothing may be concluded from what is not.
    pub is_partial: bool,
}

/// Keeps telling what there is. The first event that is not partial holds everything, but for what came before it.
#[async_trait]
pub trait Source: Send {
    /// Waits for the next change. `None`: there will be no more.
    async fn next(&mut self) -> Option<SourceEvent>;
}

impl SourceEvent {
    /// Whether it says nothing.
    pub fn is_empty(&self) -> bool {
        self.applied.is_empty() && self.removed.is_empty() && self.problems.is_none()
    }

    /// Adds what came later.
    pub fn absorb(&mut self, later: Self) {
        // An object may be in both lists: applied, then removed, or the other way round. Only the last word counts.
        let keys: std::collections::HashSet<ResourceKey> =
            later.removed.iter().cloned().chain(later.applied.iter().map(Resource::key)).collect();
        self.applied.retain(|object| !keys.contains(&object.key()));
        self.removed.retain(|key| !keys.contains(key));
        self.applied.extend(later.applied);
        self.removed.extend(later.removed);
        self.problems = later.problems.or(self.problems.take());
        self.is_partial &= later.is_partial;
    }
}

#[cfg(test)]
mod tests {
    use lasthop_api_model::Service;

    use super::*;

    fn service(name: &str) -> Resource {
        let mut service = Service::default();
        service.metadata.name = Some(name.to_owned());
        service.into()
    }

    #[test]
    fn the_last_word_about_an_object_counts() {
        let mut event = SourceEvent {
            applied: vec![service("a"), service("b")],
            removed: vec![service("c").key()],
            problems: Some(Vec::new()),
            is_partial: true,
        };
        event.absorb(SourceEvent {
            applied: vec![service("c")],
            removed: vec![service("a").key()],
            ..SourceEvent::default()
        });
        let names: Vec<String> = event.applied.iter().map(|object| object.key().name).collect();
        assert_eq!(names, ["b", "c"]);
        assert_eq!(event.removed, [service("a").key()]);
        assert!(event.problems.is_some());
        assert!(!event.is_partial, "the later one holds everything");
    }
}
