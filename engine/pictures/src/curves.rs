//! Curves of a run: the loss at the left, the metrics of the validation at the right, over the epochs.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::Value as Json;

use crate::Error;
use crate::canvas::{Anchor, Canvas, Colour, Style};

const WIDTH: u32 = 1280;
const HEIGHT: u32 = 540;
const INK: Colour = [40, 44, 52];
const FAINT: Colour = [120, 126, 136];
const GRID: Colour = [228, 231, 236];
const LINES: [Colour; 5] = [[31, 105, 180], [217, 95, 2], [27, 140, 90], [150, 70, 160], [180, 40, 60]];

/// A labelled sequence of points: epoch and value.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Series {
    /// What the metrics file calls it.
    pub label: String,
    /// Epoch (fractional within an epoch) and value, in the order of the file.
    pub points: Vec<(f64, f64)>,
    /// Whether there is a point for each step rather than for each epoch.
    pub per_step: bool,
}

/// Draws the curves of a `metrics.jsonl`.
pub fn draw(metrics: &Path, output: &Path) -> Result<(), Error> {
    let text = std::fs::read_to_string(metrics).map_err(|error| Error::read(metrics, error))?;
    let series = read(&text).map_err(|problem| Error::read(metrics, problem))?;
    let (losses, others): (Vec<_>, Vec<_>) = series.into_iter().partition(|series| series.label.contains("loss"));
    if losses.is_empty() && others.is_empty() {
        return Err(Error::Empty(format!("`{}` holds no values to draw", metrics.display())));
    }
    let mut canvas = Canvas::new(WIDTH, HEIGHT, [255, 255, 255]);
    let half = i64::from(WIDTH) / 2;
    Panel { left: 0, width: half, title: "Loss" }.draw(&mut canvas, &losses);
    Panel { left: half, width: half, title: "Metrics" }.draw(&mut canvas, &others);
    canvas.save(output)
}

/// The series of a `metrics.jsonl`: every number that is no position, duration or learning rate.
pub fn read(text: &str) -> Result<Vec<Series>, String> {
    let mut events = Vec::new();
    for (index, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let event: Json = serde_json::from_str(line).map_err(|error| format!("line {}: {error}", index + 1))?;
        events.push(event);
    }
    let number = |event: &Json, key: &str| event.get(key).and_then(Json::as_f64);
    // A resumed run repeats the steps since its checkpoint: the later value counts.
    let mut series: BTreeMap<(String, bool), BTreeMap<u64, (f64, f64)>> = BTreeMap::new();
    let per_epoch = steps_per_epoch(&events);
    for event in &events {
        let Some(fields) = event.as_object() else { continue };
        let per_step = event
            .get("kind")
            .and_then(Json::as_str)
            .is_some_and(|kind| kind.contains("step") || kind.contains("iteration"));
        let step = number(event, "step").or_else(|| number(event, "iteration")).unwrap_or_default();
        let Some(epoch) = number(event, "epoch") else { continue };
        let place = if per_step && per_epoch > 0.0 { step / per_epoch } else { epoch };
        for (label, value) in fields {
            let is_position = ["epoch", "step", "iteration", "generation", "rank"].contains(&label.as_str());
            let is_rate = label.contains("learning_rate") || label.contains("seconds") || label == "lr";
            let Some(value) = value.as_f64().filter(|value| value.is_finite()) else { continue };
            if !is_position && !is_rate {
                let key = (place * 1e6).round() as u64;
                series.entry((label.clone(), per_step)).or_default().insert(key, (place, value));
            }
        }
    }
    Ok(series
        .into_iter()
        .map(|((label, per_step), points)| Series { label, points: points.into_values().collect(), per_step })
        .collect())
}

fn steps_per_epoch(events: &[Json]) -> f64 {
    let place = |event: &Json| {
        let step = event.get("step").or_else(|| event.get("iteration"))?.as_f64()?;
        Some((event.get("epoch")?.as_f64()?, step))
    };
    events
        .iter()
        .filter_map(place)
        .filter(|(epoch, _)| *epoch >= 1.0)
        .map(|(epoch, step)| step / epoch)
        .fold(0.0, f64::max)
}

