//! The network applied window by window.

use byoc::{Component, Error, Inferer, OneOrMany, Predictor, Result};
use schemars::JsonSchema;
use serde::Deserialize;
use tch::{Device, Kind, Tensor};

use super::blending::{Blending, importance_map};
use super::windows::{corners, starts};

byoc::register! { inferers: [SlidingWindowInferer] }

/// Applies the network to overlapping windows and blends the results (MONAI `SlidingWindowInferer`).
///
/// An image smaller than a window is padded, and the prediction cropped again. A network whose output is smaller or
/// larger than its input by a factor gives a prediction of that scale.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SlidingWindowInfererArgs {
    /// Size of a window, one for all axes or one per axis; null, 0 or -1 is the image's.
    roi_size: OneOrMany<Option<i64>>,
    /// How many windows the network gets at once.
    #[serde(default = "one")]
    sw_batch_size: i64,
    /// How much neighbouring windows overlap, 0 to below 1, one for all axes or one per axis.
    #[serde(default = "quarter")]
    overlap: OneOrMany<f64>,
    /// How overlapping windows are blended.
    #[serde(default)]
    mode: Blending,
    /// Standard deviation of the Gaussian, as a fraction of the window.
    #[serde(default = "eighth")]
    sigma_scale: OneOrMany<f64>,
    /// How an image smaller than a window is padded.
    #[serde(default)]
    padding_mode: Padding,
    /// The value of constant padding.
    #[serde(default)]
    cval: f64,
    /// Device of the windows, `cpu` or `cuda`; the input's by default.
    #[serde(default)]
    sw_device: Option<String>,
    /// Device on which the prediction is put together; the input's by default.
    #[serde(default)]
    device: Option<String>,
    /// Images with more voxels than this are put together on the CPU.
    #[serde(default)]
    cpu_thresh: Option<i64>,
    /// Accepted as MONAI has it; progress is the engine's.
    #[serde(default)]
    #[expect(dead_code, reason = "part of MONAI's signature, without an effect here")]
    progress: bool,
    /// Accepted as MONAI has it; the weights are cheap.
    #[serde(default)]
    #[expect(dead_code, reason = "part of MONAI's signature, without an effect here")]
    cache_roi_weight_map: bool,
}

fn one() -> i64 {
    1
}

fn quarter() -> OneOrMany<f64> {
    OneOrMany::One(0.25)
}

fn eighth() -> OneOrMany<f64> {
    OneOrMany::One(0.125)
}

/// How an image is padded, in PyTorch's terms.
#[derive(Debug, Clone, Copy, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
enum Padding {
    /// With `cval`.
    #[default]
    Constant,
    /// Mirrored at the edge voxel.
    Reflect,
    /// With the edge voxel.
    Replicate,
    /// With the other side.
    Circular,
}

impl Padding {
    const fn name(self) -> &'static str {
        match self {
            Self::Constant => "constant",
            Self::Reflect => "reflect",
            Self::Replicate => "replicate",
            Self::Circular => "circular",
        }
    }
}

/// See [`SlidingWindowInfererArgs`].
#[derive(Debug)]
pub struct SlidingWindowInferer {
    args: SlidingWindowInfererArgs,
    window_device: Option<Device>,
    output_device: Option<Device>,
}

impl Component for SlidingWindowInferer {
    type Args = SlidingWindowInfererArgs;

    fn new(args: SlidingWindowInfererArgs) -> Result<Self> {
        if args.sw_batch_size < 1 {
            return Err(Error::invalid_argument(format!(
                "`sw_batch_size` must be at least 1, found {}",
                args.sw_batch_size
            )));
        }
        if let Some(overlap) = args.overlap.clone().into_vec().iter().find(|overlap| !(0.0..1.0).contains(*overlap)) {
            return Err(Error::invalid_argument(format!("`overlap` must be at least 0 and below 1, found {overlap}")));
        }
        if args.sigma_scale.clone().into_vec().iter().any(|scale| *scale <= 0.0) {
            return Err(Error::invalid_argument("`sigma_scale` must be greater than 0"));
        }
        let window_device = args.sw_device.as_deref().map(device).transpose()?;
        let output_device = args.device.as_deref().map(device).transpose()?;
        Ok(Self { args, window_device, output_device })
    }
}

fn device(name: &str) -> Result<Device> {
    match name.split_once(':') {
        None if name == "cpu" => Ok(Device::Cpu),
        None if name == "cuda" => Ok(Device::Cuda(0)),
        Some(("cuda", index)) if index.parse::<usize>().is_ok() => Ok(Device::Cuda(index.parse().unwrap_or_default())),
        _ => Err(Error::invalid_argument(format!("the device must be `cpu`, `cuda` or `cuda:N`, found `{name}`"))),
    }
}

