//! The dependency graph of our crates, from `cargo metadata`.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::processes::{cargo, output};

/// Package names, and for each package the packages it is built with (development dependencies left out).
pub(crate) struct Graph {
    members: BTreeSet<String>,
    names: BTreeMap<String, String>,
    edges: BTreeMap<String, BTreeSet<String>>,
}

impl Graph {
    /// Asks cargo, with every feature on, for this machine's platform.
    pub(crate) fn read() -> Result<Self, String> {
        let host = host()?;
        let command = cargo([
            "metadata",
            "--format-version=1",
            "--locked",
            "--all-features",
            "--filter-platform",
            &host,
        ]);
        let output = output(command)?;
        if !output.status.success() {
            return Err(format!("cargo metadata failed: {}", String::from_utf8_lossy(&output.stderr)));
        }
        let metadata: Value = serde_json::from_slice(&output.stdout).map_err(|error| error.to_string())?;
        Ok(Self::from_metadata(&metadata))
    }

    fn from_metadata(metadata: &Value) -> Self {
        let mut graph = Self { members: BTreeSet::new(), names: BTreeMap::new(), edges: BTreeMap::new() };
        for id in list(&metadata["workspace_members"]) {
            graph.members.insert(text(id));
        }
        for package in list(&metadata["packages"]) {
            graph.names.insert(text(&package["id"]), text(&package["name"]));
        }
        for node in list(&metadata["resolve"]["nodes"]) {
            let built_with = list(&node["deps"])
                .filter(|dependency| list(&dependency["dep_kinds"]).any(|kind| kind["kind"] != "dev"))
                .map(|dependency| text(&dependency["pkg"]))
                .collect();
            graph.edges.insert(text(&node["id"]), built_with);
        }
        graph
    }

    /// Our own crates by name, each with those of our crates that it names.
    pub(crate) fn ours(&self) -> BTreeMap<&str, BTreeSet<&str>> {
        self.members
            .iter()
            .map(|id| {
                let of_ours =
                    self.edges.get(id).into_iter().flatten().filter(|id| self.members.contains(*id));
                (self.name(id), of_ours.map(|id| self.name(id)).collect())
            })
            .collect()
    }

    /// How the crate comes to be built with a package that `banned` names: the way there, if there is one.
    pub(crate) fn way_to(&self, from: &str, banned: &[&str]) -> Option<Vec<&str>> {
        let start = self.members.iter().find(|id| self.name(id) == from)?;
        let mut seen = BTreeSet::from([start.as_str()]);
        let mut ways = vec![vec![start.as_str()]];
        while let Some(way) = ways.pop() {
            let last = way.last()?;
            for next in self.edges.get(*last).into_iter().flatten() {
                if !seen.insert(next) {
                    continue;
                }
                let mut longer = way.clone();
                longer.push(next);
                if banned.contains(&self.name(next)) {
                    return Some(longer.into_iter().map(|id| self.name(id)).collect());
                }
                ways.push(longer);
            }
        }
        None
    }

    fn name(&self, id: &str) -> &str {
        self.names.get(id).map_or("?", String::as_str)
    }
}

/// The integration tests of the workspace: package and target.
pub(crate) fn test_targets() -> Result<Vec<(String, String)>, String> {
    let output = output(cargo(["metadata", "--format-version=1", "--locked", "--no-deps"]))?;
    let metadata: Value = serde_json::from_slice(&output.stdout).map_err(|error| {
        format!("cargo metadata: {error}; {}", String::from_utf8_lossy(&output.stderr).trim())
    })?;
    let mut targets = Vec::new();
    for package in list(&metadata["packages"]) {
        for target in
            list(&package["targets"]).filter(|target| list(&target["kind"]).any(|kind| kind == "test"))
        {
            targets.push((text(&package["name"]), text(&target["name"])));
        }
    }
    Ok(targets)
}

fn host() -> Result<String, String> {
    let mut rustc = std::process::Command::new("rustc");
    rustc.arg("-vV");
    let printed = output(rustc)?.stdout;
    String::from_utf8_lossy(&printed)
        .lines()
        .find_map(|line| line.strip_prefix("host: "))
        .map(str::to_owned)
        .ok_or_else(|| "`rustc -vV` names no host".to_owned())
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn sample() -> Graph {
        Graph::from_metadata(&serde_json::json!({
            "workspace_members": ["a#1", "b#1"],
            "packages": [
                {"id": "a#1", "name": "a"}, {"id": "b#1", "name": "b"},
                {"id": "middle#1", "name": "middle"}, {"id": "tokio#1", "name": "tokio"},
            ],
            "resolve": {"nodes": [
                {"id": "a#1", "deps": [
                    {"pkg": "b#1", "dep_kinds": [{"kind": null}]},
                    {"pkg": "tokio#1", "dep_kinds": [{"kind": "dev"}]},
                ]},
                {"id": "b#1", "deps": [{"pkg": "middle#1", "dep_kinds": [{"kind": null}]}]},
                {"id": "middle#1", "deps": [{"pkg": "tokio#1", "dep_kinds": [{"kind": null}]}]},
                {"id": "tokio#1", "deps": []},
            ]},
        }))
    }

    #[test]
    fn development_dependencies_do_not_count() {
        let graph = sample();
        assert_eq!(graph.ours()["a"], BTreeSet::from(["b"]));
        assert_eq!(graph.way_to("b", &["tokio"]), Some(vec!["b", "middle", "tokio"]));
        assert_eq!(graph.way_to("a", &["tokio"]), Some(vec!["a", "b", "middle", "tokio"]));
        assert_eq!(graph.way_to("b", &["hyper"]), None);
    }
}
