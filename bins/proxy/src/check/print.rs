//! What was found, as tables or as JSON.

use lasthop_runtime::status::{Entry, Tone};
use serde_json::{Value, json};

use super::{Findings, hop, is_refused};
use crate::table::Table;

/// As tables.
pub(crate) fn text(findings: &Findings) -> String {
    let mut text = String::new();
    let mut conditions = Table::new(["", "OBJECT", "PART", "CONDITION", "REASON"]);
    for (key, entries) in &findings.objects {
        for entry in entries {
            let Entry { scope, condition } = entry;
            let said = format!("{}={}", condition.type_, condition.status);
            let why = match (entry.is_pending(), condition.message.as_str()) {
                (true, _) => "(a running proxy answers it)".to_owned(),
                (false, "") => condition.reason.clone(),
                (false, message) => format!("{}: {message}", condition.reason),
            };
            conditions.row([mark(bad(entry)), key.to_string(), scope.clone(), said, why]);
        }
    }
    section(&mut text, "CONDITIONS", &conditions, "no object has any");

    let mut hops = Table::new(["", "RULE", "GATEWAY", "BACKEND", "ENDPOINTS", "TLS"]);
    for of in &findings.hops {
        hops.row([
            mark(is_refused(&of.tls)),
            hop::rule(of),
            of.gateway.to_string(),
            hop::backend(of),
            hop::endpoints(of),
            hop::tls(of),
        ]);
    }
    section(&mut text, "HOPS", &hops, "no rule leads to a backend");

    let mut problems = Table::new(["", "PROBLEM"]);
    findings.problems.iter().for_each(|problem| problems.row([mark(problem.refuses()), problem.to_string()]));
    findings.notices.iter().for_each(|notice| problems.row([mark(false), notice.to_string()]));
    section(&mut text, "PROBLEMS", &problems, "none");

    text.push_str(&match findings.refused() {
        0 => "Nothing is refused.\n".to_owned(),
        1 => "1 thing is refused; it is marked with !\n".to_owned(),
        count => format!("{count} things are refused; they are marked with !\n"),
    });
    text
}

/// As JSON.
pub(crate) fn value(findings: &Findings) -> Value {
    let objects =
        findings.objects.iter().map(|(key, entries)| lasthop_runtime::status::to_json(key, entries));
    let notices = findings.notices.iter().map(|notice| {
        json!({
            "object": notice.object.to_string(),
            "field": notice.field,
            "message": notice.message,
        })
    });
    json!({
        "refused": findings.refused(),
        "objects": objects.collect::<Vec<_>>(),
        "hops": findings.hops,
        "problems": findings.problems,
        "notices": notices.collect::<Vec<_>>(),
    })
}

fn section<const N: usize>(text: &mut String, title: &str, table: &Table<N>, otherwise: &str) {
    let body = if table.is_empty() { format!("  {otherwise}\n") } else { table.to_string() };
    text.push_str(&format!("{title}\n{body}\n"));
}

fn bad(entry: &Entry) -> bool {
    entry.tone() == Tone::Bad && !entry.is_pending()
}

fn mark(refused: bool) -> String {
    if refused { "!" } else { " " }.to_owned()
}
