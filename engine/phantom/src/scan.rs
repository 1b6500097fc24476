//! A scan of a patient: a grid of voxels, where it lies, and what a scanner adds.

use mmar_imaging::{Affine, affine};
use rand::{Rng, SeedableRng};
use rand_distr::{Distribution, Normal};
use rand_xoshiro::Xoshiro256PlusPlus;
use rayon::prelude::*;

use crate::patient::{AIR, Patient};
use crate::shape::Vector;

/// Over how many mm a surface is smeared by the finite voxels.
const EDGE: f64 = 2.5;

/// A CT volume and its label.
#[derive(Debug, Clone)]
pub struct Scan {
    /// Voxels along the three axes of the file.
    pub shape: [usize; 3],
    /// From voxel index to mm, right–anterior–superior.
    pub affine: Affine,
    /// Hounsfield units, in C order.
    pub image: Vec<i16>,
    /// 1 in the spleen, else 0.
    pub label: Vec<u8>,
}

/// Scans a patient; the seed decides on both.
pub fn scan(seed: u64) -> Scan {
    let mut random = Xoshiro256PlusPlus::seed_from_u64(seed);
    let patient = Patient::new(&mut random);

    let in_plane = random.random_range(2.9..3.3);
    let spacing = [in_plane, in_plane, random.random_range(4.5..5.5)];
    let shape = [112, 112, random.random_range(44..=52)];
    let affine = pose(&mut random, shape, spacing);
    let noise = Normal::new(0.0, random.random_range(9.0..16.0)).ok();
    let streaks = Streaks::new(&mut random);

    let mut image = vec![0_i16; shape.iter().product()];
    let mut label = vec![0_u8; image.len()];
    let plane = shape[1] * shape[2];
    // Each plane draws from a generator of its own: the number of threads does not matter.
    let noise_seed: u64 = random.random();
    image.par_chunks_mut(plane).zip(label.par_chunks_mut(plane)).enumerate().for_each(|(i, (image, label))| {
        let mut random = Xoshiro256PlusPlus::seed_from_u64(noise_seed.wrapping_add(i as u64));
        for (index, (image, label)) in image.iter_mut().zip(label).enumerate() {
            let position = at(&affine, [i, index / shape[2], index % shape[2]]);
            let (density, is_target) = look(&patient, position);
            let noise = noise.map_or(0.0, |noise| noise.sample(&mut random));
            let texture = if density > -500.0 { streaks.at(position) } else { 0.0 };
            *image = (density + noise + texture).round().clamp(-1024.0, 3071.0) as i16;
            *label = u8::from(is_target);
        }
    });
    Scan { shape, affine, image, label }
}

/// Density at a point with the surfaces smeared, and whether the point itself is in the target.
fn look(patient: &Patient, position: Vector) -> (f64, bool) {
    let point = patient.unwarp(position);
    let outside = patient.cavity.distance(point);
    let mut density = AIR;
    let mut is_target = false;
    for part in &patient.parts {
        let distance = part.shape.distance(point);
        let distance = if part.confined { distance.max(outside) } else { distance };
        let share = (0.5 - distance / EDGE).clamp(0.0, 1.0);
        density += share * (part.density - density);
        if distance < 0.0 {
            is_target = part.target;
        }
    }
    (density, is_target)
}

/// A patient never lies straight, and scanners disagree on which way the axes run.
fn pose(random: &mut Xoshiro256PlusPlus, shape: [usize; 3], spacing: Vector) -> Affine {
    let angles: Vector = [0.04, 0.04, 0.1].map(|limit: f64| random.random_range(-limit..limit));
    let left_posterior = random.random_bool(0.5);
    let signs = if left_posterior { [-1.0, -1.0, 1.0] } else { [1.0, 1.0, 1.0] };
    let steps: Vector = std::array::from_fn(|axis| signs[axis] * spacing[axis]);
    let mut grid = affine::multiply(&affine::rotation(3, &angles), &affine::scaling(&steps));
    let looking_at: Vector = [0.0, -6.0, 8.0].map(|centre: f64| centre + random.random_range(-8.0..8.0));
    let middle: Vector = shape.map(|size| (size as f64 - 1.0) / 2.0);
    for (row, target) in looking_at.into_iter().enumerate() {
        let reached: f64 = (0..3).map(|axis| grid[row][axis] * middle[axis]).sum();
        grid[row][3] = target - reached;
    }
    grid
}

fn at(affine: &Affine, index: [usize; 3]) -> Vector {
    std::array::from_fn(|row| (0..3).map(|axis| affine[row][axis] * index[axis] as f64).sum::<f64>() + affine[row][3])
}

/// Slow waves of a few HU: beam hardening and scatter that a correction leaves behind.
struct Streaks([(Vector, f64, f64); 4]);

impl Streaks {
    fn new(random: &mut Xoshiro256PlusPlus) -> Self {
        Self(std::array::from_fn(|_| {
            let frequency = std::array::from_fn(|_| random.random_range(-0.16..0.16));
            (frequency, random.random_range(0.0..std::f64::consts::TAU), random.random_range(1.0..4.0))
        }))
    }

    fn at(&self, position: Vector) -> f64 {
        self.0
            .iter()
            .map(|(frequency, phase, amplitude)| {
                let angle: f64 = frequency.iter().zip(&position).map(|(f, p)| f * p).sum();
                amplitude * (angle + phase).sin()
            })
            .sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_gives_the_same_scan_and_another_seed_another() {
        let (first, again, other) = (scan(3), scan(3), scan(4));
        assert_eq!(first.image, again.image);
        assert_eq!(first.label, again.label);
        assert_ne!(first.image, other.image);
    }

    #[test]
    fn a_scan_looks_like_an_abdomen() {
        for seed in 0..6 {
            let scan = scan(seed);
            let voxel_ml = affine::spacing(&scan.affine, 3).iter().product::<f64>() / 1000.0;
            let inside: Vec<f64> = scan
                .image
                .iter()
                .zip(&scan.label)
                .filter(|(_, label)| **label == 1)
                .map(|(hu, _)| f64::from(*hu))
                .collect();
            let volume = inside.len() as f64 * voxel_ml;
            assert!((80.0..450.0).contains(&volume), "seed {seed}: a spleen of {volume} ml");
            let mean = inside.iter().sum::<f64>() / inside.len() as f64;
            assert!((95.0..150.0).contains(&mean), "seed {seed}: {mean} HU in the spleen");
            let air = scan.image.iter().filter(|hu| **hu < -900).count() as f64 / scan.image.len() as f64;
            assert!((0.2..0.75).contains(&air), "seed {seed}: {air} of the volume is air");
        }
    }
}
