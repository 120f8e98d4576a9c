//! Whose token somebody shows.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use k8s_openapi::api::authentication::v1::{TokenReview, TokenReviewSpec};
use kube::{Api, Client, api::PostParams};
use lasthop_api_model::ObjectMeta;
use lasthop_dataplane_api::ObjectName;
use tokio::{sync::Semaphore, time::timeout};

/// For one review.
const REQUEST: Duration = Duration::from_secs(10);
/// So many reviews are under way at once; who comes then waits, within its time.
const AT_ONCE: usize = 32;
/// How long an answer holds, so that a proxy that comes back often does not cost a request each time.
const HOLDS: Duration = Duration::from_secs(60);
/// How many answers are kept.
const KEPT: usize = 4096;
/// How the API server calls a service account.
const ACCOUNT: &str = "system:serviceaccount:";

/// Asks the API server whose a token is.
pub struct TokenReviews {
    api: Api<TokenReview>,
    audience: String,
    slots: Semaphore,
    known: Mutex<HashMap<String, (ObjectName, Instant)>>,
}

/// Why it is not known whose a token is.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// It is nobody's: expired, of another audience, or made up.
    #[error("{0}")]
    Refused(String),
    /// The API server could not be asked.
    #[error("{0}")]
    Unavailable(String),
}

impl TokenReviews {
    /// Takes tokens of this audience.
    pub fn new(client: Client, audience: &str) -> Self {
        Self {
            api: Api::all(client),
            audience: audience.to_owned(),
            slots: Semaphore::new(AT_ONCE),
            known: Mutex::default(),
        }
    }

    /// The service account, as namespace and name, that the token was issued to.
    ///
    /// # Errors
    /// A token that is nobody's, or nobody who could tell.
    pub async fn account_of(&self, token: &str) -> Result<ObjectName, TokenError> {
        if let Some(known) = self.remembered(token) {
            return Ok(known);
        }
        let review = TokenReview {
            metadata: ObjectMeta::default(),
            spec: TokenReviewSpec { token: token.to_owned(), audiences: Some(vec![self.audience.clone()]) },
            status: None,
        };
        let unavailable = |why: String| TokenError::Unavailable(why);
        let asked = async {
            // Never closed.
            let _slot = self.slots.acquire().await;
            self.api.create(&PostParams::default(), &review).await
        };
        let answer = timeout(REQUEST, asked)
            .await
            .map_err(|_| unavailable("the API server did not answer in time".to_owned()))?
            // What was sent is not repeated.
            .map_err(|error| match error {
                kube::Error::Api(status) => unavailable(status.message),
                _ => unavailable("the API server cannot be reached".to_owned()),
            })?;
        let status = answer.status.unwrap_or_default();
        let fits = status.audiences.unwrap_or_default().contains(&self.audience);
        if status.authenticated != Some(true) || !fits {
            let why = status.error.unwrap_or_else(|| format!("it is not of the audience {}", self.audience));
            return Err(TokenError::Refused(why));
        }
        let user = status.user.and_then(|user| user.username).unwrap_or_default();
        let Some((namespace, name)) = user.strip_prefix(ACCOUNT).and_then(|account| account.split_once(':'))
        else {
            return Err(TokenError::Refused(format!("{user} is no service account")));
        };
        let account = ObjectName::new(namespace, name);
        self.remember(token, &account);
        Ok(account)
    }

    fn remembered(&self, token: &str) -> Option<ObjectName> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(token).filter(|(_, since)| since.elapsed() < HOLDS).map(|(account, _)| account.clone())
    }

    fn remember(&self, token: &str, account: &ObjectName) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= KEPT {
            known.retain(|_, (_, since)| since.elapsed() < HOLDS);
        }
        if known.len() < KEPT {
            known.insert(token.to_owned(), (account.clone(), Instant::now()));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    };

    use futures_util::future::join_all;
    use serde_json::json;
    use tokio::time::sleep;

    use super::*;
    use crate::played;

    #[tokio::test]
    async fn only_so_many_are_asked_for_at_once_and_all_in_the_end() {
        let (asked, answers) = (Arc::new(AtomicUsize::new(0)), Arc::new(Semaphore::new(0)));
        let (counted, gate) = (asked.clone(), answers.clone());
        let reviews = TokenReviews::new(
            played::client(move |_| {
                counted.fetch_add(1, Ordering::SeqCst);
                let gate = gate.clone();
                async move {
                    gate.acquire().await.unwrap().forget();
                    played::answer(201, &json!({"spec": {"token": ""}, "status": {"error": "made up"}}))
                }
            }),
            "audience",
        );
        let tokens: Vec<String> = (0..AT_ONCE + 8).map(|number| number.to_string()).collect();
        let all = join_all(tokens.iter().map(|token| reviews.account_of(token)));
        let hold = async {
            while asked.load(Ordering::SeqCst) < AT_ONCE {
                sleep(Duration::from_millis(5)).await;
            }
            // If there were more, they would be on their way, too.
            sleep(Duration::from_millis(200)).await;
            assert_eq!(asked.load(Ordering::SeqCst), AT_ONCE);
            answers.add_permits(tokens.len());
        };
        let (all, ()) = tokio::join!(all, hold);
        assert!(
            all.iter().all(|answer| *answer == Err(TokenError::Refused("made up".to_owned()))),
            "{all:?}"
        );
        assert_eq!(asked.load(Ordering::SeqCst), tokens.len());
    }
}
