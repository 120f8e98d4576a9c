//! What the proxy follows: a folder of manifests, or a control plane.

use std::{future::Future, pin::Pin, sync::Arc};

use lasthop_dataplane::NativeDataplane;
use lasthop_runtime::{
    control_loop::ControlLoop,
    follow_loop::FollowLoop,
    metrics::Metrics,
    settings::Settings,
    source::folder::{FolderSource, Refresh},
    state::State,
    status::LoggedStatus,
};
use lasthop_translator::{Options, Translator};
use lasthop_xds::{Client, ClientMetrics, ClientOptions};

use super::{RunError, has_gateway};

/// What the proxy follows.
pub(super) enum Follows {
    Folder(FolderSource),
    ControlPlane(Box<ClientOptions>),
}

/// What a loop needs.
pub(super) struct Parts {
    pub(super) dataplane: Arc<NativeDataplane>,
    pub(super) state: Arc<State>,
    pub(super) metrics: Metrics,
    /// For the translator of a folder.
    pub(super) options: Options,
}

type Loop = Pin<Box<dyn Future<Output = ()> + Send>>;

impl Follows {
    /// What the settings say.
    pub(super) fn of(settings: &Settings) -> Result<Self, RunError> {
        match (&settings.config, &settings.control_plane) {
            (Some(_), Some(_)) => Err(RunError::TwoMasters),
            (None, None) => Err(RunError::NoConfig),
            (Some(config), None) => {
                let source = FolderSource::open(config, settings.poll_interval.0)?;
                has_gateway(&source, config)?;
                Ok(Self::Folder(source))
            }
            (None, Some(address)) => {
                let missing = RunError::NoLink;
                let gateway = settings.gateway.clone().ok_or(missing("gateway"))?;
                let token = settings.control_plane_token.clone().ok_or(missing("control-plane-token"))?;
                let ca = settings.control_plane_ca.clone().ok_or(missing("control-plane-ca"))?;
                // In a pod this is the pod's name.
                let node = std::env::var("HOSTNAME").unwrap_or_else(|_| "proxy".to_owned());
                let options = ClientOptions::new(address.parse()?, gateway, node, token, ca);
                Ok(Self::ControlPlane(Box::new(options)))
            }
        }
    }

    /// Asks for another look at the folder.
    pub(super) fn refresh(&self) -> Option<Refresh> {
        match self {
            Self::Folder(source) => Some(source.refresh()),
            Self::ControlPlane(_) => None,
        }
    }

    /// The loop that follows it until `stop` is done.
    pub(super) fn run(
        self,
        parts: Parts,
        stop: impl Future<Output = ()> + Send + 'static,
    ) -> Result<Loop, RunError> {
        let Parts { dataplane, state, metrics, options } = parts;
        match self {
            Self::Folder(source) => {
                let sink = LoggedStatus::new(state.clone(), metrics.clone());
                let translator = Translator::new(options);
                let control = ControlLoop { translator, dataplane, sink, state, metrics };
                Ok(Box::pin(control.run(source, stop)))
            }
            Self::ControlPlane(options) => {
                let link = ClientMetrics::new()?;
                metrics.register(Box::new(link.clone()))?;
                let client = Client::start(*options, link);
                Ok(Box::pin(FollowLoop { dataplane, state, metrics }.run(client, stop)))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(change: impl FnOnce(&mut Settings)) -> String {
        let mut settings = Settings {
            control_plane: Some("controller:15010".to_owned()),
            gateway: Some("shop/edge".parse().unwrap()),
            control_plane_ca: Some("/ca".into()),
            control_plane_token: Some("/token".into()),
            ..Settings::default()
        };
        change(&mut settings);
        match Follows::of(&settings) {
            Ok(_) => "nothing".to_owned(),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn what_is_missing_is_named() {
        assert_eq!(refused(|_| {}), "nothing");
        assert!(refused(|settings| settings.gateway = None).contains("--gateway"));
        assert!(refused(|settings| settings.control_plane_ca = None).contains("--control-plane-ca"));
        assert!(refused(|settings| settings.control_plane_token = None).contains("--control-plane-token"));
        assert!(refused(|settings| settings.control_plane = None).contains("--config"));
        assert!(refused(|settings| settings.config = Some("x".into())).contains("one of them"));
        assert!(refused(|settings| settings.control_plane = Some("x".into())).contains("\"x\""));
    }
}
