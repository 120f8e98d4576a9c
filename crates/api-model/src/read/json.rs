//! Reads JSON with the place of every value; serde_json gives none once it has read them.

use serde_json::Number;

use super::DocumentError;
use super::located::{Entry, Located, Node};
use super::scalar::from_float;
use super::yaml::MAX_DEPTH;

/// All values of a text whose first line has this number in its file, one after the other.
pub(super) fn parse(text: &str, first_line: usize) -> Result<Vec<Located>, DocumentError> {
    let mut parser = Parser { text, at: 0, line: first_line, line_start: 0 };
    // A file of several documents begins its later ones with a `---` line, which is no JSON.
    if let Some(rest) = text.strip_prefix("---") {
        parser.at = text.len() - rest.len();
    }
    let mut values = Vec::new();
    parser.skip_space();
    while parser.at < text.len() {
        values.push(parser.value(0)?);
        parser.skip_space();
    }
    Ok(values)
}

struct Parser<'a> {
    text: &'a str,
    at: usize,
    line: usize,
    line_start: usize,
}

impl<'a> Parser<'a> {
    fn rest(&self) -> &'a str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn column(&self) -> usize {
        self.text.get(self.line_start..self.at).map_or(0, |before| before.chars().count()) + 1
    }

    fn skip_space(&mut self) {
        while let Some(byte @ (b' ' | b'\t' | b'\r' | b'\n')) = self.peek() {
            self.at += 1;
            if byte == b'\n' {
                self.line += 1;
                self.line_start = self.at;
            }
        }
    }

    fn failure(&self, message: &str) -> DocumentError {
        DocumentError {
            line: self.line,
            column: self.column(),
            message: format!("is not JSON: {message}"),
            remedy: "correct the syntax",
        }
    }

    fn eat(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        self.at += usize::from(found);
        found
    }

    fn value(&mut self, depth: usize) -> Result<Located, DocumentError> {
        if depth > MAX_DEPTH {
            return Err(self.failure("too many levels of nesting"));
        }
        let (line, column) = (self.line, self.column());
        let node = match self.peek() {
            Some(b'{') => self.object(depth)?,
            Some(b'[') => self.list(depth)?,
            Some(b'"') => Node::Text(self.string()?),
            Some(b'-' | b'0'..=b'9') => Node::Number(self.number()?),
            _ => self.word()?,
        };
        Ok(Located { line, column, node })
    }

    fn object(&mut self, depth: usize) -> Result<Node, DocumentError> {
        self.at += 1;
        let mut entries = Vec::new();
        self.skip_space();
        if self.eat(b'}') {
            return Ok(Node::Object(entries));
        }
        loop {
            self.skip_space();
            let (line, column) = (self.line, self.column());
            if self.peek() != Some(b'"') {
                return Err(self.failure("a key in quotes is expected here"));
            }
            let key = self.string()?;
            self.skip_space();
            if !self.eat(b':') {
                return Err(self.failure("a ':' is expected here"));
            }
            self.skip_space();
            let value = self.value(depth + 1)?;
            entries.push(Entry { line, column, key, value });
            self.skip_space();
            if self.eat(b'}') {
                return Ok(Node::Object(entries));
            }
            if !self.eat(b',') {
                return Err(self.failure("a ',' or '}' is expected here"));
            }
        }
    }

    fn list(&mut self, depth: usize) -> Result<Node, DocumentError> {
        self.at += 1;
        let mut entries = Vec::new();
        self.skip_space();
        if self.eat(b']') {
            return Ok(Node::List(entries));
        }
        loop {
            self.skip_space();
            entries.push(self.value(depth + 1)?);
            self.skip_space();
            if self.eat(b']') {
                return Ok(Node::List(entries));
            }
            if !self.eat(b',') {
                return Err(self.failure("a ',' or ']' is expected here"));
            }
        }
    }

    /// A string from its opening to its closing quote; serde_json reads the escapes.
    fn string(&mut self) -> Result<String, DocumentError> {
        let rest = self.rest();
        let mut escaped = false;
        let closing = rest.bytes().enumerate().skip(1).find(|&(_, byte)| {
            let closes = byte == b'"' && !escaped;
            escaped = byte == b'\\' && !escaped;
            closes
        });
        let Some(literal) = closing.and_then(|(end, _)| rest.get(..=end)) else {
            return Err(self.failure("a string has no closing quote"));
        };
        let text = serde_json::from_str(literal)
            .map_err(|_| self.failure("a string has a line break or an escape that JSON does not have"))?;
        self.at += literal.len();
        Ok(text)
    }

    fn number(&mut self) -> Result<Number, DocumentError> {
        let rest = self.rest();
        let end = rest.find(|c: char| !(c.is_ascii_digit() || "+-.eE".contains(c))).unwrap_or(rest.len());
        let literal = rest.get(..end).unwrap_or_default();
        let number: Number =
            serde_json::from_str(literal).map_err(|_| self.failure("a number is malformed"))?;
        self.at += end;
        let exact = if number.is_f64() { number.as_f64().and_then(from_float) } else { None };
        Ok(exact.unwrap_or(number))
    }

    fn word(&mut self) -> Result<Node, DocumentError> {
        for (word, node) in [("null", Node::Null), ("true", Node::Bool(true)), ("false", Node::Bool(false))] {
            if self.rest().starts_with(word) {
                self.at += word.len();
                return Ok(node);
            }
        }
        Err(self.failure("a value is expected here"))
    }
}
