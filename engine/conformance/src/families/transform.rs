//! Transforms: randomness from the given generator only, and geometry that is true.

use std::time::Duration;

use byoc::{Kind as ComponentKind, Random, Sample};
use serde_json::Value as Json;
use tch::{Kind, Tensor};

use crate::numbers::{all_finite, difference, number};
use crate::object::{Object, Response};
use crate::specimen::Specimen;
use crate::stimulus::{AFFINE, Pattern, Plan, SamplePlan, Stimulus, applied, place};
use crate::suite::Test;
use crate::verdict::{Found, Verdict};

const TRANSFORM: &[ComponentKind] = &[ComponentKind::TRANSFORM];

pub(crate) const TESTS: &[Test] = &[
    Test::of_component("transform-forward", "it gives samples with finite values", TRANSFORM, forward),
    Test::of_component(
        "transform-seed",
        "the same seed gives the same sample, now and a second later",
        TRANSFORM,
        seed,
    ),
    Test::of_component("transform-random", "it says that it is random if and only if it is", TRANSFORM, random),
    Test::of_component("transform-cache", "what it prepares once for the cache changes no result", TRANSFORM, cache),
    Test::of_component(
        "transform-geometry",
        "the affine says where the voxels are, before and after",
        TRANSFORM,
        geometry,
    ),
];

fn plan(specimen: &Specimen) -> Result<&SamplePlan, Verdict> {
    match specimen.plan()? {
        Plan::Sample(plan) => Ok(plan),
        _ => Err(Verdict::skipped("it takes no samples")),
    }
}

fn forward(specimen: &Specimen) -> Found {
    let Stimulus::Sample(sample, mut random) = specimen.stimulus(0)? else {
        return Ok(Verdict::skipped("it takes no samples"));
    };
    let samples = specimen.transform()?.apply_many(sample, &mut random)?;
    if samples.is_empty() {
        return Err(Verdict::warning(
            "it gives no sample at all",
            "give the sample itself where there is nothing to do, or an error that says why",
        ));
    }
    for sample in &samples {
        for (key, value) in sample.iter() {
            if let Some(tensor) = value.as_tensor()
                && !all_finite(tensor)?
            {
                return Err(Verdict::failed(
                    format!("`{key}` holds values that are not finite"),
                    "look at what is divided by, and at logarithms and powers of negative intensities",
                ));
            }
        }
    }
    Ok(Verdict::success(format!("{} samples out of one", samples.len())))
}

fn seed(specimen: &Specimen) -> Found {
    let stimulus = specimen.stimulus(0)?;
    let first = specimen.answer(&stimulus)?;
    let help = "draw from the `Random` that `apply` is given, and from nothing else: no clock, no operating system, no \
                `Tensor::rand`. The engine seeds it by epoch, item and position in the chain";
    let same = |again: &Response, when: &str| match first.difference(again)? {
        None => Ok(()),
        Some(difference) => {
            Err(Verdict::failed(format!("the same seed gives another sample {when}: {difference}"), help))
        }
    };
    same(&specimen.answer(&stimulus)?, "at once")?;
    tch::manual_seed(99);
    let mut object = specimen.make()?;
    // making it has seeded libtorch's own generator, so that only what is drawn from it now differs
    tch::manual_seed(100);
    same(&object.respond(&stimulus.copy())?, "after libtorch's own generator was seeded otherwise")?;
    // a clock of whole seconds
    std::thread::sleep(Duration::from_millis(1100));
    same(&specimen.answer(&stimulus)?, "a second later")?;
    Ok(Verdict::success("four times the same"))
}

/// Whether the generator was drawn from.
fn has_drawn(before: &Random, after: &Random) -> bool {
    before.clone().next_u64() != after.clone().next_u64()
}

/// Whether eight seeds draw from the generator, and whether they give different results.
fn try_seeds(specimen: &Specimen, args: &Json, sample: &Sample) -> Result<(bool, bool), Verdict> {
    let mut first: Option<Response> = None;
    let (mut draws, mut differs) = (false, false);
    for seed in 0..8 {
        let generator = Random::from_seed(Random::derive_seed(&[specimen.seed, 50 + seed]));
        let Object::Transform(transform) = specimen.make_with(args)? else { break };
        let mut used = generator.clone();
        transform.apply_many(sample.shallow_clone(), &mut used)?;
        draws |= has_drawn(&generator, &used);
        let stimulus = Stimulus::Sample(sample.shallow_clone(), generator);
        let response = specimen.make_with(args)?.respond(&stimulus.copy())?.copy();
        match &first {
            Some(first) => differs |= first.difference(&response)?.is_some(),
            None => first = Some(response),
        }
    }
    Ok((draws, differs))
}

