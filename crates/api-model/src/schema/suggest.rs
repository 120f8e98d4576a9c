//! Finds what a misspelt name may have meant.

/// The known name nearest to what was written, if it is near enough to be worth a mention.
pub(crate) fn nearest<'a>(written: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    if written.len() > 64 {
        return None;
    }
    let lower = written.to_ascii_lowercase();
    let (mut within, mut names) = (None, Vec::new());
    for name in known {
        if lower.len() >= 4 && name.to_ascii_lowercase().contains(&lower) {
            within = within.or(Some(name));
        }
        names.push(name);
    }
    names
        .into_iter()
        .map(|name| (distance(&lower, &name.to_ascii_lowercase()), name))
        .filter(|&(distance, name)| distance <= 1 + name.len().min(written.len()) / 4)
        .min()
        .map(|(_, name)| name)
        .or(within)
}

/// The Levenshtein distance, in characters.
fn distance(left: &str, right: &str) -> usize {
    let right: Vec<char> = right.chars().collect();
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (i, a) in left.chars().enumerate() {
        let mut diagonal = i;
        let mut last = i + 1;
        for (slot, &b) in row.iter_mut().skip(1).zip(&right) {
            let above = *slot;
            last = (diagonal + usize::from(a != b)).min(above + 1).min(last + 1);
            diagonal = above;
            *slot = last;
        }
        if let Some(first) = row.first_mut() {
            *first = i + 1;
        }
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn measures_edits() {
        assert_eq!(distance("kitten", "sitting"), 3);
        assert_eq!(distance("", "abc"), 3);
        assert_eq!(distance("abc", "abc"), 0);
        assert_eq!(distance("ab", "ba"), 2);
    }

    #[test]
    fn suggests_near_names_only() {
        let known = ["hostnames", "parentRefs", "rules"];
        assert_eq!(nearest("hostname", known), Some("hostnames"));
        assert_eq!(nearest("parentrefs", known), Some("parentRefs"));
        assert_eq!(nearest("rule", known), Some("rules"));
        assert_eq!(nearest("tls", known), None);
        assert_eq!(nearest("redirect", ["requestMirror", "requestRedirect"]), Some("requestRedirect"));
    }
}
