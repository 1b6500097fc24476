//! A click drawn from a region: the deeper inside, the more likely.

use byoc::{Error, Random, Result};
use mmar_imaging::region::chessboard_distances;

/// Draws a voxel of a region in C order, of one channel or with leading axes of 1.
///
/// Its probability grows with exp(d) - 1, d being the chessboard distance to the nearest voxel outside. The click is d and
/// the voxel's index without its first axis. `None` if the region is empty.
pub(super) fn draw(region: &[bool], shape: &[usize], random: &mut Random) -> Result<Option<Vec<i64>>> {
    let spatial = match shape {
        [1, rest @ ..] if shape.len() == 4 => rest,
        _ if shape.len() <= 3 => shape,
        _ => {
            return Err(Error::data(format!("a region of shape {shape:?} has more than one channel; one is expected")));
        }
    };
    if !region.contains(&true) {
        return Ok(None);
    }
    let distances = chessboard_distances(region, spatial);
    let deepest = distances.iter().copied().max().unwrap_or(0).max(0);
    // by the largest weight, so that regions hundreds of voxels thick do not overflow; -1, without an outside, is one weight
    let weights: Vec<f64> = (-1..=deepest)
        .map(|d| if d < 0 { 1.0 } else { f64::from(d - deepest).exp() - f64::from(-deepest).exp() })
        .collect();
    let weight = |index: usize| weights[(distances[index] + 1) as usize];
    let inside = || (0..region.len()).filter(|&index| region[index]);
    let total: f64 = inside().map(weight).sum();
    let mut rest = random.uniform(0.0, total);
    let mut chosen = 0;
    for index in inside().filter(|&index| weight(index) > 0.0) {
        chosen = index;
        rest -= weight(index);
        if rest < 0.0 {
            break;
        }
    }
    let mut click = vec![i64::from(distances[chosen])];
    let mut place = Vec::new();
    let mut index = chosen;
    for &n in shape[1..].iter().rev() {
        place.push((index % n) as i64);
        index /= n;
    }
    click.extend(place.iter().rev());
    Ok(Some(click))
}

#[cfg(test)]
mod tests {
    use byoc::Random;

    use super::draw;

    #[test]
    fn deeper_voxels_are_drawn_more_often() {
        // a bar of 3 × 5: the middle row's inner voxels have distance 2, the others 1
        let shape = [1, 7, 9];
        let region: Vec<bool> = (0..63).map(|i| (2..5).contains(&(i / 9)) && (2..7).contains(&(i % 9))).collect();
        let mut random = Random::from_seed(11);
        let (mut deep, n) = (0, 4000);
        for _ in 0..n {
            let click = draw(&region, &shape, &mut random).unwrap().unwrap();
            assert!(region[(click[1] * 9 + click[2]) as usize], "{click:?}");
            let expected = if click[1] == 3 && (3..6).contains(&click[2]) { 2 } else { 1 };
            assert_eq!(click[0], expected, "{click:?}");
            deep += u32::from(click[0] == 2);
        }
        let (near, far) = (12.0 * (1f64.exp() - 1.0), 3.0 * (2f64.exp() - 1.0));
        let share = far / (near + far);
        let deviation = (share * (1.0 - share) / f64::from(n)).sqrt();
        assert!((f64::from(deep) / f64::from(n) - share).abs() < 4.0 * deviation, "{deep} of {n}, {share}");
    }

    #[test]
    fn an_empty_region_has_no_click_and_a_full_one_has_any() {
        let mut random = Random::from_seed(1);
        assert_eq!(draw(&[false; 4], &[1, 2, 2], &mut random).unwrap(), None);
        let corners: std::collections::BTreeSet<_> =
            (0..100).map(|_| draw(&[true; 4], &[1, 2, 2], &mut random).unwrap().unwrap()).collect();
        assert_eq!(corners.len(), 4);
        assert!(corners.iter().all(|click| click[0] == -1));
    }
}
