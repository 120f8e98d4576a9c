//! Whose a token is.

use k8s_openapi::api::{
    authentication::v1::{TokenRequest, TokenRequestSpec},
    core::v1::ServiceAccount,
};
use kube::{Api, api::PostParams};
use lasthop_dataplane_api::ObjectName;
use lasthop_k8s_adapter::{
    infrastructure::AUDIENCE,
    own_secret::OwnSecret,
    tokens::{TokenError, TokenReviews},
};
use serde_json::json;

use super::world::{World, apply};

#[tokio::test]
async fn a_token_is_its_accounts_and_only_for_its_audience() {
    let Some(world) = World::new().await else { return };
    let accounts = world.api("v1", "ServiceAccount", "serviceaccounts");
    apply(&accounts, json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "proxy"}}))
        .await;
    let typed: Api<ServiceAccount> = Api::namespaced(world.client.clone(), &world.namespace);
    let token = async |audience: &str| {
        let request = TokenRequest {
            metadata: Default::default(),
            spec: Some(TokenRequestSpec {
                audiences: Some(vec![audience.to_owned()]),
                ..TokenRequestSpec::default()
            }),
            status: None,
        };
        let made = typed.create_token_request("proxy", &PostParams::default(), &request).await.unwrap();
        made.status.unwrap().token.unwrap()
    };
    let reviews = TokenReviews::new(world.client.clone(), AUDIENCE);
    let good = token(AUDIENCE).await;
    let account = ObjectName::new(&*world.namespace, "proxy");
    for _ in 0..2 {
        assert_eq!(reviews.account_of(&good).await.unwrap(), account);
    }
    for bad in
        [token("https://kubernetes.default.svc").await, token("example.com").await, "made.up".to_owned()]
    {
        let error = reviews.account_of(&bad).await.unwrap_err();
        assert!(matches!(error, TokenError::Refused(_)) && !error.to_string().contains(&bad), "{error}");
    }
    world.end().await;
}

#[tokio::test]
async fn of_two_replicas_that_make_a_secret_one_is_first() {
    let Some(world) = World::new().await else { return };
    let secret = || OwnSecret::new(world.client.clone(), &world.namespace, "ca");
    let content = |text: &str| [("tls.crt".to_owned(), text.as_bytes().to_vec())].into();
    assert_eq!(secret().read().await.unwrap(), None);
    assert!(secret().write(&content("a"), None).await.unwrap());
    assert!(!secret().write(&content("b"), None).await.unwrap());
    let (found, version) = secret().read().await.unwrap().unwrap();
    assert_eq!(found, content("a"));
    assert!(secret().write(&content("c"), Some(&version)).await.unwrap());
    assert!(!secret().write(&content("d"), Some(&version)).await.unwrap(), "the version is an old one");
    world.end().await;
}
