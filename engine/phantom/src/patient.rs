//! A patient: what is where in the abdomen, and how dense.
//!
//! Densities are those of a portal-venous CT in Hounsfield units (HU): the spleen is close to the liver and not far from
//! muscle, so a threshold does not find it; its place and shape must be learnt.

use rand::Rng;
use rand_distr::{Distribution, Normal};
use rand_xoshiro::Xoshiro256PlusPlus;

use crate::shape::{Shape, Vector};

/// Air around the patient.
pub(crate) const AIR: f64 = -1000.0;

/// A part of the body; later parts cover earlier ones.
#[derive(Debug, Clone)]
pub(crate) struct Part {
    pub(crate) shape: Shape,
    /// Density in HU.
    pub(crate) density: f64,
    /// Whether it ends at the wall of the body.
    pub(crate) confined: bool,
    /// Whether it is what is to be segmented.
    pub(crate) target: bool,
}

/// The parts of one patient, and how its tissue is bent against the ideal shapes.
#[derive(Debug, Clone)]
pub(crate) struct Patient {
    pub(crate) parts: Vec<Part>,
    /// What is inside the wall of the body.
    pub(crate) cavity: Shape,
    warp: [Wave; 3],
}

/// A smooth displacement along one axis.
#[derive(Debug, Clone, Copy)]
struct Wave {
    amplitude: f64,
    frequency: Vector,
    phase: f64,
}

impl Patient {
    /// A patient like no other.
    pub(crate) fn new(random: &mut Xoshiro256PlusPlus) -> Self {
        let warp = std::array::from_fn(|_| Wave {
            amplitude: random.random_range(1.0..4.0),
            frequency: std::array::from_fn(|_| random.random_range(-1.0..1.0) * std::f64::consts::TAU / 180.0),
            phase: random.random_range(0.0..std::f64::consts::TAU),
        });
        let (parts, cavity) = Anatomy { random }.parts();
        Self { parts, cavity, warp }
    }

    /// Where a point of the bent body lies in the ideal one.
    pub(crate) fn unwarp(&self, point: Vector) -> Vector {
        std::array::from_fn(|axis| {
            let Wave { amplitude, frequency, phase } = self.warp[axis];
            let angle: f64 = frequency.iter().zip(&point).map(|(frequency, position)| frequency * position).sum();
            point[axis] + amplitude * (angle + phase).sin()
        })
    }
}

struct Anatomy<'a> {
    random: &'a mut Xoshiro256PlusPlus,
}

