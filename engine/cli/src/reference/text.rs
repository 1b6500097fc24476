//! For a terminal.

use std::fmt::Write as _;

use mmar_config::Argument;
use mmar_loader::{Entry, Registry};

use super::{documentation, example, joined, origin};

/// Characters of a line.
const WIDTH: usize = 100;

/// Everything about a component: what it is, how a config names it, its arguments.
pub(crate) fn page(entry: &Entry, registry: &Registry) -> String {
    let descriptor = &entry.descriptor;
    let mut text = format!("{} ({}, {})\n", descriptor.name, descriptor.kind, origin(entry));
    for paragraph in documentation(descriptor) {
        text.push('\n');
        wrap(&paragraph, 0, &mut text);
    }
    if !descriptor.aliases.is_empty() {
        text.push('\n');
        wrap(&format!("also named {}", descriptor.aliases.join(", ")), 0, &mut text);
    }
    let _ = write!(text, "\nin a config\n  {}\n", example(entry, registry));
    let arguments = mmar_config::arguments(&descriptor.schema);
    if !arguments.is_empty() {
        text.push_str("\narguments\n");
    }
    for argument in &arguments {
        describe(argument, &mut text);
    }
    text
}

/// A heading and a text.
pub(crate) fn paragraph(heading: &str, words: &str) -> String {
    let mut text = format!("{heading}\n\n");
    wrap(words, 0, &mut text);
    text
}

fn describe(argument: &Argument, text: &mut String) {
    let mut facts = vec![argument.accepts.clone()];
    facts.extend(argument.default.as_ref().map(|default| format!("default {default}")));
    if argument.is_required {
        facts.push("required".to_owned());
    }
    if !argument.aliases.is_empty() {
        facts.push(format!("also {}", argument.aliases.join(", ")));
    }
    wrap(&format!("{}: {}", argument.name, facts.join("; ")), 2, text);
    if !argument.description.is_empty() {
        wrap(&joined(&argument.description), 6, text);
    }
    for (value, meaning) in &argument.choices {
        wrap(&format!("{value}: {meaning}"), 8, text);
    }
}

/// Adds a text in lines that are not too long; all but the first are indented further.
fn wrap(words: &str, indent: usize, text: &mut String) {
    let mut column = 0;
    for word in words.split_whitespace() {
        let length = word.chars().count();
        if column == 0 {
            text.extend(std::iter::repeat_n(' ', indent));
            column = indent;
        } else if column + 1 + length > WIDTH {
            let deeper = if indent == 0 { 0 } else { indent + 2 };
            text.push('\n');
            text.extend(std::iter::repeat_n(' ', deeper));
            column = deeper;
        } else {
            text.push(' ');
            column += 1;
        }
        text.push_str(word);
        column += length;
    }
    text.push('\n');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_wrapped_at_words() {
        let mut text = String::new();
        wrap(&"four ".repeat(50), 2, &mut text);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 3, "{text}");
        assert!(lines[0].starts_with("  four") && lines[1].starts_with("    four"), "{text}");
        assert!(lines.iter().all(|line| line.len() <= WIDTH && !line.ends_with(' ')), "{text}");
    }
}
