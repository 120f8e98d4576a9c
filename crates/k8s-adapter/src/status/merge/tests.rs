use lasthop_api_model::{
    GatewayStatus, ListenerStatus, ParentReference, PolicyAncestorStatus, PolicyStatus, RouteParentStatus,
    RouteStatus, Time,
};

use super::*;

const US: &str = "lasthop.dev/gateway";

fn said(type_: &str, status: &str, generation: i64) -> Condition {
    Condition {
        last_transition_time: Time(Timestamp::UNIX_EPOCH),
        message: String::new(),
        observed_generation: Some(generation),
        reason: "Reason".to_owned(),
        status: status.to_owned(),
        type_: type_.to_owned(),
    }
}

fn stands(type_: &str, status: &str, generation: i64) -> Value {
    json!({"type": type_, "status": status, "reason": "Reason", "message": "",
        "observedGeneration": generation, "lastTransitionTime": "2026-01-01T00:00:00Z"})
}

fn writing() -> Writing<'static> {
    Writing { controller: US, now: "2026-06-01T00:00:00.5Z".parse().unwrap(), is_new: false }
}

fn parent(name: &str) -> ParentReference {
    ParentReference { name: name.to_owned(), ..ParentReference::default() }
}

fn route(parents: &[(&str, Vec<Condition>)]) -> Status {
    let entry = |(name, conditions): &(&str, Vec<Condition>)| RouteParentStatus {
        parent_ref: parent(name),
        controller_name: US.to_owned(),
        conditions: conditions.clone(),
    };
    Status::Route(RouteStatus { parents: parents.iter().map(entry).collect() })
}

#[test]
fn entries_of_others_stay_as_they_are_with_fields_we_do_not_know() {
    let foreign = json!({"controllerName": "example.com/other", "parentRef": {"name": "a"}, "novel": [1],
        "conditions": [{"type": "Accepted", "status": "Perhaps"}]});
    let stale = json!({"controllerName": US, "parentRef": {"name": "gone"}, "conditions": []});
    let old = json!({"parents": [foreign, stale], "more": true});
    let merged = merge(Some(&old), &route(&[("a", vec![said("Accepted", "True", 2)])]), &writing()).unwrap();
    assert_eq!((&merged["parents"][0], &merged["more"]), (&old["parents"][0], &json!(true)));
    assert_eq!(merged["parents"].as_array().unwrap().len(), 2, "ours that says nothing any more is gone");
    let ours = &merged["parents"][1];
    assert_eq!(ours["conditions"][0]["lastTransitionTime"], "2026-06-01T00:00:00Z");
    assert_eq!(merge(Some(&merged), &route(&[("a", vec![said("Accepted", "True", 2)])]), &writing()), None);
}

#[test]
fn a_time_changes_with_the_status_alone() {
    let entry = |conditions: Value| {
        json!({"parents": [{"controllerName": US, "conditions": conditions,
        "parentRef": {"group": "gateway.networking.k8s.io", "kind": "Gateway", "name": "a"}}]})
    };
    let old = entry(json!([stands("Accepted", "True", 1), stands("example.com/Seen", "True", 1)]));
    let same = merge(Some(&old), &route(&[("a", vec![said("Accepted", "True", 2)])]), &writing()).unwrap();
    let conditions = &same["parents"][0]["conditions"];
    assert_eq!(conditions[0]["lastTransitionTime"], "2026-01-01T00:00:00Z");
    assert_eq!(conditions[0]["observedGeneration"], 2);
    assert_eq!(conditions[1], stands("example.com/Seen", "True", 1));
    let other = merge(Some(&old), &route(&[("a", vec![said("Accepted", "False", 1)])]), &writing()).unwrap();
    assert_eq!(other["parents"][0]["conditions"][0]["lastTransitionTime"], "2026-06-01T00:00:00Z");
    // Of a newer generation than the one we know: another replica is ahead.
    let newer = entry(json!([stands("Accepted", "False", 9)]));
    assert_eq!(merge(Some(&newer), &route(&[("a", vec![said("Accepted", "True", 2)])]), &writing()), None);
}

#[test]
fn foreign_conditions_of_gateways_and_listeners_survive() {
    let old = json!({
        "conditions": [stands("example.com/Audited", "True", 1), stands("InsecureFrontendValidationMode", "True", 1)],
        "listeners": [
            {"name": "http", "attachedRoutes": 7, "supportedKinds": [],
                "conditions": [stands("example.com/Scanned", "False", 1)]},
            {"name": "gone", "attachedRoutes": 0, "supportedKinds": [], "conditions": []},
        ],
    });
    let listener = ListenerStatus {
        name: "http".to_owned(),
        conditions: vec![said("Accepted", "True", 1)],
        ..ListenerStatus::default()
    };
    let new = Status::Gateway(GatewayStatus {
        conditions: vec![said("Accepted", "True", 1)],
        listeners: vec![listener],
        ..GatewayStatus::default()
    });
    let merged = merge(Some(&old), &new, &writing()).unwrap();
    let types = |conditions: &Value| -> Vec<String> {
        conditions.as_array().unwrap().iter().map(|one| one["type"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(types(&merged["conditions"]), ["example.com/Audited", "Accepted"]);
    assert_eq!(merged["listeners"].as_array().unwrap().len(), 1);
    assert_eq!(merged["listeners"][0]["attachedRoutes"], 0);
    assert_eq!(types(&merged["listeners"][0]["conditions"]), ["example.com/Scanned", "Accepted"]);
    assert_eq!(merge(Some(&merged), &new, &writing()), None);
}

#[test]
fn a_policy_says_something_for_each_gateway() {
    let ancestor = |name: &str, by: &str| PolicyAncestorStatus {
        ancestor_ref: parent(name),
        controller_name: by.to_owned(),
        conditions: vec![said("Accepted", "True", 1)],
    };
    // What the translator repeats of others is not ours to write.
    let new =
        Status::Policy(PolicyStatus { ancestors: vec![ancestor("a", US), ancestor("a", "example.com/x")] });
    let merged = merge(None, &new, &writing()).unwrap();
    assert_eq!(merged["ancestors"].as_array().unwrap().len(), 1);
    let none = Status::Policy(PolicyStatus::default());
    assert_eq!(merge(None, &none, &writing()), None, "nothing to say, and nothing to write");
    assert_eq!(merge(Some(&merged), &none, &writing()).unwrap()["ancestors"], json!([]));
}
