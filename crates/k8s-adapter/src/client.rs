//! A client of the API server.

use std::{path::Path, time::Duration};

use kube::{Client, Config, config::KubeConfigOptions, config::Kubeconfig};

/// For a connection to be made.
const CONNECT: Duration = Duration::from_secs(5);

/// Longer than the API server keeps a watch open: a connection whose other end is gone is noticed.
const SILENCE: Duration = Duration::from_secs(150);

/// Why there is no client.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// A kubeconfig that was named cannot be used.
    #[error("the kubeconfig {path} cannot be used: {reason}; name another one with --kubeconfig")]
    Kubeconfig {
        /// The file.
        path: String,
        /// Why not.
        reason: String,
    },
    /// Nothing says where the API server is.
    #[error(
        "nothing says where the API server is: {0}; run in a pod with a service account, set KUBECONFIG, or name a \
         file with --kubeconfig"
    )]
    Unknown(String),
    /// The client cannot be built.
    #[error("the client of the API server cannot be set up: {0}")]
    Client(#[from] kube::Error),
}

/// A client from a kubeconfig; without one, from `KUBECONFIG`, the user's own, or the pod's service account. Nothing is
/// asked of the API server yet.
///
/// # Errors
/// A file that cannot be read, or no place to learn from where the API server is.
pub async fn connect(kubeconfig: Option<&Path>) -> Result<Client, ConnectError> {
    let mut config = match kubeconfig {
        Some(path) => {
            let failed =
                |reason: String| ConnectError::Kubeconfig { path: path.display().to_string(), reason };
            let read = Kubeconfig::read_from(path).map_err(|error| failed(error.to_string()))?;
            let options = KubeConfigOptions::default();
            Config::from_custom_kubeconfig(read, &options).await.map_err(|error| failed(error.to_string()))?
        }
        None => Config::infer().await.map_err(|error| ConnectError::Unknown(error.to_string()))?,
    };
    config.connect_timeout = Some(CONNECT);
    config.read_timeout = Some(SILENCE);
    Ok(Client::try_from(config)?)
}
