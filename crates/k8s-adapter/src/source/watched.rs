//! What is watched, and how.

use std::fmt;

use kube::core::ApiResource;
use lasthop_api_model::{GROUP, ResourceKind, read};
use serde_json::Value;

use super::reading;
use crate::{infrastructure, parameters};

/// Objects with this label are read although nothing else tells that somebody may need them: Secrets of other types than
/// `kubernetes.io/tls`, and ConfigMaps without certificates.
pub const READ_LABEL: &str = "lasthop.dev/read";
/// Secrets of this type are always read.
const TLS_TYPE: &str = "kubernetes.io/tls";

/// What the objects of a watch are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Objects for the store.
    Resource(ResourceKind),
    /// How proxies look.
    Parameters,
    /// The CRDs themselves, for their version.
    Definitions,
    /// The pods of proxies that were placed on behalf of this controller.
    Proxies,
    /// The Deployments that make those pods.
    Deployments,
}

/// One watch.
#[derive(Clone, Debug)]
pub(super) struct Watched {
    pub kind: Kind,
    /// The versions it can be read in, the newest first, each as the API server is to be asked.
    pub resources: Vec<(&'static str, ApiResource)>,
    /// Which fields the objects must have.
    pub fields: Option<String>,
    /// Which labels the objects must have.
    pub labels: Option<String>,
    /// Whether the metadata are enough.
    pub metadata_only: bool,
}

impl Watched {
    /// Whether nobody misses the kind where the API server does not have it.
    pub(super) fn is_optional(&self) -> bool {
        matches!(
            self.kind,
            Kind::Resource(ResourceKind::XBackend | ResourceKind::ClusterTrustBundle) | Kind::Parameters
        )
    }

    /// The kind, of what is for the store.
    pub(super) fn resource_kind(&self) -> Option<ResourceKind> {
        match self.kind {
            Kind::Resource(kind) => Some(kind),
            _ => None,
        }
    }

    /// Whether anything here may read the object.
    pub(super) fn is_of_interest(&self, object: &Value) -> bool {
        match self.kind {
            Kind::Resource(kind) => reading::is_of_interest(kind, object),
            _ => true,
        }
    }

    /// Whether nothing can be judged without it: who does not know the Gateways would take their proxies away, and who
    /// does not know the policies would speak plaintext where one asks for TLS.
    pub(super) fn is_essential(&self) -> bool {
        use ResourceKind::{BackendTlsPolicy, Gateway, GatewayClass};
        matches!(self.kind, Kind::Resource(GatewayClass | Gateway | BackendTlsPolicy))
    }

    /// The kind in the form that RBAC and CRDs have, such as `httproutes.gateway.networking.k8s.io`.
    pub(super) fn name(&self) -> String {
        let Some((_, resource)) = self.resources.first() else { return String::new() };
        match resource.group.as_str() {
            "" => resource.plural.clone(),
            group => format!("{}.{group}", resource.plural),
        }
    }
}

impl fmt::Display for Watched {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name())?;
        [&self.fields, &self.labels].into_iter().flatten().try_for_each(|selector| write!(f, " ({selector})"))
    }
}

