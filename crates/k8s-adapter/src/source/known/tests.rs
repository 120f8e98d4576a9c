use lasthop_api_model::{ObjectMeta, Parameters};
use serde_json::json;

use super::*;
use crate::source::watched;

struct World {
    known: Known,
    watches: Vec<Watched>,
}

impl World {
    /// Everything is listed, and nothing is there.
    fn new() -> Self {
        let mut world = Self::unheard();
        all_but(&mut world, &[]);
        world.known.event();
        world
    }

    fn unheard() -> Self {
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
const DEFINITIONS: &str = "customresourcedefinitions.apiextensions.k8s.io";
const OTHERS: &str = "secrets (type!=kubernetes.io/tls) (lasthop.dev/read=true)";

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

/// Everything is listed, and nothing is there, but for what is said of these.
fn all_but(world: &mut World, but: &[(&str, Trouble)]) {
    for watch in world.watches.clone() {
        let name = watch.to_string();
        let trouble = but.iter().find(|(of, _)| *of == name).map(|(_, trouble)| trouble.clone());
        world.see(&name, trouble.map_or(Seen::All(Vec::new()), Seen::Trouble));
    }
}

fn forbidden() -> Trouble {
    Trouble::Forbidden("no".to_owned())
}

#[test]
fn nothing_is_told_before_everything_was_listed() {
    let mut world = World::unheard();
    for index in 0..world.watches.len() {
        assert!(!world.known.is_heard() && !world.known.is_complete());
        let watched = world.watches[index].clone();
        let seen = match index % 3 {
            _ if watched.is_essential() => Seen::All(Vec::new()),
            0 => Seen::All(Vec::new()),
            1 => Seen::Trouble(Trouble::Missing),
            _ => Seen::Trouble(forbidden()),
        };
        world.see(&watched.to_string(), seen);
    }
    assert!(world.known.is_complete(), "what is missing or forbidden does not keep the rest waiting");
}

#[test]
fn without_what_everything_is_judged_by_only_the_classes_are_told() {
    let class = json!({"metadata": {"name": "lasthop"}, "spec": {"controllerName": "lasthop.dev/gateway"}});
    for essential in [GATEWAYS, POLICIES] {
        let mut world = World::unheard();
        all_but(&mut world, &[(essential, forbidden())]);
        world.see(CLASSES, Seen::Put(class.clone()));
        world.see(SERVICES, Seen::Put(service("a")));
        let event = world.known.event();
        let [Resource::GatewayClass(told)] = &event.applied[..] else { panic!("{event:?}") };
        let installation = told.spec.installation.clone().unwrap();
        assert!(event.is_partial && installation.is_held && installation.unread[0].contains(essential));
        assert!(world.known.awaited()[0].contains("allow get, list and watch"));
        assert!(world.known.observed.is_withheld(&lasthop_dataplane_api::ObjectName::new("shop", "edge")));
        world.see(essential, Seen::All(Vec::new()));
        let event = world.known.event();
        assert!(!event.is_partial && event.applied.len() == 2, "{event:?}");
        // Later, what was known stays.
        world.see(essential, Seen::Trouble(forbidden()));
        assert!(!world.known.event().is_partial);
    }
}

#[test]
fn an_api_server_that_does_not_know_a_kind_is_believed_if_the_crd_is_not_there() {
    let missing = [(POLICIES, Trouble::Missing)];
    let mut world = World::unheard();
    all_but(&mut world, &missing);
    assert!(world.known.is_complete(), "nobody can have written a policy");
    let definition = json!({"metadata": {"name": POLICIES}});
    let mut world = World::unheard();
    all_but(&mut world, &missing);
    world.see(DEFINITIONS, Seen::All(vec![definition]));
    for _ in 0..2 * BELIEVED {
        world.see(POLICIES, Seen::Trouble(Trouble::Missing));
    }
    assert!(!world.known.is_complete(), "there may be policies in another version");
    let mut world = World::unheard();
    all_but(&mut world, &[(POLICIES, Trouble::Missing), (DEFINITIONS, forbidden())]);
    assert!(!world.known.is_complete(), "an API server that has just begun does not know");
    for _ in 1..BELIEVED {
        world.see(POLICIES, Seen::Trouble(Trouble::Missing));
    }
    assert!(world.known.is_complete());
}

#[test]
fn a_secret_that_comes_from_another_watch_before_it_goes_from_the_first_stays() {
    let secret = |kind: &str| json!({"metadata": {"name": "a", "namespace": "shop"}, "type": kind});
    let [tls, others] = ["secrets (type=kubernetes.io/tls)", OTHERS];
    let mut world = World::new();
    world.see(tls, Seen::All(vec![secret("kubernetes.io/tls")]));
    world.see(others, Seen::Put(secret("Opaque")));
    world.see(tls, Seen::Gone(secret("kubernetes.io/tls")));
    assert_eq!(world.event(), (vec!["Secret shop/a".to_owned()], vec![]));
    world.see(others, Seen::Gone(secret("Opaque")));
    assert_eq!(world.event(), (vec![], vec!["Secret shop/a".to_owned()]));
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
    assert_eq!(installation.missing, ["udproutes.gateway.networking.k8s.io"]);
    assert_eq!(installation.absent, [ResourceKind::UdpRoute, ResourceKind::ClusterTrustBundle]);
    assert!(installation.unread[0].contains("udproutes"));
    assert_eq!(named("x").unwrap().installation, None, "it is somebody else's");
}

fn metadata(name: &str) -> ObjectMeta {
    ObjectMeta { name: Some(name.to_owned()), ..ObjectMeta::default() }
}
