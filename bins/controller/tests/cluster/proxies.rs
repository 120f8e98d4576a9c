//! What keeps a Gateway's proxies from standing.

use super::support::{Site, within};

#[test]
fn what_is_somebody_elses_is_not_taken_over() {
    let Some(site) = Site::new("foreign") else { return };
    site.apply(
        "apiVersion: v1\nkind: ServiceAccount\nmetadata: {name: lasthop-edge, labels: {mine: 'yes'}}\n",
    );
    let before = site.object("serviceaccount", "lasthop-edge");
    site.gateway("edge", "");
    let message = site.condition("gateway", "edge", "Programmed", |found, _| found == "False/NoResources");
    assert!(
        message.contains(&format!("ServiceAccount {}/lasthop-edge", site.namespace))
            && message.contains("does not belong to the Gateway"),
        "{message}"
    );
    assert_eq!(site.object("serviceaccount", "lasthop-edge"), before);
    site.kubectl(&["delete", "serviceaccount", "lasthop-edge"]);
    site.programmed("edge");
    let owner = &site.object("serviceaccount", "lasthop-edge")["metadata"]["ownerReferences"][0];
    assert_eq!((&owner["kind"], &owner["name"]), (&"Gateway".into(), &"edge".into()));
}

#[test]
fn proxies_that_are_refused_are_named_though_the_gateway_was_programmed() {
    let Some(site) = Site::new("quota") else { return };
    site.gateway("edge", "");
    site.programmed("edge");
    site.apply("apiVersion: v1\nkind: ResourceQuota\nmetadata: {name: none}\nspec: {hard: {pods: '0'}}\n");
    let known =
        within(|| (site.object("resourcequota", "none")["status"]["hard"]["pods"] == "0").then_some(()));
    assert!(known.is_some(), "the quota is not in force");
    site.kubectl(&["delete", "pods", "--all"]);
    // Nothing was changed at the Gateway itself.
    let message = site.condition("gateway", "edge", "Programmed", |found, _| found == "False/NoResources");
    assert!(message.contains("Deployment") && message.contains("exceeded quota"), "{message}");
}

#[test]
fn a_budget_that_somebody_deletes_comes_back() {
    let Some(site) = Site::new("budget") else { return };
    site.apply(
        "apiVersion: lasthop.dev/v1alpha1\nkind: LasthopParameters\nmetadata: {name: edge}\n\
         spec: {podDisruptionBudget: {maxUnavailable: 1}}\n",
    );
    site.gateway(
        "edge",
        "  infrastructure: {parametersRef: {group: lasthop.dev, kind: LasthopParameters, name: edge}}\n",
    );
    site.programmed("edge");
    for object in ["poddisruptionbudget", "service", "configmap"] {
        let before = site.object(object, "lasthop-edge")["metadata"]["uid"].clone();
        site.kubectl(&["delete", object, "lasthop-edge"]);
        let back = within(|| {
            let all = site.kubectl(&["get", object, "--output=jsonpath={.items[*].metadata.uid}"]);
            let own = site.kubectl(&["get", object, "--output=jsonpath={.items[*].metadata.name}"]);
            (own.contains("lasthop-edge") && !all.contains(before.as_str()?)).then_some(())
        });
        assert!(back.is_some(), "the {object} stays away");
    }
}
