//! Following the objects of one kind.

use std::time::Duration;

use futures_util::{Stream, StreamExt as _};
use kube::{
    Api, Client,
    core::{ApiResource, DynamicObject, ObjectMeta, PartialObjectMeta},
    runtime::watcher,
};
use serde_json::{Map, Value};
use tokio::{sync::mpsc, time::sleep};

use super::watched::Watched;

/// The first pause after a failure; it doubles up to [`LONGEST`].
const SHORTEST: Duration = Duration::from_millis(200);
const LONGEST: Duration = Duration::from_secs(5);
/// How often a kind that is not there, or that we may not read, is asked for again.
const AGAIN: Duration = Duration::from_secs(5);
/// How long the API server keeps one watch open, in seconds. A connection that died unnoticed is noticed then.
const WATCH: u32 = 120;

/// What a watch saw.
#[derive(Debug)]
pub(super) enum Seen {
    /// These are all objects.
    All(Vec<Value>),
    /// This one is new or changed.
    Put(Value),
    /// This one is gone.
    Gone(Value),
    /// Nothing, because of this.
    Trouble(Trouble),
}

/// Why nothing is seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Trouble {
    /// The API server does not know the kind.
    Missing,
    /// We may not read it; what the API server said.
    Forbidden(String),
    /// The API server does not answer as it should.
    Unreachable(String),
}

/// What a watch saw, with the version it reads.
#[derive(Debug)]
pub(super) struct Message {
    /// The watch's place in the list.
    pub watch: usize,
    /// The version of the objects.
    pub version: &'static str,
    pub seen: Seen,
}

/// Follows the objects until nobody listens any more.
pub(super) async fn follow(client: Client, watch: usize, watched: Watched, out: mpsc::Sender<Message>) {
    loop {
        let mut is_missing = true;
        for (version, resource) in &watched.resources {
            let teller = Teller { watch, version, watched: &watched, out: &out };
            let told = if watched.metadata_only {
                let api: Api<PartialObjectMeta<DynamicObject>> = Api::all_with(client.clone(), resource);
                let seen = watcher(api, config(&watched));
                teller.tell(seen, |object| with_metadata(Value::Object(Map::new()), object.metadata)).await
            } else {
                let api: Api<DynamicObject> = Api::all_with(client.clone(), resource);
                let seen = watcher(api, config(&watched));
                teller.tell(seen, |object| with_metadata(object.data, object.metadata)).await
            };
            match told {
                Ok(Ended::Missing) => {}
                Ok(Ended::Forbidden) => {
                    is_missing = false;
                    break;
                }
                Err(Unheard) => return,
            }
        }
        if !is_missing {
            continue;
        }
        // None of the versions is there.
        let Some((version, _)) = watched.resources.first() else { return };
        let missing = Message { watch, version, seen: Seen::Trouble(Trouble::Missing) };
        if out.send(missing).await.is_err() {
            return;
        }
        sleep(AGAIN).await;
    }
}

fn config(watched: &Watched) -> watcher::Config {
    let mut config = watcher::Config::default().timeout(WATCH);
    config.field_selector = watched.fields.clone();
    config.label_selector = watched.labels.clone();
    config
}

fn with_metadata(mut object: Value, mut metadata: ObjectMeta) -> Value {
    metadata.managed_fields = None;
    if let (Some(object), Ok(metadata)) = (object.as_object_mut(), serde_json::to_value(metadata)) {
        object.insert("metadata".to_owned(), metadata);
    }
    object
}

/// Nobody listens any more.
struct Unheard;

/// Why a stream is not followed any further.
enum Ended {
    /// The kind is not there.
    Missing,
    /// It may not be read. When it may again, a stream of before would not say so: everything is listed anew.
    Forbidden,
}

struct Teller<'a> {
    watch: usize,
    version: &'static str,
    watched: &'a Watched,
    out: &'a mpsc::Sender<Message>,
}

