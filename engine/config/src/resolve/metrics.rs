//! Metrics: `metrics` with `is_key_metric` (dialect 4.0), `key_metric` and `additional_metrics` (4.1).

use super::component::Slot;
use super::section::Builder;
use crate::code::Code;
use crate::diagnostic::Diagnostic;
use crate::document::{Node, Value, child_pointer};
use crate::plan::Metric;
use crate::source::Span;

const METRIC: Slot = Slot::new("metric", "metric", &["log_label", "is_key_metric"]);

impl Builder<'_> {
    /// The metrics of a section, the key metric first.
    pub(super) fn metrics(&mut self, section: &Node, pointer: &str) -> Vec<Metric> {
        let mut metrics: Vec<(Metric, Span)> = Vec::new();
        for (key, always_key) in [("key_metric", true), ("metrics", false), ("additional_metrics", false)] {
            let Some(node) = section.get(key) else { continue };
            let pointer = child_pointer(pointer, key);
            match &node.value {
                Value::Array(items) => {
                    for (index, item) in items.iter().enumerate() {
                        metrics.extend(self.metric(item, &child_pointer(&pointer, index), always_key));
                    }
                }
                Value::Null => {}
                _ => metrics.extend(self.metric(node, &pointer, always_key)),
            }
        }
        self.check_labels(&metrics);
        let mut key_seen: Option<Span> = None;
        for (metric, span) in metrics.iter_mut().filter(|(metric, _)| metric.is_key) {
            if let Some(first) = key_seen {
                metric.is_key = false;
                let diagnostic =
                    Diagnostic::new(Code::SeveralKeyMetrics, "a section has one key metric, this is another")
                        .labelled(*span, "second key metric")
                        .context(first, "first key metric")
                        .pointer(metric.component.pointer.clone())
                        .help("keep one; the others go into `additional_metrics` (4.1), or lose `is_key_metric` (4.0)");
                self.diagnostics.push(diagnostic);
            } else {
                key_seen = Some(*span);
            }
        }
        metrics.sort_by_key(|(metric, _)| !metric.is_key);
        metrics.into_iter().map(|(metric, _)| metric).collect()
    }

    /// A metric, and where its label or name stands.
    fn metric(&mut self, node: &Node, pointer: &str, always_key: bool) -> Option<(Metric, Span)> {
        let mut component = self.component(node, pointer, METRIC)?;
        let label = self.text(node, "log_label", pointer);
        let is_key = self.flag(node, "is_key_metric", pointer).unwrap_or(false) || always_key;
        let args_pointer = child_pointer(pointer, "args");
        let output_transform =
            Self::take_argument(&mut component, "output_transform").and_then(|node| match node.value {
                Value::Expression(_) => Some(node.to_json()),
                Value::Null => None,
                _ => {
                    let pointer = child_pointer(&args_pointer, "output_transform");
                    self.expected(
                        &node,
                        &pointer,
                        "`output_transform`",
                        "an expression such as \"#monai.handlers.from_engine(['pred', 'label'])\"",
                    );
                    None
                }
            });
        let device = Self::take_argument(&mut component, "device").and_then(|node| match node.value {
            Value::String(device) => Some(device),
            Value::Null => None,
            _ => {
                self.expected(&node, &child_pointer(&args_pointer, "device"), "`device`", "a text such as \"cpu\"");
                None
            }
        });
        let span = node.get("log_label").map_or(component.span, |label| label.span);
        let log_label = label.unwrap_or_else(|| {
            let name = component.id.label().to_owned();
            if node.get("log_label").is_none() {
                self.push(
                    Diagnostic::warning(Code::MissingLogLabel, format!("the metric `{name}` has no `log_label`"))
                        .labelled(component.span, format!("is logged as `{name}`"))
                        .pointer(pointer)
                        .help("add one beside `args`: \"log_label\": \"val_mean_dice\""),
                );
            }
            name
        });
        let component = self.keep(METRIC, component);
        Some((Metric { component, log_label, is_key, output_transform, device }, span))
    }

    fn check_labels(&mut self, metrics: &[(Metric, Span)]) {
        for (index, (metric, span)) in metrics.iter().enumerate() {
            let Some((_, first)) = metrics[..index].iter().find(|(other, _)| other.log_label == metric.log_label)
            else {
                continue;
            };
            self.push(
                Diagnostic::new(Code::DuplicateLogLabel, format!("two metrics are logged as `{}`", metric.log_label))
                    .labelled(*span, "the same label again")
                    .context(*first, "first used here")
                    .pointer(metric.component.pointer.clone())
                    .help("give each metric a `log_label` of its own"),
            );
        }
    }
}