/// Everything that is watched on behalf of this controller.
pub(super) fn everything(controller: &str) -> Vec<Watched> {
    let mut all = Vec::new();
    for &kind in ResourceKind::ALL {
        let watched = Watched {
            kind: Kind::Resource(kind),
            resources: read::versions(kind)
                .iter()
                .map(|version| (*version, resource(kind, version)))
                .collect(),
            fields: None,
            labels: None,
            // Of namespaces, only the labels are of interest.
            metadata_only: kind == ResourceKind::Namespace,
        };
        if kind == ResourceKind::Secret {
            // Two watches that never show the same Secret.
            let tls = Some(format!("type={TLS_TYPE}"));
            let others = Some(format!("type!={TLS_TYPE}"));
            all.push(Watched { fields: tls, ..watched.clone() });
            all.push(Watched { fields: others, labels: Some(format!("{READ_LABEL}=true")), ..watched });
        } else {
            all.push(watched);
        }
    }
    let single = |kind, version, resource, metadata_only| Watched {
        kind,
        resources: vec![(version, resource)],
        fields: None,
        labels: None,
        metadata_only,
    };
    all.push(single(Kind::Parameters, parameters::VERSION, parameters::resource(), false));
    let definitions = ApiResource {
        group: "apiextensions.k8s.io".to_owned(),
        version: "v1".to_owned(),
        api_version: "apiextensions.k8s.io/v1".to_owned(),
        kind: "CustomResourceDefinition".to_owned(),
        plural: "customresourcedefinitions".to_owned(),
    };
    all.push(single(Kind::Definitions, "v1", definitions, true));
    let pods = ApiResource {
        group: String::new(),
        version: "v1".to_owned(),
        api_version: "v1".to_owned(),
        kind: "Pod".to_owned(),
        plural: "pods".to_owned(),
    };
    let labels = Some(infrastructure::placed_by(controller));
    all.push(Watched { labels: labels.clone(), ..single(Kind::Proxies, "v1", pods, false) });
    let deployments = ApiResource {
        group: "apps".to_owned(),
        version: "v1".to_owned(),
        api_version: "apps/v1".to_owned(),
        kind: "Deployment".to_owned(),
        plural: "deployments".to_owned(),
    };
    all.push(Watched { labels, ..single(Kind::Deployments, "v1", deployments, false) });
    all
}

/// A kind in one of its versions, as the API server is to be asked.
pub(crate) fn resource(kind: ResourceKind, version: &str) -> ApiResource {
    let group = kind.group();
    ApiResource {
        group: group.to_owned(),
        version: version.to_owned(),
        api_version: if group.is_empty() { version.to_owned() } else { format!("{group}/{version}") },
        kind: kind.as_str().to_owned(),
        plural: plural(kind).to_owned(),
    }
}

/// The kind's name in paths.
pub(crate) fn plural(kind: ResourceKind) -> &'static str {
    match kind {
        ResourceKind::GatewayClass => "gatewayclasses",
        ResourceKind::Gateway => "gateways",
        ResourceKind::ListenerSet => "listenersets",
        ResourceKind::HttpRoute => "httproutes",
        ResourceKind::GrpcRoute => "grpcroutes",
        ResourceKind::TlsRoute => "tlsroutes",
        ResourceKind::TcpRoute => "tcproutes",
        ResourceKind::UdpRoute => "udproutes",
        ResourceKind::ReferenceGrant => "referencegrants",
        ResourceKind::BackendTlsPolicy => "backendtlspolicies",
        ResourceKind::XBackend => "xbackends",
        ResourceKind::Service => "services",
        ResourceKind::EndpointSlice => "endpointslices",
        ResourceKind::Secret => "secrets",
        ResourceKind::ConfigMap => "configmaps",
        ResourceKind::Namespace => "namespaces",
        ResourceKind::ClusterTrustBundle => "clustertrustbundles",
    }
}

/// Whether a CRD is one of the Gateway API.
pub(super) fn is_gateway_api(definition: &str) -> bool {
    definition.split_once('.').is_some_and(|(_, group)| group == GROUP || group == lasthop_api_model::X_GROUP)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_asked_for_in_two_parts_and_every_kind_is_there() {
        let all = everything("lasthop.dev/gateway");
        for kind in ResourceKind::ALL {
            let watches = all.iter().filter(|watched| watched.kind == Kind::Resource(*kind)).count();
            assert_eq!(watches, if *kind == ResourceKind::Secret { 2 } else { 1 }, "{kind}");
        }
        let secrets: Vec<String> =
            all.iter().map(ToString::to_string).filter(|name| name.starts_with("secrets")).collect();
        assert_eq!(
            secrets,
            ["secrets (type=kubernetes.io/tls)", "secrets (type!=kubernetes.io/tls) (lasthop.dev/read=true)"]
        );
        assert!(all.iter().any(|watched| watched.name() == "httproutes.gateway.networking.k8s.io"));
    }

    #[test]
    fn only_the_gateway_apis_own_definitions_count() {
        assert!(is_gateway_api("gateways.gateway.networking.k8s.io"));
        assert!(is_gateway_api("xbackends.gateway.networking.x-k8s.io"));
        assert!(!is_gateway_api("gateways.networking.istio.io"));
    }
}
