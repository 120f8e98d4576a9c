use std::{collections::BTreeMap, fs, os::unix::fs::symlink};

use super::*;
use crate::source::{InForce, Problem, ProblemClass};

const POLL: Duration = Duration::from_secs(3600);
/// What the issue promises, with room for a machine that runs all tests at once.
const SOON: Duration = Duration::from_secs(5);

fn config_map(name: &str, value: &str) -> String {
    format!(
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: {name}}}\ndata: {{value: \"{value}\"}}\n---\n"
    )
}

/// A source with all that it said applied, as the loop would.
struct Seen {
    source: FolderSource,
    values: BTreeMap<String, String>,
    problems: Vec<Problem>,
}

impl Seen {
    async fn open(path: &Path) -> Self {
        Self::open_with(path, POLL).await
    }

    async fn open_with(path: &Path, poll: Duration) -> Self {
        let source = FolderSource::open(path, poll).unwrap();
        let mut seen = Self { source, values: BTreeMap::new(), problems: Vec::new() };
        seen.next().await;
        seen
    }

    async fn next(&mut self) {
        let event = tokio::time::timeout(SOON, self.source.next()).await.expect("no event in time").unwrap();
        for object in event.applied {
            let value = match &object {
                lasthop_api_model::Resource::ConfigMap(map) => map.data.as_ref().unwrap()["value"].clone(),
                _ => String::new(),
            };
            self.values.insert(object.key().name, value);
        }
        for key in event.removed {
            assert!(self.values.remove(&key.name).is_some(), "{key} was not there");
        }
        self.problems = event.problems.unwrap_or(std::mem::take(&mut self.problems));
    }

    async fn until(&mut self, done: impl Fn(&Self) -> bool) {
        while !done(self) {
            self.next().await;
        }
    }

    fn values(&self) -> Vec<(&str, &str)> {
        self.values.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect()
    }

    fn problems(&self) -> String {
        self.problems.iter().map(|problem| format!("{problem}\n")).collect()
    }
}

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().unwrap()
}

#[tokio::test]
async fn files_come_change_and_go() {
    let folder = folder();
    let (a, b) = (folder.path().join("a.yaml"), folder.path().join("deep/er/b.json"));
    fs::write(&a, config_map("one", "1") + &config_map("two", "2")).unwrap();
    let mut seen = Seen::open(folder.path()).await;
    assert_eq!(seen.values(), [("one", "1"), ("two", "2")]);
    assert_eq!(seen.problems(), "");

    fs::create_dir_all(b.parent().unwrap()).unwrap();
    fs::write(
        &b,
        r#"{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"three"},"data":{"value":"3"}}"#,
    )
    .unwrap();
    seen.until(|seen| seen.values.len() == 3).await;

    fs::write(&a, config_map("one", "changed")).unwrap();
    seen.until(|seen| seen.values() == [("one", "changed"), ("three", "3")]).await;

    // Of the same length, in the same tick of the clock, and in a folder that is new to the watch.
    let json = fs::read_to_string(&b).unwrap();
    fs::write(&b, json.replace("\"3\"", "\"4\"")).unwrap();
    seen.until(|seen| seen.values["three"] == "4").await;
    fs::write(&b, json.replace("\"3\"", "\"5\"")).unwrap();
    seen.until(|seen| seen.values["three"] == "5").await;

    fs::remove_dir_all(folder.path().join("deep")).unwrap();
    seen.until(|seen| seen.values() == [("one", "changed")]).await;
    fs::remove_file(&a).unwrap();
    seen.until(|seen| seen.values.is_empty()).await;
}

#[tokio::test]
async fn a_change_is_seen_within_a_tenth_of_a_second() {
    let folder = folder();
    let a = folder.path().join("a.yaml");
    fs::write(&a, config_map("one", "0")).unwrap();
    let mut seen = Seen::open(folder.path()).await;
    let mut times = Vec::new();
    for round in 1..=9 {
        let next = folder.path().join("next");
        fs::write(&next, config_map("one", &round.to_string())).unwrap();
        let began = Instant::now();
        fs::rename(&next, &a).unwrap();
        seen.until(|seen| seen.values["one"] == round.to_string()).await;
        times.push(began.elapsed());
    }
    times.sort();
    assert!(times[4] < Duration::from_millis(100), "{times:?}");
}

