//! What a plain scalar of YAML means: the rules of YAML 1.1 as `kubectl` applies them.

use serde_json::Number;

use super::located::Node;

/// Reads a scalar that stands without quotes and without a tag.
///
/// # Errors
/// Infinity and not-a-number, which JSON has no form for.
pub(super) fn resolve(text: &str) -> Result<Node, &'static str> {
    Ok(match text {
        "" | "~" | "null" | "Null" | "NULL" => Node::Null,
        "y" | "Y" | "yes" | "Yes" | "YES" | "true" | "True" | "TRUE" | "on" | "On" | "ON" => Node::Bool(true),
        "n" | "N" | "no" | "No" | "NO" | "false" | "False" | "FALSE" | "off" | "Off" | "OFF" => {
            Node::Bool(false)
        }
        ".inf" | ".Inf" | ".INF" | "+.inf" | "+.Inf" | "+.INF" | "-.inf" | "-.Inf" | "-.INF" | ".nan"
        | ".NaN" | ".NAN" => return Err("infinity and not-a-number have no form in JSON"),
        _ => match number(text) {
            Some(number) => Node::Number(number),
            None => Node::Text(text.to_owned()),
        },
    })
}

fn number(text: &str) -> Option<Number> {
    if !text.starts_with(|first: char| first.is_ascii_digit() || matches!(first, '+' | '-' | '.')) {
        return None;
    }
    let digits: String = text.chars().filter(|&c| c != '_').collect();
    integer(&digits).or_else(|| float(&digits))
}

fn integer(text: &str) -> Option<Number> {
    let (negative, digits) = match text.as_bytes().first()? {
        b'-' => (true, text.get(1..)?),
        b'+' => (false, text.get(1..)?),
        _ => (false, text),
    };
    let lower = digits.to_ascii_lowercase();
    let (radix, digits) = match (lower.get(..2), lower.get(2..)) {
        (Some("0x"), Some(rest)) => (16, rest),
        (Some("0o"), Some(rest)) => (8, rest),
        (Some("0b"), Some(rest)) => (2, rest),
        (Some(both), _) if both.starts_with('0') => (8, lower.get(1..)?),
        _ => (10, lower.as_str()),
    };
    if !digits.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        return None;
    }
    let magnitude = u64::from_str_radix(digits, radix).ok()?;
    if negative {
        0_i64.checked_sub_unsigned(magnitude).map(Number::from)
    } else {
        Some(Number::from(magnitude))
    }
}

/// A decimal fraction. One without a fractional part is an integer, as it is in JSON.
fn float(text: &str) -> Option<Number> {
    let fits =
        text.bytes().all(|byte| byte.is_ascii_digit() || matches!(byte, b'+' | b'-' | b'.' | b'e' | b'E'))
            && text.bytes().any(|byte| byte.is_ascii_digit());
    let value: f64 = if fits { text.parse().ok()? } else { return None };
    from_float(value)
}

/// The number of a float that is finite; an integer where it has no fraction and is exact.
pub(super) fn from_float(value: f64) -> Option<Number> {
    const EXACT: f64 = 9_007_199_254_740_992.0;
    if value.fract() == 0.0 && value.abs() <= EXACT {
        #[expect(clippy::cast_possible_truncation, reason = "an integer of at most 53 bits")]
        return Some(Number::from(value as i64));
    }
    Number::from_f64(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_scalars_as_kubectl_does() {
        let integer = |n: i64| Node::Number(Number::from(n));
        for (text, node) in [
            ("", Node::Null),
            ("~", Node::Null),
            ("null", Node::Null),
            ("yes", Node::Bool(true)),
            ("off", Node::Bool(false)),
            ("True", Node::Bool(true)),
            ("8080", integer(8080)),
            ("+1", integer(1)),
            ("-12", integer(-12)),
            ("010", integer(8)),
            ("0x1F", integer(31)),
            ("0o17", integer(15)),
            ("0b101", integer(5)),
            ("1_000", integer(1000)),
            ("8080.0", integer(8080)),
            ("1e3", integer(1000)),
            ("-9223372036854775808", integer(i64::MIN)),
            ("1.5", Node::Number(Number::from_f64(1.5).unwrap())),
            ("09", integer(9)),
            ("0_1", integer(1)),
            ("-0x10", integer(-16)),
            ("+0b1", integer(1)),
            ("1.0e+2", integer(100)),
            (".5", Node::Number(Number::from_f64(0.5).unwrap())),
        ] {
            assert_eq!(resolve(text), Ok(node), "{text:?}");
        }
        for text in [
            "1.2.3",
            "10.0.0.1",
            "2026-01-31",
            "1h",
            "-",
            "+",
            ".",
            "0x",
            "09z",
            "e3",
            "yEs",
            "1:30",
            "1-2",
            "1e400",
            "_1",
            "0b2",
            "0o8",
        ] {
            assert_eq!(resolve(text), Ok(Node::Text(text.to_owned())), "{text:?}");
        }
        assert!(resolve(".inf").is_err() && resolve(".NaN").is_err());
    }
}
