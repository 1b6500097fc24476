//! The environment file: a flat object of variables.

use crate::code::Code;
use crate::diagnostic::Diagnostic;
use crate::document::{Entry, Node, Value};

/// The variables of an environment file.
pub(crate) fn entries(root: &Node, errors: &mut Vec<Diagnostic>) -> Vec<Entry> {
    let Value::Object(entries) = &root.value else {
        errors.push(
            Diagnostic::new(
                Code::UnexpectedType,
                format!("an environment must be an object, found {}", root.described()),
            )
            .labelled(root.span, "expected an object of variables")
            .help("write {\"DATA_ROOT\": \"/data\", …}"),
        );
        return Vec::new();
    };
    entries.iter().filter(|entry| !entry.key.starts_with(['_', '$'])).cloned().collect()
}
