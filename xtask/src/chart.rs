//! `cargo xtask chart`: writes the parts of the Helm chart that the controller knows: the CRD of ours, and the rights.
//!
//! A test of the controller renders the chart and compares all of it with `lasthop-controller manifests`.

use crate::{
    Outcome,
    cluster::layout::write,
    processes::{cargo, output},
    root,
};

pub(crate) fn run() -> Outcome {
    let folder = root().join("charts/lasthop/files");
    write(&folder.join("lasthopparameters.yaml"), &printed("crds")?)?;
    let rights = printed("rights")?;
    let rules =
        cluster_rules(&rights).ok_or("`lasthop-controller rights` prints no rules of a ClusterRole")?;
    write(&folder.join("cluster-rules.yaml"), &rules)?;
    println!("chart: {} is up to date", folder.display());
    Ok(())
}

fn printed(what: &str) -> Result<String, String> {
    let answer =
        output(cargo(["run", "--quiet", "--locked", "--package", "lasthop-controller", "--", what]))?;
    if !answer.status.success() {
        let says = String::from_utf8_lossy(&answer.stderr);
        return Err(format!("the controller could not print its {what}: {says}"));
    }
    Ok(String::from_utf8_lossy(&answer.stdout).into_owned())
}

/// The field `rules` of the first document.
fn cluster_rules(rights: &str) -> Option<String> {
    let first = rights.split("---\n").next()?;
    let rules = first.find("\nrules:\n")?;
    Some(first[rules + 1..].to_owned())
}

#[cfg(test)]
mod tests {
    use super::cluster_rules;

    #[test]
    fn rules_are_those_of_the_first_document() {
        let rights =
            "kind: ClusterRole\nrules:\n  - verbs: [get]\n---\nkind: Role\nrules:\n  - verbs: [list]\n";
        assert_eq!(cluster_rules(rights).unwrap(), "rules:\n  - verbs: [get]\n");
        assert!(cluster_rules("kind: Role\n").is_none());
    }
}
