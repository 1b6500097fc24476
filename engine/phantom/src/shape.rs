//! Shapes as signed distances in mm: negative inside. The distances are first-order, which is exact where it matters,
//! near the surface.

/// A point or a size, in mm: towards the patient's right, front and head.
pub(crate) type Vector = [f64; 3];

/// A solid.
#[derive(Debug, Clone)]
pub(crate) enum Shape {
    /// An ellipsoid, bent about its centre: `bend` mm per mm² in the direction of y, along x.
    Ellipsoid { centre: Vector, radii: Vector, bend: f64 },
    /// A cylinder along the body, with an elliptic cross-section.
    Cylinder { centre: [f64; 2], radii: [f64; 2] },
    /// Rings around the body's outline, tilted as ribs are: a shell of the ellipse `radii`, in every `period` mm.
    Ribs { radii: [f64; 2], thickness: f64, period: f64, above: f64 },
    /// Vertebral bodies: a cylinder that is interrupted every `period` mm.
    Vertebrae { centre: [f64; 2], radii: [f64; 2], period: f64 },
    /// A slab behind the patient, `front` being the y of its front.
    Table { front: f64, thickness: f64, half_width: f64 },
}

impl Shape {
    /// The signed distance of a point.
    pub(crate) fn distance(&self, point: Vector) -> f64 {
        match *self {
            Self::Ellipsoid { centre, radii, bend } => {
                let mut offset = [point[0] - centre[0], point[1] - centre[1], point[2] - centre[2]];
                offset[1] -= bend * offset[0] * offset[0];
                ellipsoid(&offset, &radii)
            }
            Self::Cylinder { centre, radii } => ellipsoid(&[point[0] - centre[0], point[1] - centre[1]], &radii),
            Self::Ribs { radii, thickness, period, above } => {
                let shell = ellipsoid(&[point[0], point[1]], &radii).abs() - thickness / 2.0;
                // Ribs run down towards the front; none lies in front of the abdomen.
                let height = point[2] + 0.45 * point[1];
                let phase = (height / period).rem_euclid(1.0) - 0.5;
                let along = phase.abs() * period - period * 0.2;
                shell.max(along).max(above - point[2]).max(point[1] - 0.75 * radii[1])
            }
            Self::Vertebrae { centre, radii, period } => {
                let around = ellipsoid(&[point[0] - centre[0], point[1] - centre[1]], &radii);
                let phase = (point[2] / period).rem_euclid(1.0) - 0.5;
                around.max(phase.abs() * period - period * 0.4)
            }
            Self::Table { front, thickness, half_width } => {
                // A shallow trough.
                let surface = front + 0.0008 * point[0] * point[0];
                let depth = surface - point[1];
                (-depth).max(depth - thickness).max(point[0].abs() - half_width)
            }
        }
    }
}

/// The first-order distance to an axis-parallel ellipsoid around the origin.
fn ellipsoid<const N: usize>(offset: &[f64; N], radii: &[f64; N]) -> f64 {
    let mut level = 0.0;
    let mut gradient = 0.0;
    for (offset, radius) in offset.iter().zip(radii) {
        let scaled = offset / radius;
        level += scaled * scaled;
        gradient += (scaled / radius) * (scaled / radius);
    }
    let level = level.sqrt();
    if level < 1e-9 {
        return -radii.iter().copied().fold(f64::INFINITY, f64::min);
    }
    (level - 1.0) * level / gradient.sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_of_a_sphere_are_exact() {
        let sphere = Shape::Ellipsoid { centre: [10.0, 0.0, -5.0], radii: [20.0; 3], bend: 0.0 };
        for (point, expected) in [([10.0, 0.0, -5.0], -20.0), ([40.0, 0.0, -5.0], 10.0), ([10.0, 15.0, -5.0], -5.0)] {
            assert!((sphere.distance(point) - expected).abs() < 1e-9, "{point:?}");
        }
    }

    #[test]
    fn the_surface_of_an_ellipsoid_is_where_it_should_be() {
        let shape = Shape::Ellipsoid { centre: [0.0; 3], radii: [50.0, 30.0, 20.0], bend: 0.0 };
        for point in [[50.0, 0.0, 0.0], [0.0, -30.0, 0.0], [0.0, 0.0, 20.0]] {
            assert!(shape.distance(point).abs() < 1e-9, "{point:?}");
        }
    }
}
