use lasthop_api_model::{ObjectMeta, Parameters};
use serde_json::json;

use super::*;
use crate::source::watched;

struct World {
    known: Known,
    watches: Vec<Watched>,
}

impl World {
    fn new() -> Self {
        let watches = watched::everything("lasthop.dev/gateway");
        let known = Known::new(watches.clone(), "lasthop.dev/gateway", Observed::new());
        Self { known, watches }
    }

    fn watch(&self, name: &str) -> usize {
        self.watches.iter().position(|watched| watched.to_string() == name).unwrap()
    }

    fn see(&mut self, name: &str, seen: Seen) {
        let watch = self.watch(name);
        let version = self.watches[watch].resources[0].0;
        self.known.take(Message { watch, version, seen });
    }

    fn event(&mut self) -> (Vec<String>, Vec<String>) {
        let event = self.known.event();
        let applied = event.applied.iter().map(|object| object.key().to_string()).collect();
        (applied, event.removed.iter().map(ToString::to_string).collect())
    }
}

const SERVICES: &str = "services";
const GATEWAYS: &str = "gateways.gateway.networking.k8s.io";
const CLASSES: &str = "gatewayclasses.gateway.networking.k8s.io";
const POLICIES: &str = "backendtlspolicies.gateway.networking.k8s.io";

fn service(name: &str) -> Value {
    json!({"metadata": {"name": name, "namespace": "shop"}, "spec": {"ports": [{"port": 80}]}})
}

fn policy(more: Value) -> Value {
    let mut policy = json!({"metadata": {"name": "p", "namespace": "shop"}, "spec": {
        "targetRefs": [{"group": "", "kind": "Service", "name": "cart"}],
        "validation": {"hostname": "cart.example", "wellKnownCACertificates": "System"}}});
    policy["spec"]["validation"].as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    policy
}

fn gateway() -> Value {
    json!({"metadata": {"name": "edge", "namespace": "shop", "uid": "u"}, "spec": {
        "gatewayClassName": "lasthop",
        "listeners": [{"name": "http", "port": 80, "protocol": "HTTP"}],
        "infrastructure": {"parametersRef": {"group": "lasthop.dev", "kind": "LasthopParameters", "name": "big"}}}})
}

#[test]
fn nothing_is_told_before_everything_was_listed() {
    let mut world = World::new();
    for index in 0..world.watches.len() {
        assert!(!world.known.is_complete());
        let version = world.watches[index].resources[0].0;
        let seen = match index % 3 {
            0 => Seen::All(Vec::new()),
            1 => Seen::Trouble(Trouble::Missing),
            _ => Seen::Trouble(Trouble::Forbidden("no".to_owned())),
        };
        world.known.take(Message { watch: index, version, seen });
    }
    assert!(world.known.is_complete(), "what is missing or forbidden does not keep the rest waiting");
}

#[test]
fn a_new_list_takes_away_what_is_not_in_it() {
    let mut world = World::new();
    world.see(SERVICES, Seen::All(vec![service("a"), service("b")]));
    assert_eq!(world.event().0, ["Service shop/a", "Service shop/b"]);
    world.see(SERVICES, Seen::All(vec![service("b")]));
    assert_eq!(world.event(), (vec!["Service shop/b".to_owned()], vec!["Service shop/a".to_owned()]));
    world.see(SERVICES, Seen::Gone(service("b")));
    world.see(SERVICES, Seen::Put(service("b")));
    assert_eq!(world.event(), (vec!["Service shop/b".to_owned()], vec![]));
}

#[test]
fn an_object_that_is_not_understood_leaves_its_last_good_version() {
    let mut world = World::new();
    world.see(POLICIES, Seen::All(vec![policy(json!({}))]));
    assert_eq!(world.event().0.len(), 1);
    world.see(POLICIES, Seen::Put(policy(json!({"novel": 1}))));
    let event = world.known.event();
    assert!(event.applied.is_empty() && event.removed.is_empty());
    let problems = event.problems.unwrap();
    let problem = problems.iter().find(|problem| problem.key.is_some()).unwrap();
    assert_eq!((problem.in_force, problem.field.as_str()), (InForce::LastGood, "spec.validation.novel"));
    world.see(POLICIES, Seen::Put(policy(json!({}))));
    assert!(world.known.event().problems.unwrap().iter().all(|problem| problem.key.is_none()));
}

