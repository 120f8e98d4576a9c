//! Splits a file at its `---` lines, before anything is parsed: what is wrong in one document stays there.

/// One document of a file.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Document<'a> {
    /// The line it begins in, from 1.
    pub(super) line: usize,
    /// Its text, with the `---` line it begins with.
    pub(super) bytes: &'a [u8],
}

pub(super) fn split(bytes: &[u8]) -> Vec<Document<'_>> {
    let bytes = bytes.strip_prefix("\u{feff}".as_bytes()).unwrap_or(bytes);
    let mut documents = Vec::new();
    let (mut start, mut start_line, mut at) = (0, 1, 0);
    for (index, line) in bytes.split_inclusive(|&byte| byte == b'\n').enumerate() {
        if is_separator(line) && at > start {
            documents.extend(document(bytes, start, at, start_line));
            (start, start_line) = (at, index + 1);
        }
        at += line.len();
    }
    documents.extend(document(bytes, start, at, start_line));
    documents
}

fn document(bytes: &[u8], start: usize, end: usize, line: usize) -> Option<Document<'_>> {
    let bytes = bytes.get(start..end)?;
    let is_content = |line: &[u8]| {
        let line = line.trim_ascii_start();
        !line.is_empty()
            && !line.starts_with(b"#")
            && !line.starts_with(b"%")
            && line.trim_ascii_end() != b"---"
    };
    bytes.split(|&byte| byte == b'\n').any(is_content).then_some(Document { line, bytes })
}

/// `---`, alone or with white space behind it: no other line of YAML may begin like this.
fn is_separator(line: &[u8]) -> bool {
    line.strip_prefix(b"---").is_some_and(|rest| rest.first().is_none_or(u8::is_ascii_whitespace))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split_text(text: &str) -> Vec<(usize, &str)> {
        let text_of = |bytes| std::str::from_utf8(bytes).unwrap();
        split(text.as_bytes()).into_iter().map(|document| (document.line, text_of(document.bytes))).collect()
    }

    #[test]
    fn splits_at_separator_lines() {
        assert_eq!(split_text("a: 1\n---\nb: 2\n"), [(1, "a: 1\n"), (2, "---\nb: 2\n")]);
        assert_eq!(
            split_text("---\r\na: 1\r\n---  \r\nb: 2"),
            [(1, "---\r\na: 1\r\n"), (3, "---  \r\nb: 2")]
        );
        assert_eq!(split_text("--- # one\na: 1"), [(1, "--- # one\na: 1")]);
        assert_eq!(split_text("\u{feff}a: 1"), [(1, "a: 1")], "a byte order mark is no content");
    }

    #[test]
    fn leaves_other_dashes_alone() {
        let pem = "a: |\n  x\n-----BEGIN CERTIFICATE-----\n";
        assert_eq!(split_text(pem), [(1, pem)]);
        assert_eq!(split_text("a: |\n  ---\n  b\n").len(), 1, "an indented one is text");
    }

    #[test]
    fn passes_over_what_is_empty() {
        assert_eq!(split_text(""), []);
        assert_eq!(split_text("# only\n---\n\n---\n# comments\n"), []);
        assert_eq!(split_text("%YAML 1.2\n---\na: 1\n"), [(2, "---\na: 1\n")]);
    }
}