#[tokio::test]
async fn a_broken_file_leaves_the_last_good_state_of_its_objects() {
    let folder = folder();
    let (a, b) = (folder.path().join("a.yaml"), folder.path().join("b.yaml"));
    fs::write(&a, config_map("one", "1") + &config_map("two", "2")).unwrap();
    fs::write(&b, config_map("other", "1")).unwrap();
    let mut seen = Seen::open(folder.path()).await;

    // No YAML in the second document: the first one is taken, the second one's object stays.
    fs::write(&a, config_map("one", "new") + "a: [b\n").unwrap();
    seen.until(|seen| seen.values["one"] == "new").await;
    assert_eq!(seen.values(), [("one", "new"), ("other", "1"), ("two", "2")]);
    assert_eq!(seen.problems.len(), 1, "{}", seen.problems());
    let problem = &seen.problems[0];
    assert_eq!((problem.class, problem.in_force), (ProblemClass::Syntax, InForce::LastGood));
    assert!(seen.problems().contains("a.yaml:"), "{}", seen.problems());
    assert!(seen.problems().contains("last good version stays in force"), "{}", seen.problems());

    // An object that the API server would refuse: its last good version stays, and what is gone is gone.
    fs::write(&a, "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: two}\ndta: {}\n").unwrap();
    seen.until(|seen| seen.values.len() == 2).await;
    assert_eq!(seen.values(), [("other", "1"), ("two", "2")]);
    assert!(seen.problems().contains("two"), "{}", seen.problems());
    assert!(seen.problems().contains("dta"), "{}", seen.problems());

    // The others live.
    fs::write(&b, config_map("other", "2")).unwrap();
    seen.until(|seen| seen.values["other"] == "2").await;
    assert_eq!(seen.problems.len(), 1);

    fs::write(&a, config_map("two", "3")).unwrap();
    seen.until(|seen| seen.problems.is_empty()).await;
    assert_eq!(seen.values(), [("other", "2"), ("two", "3")]);
}

#[tokio::test]
async fn an_object_that_was_never_good_is_not_in_force() {
    let folder = folder();
    fs::write(
        folder.path().join("a.yaml"),
        "kind: ConfigMap\napiVersion: v1\nmetadata: {name: x}\ndata: 5\n",
    )
    .unwrap();
    let seen = Seen::open(folder.path()).await;
    assert!(seen.values.is_empty());
    assert_eq!(seen.problems[0].in_force, InForce::Nothing);
    assert!(seen.problems().contains("(not in force)"), "{}", seen.problems());
}

#[tokio::test]
async fn the_same_object_in_two_files_is_taken_from_the_first() {
    let folder = folder();
    let (a, b) = (folder.path().join("a.yaml"), folder.path().join("b.yaml"));
    fs::write(&b, config_map("one", "b")).unwrap();
    let mut seen = Seen::open(folder.path()).await;
    fs::write(&a, format!("# comment\n{}", config_map("one", "a"))).unwrap();
    seen.until(|seen| seen.values() == [("one", "a")]).await;
    assert_eq!(seen.problems.len(), 1, "{}", seen.problems());
    assert_eq!(seen.problems[0].class, ProblemClass::Duplicate);
    let text = seen.problems();
    assert!(text.contains("b.yaml:1: ConfigMap default/one: is in ") && text.contains("a.yaml:"), "{text}");
    assert!(text.contains("remove one of the two"), "{text}");

    fs::remove_file(&a).unwrap();
    seen.until(|seen| seen.values() == [("one", "b")]).await;
    assert_eq!(seen.problems(), "");
}

