//! Declares a kind: its struct, and the traits of k8s-openapi that make it fit a Kubernetes client.

/// Declares one kind of the Gateway API.
///
/// Reading ignores `apiVersion` and `kind`, so that every served version of a kind reads as one type; writing gives
/// the version declared here.
macro_rules! define_kind {
    (
        $(#[$meta:meta])*
        $name:ident, kind: $kind:literal, group: $group:literal, version: $version:literal,
        plural: $plural:literal, scope: $scope:ident, spec: $spec:ty $(, status: $status:ty)? $(,)?
    ) => {
        $(#[$meta])*
        #[derive(Clone, Debug, Default, PartialEq, serde::Deserialize)]
        pub struct $name {
            /// Name, namespace, labels, generation.
            #[serde(default)]
            pub metadata: k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta,
            /// What the user asks for.
            pub spec: $spec,
            $(
                /// What controllers answered.
                #[serde(default)]
                pub status: Option<$status>,
            )?
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                use serde::ser::SerializeStruct as _;
                let mut fields = serializer.serialize_struct($kind, 5)?;
                fields.serialize_field("apiVersion", <Self as k8s_openapi::Resource>::API_VERSION)?;
                fields.serialize_field("kind", $kind)?;
                fields.serialize_field("metadata", &self.metadata)?;
                fields.serialize_field("spec", &self.spec)?;
                $(
                    let status: &Option<$status> = &self.status;
                    match status {
                        Some(status) => fields.serialize_field("status", status)?,
                        None => fields.skip_field("status")?,
                    }
                )?
                fields.end()
            }
        }

        impl k8s_openapi::Resource for $name {
            const API_VERSION: &'static str = concat!($group, "/", $version);
            const GROUP: &'static str = $group;
            const KIND: &'static str = $kind;
            const VERSION: &'static str = $version;
            const URL_PATH_SEGMENT: &'static str = $plural;
            type Scope = k8s_openapi::$scope;
        }

        impl k8s_openapi::ListableResource for $name {
            const LIST_KIND: &'static str = concat!($kind, "List");
        }

        impl k8s_openapi::Metadata for $name {
            type Ty = k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

            fn metadata(&self) -> &Self::Ty {
                &self.metadata
            }

            fn metadata_mut(&mut self) -> &mut Self::Ty {
                &mut self.metadata
            }
        }
    };
}