fn random(specimen: &Specimen) -> Found {
    let Stimulus::Sample(sample, _) = specimen.stimulus(0)? else {
        return Ok(Verdict::skipped("it takes no samples"));
    };
    let args = specimen.args();
    let transform = specimen.transform()?;
    let (draws, mut differs) = try_seeds(specimen, &args, &sample)?;
    let is_random = transform.is_random();
    // whether it acts at all may be all that is random
    if is_random && draws && !differs && specimen.given.args.is_none() && args.get("prob").is_some() {
        let mut half = args.clone();
        half["prob"] = serde_json::json!(0.5);
        (_, differs) = try_seeds(specimen, &half, &sample)?;
    }
    match (is_random, draws, differs) {
        (false, false, false) => Ok(Verdict::success("deterministic, and says so")),
        (true, true, true) => Ok(Verdict::success("random, and says so")),
        (false, _, true) | (false, true, _) => Err(Verdict::failed(
            "it draws from the generator, but says that it is not random: the engine would compute it once and cache the \
             result",
            "let `is_random` give true",
        )),
        (true, true, false) => Err(Verdict::warning(
            "eight seeds give one result",
            "see whether its probability is 0, or its range empty; else nothing is wrong",
        )),
        (true, false, _) => Err(Verdict::warning(
            "it says that it is random, but never draws from the generator",
            "let `is_random` give false, so that its result is cached",
        )),
    }
}

fn cache(specimen: &Specimen) -> Found {
    let Stimulus::Sample(sample, generator) = specimen.stimulus(0)? else {
        return Ok(Verdict::skipped("it takes no samples"));
    };
    let plain = specimen.steady_answer(&Stimulus::Sample(sample.shallow_clone(), generator.clone()))?;
    let mut prepared = sample.shallow_clone();
    specimen.transform()?.prepare(&mut prepared)?;
    let cached = specimen.answer(&Stimulus::Sample(prepared, generator))?;
    // what was prepared may be in the sample still
    for (name, tensor) in &plain.tensors {
        let Some((_, other)) = cached.tensors.iter().find(|(other, _)| other == name) else {
            return Err(Verdict::failed(
                format!("`{name}` is missing after `prepare`"),
                "let `prepare` add keys, never take any away",
            ));
        };
        if let Some(difference) = difference(tensor, other)? {
            return Err(Verdict::failed(
                format!("with `prepare` before it, `{name}` differs: {difference}"),
                "let `prepare` only compute beforehand what `apply` computes itself where it is missing",
            ));
        }
    }
    Ok(Verdict::success("with and without `prepare` the same"))
}

fn geometry(specimen: &Specimen) -> Found {
    let plan = plan(specimen)?;
    let seed = specimen.seed;
    let (pattern, samples) = match applied(specimen, plan, Pattern::Position, seed)? {
        Some(samples) => (Pattern::Position, samples),
        None => return Ok(Verdict::skipped("it takes no images of three channels, which tell where their voxels are")),
    };
    let original = plan.draw(&mut Random::from_seed(seed), pattern);
    let mut moved = 0;
    for sample in &samples {
        for key in &plan.keys {
            let (Ok(before), Ok(after)) = (original.image(key), sample.image(key)) else { continue };
            let (before_size, after_size) = (before.tensor.size(), after.tensor.size());
            let shape_agrees = before_size == after_size;
            if before.affine == after.affine && shape_agrees {
                stays(key, &before.tensor, &after.tensor)?;
            } else if before_size.len() == after_size.len() {
                follows(key, after, &before_size[1..])?;
                moved += 1;
            }
        }
        agree(sample, &plan.keys)?;
    }
    Ok(Verdict::success(match moved {
        0 => "it moves no voxels".to_owned(),
        count => format!("{count} images moved, each with its affine"),
    }))
}

/// The affine is the same: so must be the places of the voxels. Other intensities are fine, an exchange is not.
fn stays(key: &str, before: &Tensor, after: &Tensor) -> Result<(), Verdict> {
    if difference(before, after)?.is_none() {
        return Ok(());
    }
    let sorted = |tensor: &Tensor| -> Result<Tensor, Verdict> {
        Ok(tensor.f_to_kind(Kind::Double)?.f_flatten(0, -1)?.f_sort(0, false)?.0)
    };
    if difference(&sorted(before)?, &sorted(after)?)?.is_none() {
        return Err(Verdict::failed(
            format!("it moves the voxels of `{key}`, but leaves the affine as it was"),
            "give the image the affine of its new grid: the old one times the matrix from new voxel indices to old ones. A \
             segmentation saved with the wrong affine lies in the wrong place",
        ));
    }
    Ok(())
}

