//! The link to the proxies: the Secret with its CA and with what clients' sessions are sealed with, its certificate, and
//! whose tokens it takes.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use async_trait::async_trait;
use lasthop_dataplane_api::{ObjectName, SessionSecret};
use lasthop_k8s_adapter::{
    infrastructure::Template,
    own_secret::{Content, OwnSecret, OwnSecretError},
    tokens::{TokenError, TokenReviews},
};
use lasthop_tls_verify::CertifiedKey;
use lasthop_xds::{
    AuthenticationError, Authenticator, Authority, AuthorityError, LinkTlsError, Server, ServingTls,
    renewal_is_due, session_master,
};
use tokio::{
    sync::watch,
    time::{sleep, timeout},
};

/// How often the CA is looked at.
const LOOK: Duration = Duration::from_secs(300);
/// After a failure.
const AGAIN: Duration = Duration::from_secs(5);
/// So often another replica may be faster.
const RACES: usize = 5;
/// Where the Secret has what clients' sessions are sealed with.
const SESSIONS: &str = "sessions.key";

/// Why the link cannot be served.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LinkError {
    #[error(transparent)]
    Secret(#[from] OwnSecretError),
    #[error(transparent)]
    Authority(#[from] AuthorityError),
    #[error(transparent)]
    Tls(#[from] LinkTlsError),
    #[error("the link's CA: other replicas write its Secret all the time")]
    Races,
    #[error("the key of clients' sessions cannot be made: the operating system gives no randomness")]
    NoRandomness,
}

/// What the Secret holds.
struct Kept {
    authority: Authority,
    sessions: SessionSecret,
}

impl Kept {
    /// What is there, with everything done that is due; whether it has to be written.
    fn of(content: Option<&Content>) -> Result<(Self, bool), LinkError> {
        let now = SystemTime::now();
        let (authority, stepped) = match content {
            None => (Authority::new(now)?, true),
            Some(content) => {
                let mut authority = Authority::from_secret(content)?;
                let stepped = authority.step(now)?;
                (authority, stepped)
            }
        };
        let sessions = content.and_then(|content| content.get(SESSIONS));
        let sessions = sessions.and_then(|bytes| bytes.as_slice().try_into().ok()).map(SessionSecret::new);
        let made = sessions.is_none();
        let sessions = sessions.or_else(session_master).ok_or(LinkError::NoRandomness)?;
        Ok((Self { authority, sessions }, stepped || made))
    }

    fn to_secret(&self) -> Content {
        let mut content = self.authority.to_secret();
        content.insert(SESSIONS.to_owned(), self.sessions.bytes().to_vec());
        content
    }
}

/// The link's CA, and the certificate that is served with.
pub(crate) struct LinkAuthority {
    secret: OwnSecret,
    kept: Kept,
    serving: CertifiedKey,
    tls: ServingTls,
}

impl LinkAuthority {
    /// The CA of the Secret, or a new one.
    pub(crate) async fn load(secret: OwnSecret) -> Result<Self, LinkError> {
        let kept = current(&secret).await?;
        let serving = kept.authority.issue(SystemTime::now())?;
        let tls = ServingTls::new(&serving)?;
        Ok(Self { secret, kept, serving, tls })
    }

    /// Tries until it is there: without it no proxy can be told anything.
    pub(crate) async fn load_in_time(secret: impl Fn() -> OwnSecret) -> Self {
        loop {
            match Self::load(secret()).await {
                Ok(authority) => return authority,
                Err(error) => {
                    tracing::error!("no proxy can be told anything yet: {error}");
                    sleep(AGAIN).await;
                }
            }
        }
    }

    /// What to serve with.
    pub(crate) fn tls(&self) -> ServingTls {
        self.tls.clone()
    }

    /// What proxies are to trust.
    pub(crate) fn bundle(&self) -> String {
        self.kept.authority.bundle()
    }

    /// What clients' sessions are sealed with.
    pub(crate) fn sessions(&self) -> SessionSecret {
        self.kept.sessions.clone()
    }

    /// Follows the Secret, and does what is due.
    pub(crate) async fn follow(mut self, template: watch::Sender<Template>, server: Server) {
        let mut pause = LOOK;
        loop {
            // Ends with the process, or with whoever follows the template.
            if timeout(pause, template.closed()).await.is_ok() {
                return;
            }
            pause = match self.look(&template, &server).await {
                Ok(()) => LOOK,
                Err(error) => {
                    tracing::error!("the link goes on with the certificate it has: {error}");
                    AGAIN
                }
            };
        }
    }

    async fn look(&mut self, template: &watch::Sender<Template>, server: &Server) -> Result<(), LinkError> {
        let kept = current(&self.secret).await?;
        let now = SystemTime::now();
        server.share_sessions(kept.sessions.clone());
        if kept.authority == self.kept.authority && !renewal_is_due(&self.serving, now) {
            self.kept = kept;
            return Ok(());
        }
        let serving = kept.authority.issue(now)?;
        self.tls.replace(&serving)?;
        let bundle = kept.authority.bundle();
        (self.kept, self.serving) = (kept, serving);
        template.send_if_modified(|template| {
            let changed = template.link_ca != bundle;
            template.link_ca = bundle;
            changed
        });
        tracing::info!("the link serves with a new certificate");
        Ok(())
    }
}

/// The content of the Secret with everything done that is due; any replica may do it.
async fn current(secret: &OwnSecret) -> Result<Kept, LinkError> {
    for _ in 0..RACES {
        let found = secret.read().await?;
        let (kept, is_new) = Kept::of(found.as_ref().map(|(content, _)| content))?;
        let in_place_of = found.as_ref().map(|(_, version)| version.as_str());
        if !is_new || secret.write(&kept.to_secret(), in_place_of).await? {
            return Ok(kept);
        }
    }
    Err(LinkError::Races)
}

/// Takes the tokens that the API server knows.
pub(crate) struct Tokens(pub(crate) TokenReviews);

#[async_trait]
impl Authenticator for Tokens {
    async fn authenticate(&self, token: &str) -> Result<ObjectName, AuthenticationError> {
        self.0.account_of(token).await.map_err(|error| match error {
            TokenError::Refused(why) => AuthenticationError::Refused(why),
            TokenError::Unavailable(why) => AuthenticationError::Unavailable(why),
        })
    }
}

/// The account that a Gateway's proxies run under.
pub(crate) fn account_of() -> Arc<dyn Fn(&ObjectName) -> ObjectName + Send + Sync> {
    Arc::new(|gateway| {
        let account = lasthop_k8s_adapter::infrastructure::placed(gateway);
        ObjectName::new(gateway.namespace.clone(), account)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_made_once_is_kept() {
        let (made, is_new) = Kept::of(None).unwrap();
        assert!(is_new);
        let content = made.to_secret();
        let (kept, is_new) = Kept::of(Some(&content)).unwrap();
        assert!(!is_new && kept.authority == made.authority && kept.sessions == made.sessions);
        // The Secret of an older version has none, and what is no key is none.
        for sessions in [None, Some(b"short".to_vec())] {
            let mut content = content.clone();
            content.remove(SESSIONS);
            content.extend(sessions.map(|bytes| (SESSIONS.to_owned(), bytes)));
            let (kept, is_new) = Kept::of(Some(&content)).unwrap();
            assert!(is_new && kept.authority == made.authority && kept.sessions != made.sessions);
        }
    }
}
