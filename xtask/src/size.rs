//! `cargo xtask check-size`: files stay small enough to be read whole.

use std::path::{Path, PathBuf};

use crate::{Outcome, root};

/// The most lines a source file may have, its tests aside.
const LIMIT: usize = 500;

pub(crate) fn run() -> Outcome {
    let root = root();
    let mut files = Vec::new();
    for folder in ["crates", "bins", "xtask"] {
        collect(&root.join(folder), &mut files).map_err(|error| format!("{folder}: {error}"))?;
    }
    let mut sizes = Vec::with_capacity(files.len());
    for file in files {
        let text = std::fs::read_to_string(&file).map_err(|error| format!("{}: {error}", file.display()))?;
        sizes.push((lines_without_tests(&text), file));
    }
    sizes.sort();
    report(&root, &sizes)
}

fn report(root: &Path, sizes: &[(usize, PathBuf)]) -> Outcome {
    let (Some((median, _)), Some((most, longest))) = (sizes.get(sizes.len() / 2), sizes.last()) else {
        return Err("check-size found no source file".to_owned());
    };
    println!(
        "check-size: {} files, median {median} lines, longest {most} ({})",
        sizes.len(),
        longest.strip_prefix(root).unwrap_or(longest).display()
    );
    let over: Vec<String> = sizes
        .iter()
        .filter(|(lines, _)| *lines > LIMIT)
        .map(|(lines, file)| format!("{} has {lines}", file.strip_prefix(root).unwrap_or(file).display()))
        .collect();
    if over.is_empty() {
        return Ok(());
    }
    Err(format!(
        "a file may have {LIMIT} lines, tests aside; split these by what they do: {}",
        over.join("; ")
    ))
}

/// Every Rust file below the folder that is not a test or a benchmark by its path.
fn collect(folder: &Path, files: &mut Vec<PathBuf>) -> std::io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        if path.is_dir() {
            if !matches!(name.as_str(), "tests" | "benches" | "target") {
                collect(&path, files)?;
            }
        } else if name.ends_with(".rs") && name != "tests.rs" {
            files.push(path);
        }
    }
    Ok(())
}

/// The lines before the test module at a file's end.
fn lines_without_tests(text: &str) -> usize {
    let lines: Vec<&str> = text.lines().collect();
    lines
        .windows(2)
        .position(|pair| pair[0] == "#[cfg(test)]" && pair[1].starts_with("mod ") && pair[1].ends_with('{'))
        .unwrap_or(lines.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_lines_before_the_test_module() {
        assert_eq!(lines_without_tests("//! a\nfn b() {}\n"), 2);
        assert_eq!(lines_without_tests("fn b() {}\n\n#[cfg(test)]\nmod tests {\n    fn c() {}\n}\n"), 2);
        assert_eq!(lines_without_tests("#[cfg(test)]\nmod tests;\nfn b() {}\n"), 3);
    }

    #[test]
    fn names_the_file_that_is_too_long() {
        let sizes = vec![(10, PathBuf::from("/r/a.rs")), (501, PathBuf::from("/r/b/long.rs"))];
        let sentence = report(Path::new("/r"), &sizes).unwrap_err();
        assert!(sentence.contains("b/long.rs has 501"), "{sentence}");
        assert!(!sentence.contains("a.rs has"), "{sentence}");
    }
}
