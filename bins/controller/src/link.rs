//! The link to the proxies: its CA in a Secret, its certificate, and whose tokens it takes.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use async_trait::async_trait;
use lasthop_dataplane_api::ObjectName;
use lasthop_k8s_adapter::{
    infrastructure::Template,
    own_secret::{OwnSecret, OwnSecretError},
    tokens::{TokenError, TokenReviews},
};
use lasthop_tls_verify::CertifiedKey;
use lasthop_xds::{
    AuthenticationError, Authenticator, Authority, AuthorityError, LinkTlsError, ServingTls, renewal_is_due,
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
}

/// The link's CA, and the certificate that is served with.
pub(crate) struct LinkAuthority {
    secret: OwnSecret,
    authority: Authority,
    serving: CertifiedKey,
    tls: ServingTls,
}

impl LinkAuthority {
    /// The CA of the Secret, or a new one.
    pub(crate) async fn load(secret: OwnSecret) -> Result<Self, LinkError> {
        let authority = current(&secret).await?;
        let serving = authority.issue(SystemTime::now())?;
        let tls = ServingTls::new(&serving)?;
        Ok(Self { secret, authority, serving, tls })
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
        self.authority.bundle()
    }

    /// Follows the Secret, and does what is due.
    pub(crate) async fn follow(mut self, template: watch::Sender<Template>) {
        let mut pause = LOOK;
        loop {
            // Ends with the process, or with whoever follows the template.
            if timeout(pause, template.closed()).await.is_ok() {
                return;
            }
            pause = match self.look(&template).await {
                Ok(()) => LOOK,
                Err(error) => {
                    tracing::error!("the link goes on with the certificate it has: {error}");
                    AGAIN
                }
            };
        }
    }

    async fn look(&mut self, template: &watch::Sender<Template>) -> Result<(), LinkError> {
        let authority = current(&self.secret).await?;
        let now = SystemTime::now();
        if authority == self.authority && !renewal_is_due(&self.serving, now) {
            return Ok(());
        }
        let serving = authority.issue(now)?;
        self.tls.replace(&serving)?;
        let bundle = authority.bundle();
        (self.authority, self.serving) = (authority, serving);
        template.send_if_modified(|template| {
            let changed = template.link_ca != bundle;
            template.link_ca = bundle;
            changed
        });
        tracing::info!("the link serves with a new certificate");
        Ok(())
    }
}

/// The CA of the Secret with everything done that is due; any replica may do it.
async fn current(secret: &OwnSecret) -> Result<Authority, LinkError> {
    for _ in 0..RACES {
        let (authority, in_place_of) = match secret.read().await? {
            Some((content, version)) => {
                let mut authority = Authority::from_secret(&content)?;
                if !authority.step(SystemTime::now())? {
                    return Ok(authority);
                }
                (authority, Some(version))
            }
            None => (Authority::new(SystemTime::now())?, None),
        };
        if secret.write(&authority.to_secret(), in_place_of.as_deref()).await? {
            return Ok(authority);
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
