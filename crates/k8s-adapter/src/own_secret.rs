//! A Secret of the controller's own, shared by its replicas.

use std::{collections::BTreeMap, time::Duration};

use k8s_openapi::{ByteString, api::core::v1::Secret};
use kube::{Api, Client, api::PostParams};
use lasthop_api_model::ObjectMeta;
use tokio::time::timeout;

use crate::infrastructure::MANAGER;

/// For one request.
const REQUEST: Duration = Duration::from_secs(10);

/// What a Secret holds.
pub type Content = BTreeMap<String, Vec<u8>>;

/// A Secret of the controller's own.
pub struct OwnSecret {
    api: Api<Secret>,
    namespace: String,
    name: String,
}

/// Why a Secret cannot be read or written.
#[derive(Debug, thiserror::Error)]
#[error("Secret {namespace}/{name}: {reason}")]
pub struct OwnSecretError {
    namespace: String,
    name: String,
    reason: String,
}

impl OwnSecret {
    /// The Secret of this name; nothing is asked for yet.
    pub fn new(client: Client, namespace: &str, name: &str) -> Self {
        let api = Api::namespaced(client, namespace);
        Self { api, namespace: namespace.to_owned(), name: name.to_owned() }
    }

    /// What it holds, with its version; `None` when it is not there.
    ///
    /// # Errors
    /// What the API server says.
    pub async fn read(&self) -> Result<Option<(Content, String)>, OwnSecretError> {
        let found = self.within(self.api.get_opt(&self.name)).await?.map_err(|error| self.failed(&error))?;
        Ok(found.map(|secret| {
            let version = secret.metadata.resource_version.unwrap_or_default();
            let data = secret.data.unwrap_or_default();
            (data.into_iter().map(|(key, ByteString(value))| (key, value)).collect(), version)
        }))
    }

    /// Writes it, in place of the version that was read, or anew. `false`: another replica was faster.
    ///
    /// # Errors
    /// What the API server says.
    pub async fn write(&self, content: &Content, in_place_of: Option<&str>) -> Result<bool, OwnSecretError> {
        let data = content.iter().map(|(key, value)| (key.clone(), ByteString(value.clone())));
        let secret = Secret {
            metadata: ObjectMeta {
                name: Some(self.name.clone()),
                labels: Some([("app.kubernetes.io/managed-by".to_owned(), MANAGER.to_owned())].into()),
                resource_version: in_place_of.map(str::to_owned),
                ..ObjectMeta::default()
            },
            data: Some(data.collect()),
            ..Secret::default()
        };
        let parameters = PostParams::default();
        let written = match in_place_of {
            Some(_) => self.within(self.api.replace(&self.name, &parameters, &secret)).await?,
            None => self.within(self.api.create(&parameters, &secret)).await?,
        };
        match written {
            Ok(_) => Ok(true),
            Err(kube::Error::Api(status)) if status.code == 409 || status.code == 404 => Ok(false),
            Err(error) => Err(self.failed(&error)),
        }
    }

    async fn within<T>(&self, asked: impl Future<Output = T>) -> Result<T, OwnSecretError> {
        timeout(REQUEST, asked)
            .await
            .map_err(|_| self.error("the API server did not answer in time".to_owned()))
    }

    fn failed(&self, error: &kube::Error) -> OwnSecretError {
        self.error(match error {
            kube::Error::Api(status) if status.code == 403 => {
                format!("{}; allow it in the controller's own Role", status.message)
            }
            kube::Error::Api(status) => status.message.clone(),
            other => other.to_string(),
        })
    }

    fn error(&self, reason: String) -> OwnSecretError {
        OwnSecretError { namespace: self.namespace.clone(), name: self.name.clone(), reason }
    }
}