impl Anatomy<'_> {
    /// The parts, and the cavity that organs are confined to.
    fn parts(&mut self) -> (Vec<Part>, Shape) {
        let build = self.random.random_range(0.9..1.08);
        let (width, depth) = (152.0 * build, 108.0 * build);
        let fat = self.random.random_range(9.0..20.0);
        let muscle = self.density(55.0, 5.0);
        let breath = self.normal(0.0, 6.0);
        let mut parts = vec![
            part(Shape::Table { front: -depth - 4.0, thickness: 9.0, half_width: 190.0 }, -250.0),
            part(Shape::Cylinder { centre: [0.0, 0.0], radii: [width, depth] }, self.density(-100.0, 6.0)),
            part(Shape::Cylinder { centre: [0.0, -1.0], radii: [width - fat, depth - fat * 0.8] }, muscle),
            part(Shape::Cylinder { centre: [0.0, 10.0], radii: [width - fat - 14.0, depth - fat - 22.0] }, -85.0),
        ];
        for side in [-1.0, 1.0] {
            // Muscles beside the spine, then the bases of the lungs.
            let back = self.organ([side * 32.0, -depth + 34.0, 0.0], [24.0, 17.0, 400.0], muscle);
            let lung = self.organ([side * 68.0, -12.0, 128.0 + breath], [56.0, 72.0, 82.0], -850.0);
            parts.extend([back, lung]);
        }
        let radii = [width - fat - 6.0, depth - fat - 5.0];
        parts.push(part(Shape::Ribs { radii, thickness: 7.0, period: 32.0, above: -25.0 }, self.density(480.0, 60.0)));
        let spine = [0.0, -depth + 50.0];
        let bone = self.density(290.0, 40.0);
        parts.push(part(Shape::Cylinder { centre: spine, radii: [19.0, 16.0] }, 90.0));
        parts.push(part(Shape::Vertebrae { centre: spine, radii: [22.0, 18.0], period: 36.0 }, bone));
        parts.push(part(Shape::Cylinder { centre: [0.0, spine[1] - 25.0], radii: [15.0, 10.0] }, bone));
        parts.push(part(Shape::Cylinder { centre: [0.0, spine[1] - 23.0], radii: [8.0, 6.5] }, 25.0));

        for _ in 0..9 {
            let centre = [self.random.random_range(-70.0..70.0), self.random.random_range(5.0..50.0), 0.0];
            let height = self.random.random_range(-120.0..-35.0);
            let radius = self.random.random_range(13.0..22.0);
            let density = self.density(35.0, 20.0);
            parts.push(self.organ([centre[0], centre[1], height], [radius, radius, radius * 1.4], density));
            if self.random.random_bool(0.4) {
                parts.push(self.organ([centre[0], centre[1] + 6.0, height], [radius * 0.6; 3], -900.0));
            }
        }
        let vessel = self.density(165.0, 15.0);
        parts.push(part(Shape::Cylinder { centre: [-9.0, spine[1] + 29.0], radii: [10.5, 10.5] }, vessel));
        parts.push(part(Shape::Cylinder { centre: [19.0, spine[1] + 32.0], radii: [12.0, 9.0] }, vessel - 25.0));
        let stomach = [-52.0, 30.0, 22.0 + breath];
        parts.push(self.organ(stomach, [46.0, 30.0, 44.0], 42.0));
        parts.push(self.organ([stomach[0], stomach[1] + 16.0, stomach[2] + 8.0], [24.0, 12.0, 24.0], -880.0));
        let kidney = self.density(190.0, 15.0);
        for side in [-1.0, 1.0] {
            let centre = [side * 62.0, -38.0, -42.0 - side * 8.0 + breath * 0.5];
            parts.push(self.organ(centre, [24.0, 27.0, 52.0], kidney));
            parts.push(self.organ([centre[0] - side * 9.0, centre[1] + 5.0, centre[2]], [11.0, 9.0, 22.0], -60.0));
        }
        let liver = self.density(108.0, 9.0);
        parts.push(self.organ([62.0, 4.0, 30.0 + breath], [74.0, 76.0, 66.0], liver));
        parts.push(self.organ([6.0, 42.0, 34.0 + breath], [58.0, 28.0, 36.0], liver));
        parts.push(self.spleen(breath));
        let cavity = Shape::Cylinder { centre: [0.0, 0.0], radii: [width - fat - 9.0, depth - fat - 8.0] };
        (parts, cavity)
    }

    /// At the left, behind the stomach, along the diaphragm: a bent ellipsoid of 100 – 350 ml.
    fn spleen(&mut self, breath: f64) -> Part {
        let size = self.random.random_range(0.85..1.2);
        let centre =
            [-100.0 + self.normal(0.0, 5.0), -34.0 + self.normal(0.0, 6.0), 18.0 + breath + self.normal(0.0, 8.0)];
        let radii = [24.0 * size * self.factor(0.08), 45.0 * size * self.factor(0.08), 50.0 * size * self.factor(0.1)];
        let bend = self.random.random_range(-0.006..0.002);
        Part {
            shape: Shape::Ellipsoid { centre, radii, bend },
            density: self.density(126.0, 8.0),
            confined: true,
            target: true,
        }
    }

    /// An organ near a place, of about a size.
    fn organ(&mut self, centre: Vector, radii: Vector, density: f64) -> Part {
        let centre = centre.map(|position| position + self.normal(0.0, 3.0));
        let size = self.factor(0.06);
        let radii = radii.map(|radius| radius * size * self.factor(0.05));
        Part { confined: true, ..part(Shape::Ellipsoid { centre, radii, bend: 0.0 }, density) }
    }

    fn density(&mut self, mean: f64, deviation: f64) -> f64 {
        self.normal(mean, deviation)
    }

    fn factor(&mut self, deviation: f64) -> f64 {
        self.normal(1.0, deviation).clamp(0.75, 1.25)
    }

    /// A draw that stays within two deviations: no patient is a monster.
    fn normal(&mut self, mean: f64, deviation: f64) -> f64 {
        let draw: f64 = Normal::new(0.0, 1.0).map_or(0.0, |normal| normal.sample(self.random));
        mean + deviation * draw.clamp(-2.0, 2.0)
    }
}

fn part(shape: Shape, density: f64) -> Part {
    Part { shape, density, confined: false, target: false }
}
