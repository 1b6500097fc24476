//! A picture in the making: smooth lines, filled boxes, text.

use std::path::Path;

use image::{Rgb, RgbImage};
use noto_sans_mono_bitmap::{FontWeight, RasterHeight, get_raster, get_raster_width};

use crate::Error;

/// Red, green, blue.
pub(crate) type Colour = [u8; 3];

/// How text is set.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Style {
    pub(crate) colour: Colour,
    pub(crate) size: RasterHeight,
    pub(crate) weight: FontWeight,
}

impl Style {
    pub(crate) const fn plain(colour: Colour) -> Self {
        Self { colour, size: RasterHeight::Size16, weight: FontWeight::Regular }
    }

    pub(crate) const fn title(colour: Colour) -> Self {
        Self { colour, size: RasterHeight::Size20, weight: FontWeight::Bold }
    }

    /// Width of a text in pixels.
    pub(crate) fn width(&self, text: &str) -> i64 {
        (text.chars().count() * get_raster_width(self.weight, self.size)) as i64
    }
}

/// What of a text lies at the given point.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Anchor {
    Left,
    Centre,
    Right,
}

/// The picture.
pub(crate) struct Canvas {
    pixels: RgbImage,
}

impl Canvas {
    pub(crate) fn new(width: u32, height: u32, background: Colour) -> Self {
        Self { pixels: RgbImage::from_pixel(width, height, Rgb(background)) }
    }

    /// Mixes a colour into a pixel; outside the picture nothing happens.
    pub(crate) fn blend(&mut self, x: i64, y: i64, colour: Colour, share: f64) {
        let (Ok(x), Ok(y)) = (u32::try_from(x), u32::try_from(y)) else { return };
        if let Some(Rgb(pixel)) = self.pixels.get_pixel_mut_checked(x, y) {
            for (value, target) in pixel.iter_mut().zip(colour) {
                let mixed = f64::from(*value) + share.clamp(0.0, 1.0) * (f64::from(target) - f64::from(*value));
                *value = mixed.round() as u8;
            }
        }
    }

    pub(crate) fn fill(&mut self, left: i64, top: i64, width: i64, height: i64, colour: Colour) {
        for y in top..top + height {
            for x in left..left + width {
                self.blend(x, y, colour, 1.0);
            }
        }
    }

    /// A line with round ends; pixels are mixed by how much of them it covers.
    pub(crate) fn line(&mut self, from: (f64, f64), to: (f64, f64), width: f64, colour: Colour, opacity: f64) {
        let reach = width / 2.0 + 1.0;
        let (left, right) = (from.0.min(to.0) - reach, from.0.max(to.0) + reach);
        let (top, bottom) = (from.1.min(to.1) - reach, from.1.max(to.1) + reach);
        let (dx, dy) = (to.0 - from.0, to.1 - from.1);
        let length = dx * dx + dy * dy;
        for y in top.floor() as i64..=bottom.ceil() as i64 {
            for x in left.floor() as i64..=right.ceil() as i64 {
                let (px, py) = (x as f64 - from.0, y as f64 - from.1);
                let along = if length > 0.0 { ((px * dx + py * dy) / length).clamp(0.0, 1.0) } else { 0.0 };
                let distance = (px - along * dx).hypot(py - along * dy);
                let cover = (width / 2.0 + 0.5 - distance).clamp(0.0, 1.0);
                if cover > 0.0 {
                    self.blend(x, y, colour, cover * opacity);
                }
            }
        }
    }

    /// A line of text whose upper edge is at `y`. Characters the font lacks become `?`.
    pub(crate) fn text(&mut self, x: i64, y: i64, text: &str, style: Style, anchor: Anchor) {
        let shift = match anchor {
            Anchor::Left => 0,
            Anchor::Centre => style.width(text) / 2,
            Anchor::Right => style.width(text),
        };
        let mut left = x - shift;
        for letter in text.chars() {
            let raster =
                get_raster(letter, style.weight, style.size).or_else(|| get_raster('?', style.weight, style.size));
            let Some(raster) = raster else { continue };
            for (row, line) in raster.rows().enumerate() {
                for (column, intensity) in line.iter().enumerate() {
                    if *intensity > 0 {
                        let share = f64::from(*intensity) / 255.0;
                        self.blend(left + column as i64, y + row as i64, style.colour, share);
                    }
                }
            }
            left += raster.width() as i64;
        }
    }

    /// Writes the picture beside its place and renames it.
    pub(crate) fn save(&self, path: &Path) -> Result<(), Error> {
        let failed = |error: &dyn std::fmt::Display| Error::write(path, error);
        if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            std::fs::create_dir_all(folder).map_err(|error| failed(&error))?;
        }
        let mut png = std::io::Cursor::new(Vec::new());
        self.pixels.write_to(&mut png, image::ImageFormat::Png).map_err(|error| failed(&error))?;
        mmar_files::write(path, png.get_ref()).map_err(|error| failed(&error))
    }
}
