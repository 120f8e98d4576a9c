//! What a file says, as `api-model` reads it.

use std::path::Path;

use lasthop_api_model::read::{PassedOver, ReadOutcome, read_file_bytes};

use super::objects::Reading;
use crate::source::{InForce, Problem, ProblemClass};

pub(super) fn read(path: &Path, bytes: &[u8]) -> Reading {
    let ReadOutcome { objects, refused_policies, problems, passed_over } =
        read_file_bytes(&path.display().to_string(), bytes);
    Reading {
        found: objects.into_iter().map(|(object, origin)| (object, origin.line)).collect(),
        claims: refused_policies.into_iter().map(|(object, origin)| (object, origin.line)).collect(),
        lost: problems.iter().any(|problem| problem.key.is_none()),
        problems: problems.into_iter().map(refused).chain(passed_over.into_iter().map(left_aside)).collect(),
    }
}

fn refused(problem: lasthop_api_model::read::Problem) -> Problem {
    let lasthop_api_model::read::Problem { file, line, column, key, object, field, message, remedy } =
        problem;
    let class = if object.is_empty() { ProblemClass::Syntax } else { ProblemClass::Invalid };
    let file = file.to_string();
    // What is in force is known to whoever knows the file's last good state.
    Problem { file, line, column, class, key, object, field, message, remedy, in_force: InForce::Nothing }
}

fn left_aside(what: PassedOver) -> Problem {
    Problem {
        file: what.origin.file.to_string(),
        line: what.origin.line,
        column: 0,
        class: ProblemClass::PassedOver,
        key: None,
        object: what.object,
        field: String::new(),
        message: what.reason,
        remedy: String::new(),
        in_force: InForce::Everything,
    }
}
