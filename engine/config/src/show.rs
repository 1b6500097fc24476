//! The resolved config with the origin of each value: `mmar show`.

use std::fmt;

use serde_json::{Map, Value as Json, json};

use crate::document::{Node, Value, child_pointer, inline};
use crate::plan::Plan;
use crate::source::{SourceKind, Sources, Span};

/// Where a value comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// A line of the config.
    Config {
        /// The file.
        file: String,
        /// The line, from 1.
        line: usize,
    },
    /// A line of the environment file.
    Environment {
        /// The file.
        file: String,
        /// The line, from 1.
        line: usize,
    },
    /// The command line.
    Override {
        /// What was set.
        key: String,
    },
}

impl Origin {
    pub(crate) fn of(span: Span, sources: &Sources) -> Self {
        let source = sources.get(span.source);
        let (line, _) = sources.position(span);
        match source.kind {
            SourceKind::Config => Self::Config { file: source.name.clone(), line },
            SourceKind::Environment => Self::Environment { file: source.name.clone(), line },
            SourceKind::Override => {
                Self::Override { key: source.text.split('=').next().unwrap_or_default().trim().to_owned() }
            }
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Config { file, line } | Self::Environment { file, line } => write!(f, "{file}:{line}"),
            Self::Override { key } => write!(f, "--set {key}"),
        }
    }
}

/// A value of the resolved config.
#[derive(Debug, Clone)]
pub struct ShownValue {
    /// JSON pointer.
    pub pointer: String,
    /// The value: a text, a number, `true`, `false`, `null`, or a list of these.
    pub value: Json,
    /// Where the value stands.
    pub origin: Origin,
    /// The variable it was taken from.
    pub variable: Option<String>,
}

/// A resolved config, or a part of it.
#[derive(Debug, Clone)]
pub struct Shown {
    /// The config.
    pub config: Json,
    /// Each of its values.
    pub values: Vec<ShownValue>,
    text: String,
}

impl Plan {
    /// The resolved config with the origin of each value.
    pub fn show(&self) -> Shown {
        Shown::new("", &self.root, &self.sources)
    }

    /// The part of it at a JSON pointer: `/train/loss`.
    pub fn show_at(&self, pointer: &str) -> Option<Shown> {
        let mut node = self.root.as_ref();
        for step in pointer.split('/').skip(1) {
            let step = step.replace("~1", "/").replace("~0", "~");
            node = node.get(&step).or_else(|| node.items().get(step.parse::<usize>().ok()?))?;
        }
        Some(Shown::new(pointer, node, &self.sources))
    }
}

impl Shown {
    fn new(pointer: &str, node: &Node, sources: &Sources) -> Self {
        let mut writer = Writer { sources, values: Vec::new(), lines: Vec::new() };
        writer.node(node, pointer, 0, String::new(), "");
        let text = writer.text();
        Self { config: node.to_json(), values: writer.values, text }
    }

    /// JSON for a script: `{"schema": 1, "config": …, "origins": {"/epochs": {"origin": …, "variable": …}}}`.
    pub fn to_json(&self) -> Json {
        let origins: Map<String, Json> = self
            .values
            .iter()
            .map(|value| {
                (value.pointer.clone(), json!({ "origin": value.origin.to_string(), "variable": value.variable }))
            })
            .collect();
        json!({ "schema": 1, "config": self.config, "origins": origins })
    }
}

/// JSON with the origin of each value after it.
impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

struct Writer<'a> {
    sources: &'a Sources,
    values: Vec<ShownValue>,
    /// Text and origin of each line.
    lines: Vec<(String, Option<String>)>,
}

impl Writer<'_> {
    fn node(&mut self, node: &Node, pointer: &str, indent: usize, head: String, tail: &str) {
        let pad = "  ".repeat(indent);
        let children: Vec<(String, &Node, String)> = match &node.value {
            Value::Object(entries) => entries
                .iter()
                .map(|entry| {
                    (format!("{}: ", Json::from(entry.key.as_str())), &entry.value, child_pointer(pointer, &entry.key))
                })
                .collect(),
            Value::Array(items) if items.iter().any(|item| matches!(item.value, Value::Object(_))) => items
                .iter()
                .enumerate()
                .map(|(index, item)| (String::new(), item, child_pointer(pointer, index)))
                .collect(),
            _ => Vec::new(),
        };
        if children.is_empty() {
            let value = node.to_json();
            let defined = node.substituted.as_ref().map_or(node.span, |substituted| substituted.defined);
            let origin = Origin::of(defined, self.sources);
            let variable = node.substituted.as_ref().map(|substituted| substituted.variable.clone());
            let mut note = origin.to_string();
            if let Some(variable) = &variable {
                note = format!("{{{variable}}}, {note}");
            }
            if let Value::Unresolved { missing, .. } = &node.value {
                note = format!("no value for {}, {note}", crate::suggest::list(missing, "and"));
            }
            self.lines.push((format!("{pad}{head}{}{tail}", inline(&value)), Some(note)));
            self.values.push(ShownValue { pointer: pointer.to_owned(), value, origin, variable });
            return;
        }
        let (open, close) = if matches!(node.value, Value::Array(_)) { ('[', ']') } else { ('{', '}') };
        self.lines.push((format!("{pad}{head}{open}"), None));
        let count = children.len();
        for (index, (head, child, pointer)) in children.into_iter().enumerate() {
            self.node(child, &pointer, indent + 1, head, if index + 1 < count { "," } else { "" });
        }
        self.lines.push((format!("{pad}{close}{tail}"), None));
    }

    fn text(&self) -> String {
        // origins in one column where lines are of usual length
        let column =
            self.lines.iter().map(|(line, _)| line.chars().count()).filter(|&length| length <= 60).max().unwrap_or(0);
        let mut text = String::new();
        for (line, origin) in &self.lines {
            text.push_str(line);
            if let Some(origin) = origin {
                let pad = column.saturating_sub(line.chars().count());
                text.extend(std::iter::repeat_n(' ', pad));
                text.push_str("  # ");
                text.push_str(origin);
            }
            text.push('\n');
        }
        text
    }
}