#[test]
fn a_policy_that_was_never_understood_keeps_its_targets_from_plaintext() {
    let mut world = World::new();
    world.see(POLICIES, Seen::All(vec![policy(json!({"novel": 1}))]));
    let event = world.known.event();
    let [Resource::BackendTlsPolicy(policy)] = &event.applied[..] else { panic!("{event:?}") };
    assert!(policy.spec.refused.is_some());
    world.see(POLICIES, Seen::All(Vec::new()));
    assert_eq!(world.event().1, ["BackendTLSPolicy shop/p"]);
}

#[test]
fn a_kind_that_goes_takes_its_objects_along_and_one_that_is_forbidden_does_not() {
    let mut world = World::new();
    world.see(SERVICES, Seen::All(vec![service("a")]));
    world.event();
    world.see(SERVICES, Seen::Trouble(Trouble::Forbidden("not you".to_owned())));
    let event = world.known.event();
    assert!(event.removed.is_empty());
    let said = event.problems.unwrap()[0].to_string();
    assert!(
        said.contains("services") && said.contains("not you") && said.contains("allow get, list"),
        "{said}"
    );
    // Once may be a mistake of an API server that has just begun.
    for _ in 1..BELIEVED {
        world.see(SERVICES, Seen::Trouble(Trouble::Missing));
        assert_eq!(world.event().1, Vec::<String>::new());
    }
    world.see(SERVICES, Seen::Trouble(Trouble::Missing));
    assert_eq!(world.event().1, ["Service shop/a"]);
}

#[test]
fn gateways_follow_their_parameters() {
    let mut world = World::new();
    world.see(GATEWAYS, Seen::All(vec![gateway()]));
    let parameters = |world: &mut World| {
        let event = world.known.event();
        let [Resource::Gateway(gateway)] = &event.applied[..] else { panic!("{event:?}") };
        gateway.spec.infrastructure.as_ref().unwrap().parameters.clone()
    };
    assert!(matches!(parameters(&mut world), Parameters::Bad(why) if why.contains("shop/big")));
    let object = |spec: Value| json!({"metadata": {"name": "big", "namespace": "shop"}, "spec": spec});
    let watch = "lasthopparameters.lasthop.dev";
    world.see(watch, Seen::All(vec![object(json!({"replicas": 2}))]));
    assert_eq!(parameters(&mut world), Parameters::Good);
    world.see(watch, Seen::Put(object(json!({"replicas": "two"}))));
    assert!(matches!(parameters(&mut world), Parameters::Bad(why) if why.contains("spec cannot be read")));
    world.see(watch, Seen::Gone(object(json!({}))));
    assert!(matches!(parameters(&mut world), Parameters::Bad(_)));
}

#[test]
fn a_class_knows_what_is_installed() {
    let mut world = World::new();
    let class = json!({"metadata": {"name": "lasthop"}, "spec": {"controllerName": "lasthop.dev/gateway"}});
    let other = json!({"metadata": {"name": "x"}, "spec": {"controllerName": "example.com/x"}});
    world.see(CLASSES, Seen::All(vec![class, other]));
    let definition = |name: &str, version: &str| {
        json!({"metadata": {"name": name,
        "annotations": {"gateway.networking.k8s.io/bundle-version": version}}})
    };
    world.see(
        "customresourcedefinitions.apiextensions.k8s.io",
        Seen::All(vec![
            definition(GATEWAYS, "v1.7.0"),
            definition(CLASSES, "v1.7.0"),
            definition("widgets.example.com", "v9"),
        ]),
    );
    world.see("udproutes.gateway.networking.k8s.io", Seen::Trouble(Trouble::Missing));
    world.see("clustertrustbundles.certificates.k8s.io", Seen::Trouble(Trouble::Missing));
    let applied = world.known.event().applied;
    let named = |name: &str| {
        applied.iter().find_map(|object| match object {
            Resource::GatewayClass(class) if class.metadata == metadata(name) => Some(class.spec.clone()),
            _ => None,
        })
    };
    let installation = named("lasthop").unwrap().installation.unwrap();
    assert_eq!(installation.versions, ["v1.7.0"]);
    assert_eq!(installation.unread.len(), 1, "nobody misses ClusterTrustBundles: {installation:?}");
    assert!(installation.unread[0].contains("udproutes"));
    assert_eq!(named("x").unwrap().installation, None, "it is somebody else's");
}

fn metadata(name: &str) -> ObjectMeta {
    ObjectMeta { name: Some(name.to_owned()), ..ObjectMeta::default() }
}
