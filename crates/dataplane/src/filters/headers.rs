//! Changes to header fields.

use http::{HeaderMap, HeaderName, HeaderValue, header};
use lasthop_dataplane_api::{HeaderModifier, HeaderValue as Source};

use crate::hygiene;

/// A header modifier with its names and values parsed.
#[derive(Debug)]
pub(super) struct CompiledModifier {
    set: Vec<(HeaderName, HeaderValue)>,
    add: Vec<(HeaderName, HeaderValue)>,
    remove: Vec<HeaderName>,
}

impl CompiledModifier {
    /// Compiles a modifier. Fields that frame the message cannot be set; for fields that end at this hop a change has
    /// no effect, and `problems` says so.
    pub(super) fn compile(source: &HeaderModifier, problems: &mut Vec<String>) -> Result<Self, String> {
        let mut fields = |source: &[Source]| {
            let mut fields: Vec<(HeaderName, HeaderValue)> = Vec::with_capacity(source.len());
            for field in source {
                let name = name(&field.name)?;
                let value = HeaderValue::from_str(&field.value).map_err(|_| {
                    format!("the value for header field {name} has characters it must not have")
                })?;
                if name == header::HOST && !hygiene::is_authority(&field.value) {
                    return Err(format!("{:?} is no host", field.value));
                }
                if name == header::CONTENT_LENGTH || name == header::TRANSFER_ENCODING {
                    return Err(format!("header field {name} frames the message and cannot be set"));
                }
                if hygiene::ends_here(&name) {
                    problems.push(format!(
                        "header field {name} is for one connection only; setting it does nothing"
                    ));
                } else if !fields.iter().any(|(other, _)| *other == name) {
                    // Of a name given twice the first entry counts.
                    fields.push((name, value));
                }
            }
            Ok(fields)
        };
        let set = fields(&source.set)?;
        let add = fields(&source.add)?;
        if add.iter().any(|(name, _)| *name == header::HOST) {
            return Err("header field host has one value: set it, do not add to it".to_owned());
        }
        let remove = source.remove.iter().map(|text| name(text)).collect::<Result<Vec<_>, _>>()?;
        if remove.contains(&header::HOST) {
            return Err("header field host cannot be removed: every request has a host".to_owned());
        }
        Ok(Self { set, add, remove })
    }

    pub(super) fn apply(&self, headers: &mut HeaderMap) {
        for (name, value) in &self.set {
            headers.insert(name, value.clone());
        }
        for (name, value) in &self.add {
            headers.append(name, value.clone());
        }
        for name in &self.remove {
            headers.remove(name);
        }
    }
}

fn name(text: &str) -> Result<HeaderName, String> {
    HeaderName::from_bytes(text.as_bytes()).map_err(|_| format!("{text:?} is no name of a header field"))
}