impl Inferer for SlidingWindowInferer {
    fn infer(&self, x: &Tensor, predict: Predictor<'_>) -> Result<Tensor> {
        let plan = self.plan(x)?;
        let window_device = self.window_device.unwrap_or(x.device());
        let voxels: i64 = x.size()[2..].iter().product();
        let output_device = match self.output_device {
            Some(device) => device,
            None if self.args.cpu_thresh.is_some_and(|limit| voxels > limit) => Device::Cpu,
            None => x.device(),
        };
        let padded = plan.pad(x, self.args.padding_mode, self.args.cval)?;

        let windows: Vec<(i64, &[i64])> = (0..x.size()[0])
            .flat_map(|item| plan.corners.iter().map(move |corner| (item, corner.as_slice())))
            .collect();
        let mut sum: Option<Stitch> = None;
        for batch in windows.chunks(self.args.sw_batch_size as usize) {
            let views =
                batch.iter().map(|(item, corner)| plan.window(&padded, *item, corner)).collect::<Result<Vec<_>>>()?;
            // one window is a view: no copy
            let input =
                if let [window] = views.as_slice() { window.shallow_clone() } else { Tensor::f_cat(&views, 0)? };
            let prediction = predict(&input.f_to_device(window_device)?)?;
            let sum = match &mut sum {
                Some(sum) => sum,
                empty => empty.insert(self.stitch(&plan, &prediction, x, output_device)?),
            };
            sum.add(&plan, &prediction, batch)?;
        }
        let sum = sum.ok_or_else(|| Error::data(format!("the input {:?} has no item", x.size())))?;
        sum.finish(&plan)
    }
}

/// The geometry of one call.
struct Plan {
    image: Vec<i64>,
    /// Before and after, per axis.
    padding: Vec<(i64, i64)>,
    roi: Vec<i64>,
    starts: Vec<Vec<i64>>,
    corners: Vec<Vec<i64>>,
}

impl SlidingWindowInferer {
    fn plan(&self, x: &Tensor) -> Result<Plan> {
        let size = x.size();
        if size.len() < 3 {
            return Err(Error::data(format!("the input must be (B, C, spatial…), found shape {size:?}")));
        }
        let image = size[2..].to_vec();
        let dims = image.len();
        if let OneOrMany::Many(roi) = &self.args.roi_size
            && roi.len() != dims
        {
            return Err(Error::invalid_argument(format!(
                "`roi_size` has {} axes, but the input {size:?} has {dims} spatial ones",
                roi.len()
            )));
        }
        let roi = self.args.roi_size.repeat(dims, "roi_size")?;
        let roi: Vec<i64> =
            roi.iter().zip(&image).map(|(roi, size)| roi.filter(|roi| *roi > 0).unwrap_or(*size)).collect();
        let overlap = self.args.overlap.repeat(dims, "overlap")?;
        let padding: Vec<_> = roi
            .iter()
            .zip(&image)
            .map(|(roi, size)| {
                let missing = (roi - size).max(0);
                (missing / 2, missing - missing / 2)
            })
            .collect();
        let starts: Vec<Vec<i64>> =
            (0..dims).map(|axis| starts(image[axis].max(roi[axis]), roi[axis], overlap[axis])).collect();
        Ok(Plan { corners: corners(&starts), image, padding, roi, starts })
    }

    /// The empty sum, in the shape that the network's first output asks for.
    fn stitch(&self, plan: &Plan, prediction: &Tensor, x: &Tensor, device: Device) -> Result<Stitch> {
        let shape = prediction.size();
        let dims = plan.image.len();
        if shape.len() != dims + 2 {
            return Err(Error::data(format!(
                "the network made {shape:?} of a window of {:?}; its output must be (B, C, spatial…) with {dims} spatial axes",
                plan.roi
            )));
        }
        let output = &shape[2..];
        let scale: Vec<f64> = output.iter().zip(&plan.roi).map(|(out, roi)| *out as f64 / *roi as f64).collect();
        // sums of 16-bit predictions would lose what blending gains
        let kind = if prediction.kind() == Kind::Double { Kind::Double } else { Kind::Float };
        let sigma = self.args.sigma_scale.repeat(dims, "sigma_scale")?;
        let mut weight = importance_map(&plan.roi, self.args.mode, &sigma, device)?;
        if output != plan.roi {
            weight = nearest(&weight, &plan.roi, output)?;
        }
        let full: Vec<i64> = (0..dims).map(|i| (plan.image[i].max(plan.roi[i]) as f64 * scale[i]) as i64).collect();
        let mut size = vec![x.size()[0], shape[1]];
        size.extend(&full);
        Ok(Stitch {
            sum: Tensor::f_zeros(&size, (kind, device))?,
            weight: weight.f_to_kind(kind)?,
            uniform: self.args.mode == Blending::Constant,
            scale,
            window: output.to_vec(),
        })
    }
}