impl Teller<'_> {
    async fn say(&self, seen: Seen) -> Result<(), Unheard> {
        let message = Message { watch: self.watch, version: self.version, seen };
        self.out.send(message).await.map_err(|_| Unheard)
    }

    /// Tells what a stream sees until the kind turns out not to be there, or not to be for us.
    async fn tell<T>(
        &self,
        seen: impl Stream<Item = watcher::Result<watcher::Event<T>>>,
        json: impl Fn(T) -> Value,
    ) -> Result<Ended, Unheard> {
        let mut seen = std::pin::pin!(seen);
        let mut pause = SHORTEST;
        let mut all = Vec::new();
        while let Some(event) = seen.next().await {
            let event = match event {
                Ok(event) => event,
                Err(error) => match classify(&error) {
                    Failure::Outdated => continue,
                    Failure::Trouble(Trouble::Missing) => return Ok(Ended::Missing),
                    Failure::Trouble(trouble) => {
                        let is_forbidden = matches!(trouble, Trouble::Forbidden(_));
                        self.say(Seen::Trouble(trouble)).await?;
                        if is_forbidden {
                            sleep(jittered(AGAIN)).await;
                            return Ok(Ended::Forbidden);
                        }
                        sleep(jittered(pause)).await;
                        pause = (pause * 2).min(LONGEST);
                        continue;
                    }
                },
            };
            // That a list is begun is no answer yet.
            if !matches!(event, watcher::Event::Init) {
                pause = SHORTEST;
            }
            match event {
                watcher::Event::Init => all.clear(),
                watcher::Event::InitApply(object) => {
                    let object = json(object);
                    // A cluster may have many ConfigMaps, and few of them with certificates.
                    if self.watched.is_of_interest(&object) {
                        all.push(object);
                    }
                }
                watcher::Event::InitDone => self.say(Seen::All(std::mem::take(&mut all))).await?,
                watcher::Event::Apply(object) => self.say(Seen::Put(json(object))).await?,
                watcher::Event::Delete(object) => self.say(Seen::Gone(json(object))).await?,
            }
        }
        Ok(Ended::Missing)
    }
}

/// So that many watches do not come back in the same moment.
fn jittered(pause: Duration) -> Duration {
    pause.mul_f64(0.75 + fastrand::f64() / 2.0)
}

enum Failure {
    /// The watch fell too far behind; everything is listed anew.
    Outdated,
    Trouble(Trouble),
}

fn classify(error: &watcher::Error) -> Failure {
    let status = match error {
        watcher::Error::InitialListFailed(kube::Error::Api(status))
        | watcher::Error::WatchStartFailed(kube::Error::Api(status))
        | watcher::Error::WatchFailed(kube::Error::Api(status))
        | watcher::Error::WatchError(status) => Some((status.code, status.message.clone())),
        _ => None,
    };
    Failure::Trouble(match status {
        Some((410, _)) => return Failure::Outdated,
        Some((404 | 405, _)) => Trouble::Missing,
        Some((401 | 403, message)) => Trouble::Forbidden(message),
        Some((_, message)) => Trouble::Unreachable(message),
        None => Trouble::Unreachable(whole(error)),
    })
}

/// An error with what is below it.
fn whole(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut below = error.source();
    while let Some(cause) = below {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        below = cause.source();
    }
    text
}

/// What the API server is to be asked for, for those who ask outside a watch.
pub(crate) fn api(client: &Client, resource: &ApiResource, namespace: &str) -> Api<DynamicObject> {
    if namespace.is_empty() {
        Api::all_with(client.clone(), resource)
    } else {
        Api::namespaced_with(client.clone(), namespace, resource)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    };

    use serde_json::json;
    use tokio::time::timeout;

    use super::*;
    use crate::{played, source::watched::everything};

    #[tokio::test]
    async fn what_may_be_read_again_is_listed_again() {
        // The watch that follows the list is forbidden, once.
        let watches = Arc::new(AtomicU32::new(0));
        let client = played::client(move |request| {
            let is_watch = request.uri().query().is_some_and(|query| query.contains("watch=true"));
            let is_first = is_watch && watches.fetch_add(1, Ordering::SeqCst) == 0;
            async move {
                let status = json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": 403,
                    "message": "not you", "reason": "Forbidden"});
                let list = json!({"kind": "ServiceList", "apiVersion": "v1", "metadata": {"resourceVersion": "7"},
                    "items": []});
                match (is_watch, is_first) {
                    (true, true) => played::answer(403, &status),
                    (true, false) => std::future::pending().await,
                    (false, _) => played::answer(200, &list),
                }
            }
        });
        let services =
            everything("us").into_iter().find(|watched| watched.to_string() == "services").unwrap();
        let (sender, mut messages) = mpsc::channel(8);
        let following = tokio::spawn(follow(client, 0, services, sender));
        let mut next = async || timeout(2 * AGAIN, messages.recv()).await.unwrap().unwrap().seen;
        assert!(matches!(next().await, Seen::All(_)));
        assert!(matches!(next().await, Seen::Trouble(Trouble::Forbidden(_))));
        // A stream that went on would say nothing until something changes.
        assert!(matches!(next().await, Seen::All(_)));
        following.abort();
    }
}