#[tokio::test]
async fn a_mounted_config_map_is_swapped_as_a_whole() {
    let folder = folder();
    let root = folder.path();
    let version = |name: &str, value: &str| {
        fs::create_dir(root.join(name)).unwrap();
        fs::write(root.join(name).join("a.yaml"), config_map("one", value)).unwrap();
        fs::write(root.join(name).join("b.yaml"), config_map("two", value)).unwrap();
    };
    version("..v1", "1");
    symlink("..v1", root.join("..data")).unwrap();
    symlink("..data/a.yaml", root.join("a.yaml")).unwrap();
    symlink("..data/b.yaml", root.join("b.yaml")).unwrap();
    let mut seen = Seen::open(root).await;
    assert_eq!(seen.values(), [("one", "1"), ("two", "1")]);
    for (old, new, value) in [("..v1", "..v2", "2"), ("..v2", "..v3", "3")] {
        version(new, value);
        symlink(new, root.join("..data_tmp")).unwrap();
        fs::rename(root.join("..data_tmp"), root.join("..data")).unwrap();
        fs::remove_dir_all(root.join(old)).unwrap();
        seen.next().await;
        assert_eq!(seen.values(), [("one", value), ("two", value)]);
        assert_eq!(seen.problems(), "");
    }
}

#[tokio::test]
async fn what_lies_behind_links_is_watched() {
    let (folder, elsewhere) = (folder(), folder());
    let target = elsewhere.path().join("target");
    fs::write(&target, config_map("one", "1")).unwrap();
    symlink(&target, folder.path().join("a.yaml")).unwrap();
    let link = elsewhere.path().join("root");
    symlink(folder.path(), &link).unwrap();
    let mut seen = Seen::open(&link).await;
    fs::write(&target, config_map("one", "2")).unwrap();
    seen.until(|seen| seen.values() == [("one", "2")]).await;

    // The root itself leads elsewhere now.
    let other = tempfile::tempdir().unwrap();
    fs::write(other.path().join("b.yaml"), config_map("two", "1")).unwrap();
    symlink(other.path(), elsewhere.path().join("new")).unwrap();
    fs::rename(elsewhere.path().join("new"), &link).unwrap();
    seen.until(|seen| seen.values() == [("two", "1")]).await;
    fs::write(other.path().join("b.yaml"), config_map("two", "2")).unwrap();
    seen.until(|seen| seen.values() == [("two", "2")]).await;
}

#[tokio::test]
async fn a_folder_that_vanishes_leaves_everything_in_force() {
    let parent = folder();
    let root = parent.path().join("manifests");
    fs::create_dir(&root).unwrap();
    fs::write(root.join("a.yaml"), config_map("one", "1")).unwrap();
    let mut seen = Seen::open(&root).await;
    fs::rename(&root, parent.path().join("away")).unwrap();
    seen.until(|seen| !seen.problems.is_empty()).await;
    assert_eq!(seen.values(), [("one", "1")]);
    assert!(seen.problems().contains("stays in force"), "{}", seen.problems());

    fs::create_dir(&root).unwrap();
    fs::write(root.join("a.yaml"), config_map("one", "2")).unwrap();
    seen.until(|seen| seen.values() == [("one", "2")] && seen.problems.is_empty()).await;
    fs::write(root.join("a.yaml"), config_map("one", "3")).unwrap();
    seen.until(|seen| seen.values() == [("one", "3")]).await;
}

#[tokio::test]
async fn a_single_file_is_a_source_too() {
    let folder = folder();
    let path = folder.path().join("all.yaml");
    fs::write(&path, config_map("one", "1")).unwrap();
    fs::write(folder.path().join("other.yaml"), config_map("two", "1")).unwrap();
    let mut seen = Seen::open(&path).await;
    assert_eq!(seen.values(), [("one", "1")]);
    fs::write(&path, config_map("one", "2")).unwrap();
    seen.until(|seen| seen.values() == [("one", "2")]).await;
}

#[tokio::test]
async fn an_emptied_file_is_believed_at_the_second_look() {
    let folder = folder();
    let path = folder.path().join("a.yaml");
    fs::write(&path, config_map("one", "1")).unwrap();
    let mut seen = Seen::open(folder.path()).await;
    let began = Instant::now();
    fs::write(&path, "").unwrap();
    seen.until(|seen| seen.values.is_empty()).await;
    assert!(began.elapsed() >= Duration::from_millis(90), "{:?}", began.elapsed());
}

