//! Slices of volumes in the three planes of the patient, with the outline of the label and the prediction laid over.
//!
//! Drawn as radiologists hang them: the patient's right at the left, the front (or the head) up.

use std::path::{Path, PathBuf};

use crate::Error;
use crate::canvas::{Anchor, Canvas, Colour, Style};
use crate::volume::Volume;

const BACKGROUND: Colour = [18, 20, 24];
const TEXT: Colour = [235, 237, 240];
const FAINT: Colour = [150, 156, 166];
const LABEL: Colour = [70, 220, 120];
const PREDICTION: Colour = [255, 120, 40];
/// Soft tissue, in HU.
const WINDOW: (f32, f32) = (-160.0, 240.0);
const PANEL: i64 = 300;
const GAP: i64 = 10;
const HEAD: i64 = 76;

/// A volume to show.
#[derive(Debug, Clone)]
pub struct Case {
    /// Its name in the picture.
    pub name: String,
    /// The image.
    pub image: PathBuf,
    /// What is right.
    pub label: Option<PathBuf>,
    /// What the model says.
    pub prediction: Option<PathBuf>,
}

/// The three planes: across which axis, and which axes run right and up in the picture.
const PLANES: [(&str, usize, usize, usize); 3] = [("axial", 2, 0, 1), ("coronal", 1, 0, 2), ("sagittal", 0, 1, 2)];

/// Draws a row for each case: the bare axial slice, then the three planes with label and prediction.
pub fn draw(cases: &[Case], output: &Path) -> Result<(), Error> {
    if cases.is_empty() {
        return Err(Error::Empty("there are no cases to draw".to_owned()));
    }
    let width = GAP + 4 * (PANEL + GAP);
    let height = HEAD + cases.len() as i64 * (PANEL + 34 + GAP);
    let mut canvas = Canvas::new(width as u32, height as u32, BACKGROUND);
    legend(&mut canvas);
    for (row, case) in cases.iter().enumerate() {
        let top = HEAD + row as i64 * (PANEL + 34 + GAP);
        Row::read(case)?.draw(&mut canvas, &case.name, top);
    }
    canvas.save(output)
}

fn legend(canvas: &mut Canvas) {
    canvas.text(GAP + 4, 12, "Segmentation", Style::title(TEXT), Anchor::Left);
    canvas.line((196.0, 22.0), (222.0, 22.0), 3.0, LABEL, 1.0);
    canvas.text(230, 14, "label", Style::plain(TEXT), Anchor::Left);
    canvas.fill(312, 14, 26, 16, PREDICTION);
    canvas.text(346, 14, "prediction", Style::plain(TEXT), Anchor::Left);
    for (column, title) in ["image", "axial", "coronal", "sagittal"].into_iter().enumerate() {
        let x = GAP + column as i64 * (PANEL + GAP) + PANEL / 2;
        canvas.text(x, 50, title, Style::plain(FAINT), Anchor::Centre);
    }
}

struct Row {
    image: Volume,
    label: Option<Volume>,
    prediction: Option<Volume>,
}

impl Row {
    fn read(case: &Case) -> Result<Self, Error> {
        let image = Volume::read(&case.image)?;
        let mask = |path: &Option<PathBuf>| -> Result<Option<Volume>, Error> {
            let Some(path) = path else { return Ok(None) };
            let volume = Volume::read(path)?;
            if volume.shape != image.shape {
                let (found, expected) = (volume.stored_shape, image.stored_shape.clone());
                return Err(Error::Shape { path: path.clone(), found, expected });
            }
            Ok(Some(volume))
        };
        let (label, prediction) = (mask(&case.label)?, mask(&case.prediction)?);
        Ok(Self { image, label, prediction })
    }

    fn draw(&self, canvas: &mut Canvas, name: &str, top: i64) {
        let cut: [usize; 3] = std::array::from_fn(|axis| self.most_to_see(axis));
        self.panel(canvas, GAP, top, 0, cut, false);
        for plane in 0..PLANES.len() {
            self.panel(canvas, GAP + (plane as i64 + 1) * (PANEL + GAP), top, plane, cut, true);
        }
        let dice = match (&self.label, &self.prediction) {
            (Some(label), Some(prediction)) => label.dice(prediction),
            _ => None,
        };
        let caption = dice.map_or_else(|| name.to_owned(), |dice| format!("{name}   Dice {dice:.3}"));
        canvas.text(GAP + 4, top + PANEL + 6, &caption, Style::plain(TEXT), Anchor::Left);
    }

    /// The plane with the largest area of the label, or of the prediction, or the middle one.
    fn most_to_see(&self, axis: usize) -> usize {
        let mut areas = self.label.iter().chain(&self.prediction).map(|mask| mask.areas(axis));
        let best = |areas: Vec<usize>| {
            let (index, area) = areas.into_iter().enumerate().max_by_key(|(_, area)| *area)?;
            (area > 0).then_some(index)
        };
        areas.find_map(best).unwrap_or(self.image.shape[axis] / 2)
    }