struct Panel {
    left: i64,
    width: i64,
    title: &'static str,
}

impl Panel {
    fn draw(&self, canvas: &mut Canvas, series: &[Series]) {
        let frame = Frame::around(self, series);
        canvas.text(frame.left, 14, self.title, Style::title(INK), Anchor::Left);
        if series.is_empty() {
            canvas.text(frame.left, 84, "no values", Style::plain(FAINT), Anchor::Left);
            return;
        }
        for tick in ticks(frame.low, frame.high, 6) {
            let y = frame.y(tick);
            canvas.line((frame.left as f64, y), (frame.right as f64, y), 1.0, GRID, 1.0);
            canvas.text(frame.left - 10, y as i64 - 8, &format_tick(tick), Style::plain(FAINT), Anchor::Right);
        }
        for tick in ticks(0.0, frame.epochs, 8).into_iter().filter(|tick| tick.fract() == 0.0) {
            let x = frame.x(tick);
            canvas.text(x as i64, frame.bottom + 10, &format!("{tick}"), Style::plain(FAINT), Anchor::Centre);
            canvas.line((x, frame.bottom as f64), (x, frame.bottom as f64 + 4.0), 1.0, FAINT, 1.0);
        }
        let base = frame.bottom as f64;
        canvas.line((frame.left as f64, base), (frame.right as f64, base), 1.2, FAINT, 1.0);
        canvas.text(
            i64::midpoint(frame.left, frame.right),
            frame.bottom + 32,
            "epoch",
            Style::plain(FAINT),
            Anchor::Centre,
        );

        let labels = labels(series);
        for series in series {
            let colour =
                LINES[labels.iter().position(|label| *label == series.label).unwrap_or_default() % LINES.len()];
            // Values of each step are drawn faintly: what counts are those of the epochs.
            let (width, opacity) = if series.per_step { (1.4, 0.55) } else { (2.6, 1.0) };
            let place = |point: &(f64, f64)| (frame.x(point.0), frame.y(point.1));
            for pair in series.points.windows(2) {
                canvas.line(place(&pair[0]), place(&pair[1]), width, colour, opacity);
            }
            if series.points.len() <= 60 && !series.per_step {
                for point in &series.points {
                    canvas.line(place(point), place(point), 6.5, colour, 1.0);
                }
            }
        }
        let mut x = frame.left;
        for (index, label) in labels.iter().enumerate() {
            let last = series.iter().rfind(|series| series.label == **label).and_then(|series| series.points.last());
            let text = last.map_or_else(|| (*label).clone(), |(_, value)| format!("{label} {}", format_value(*value)));
            canvas.line((x as f64, 54.0), (x as f64 + 18.0, 54.0), 3.0, LINES[index % LINES.len()], 1.0);
            canvas.text(x + 26, 46, &text, Style::plain(INK), Anchor::Left);
            x += 26 + Style::plain(INK).width(&text) + 16;
        }
    }
}

fn labels(series: &[Series]) -> Vec<String> {
    let mut labels: Vec<String> = series.iter().map(|series| series.label.clone()).collect();
    labels.dedup();
    labels
}

/// The plot area and its scales.
struct Frame {
    left: i64,
    right: i64,
    top: i64,
    bottom: i64,
    epochs: f64,
    low: f64,
    high: f64,
}

impl Frame {
    fn around(panel: &Panel, series: &[Series]) -> Self {
        let points = || series.iter().flat_map(|series| &series.points);
        let epochs = points().map(|point| point.0).fold(1.0, f64::max);
        let low = points().map(|point| point.1).fold(f64::INFINITY, f64::min).min(0.0);
        let high = points().map(|point| point.1).fold(f64::NEG_INFINITY, f64::max);
        // Shares such as Dice are read against 1.
        let high = if high > 0.5 && high <= 1.0 { 1.0 } else { high };
        let high = if high > low { high } else { low + 1.0 };
        Self {
            left: panel.left + 76,
            right: panel.left + panel.width - 28,
            top: 86,
            bottom: i64::from(HEIGHT) - 70,
            epochs,
            low,
            high,
        }
    }

