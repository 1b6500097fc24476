//! `metrics.jsonl`: one object per event, with `kind`, `epoch`, `step` and the values under their labels.
//!
//! | kind | when | values |
//! |---|---|---|
//! | `train_step` | after each training step | `train_loss`, `learning_rate` |
//! | `train_epoch` | after each training epoch | the training metrics, `train_loss_mean` |
//! | `validation` | after each validation | the validation metrics |
//! | `evaluation` | after an evaluation | its metrics |
//! | `record` | when a handler records a number | the number |
//! | `resumed` | when a run goes on | – |
//! | `reload` | when another build of a plugin is in use | `plugin`, `generation`, `sha256` |
//!
//! Numbers have their full precision; what is no finite number is `null`, as JSON has no other word for it. A resumed
//! run may repeat steps that an interrupted one had done after its last checkpoint: the last line of a step counts.

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;

use serde_json::{Map, Value as Json};

/// Writes the lines of a run.
#[derive(Debug)]
pub(crate) struct Recorder {
    file: File,
}

impl Recorder {
    /// Appends to a file.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        Ok(Self { file: File::options().create(true).append(true).open(path)? })
    }

    /// Adds a line.
    pub(crate) fn line<'a>(
        &mut self,
        kind: &str,
        epoch: u64,
        step: u64,
        values: impl IntoIterator<Item = (&'a str, f64)>,
    ) -> io::Result<()> {
        let values: Map<String, Json> =
            values.into_iter().map(|(label, value)| (label.to_owned(), value.into())).collect();
        self.event(kind, epoch, step, &Json::Object(values))
    }

    /// Adds a line with other facts than numbers.
    pub(crate) fn event(&mut self, kind: &str, epoch: u64, step: u64, facts: &Json) -> io::Result<()> {
        let mut object = Map::new();
        object.insert("kind".into(), kind.into());
        object.insert("epoch".into(), epoch.into());
        object.insert("step".into(), step.into());
        object.extend(facts.as_object().into_iter().flatten().map(|(label, fact)| (label.clone(), fact.clone())));
        // one write per line: a reader never sees half of one
        let mut line = Json::Object(object).to_string();
        line.push('\n');
        self.file.write_all(line.as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::Recorder;

    #[test]
    fn lines_are_json_with_full_precision_and_are_appended() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("metrics.jsonl");
        for step in 1..=2 {
            let value = f64::from(0.1f32);
            Recorder::open(&path)
                .unwrap()
                .line("train_step", 1, step, [("train_loss", value), ("x", f64::NAN)])
                .unwrap();
        }
        let text = std::fs::read_to_string(path).unwrap();
        let lines: Vec<serde_json::Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(lines.len(), 2);
        assert_eq!(lines[1]["step"], 2);
        assert_eq!(lines[0]["train_loss"].as_f64(), Some(f64::from(0.1f32)));
        assert!(lines[0]["x"].is_null());
    }
}
