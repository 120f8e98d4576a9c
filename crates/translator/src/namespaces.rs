//! Which namespaces a Gateway lets in.

use std::collections::BTreeMap;

use lasthop_api_model::{FromNamespaces, LabelSelector, Namespace};

use crate::index::Reader;

/// The label every namespace of a cluster has.
const NAME_LABEL: &str = "kubernetes.io/metadata.name";

/// Whether objects of `namespace` are let in by an object of the namespace `own`.
pub(crate) fn admits(
    reader: &Reader<'_>,
    from: &FromNamespaces,
    selector: Option<&LabelSelector>,
    own: &str,
    namespace: &str,
) -> bool {
    match from {
        FromNamespaces::All => true,
        FromNamespaces::Same => own == namespace,
        FromNamespaces::None | FromNamespaces::Other(_) => false,
        // A null selector selects nothing.
        FromNamespaces::Selector => {
            selector.is_some_and(|selector| matches(selector, &labels(reader, namespace)))
        }
    }
}

/// A namespace that nobody described still has its name, as on a cluster.
fn labels(reader: &Reader<'_>, name: &str) -> BTreeMap<String, String> {
    let object = reader.find::<Namespace>("", name);
    let mut labels = object.and_then(|object| object.metadata.labels.clone()).unwrap_or_default();
    labels.entry(NAME_LABEL.to_owned()).or_insert_with(|| name.to_owned());
    labels
}

/// Whether a selector selects these labels. An operator that is not known selects nothing.
fn matches(selector: &LabelSelector, labels: &BTreeMap<String, String>) -> bool {
    let all_equal = selector
        .match_labels
        .iter()
        .flatten()
        .all(|(key, value)| labels.get(key).is_some_and(|found| found == value));
    all_equal
        && selector.match_expressions.iter().flatten().all(|requirement| {
            let values = requirement.values.as_deref().unwrap_or_default();
            let found = labels.get(&requirement.key);
            match requirement.operator.as_str() {
                "In" => found.is_some_and(|found| values.contains(found)),
                "NotIn" => found.is_none_or(|found| !values.contains(found)),
                "Exists" => found.is_some(),
                "DoesNotExist" => found.is_none(),
                _ => false,
            }
        })
}

#[cfg(test)]
mod tests {
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelectorRequirement;

    use super::*;

    fn selects(operator: &str, values: &[&str]) -> bool {
        let selector = LabelSelector {
            match_labels: None,
            match_expressions: Some(vec![LabelSelectorRequirement {
                key: "team".to_owned(),
                operator: operator.to_owned(),
                values: Some(values.iter().map(|v| (*v).to_owned()).collect()),
            }]),
        };
        matches(&selector, &[("team".to_owned(), "shop".to_owned())].into())
    }

    #[test]
    fn expressions_mean_what_kubernetes_says() {
        assert!(selects("In", &["shop", "bank"]) && !selects("In", &["bank"]));
        assert!(selects("NotIn", &["bank"]) && !selects("NotIn", &["shop"]));
        assert!(selects("Exists", &[]) && !selects("DoesNotExist", &[]));
        assert!(!selects("Gt", &["1"]));
    }

    #[test]
    fn all_labels_must_be_there_and_an_empty_selector_selects_all() {
        let labels: BTreeMap<_, _> = [("a".to_owned(), "1".to_owned())].into();
        let wanted = |pairs: &[(&str, &str)]| LabelSelector {
            match_labels: Some(pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()),
            match_expressions: None,
        };
        assert!(matches(&wanted(&[("a", "1")]), &labels));
        assert!(!matches(&wanted(&[("a", "1"), ("b", "2")]), &labels));
        assert!(matches(&LabelSelector::default(), &labels));
    }
}