/// Each voxel holds its own place: where the new affine says the same, the geometry is true. Voxels whose neighbours
/// lie outside the original image are passed over.
fn follows(key: &str, image: &byoc::Image, original: &[i64]) -> Result<(), Verdict> {
    let size = image.tensor.size();
    let [3, spatial @ ..] = size.as_slice() else { return Ok(()) };
    let values: Vec<f64> = Vec::try_from(image.tensor.f_to_kind(Kind::Double)?.f_contiguous()?.f_view([-1i64])?)?;
    let count = spatial.iter().product::<i64>() as usize;
    let spacing = [0, 1, 2].map(|axis| (0..3).map(|row| AFFINE[row][axis].powi(2)).sum::<f64>().sqrt());
    let (mut inside, mut wrong, mut example) = (0usize, 0usize, None);
    for flat in 0..count {
        let index = index_of(flat, spatial);
        let said = place(&image.affine, index);
        let is_inside = (0..original.len().min(3)).all(|axis| {
            let along = (said[axis] - AFFINE[axis][3]) / AFFINE[axis][axis];
            (0.5..=original[axis] as f64 - 1.5).contains(&along)
        });
        if !is_inside {
            continue;
        }
        inside += 1;
        let held = [0, 1, 2].map(|channel| values[channel * count + flat]);
        // nearest-neighbour interpolation is half a voxel off at most
        if (0..original.len().min(3)).any(|axis| (held[axis] - said[axis]).abs() > 0.75 * spacing[axis]) {
            wrong += 1;
            example.get_or_insert((index, said, held));
        }
    }
    match example {
        Some((index, said, held)) if wrong * 20 > inside && !is_intensity_change(&values, count, image, spatial)? => {
            Err(Verdict::failed(
                format!(
                    "the affine of `{key}` puts {wrong} of {inside} voxels in the wrong place: {index:?} at {said:.1?} mm, \
                     but what it shows lies at {held:.1?} mm"
                ),
                "give the image the affine of its new grid: the old one times the matrix from new voxel indices to old ones",
            ))
        }
        _ => Ok(()),
    }
}

/// Whether the values are a linear function of the places, so that only the intensities were changed, and not the
/// places confused.
fn is_intensity_change(values: &[f64], count: usize, image: &byoc::Image, spatial: &[i64]) -> Result<bool, Verdict> {
    for channel in 0..spatial.len().min(3) {
        let held = Tensor::from_slice(&values[channel * count..(channel + 1) * count]);
        let said: Vec<f64> = (0..count).map(|flat| place(&image.affine, index_of(flat, spatial))[channel]).collect();
        let said = Tensor::from_slice(&said);
        let centred = |tensor: &Tensor| -> Result<Tensor, Verdict> { Ok(tensor.f_sub(&tensor.f_mean(Kind::Double)?)?) };
        let (held, said) = (centred(&held)?, centred(&said)?);
        let product = number(&held.f_mul(&said)?)?;
        let norms = (number(&held.f_square()?)? * number(&said.f_square()?)?).sqrt();
        let slope = product / number(&said.f_square()?)?.max(1e-12);
        // with the slope of an unchanged intensity the place itself is wrong
        if norms == 0.0 || product / norms < 0.999 || (slope - 1.0).abs() < 0.01 {
            return Ok(false);
        }
    }
    Ok(true)
}

fn index_of(flat: usize, spatial: &[i64]) -> [f64; 3] {
    let mut rest = flat as i64;
    let mut index = [0.0; 3];
    for axis in (0..spatial.len()).rev() {
        if axis < 3 {
            index[axis] = (rest % spatial[axis]) as f64;
        }
        rest /= spatial[axis];
    }
    index
}

/// The images that it was told to change have one grid before; they must have one grid after.
fn agree(sample: &Sample, keys: &[String]) -> Result<(), Verdict> {
    let images: Vec<_> = keys.iter().filter_map(|key| Some((key, sample.image(key).ok()?))).collect();
    let sizes_of = |image: &byoc::Image| image.tensor.size().get(1..).map(<[i64]>::to_vec).unwrap_or_default();
    let moved: Vec<_> =
        images.iter().filter(|(_, image)| image.affine != AFFINE).map(|(key, image)| (key, sizes_of(image))).collect();
    if let Some(((first, a), (second, b))) = moved.first().zip(moved.iter().find(|(_, size)| *size != moved[0].1)) {
        return Err(Verdict::warning(
            format!("`{first}` has the size {a:?} and `{second}` {b:?} afterwards: they were equal before"),
            "draw once and do the same to every key",
        ));
    }
    Ok(())
}