    fn x(&self, epoch: f64) -> f64 {
        self.left as f64 + epoch / self.epochs * (self.right - self.left) as f64
    }

    fn y(&self, value: f64) -> f64 {
        self.bottom as f64 - (value - self.low) / (self.high - self.low) * (self.bottom - self.top) as f64
    }
}

/// Round numbers between two values, about so many.
fn ticks(low: f64, high: f64, count: usize) -> Vec<f64> {
    let rough = (high - low) / count as f64;
    let magnitude = 10_f64.powf(rough.log10().floor());
    let step =
        [1.0, 2.0, 5.0, 10.0].into_iter().map(|factor| factor * magnitude).find(|step| *step >= rough).unwrap_or(rough);
    let first = (low / step - 1e-9).ceil() as i64;
    let last = (high / step + 1e-9).floor() as i64;
    (first..=last).map(|index| (index as f64 * step * 1e9).round() / 1e9).collect()
}

fn format_tick(value: f64) -> String {
    if value != 0.0 && value.abs() < 1e-3 { format!("{value:.0e}") } else { format!("{value}") }
}

fn format_value(value: f64) -> String {
    if value != 0.0 && value.abs() < 1e-3 { format!("{value:.2e}") } else { format!("{value:.4}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    const METRICS: &str = r#"{"kind":"train_step","epoch":1,"step":1,"train_loss":0.9,"learning_rate":0.1}
{"kind":"train_step","epoch":1,"step":2,"train_loss":0.7,"learning_rate":0.1}
{"kind":"validation","epoch":1,"step":2,"val_mean_dice":0.25}
{"kind":"train_step","epoch":2,"step":3,"train_loss":0.5}
{"kind":"train_step","epoch":2,"step":4,"train_loss":0.3}
{"kind":"validation","epoch":2,"step":4,"val_mean_dice":0.5}
"#;

    #[test]
    fn series_are_found_by_label() {
        let series = read(METRICS).unwrap();
        assert_eq!(series.len(), 2);
        assert_eq!(series[0].label, "train_loss");
        assert_eq!(series[0].points, [(0.5, 0.9), (1.0, 0.7), (1.5, 0.5), (2.0, 0.3)]);
        assert_eq!(series[1].points, [(1.0, 0.25), (2.0, 0.5)]);
    }

    #[test]
    fn a_damaged_line_is_named() {
        assert!(read("{\"kind\":").unwrap_err().starts_with("line 1:"));
    }

    #[test]
    fn ticks_are_round() {
        assert_eq!(ticks(0.0, 1.0, 6), [0.0, 0.2, 0.4, 0.6, 0.8, 1.0]);
        assert_eq!(ticks(0.0, 17.0, 8), [0.0, 5.0, 10.0, 15.0]);
        assert_eq!(ticks(-0.3, 0.3, 6), [-0.3, -0.2, -0.1, 0.0, 0.1, 0.2, 0.3]);
    }

    #[test]
    fn a_picture_is_written() {
        let folder = tempfile::tempdir().unwrap();
        let metrics = folder.path().join("metrics.jsonl");
        std::fs::write(&metrics, METRICS).unwrap();
        let output = folder.path().join("new").join("curves.png");
        draw(&metrics, &output).unwrap();
        let picture = image::open(&output).unwrap().to_rgb8();
        assert_eq!(picture.dimensions(), (WIDTH, HEIGHT));
        let blue = picture.pixels().filter(|pixel| pixel.0 == LINES[0]).count();
        assert!(blue > 50, "{blue} pixels of the curve");

        std::fs::write(&metrics, "").unwrap();
        assert!(draw(&metrics, &output).unwrap_err().to_string().contains("no values"));
    }
}