    fn panel(&self, canvas: &mut Canvas, left: i64, top: i64, plane: usize, cut: [usize; 3], overlay: bool) {
        let (_, across, right, up) = PLANES[plane];
        let extent = |axis: usize| self.image.shape[axis] as f64 * self.image.spacing[axis];
        let scale = (PANEL as f64 / extent(right)).min(PANEL as f64 / extent(up));
        let (width, height) = (extent(right) * scale, extent(up) * scale);
        let (x0, y0) = ((PANEL as f64 - width) / 2.0, (PANEL as f64 - height) / 2.0);
        // Towards the patient's right runs to the left of the picture.
        let mirrored = right == 0;
        let place = |x: i64, y: i64| -> Option<[f64; 3]> {
            let along = (x as f64 + 0.5 - x0) / width;
            let along = if mirrored { 1.0 - along } else { along };
            let upward = 1.0 - (y as f64 + 0.5 - y0) / height;
            if !(0.0..1.0).contains(&along) || !(0.0..1.0).contains(&upward) {
                return None;
            }
            let mut point = [0.0; 3];
            point[across] = cut[across] as f64;
            point[right] = along * self.image.shape[right] as f64 - 0.5;
            point[up] = upward * self.image.shape[up] as f64 - 0.5;
            Some(point)
        };
        let inside = |mask: &Volume, x: i64, y: i64| place(x, y).is_some_and(|point| sample(mask, point) > 0.5);
        for y in 0..PANEL {
            for x in 0..PANEL {
                let Some(point) = place(x, y) else { continue };
                let grey = (sample(&self.image, point) - WINDOW.0) / (WINDOW.1 - WINDOW.0);
                let grey = (grey.clamp(0.0, 1.0) * 255.0).round() as u8;
                canvas.blend(left + x, top + y, [grey; 3], 1.0);
                if !overlay {
                    continue;
                }
                if self.prediction.as_ref().is_some_and(|mask| inside(mask, x, y)) {
                    canvas.blend(left + x, top + y, PREDICTION, 0.45);
                }
                if let Some(label) = &self.label {
                    let here = inside(label, x, y);
                    let edge =
                        [(-1, 0), (1, 0), (0, -1), (0, 1)].iter().any(|(dx, dy)| inside(label, x + dx, y + dy) != here);
                    if edge {
                        canvas.blend(left + x, top + y, LABEL, 1.0);
                    }
                }
            }
        }
    }
}

/// Linear interpolation in the plane; the edge goes on outside.
fn sample(volume: &Volume, point: [f64; 3]) -> f32 {
    let mut value = 0.0;
    for corner in 0..8_usize {
        let mut weight = 1.0;
        let mut index = [0; 3];
        for axis in 0..3 {
            let low = point[axis].floor();
            let upper = corner >> axis & 1 == 1;
            let share = point[axis] - low;
            weight *= if upper { share } else { 1.0 - share };
            let place = low + f64::from(u8::from(upper));
            index[axis] = place.clamp(0.0, volume.shape[axis] as f64 - 1.0) as usize;
        }
        if weight > 0.0 {
            value += weight as f32 * volume.at(index);
        }
    }
    value
}

#[cfg(test)]
mod tests {
    use mmar_imaging::{affine, nifti};

    use super::*;

    fn write(path: &Path, shape: [usize; 3], steps: [f64; 3], value: impl Fn([usize; 3]) -> i16) {
        let mut voxels = Vec::new();
        for x in 0..shape[0] {
            for y in 0..shape[1] {
                for z in 0..shape[2] {
                    voxels.push(value([x, y, z]));
                }
            }
        }
        nifti::write(path, &shape, &affine::scaling(&steps), &voxels).unwrap();
    }

    #[test]
    fn both_ways_of_storing_show_the_same_patient() {
        let folder = tempfile::tempdir().unwrap();
        let (ras, lps) = (folder.path().join("ras.nii.gz"), folder.path().join("lps.nii.gz"));
        let shape = [6, 5, 4];
        write(&ras, shape, [2.0, 2.0, 5.0], |[x, y, z]| (100 * x + 10 * y + z) as i16);
        write(&lps, shape, [-2.0, -2.0, 5.0], |[x, y, z]| (100 * (5 - x) + 10 * (4 - y) + z) as i16);
        let (ras, lps) = (Volume::read(&ras).unwrap(), Volume::read(&lps).unwrap());
        assert_eq!(ras.spacing, [2.0, 2.0, 5.0]);
        for index in [[0, 0, 0], [5, 4, 3], [2, 1, 3]] {
            assert_eq!(ras.at(index), lps.at(index), "{index:?}");
        }
    }

    #[test]
    fn label_and_prediction_are_seen_in_the_picture() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        let shape = [20, 20, 10];
        let block =
            |[x, y, z]: [usize; 3]| i16::from((5..12).contains(&x) && (5..12).contains(&y) && (2..7).contains(&z));
        write(&path("image.nii.gz"), shape, [2.0, 2.0, 4.0], |[x, ..]| (x * 10) as i16);
        write(&path("label.nii.gz"), shape, [2.0, 2.0, 4.0], block);
        write(&path("prediction.nii.gz"), shape, [2.0, 2.0, 4.0], block);
        let case = Case {
            name: "a".to_owned(),
            image: path("image.nii.gz"),
            label: Some(path("label.nii.gz")),
            prediction: Some(path("prediction.nii.gz")),
        };
        draw(std::slice::from_ref(&case), &path("slices.png")).unwrap();
        let picture = image::open(path("slices.png")).unwrap().to_rgb8();
        assert!(picture.pixels().filter(|pixel| pixel.0 == LABEL).count() > 300);
        let row = Row::read(&case).unwrap();
        assert_eq!(row.label.as_ref().unwrap().dice(row.prediction.as_ref().unwrap()), Some(1.0));

        write(&path("prediction.nii.gz"), [4, 4, 4], [1.0; 3], |_| 0);
        let error = draw(&[case], &path("slices.png")).unwrap_err().to_string();
        assert!(error.contains("prediction.nii.gz") && error.contains("[4, 4, 4]"), "{error}");
    }
}
