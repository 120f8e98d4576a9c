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
use tokio::time::timeout;

/// For one review.
const REQUEST: Duration = Duration::from_secs(10);
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
        Self { api: Api::all(client), audience: audience.to_owned(), known: Mutex::default() }
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
        let answer = timeout(REQUEST, self.api.create(&PostParams::default(), &review))
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