impl Plan {
    fn pad(&self, x: &Tensor, mode: Padding, value: f64) -> Result<Tensor> {
        if self.padding.iter().all(|padding| *padding == (0, 0)) {
            return Ok(x.shallow_clone());
        }
        // libtorch wants the last axis first
        let padding: Vec<i64> = self.padding.iter().rev().flat_map(|(before, after)| [*before, *after]).collect();
        let value = matches!(mode, Padding::Constant).then_some(value);
        let padded = x.f_pad(padding, mode.name(), value);
        padded.map_err(|error| {
            let told = format!("cannot pad {:?} to windows of {:?} with `{}`", x.size(), self.roi, mode.name());
            Error::from(error).context(told)
        })
    }

    /// A window as a view of the image: (1, C, roi…).
    fn window(&self, image: &Tensor, item: i64, corner: &[i64]) -> Result<Tensor> {
        let mut window = image.f_narrow(0, item, 1)?;
        for (axis, (start, size)) in corner.iter().zip(&self.roi).enumerate() {
            window = window.f_narrow(axis as i64 + 2, *start, *size)?;
        }
        Ok(window)
    }
}

/// The weighted sum of predictions so far. The sum of the weights is not kept: it is a function of the geometry.
struct Stitch {
    sum: Tensor,
    weight: Tensor,
    uniform: bool,
    /// Output size over input size, per axis.
    scale: Vec<f64>,
    window: Vec<i64>,
}

impl Stitch {
    fn add(&mut self, plan: &Plan, prediction: &Tensor, batch: &[(i64, &[i64])]) -> Result<()> {
        let expected = [&[batch.len() as i64, self.sum.size()[1]], self.window.as_slice()].concat();
        if prediction.size() != expected {
            return Err(Error::data(format!(
                "the network made {:?} of windows of {:?}, and {expected:?} of those before",
                prediction.size(),
                plan.roi
            )));
        }
        let prediction = prediction.f_to_device(self.sum.device())?.f_to_kind(self.sum.kind())?;
        let _no_grad = (!prediction.requires_grad()).then(tch::no_grad_guard);
        for (i, (item, corner)) in batch.iter().enumerate() {
            let mut place = self.place(self.sum.f_narrow(0, *item, 1)?, corner)?;
            let window = prediction.f_narrow(0, i as i64, 1)?;
            let _ = if self.uniform { place.f_add_(&window)? } else { place.f_addcmul_(&window, &self.weight)? };
        }
        Ok(())
    }

    /// The part of an output-sized tensor that belongs to a window.
    fn place(&self, mut tensor: Tensor, corner: &[i64]) -> Result<Tensor> {
        for (axis, start) in corner.iter().enumerate() {
            let start = (*start as f64 * self.scale[axis]) as i64;
            tensor = tensor.f_narrow(axis as i64 + 2, start, self.window[axis])?;
        }
        Ok(tensor)
    }

    fn finish(self, plan: &Plan) -> Result<Tensor> {
        let mut output = self.sum.shallow_clone();
        let count = self.count(plan)?;
        let _ = output.f_div_(&count)?;
        for (axis, (before, _)) in plan.padding.iter().enumerate() {
            let scale = output.size()[axis + 2] as f64 / plan.image[axis].max(plan.roi[axis]) as f64;
            let start = (*before as f64 * scale).round_ties_even() as i64;
            let end = ((before + plan.image[axis]) as f64 * scale).round_ties_even() as i64;
            if end - start != output.size()[axis + 2] {
                output = output.f_narrow(axis as i64 + 2, start, end - start)?;
            }
        }
        Ok(output.f_contiguous()?)
    }

    /// The sum of the weights at each voxel, (1, 1, spatial…). With equal weights it is a product of counts per axis,
    /// which saves a volume of memory and a pass per window.
    fn count(&self, plan: &Plan) -> Result<Tensor> {
        let size = &self.sum.size()[2..];
        let options = (self.sum.kind(), self.sum.device());
        if !self.uniform {
            let count = Tensor::f_zeros([&[1, 1], size].concat(), options)?;
            for corner in &plan.corners {
                let _ = self.place(count.shallow_clone(), corner)?.f_add_(&self.weight)?;
            }
            return Ok(count);
        }
        let mut count = Tensor::f_ones(vec![1; size.len() + 2], options)?;
        for (axis, starts) in plan.starts.iter().enumerate() {
            let mut line = vec![0f64; size[axis] as usize];
            for start in starts {
                let start = (*start as f64 * self.scale[axis]) as usize;
                line[start..start + self.window[axis] as usize].iter_mut().for_each(|count| *count += 1.0);
            }
            let mut shape = vec![1; size.len() + 2];
            shape[axis + 2] = size[axis];
            let line = Tensor::from_slice(&line).f_to_device(options.1)?.f_to_kind(options.0)?.f_reshape(shape)?;
            count = count.f_mul(&line)?;
        }
        Ok(count)
    }
}