#[tokio::test]
async fn asked_or_not_it_looks() {
    let folder = folder();
    let path = folder.path().join("a.yaml");
    fs::write(&path, config_map("one", "1")).unwrap();
    for poll in [POLL, Duration::from_millis(20)] {
        fs::write(&path, config_map("one", "1")).unwrap();
        let mut seen = Seen::open_with(folder.path(), poll).await;
        // As if no watch could be had.
        let look = seen.source.look.as_mut().unwrap();
        look.watch = watch::Watch::blind();
        fs::write(&path, config_map("one", "2")).unwrap();
        if poll == POLL {
            seen.source.refresh().ask();
        }
        seen.until(|seen| seen.values() == [("one", "2")]).await;
    }
}

#[tokio::test]
async fn what_events_name_is_read_and_nothing_else_has_to_be() {
    let folder = folder();
    let named = |name: &str| folder.path().join(name);
    for name in ["a", "b", "c"] {
        fs::write(named(&format!("{name}.yaml")), config_map(name, "1")).unwrap();
    }
    let mut seen = Seen::open(folder.path()).await;
    let began = |seen: &Seen| seen.source.look.as_ref().unwrap().began();
    let full = began(&seen);
    fs::write(named("a.yaml"), config_map("a", "2")).unwrap();
    fs::rename(named("b.yaml"), named("d.yaml")).unwrap();
    fs::remove_file(named("c.yaml")).unwrap();
    fs::write(named("note.txt"), "x").unwrap();
    seen.until(|seen| seen.values() == [("a", "2"), ("b", "1")]).await;
    assert_eq!(began(&seen), full, "a look at everything was not needed");
    fs::create_dir(named("deep")).unwrap();
    fs::write(named("deep/e.yaml"), config_map("e", "1")).unwrap();
    seen.until(|seen| seen.values.contains_key("e")).await;
    assert_ne!(began(&seen), full);
}

#[test]
fn what_is_no_folder_is_refused_in_one_sentence() {
    let error = FolderSource::open(Path::new("/nonexistent/x"), POLL).err().unwrap().to_string();
    assert!(error.starts_with("/nonexistent/x: there is no such file or folder; name a folder"), "{error}");
    assert!(!error.contains('\n'), "{error}");
}

#[tokio::test]
async fn a_refused_policy_holds_where_no_good_version_does() {
    let policy = |hostname: &str, target: &str| {
        format!(
            "apiVersion: gateway.networking.k8s.io/v1\nkind: BackendTLSPolicy\nmetadata: {{name: p}}\nspec:\n  \
             targetRefs: [{{group: '', kind: Service, name: {target}}}]\n  validation:\n    \
             wellKnownCACertificates: System\n    {hostname}\n"
        )
    };
    let refused = |event: &SourceEvent| match event.applied.as_slice() {
        [lasthop_api_model::Resource::BackendTlsPolicy(policy)] => {
            (policy.spec.target_refs[0].name.clone(), policy.spec.refused.is_some())
        }
        other => panic!("{other:?}"),
    };
    let folder = folder();
    let file = folder.path().join("policy.yaml");
    fs::write(&file, policy("hostnam: a.example", "one")).unwrap();
    let mut source = FolderSource::open(folder.path(), POLL).unwrap();
    let event = source.next().await.unwrap();
    assert_eq!(refused(&event), ("one".to_owned(), true));
    assert_eq!(event.problems.unwrap()[0].in_force, InForce::Nothing);

    // Still wrong, with another target: the newer target counts.
    fs::write(&file, policy("hostnam: a.example", "two")).unwrap();
    let mut next = async || tokio::time::timeout(SOON, source.next()).await.unwrap().unwrap();
    assert_eq!(refused(&next().await), ("two".to_owned(), true));
    // Put right; then wrong again: the good version stays.
    fs::write(&file, policy("hostname: a.example", "two")).unwrap();
    assert_eq!(refused(&next().await), ("two".to_owned(), false));
    fs::write(&file, policy("hostnam: a.example", "two")).unwrap();
    let event = next().await;
    assert!(event.applied.is_empty() && event.removed.is_empty());
    assert_eq!(event.problems.unwrap()[0].in_force, InForce::LastGood);
}