/// Weights of a window in the size of the network's output (`nearest-exact`).
fn nearest(weight: &Tensor, from: &[i64], to: &[i64]) -> Result<Tensor> {
    let mut resized = weight.shallow_clone();
    for (axis, (&from, &to)) in from.iter().zip(to).enumerate() {
        let source = |i: i64| (((i as f64 + 0.5) * from as f64 / to as f64) as i64).min(from - 1);
        let indices: Vec<i64> = (0..to).map(source).collect();
        resized =
            resized.f_index_select(axis as i64 + 2, &Tensor::from_slice(&indices).f_to_device(weight.device())?)?;
    }
    Ok(resized)
}

#[cfg(test)]
mod tests {
    use byoc::{Component, Inferer, Result};
    use serde_json::{Value, json};
    use tch::{Device, Kind, Tensor};

    use super::SlidingWindowInferer;

    fn inferer(args: Value) -> Result<SlidingWindowInferer> {
        SlidingWindowInferer::new(byoc::args::parse(&args)?)
    }

    fn image(shape: &[i64]) -> Tensor {
        let n = shape.iter().product::<i64>();
        Tensor::arange(n, (Kind::Float, Device::Cpu)).view(shape)
    }

    #[test]
    fn a_network_that_works_voxel_by_voxel_is_not_changed_by_windows() {
        let x = image(&[2, 1, 9, 11]);
        for args in [
            json!({ "roi_size": [4, 5], "sw_batch_size": 3, "overlap": 0.5 }),
            json!({ "roi_size": 4, "overlap": [0.0, 0.7], "mode": "gaussian", "sigma_scale": [0.1, 0.3] }),
            json!({ "roi_size": [null, -1] }),
            json!({ "roi_size": [16, 3], "padding_mode": "replicate" }),
        ] {
            let mut sizes = Vec::new();
            let y = inferer(args.clone()).unwrap().infer(&x, &mut |window| {
                sizes.push(window.size());
                Ok(window * 2.0 + 1.0)
            });
            let deviation = (y.unwrap() - (&x * 2.0 + 1.0)).abs().max().double_value(&[]);
            assert!(deviation < 1e-3, "{args}: {deviation}");
            assert!(sizes.iter().all(|size| size[0] <= 3), "{sizes:?}");
        }
    }

    #[test]
    fn a_network_that_halves_the_resolution_gives_half_the_image() {
        let x = image(&[1, 1, 8, 12]);
        let mut pool = |window: &Tensor| Ok(window.avg_pool2d([2, 2], [2, 2], [0, 0], false, true, None));
        let expected = pool(&x).unwrap();
        for mode in ["constant", "gaussian"] {
            let args = json!({ "roi_size": [4, 4], "overlap": 0.5, "mode": mode });
            let y = inferer(args).unwrap().infer(&x, &mut pool).unwrap();
            assert_eq!(y.size(), [1, 1, 4, 6]);
            assert!((y - &expected).abs().max().double_value(&[]) < 1e-4, "{mode}");
        }
    }

    #[test]
    fn the_windows_are_blended_in_float32() {
        let x = image(&[1, 1, 8, 8]).to_kind(Kind::BFloat16);
        let y = inferer(json!({ "roi_size": 4 })).unwrap().infer(&x, &mut |window| Ok(window.shallow_clone())).unwrap();
        assert_eq!(y.kind(), Kind::Float);
    }

    #[test]
    fn mistakes_are_told() {
        let told = |args, shape: &[i64]| {
            let x = image(shape);
            let result = inferer(args).and_then(|i| i.infer(&x, &mut |window| Ok(window.shallow_clone())));
            result.unwrap_err().to_string()
        };
        assert_eq!(
            told(json!({ "roi_size": [4, 4, 4] }), &[1, 1, 8, 8]),
            "`roi_size` has 3 axes, but the input [1, 1, 8, 8] has 2 spatial ones"
        );
        assert!(told(json!({ "roi_size": 4, "overlap": 1.0 }), &[1, 1, 8]).contains("`overlap`"));
        assert!(told(json!({ "roi_size": 4, "sw_device": "gpu" }), &[1, 1, 8]).contains("`cuda:N`"));
        assert!(told(json!({ "roi_size": [16, 16], "padding_mode": "reflect" }), &[1, 1, 4, 4]).contains("cannot pad"));
        let flat = inferer(json!({ "roi_size": 4 })).unwrap().infer(&image(&[1, 1, 8]), &mut |w| Ok(w.mean(None)));
        assert!(flat.unwrap_err().to_string().contains("the network made []"));
    }
}
