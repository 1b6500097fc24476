//! `AddInitialSeedPointd`: the first click of a training item.

use byoc::{Component, Error, Random, Result, Sample, Transform, Value};
use mmar_imaging::region::label_components;
use schemars::JsonSchema;
use serde::Deserialize;
use tch::{Kind, Tensor};
use torch_ext::view;

use super::click;
use super::guidance::{Guidance, index_of};
use crate::transforms::common::float_values;

/// Draws the first positive clicks from a label.
///
/// One click for each connected region, up to `connected_regions`, in raster order, as (d, …, y, x) with the chessboard
/// distance d to the region's border; deeper voxels are more likely. For a volume with a list of slices the regions are
/// those of one slice, drawn from the list unless the sample names it, and clicks are (d, slice, y, x); without a list one
/// click is drawn from the whole volume. The guidance becomes a JSON text. MONAI
/// `monai.apps.deepgrow.transforms.AddInitialSeedPointd`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AddInitialSeedPointdArgs {
    /// Key of the label, (1, H, W) or (1, D, H, W); above 0.5 is foreground.
    #[serde(default = "label")]
    label: String,
    /// Key for the guidance.
    #[serde(default = "guidance")]
    guidance: String,
    /// Key of the slices to choose from, see `FindAllValidSlicesd`.
    #[serde(default = "sids")]
    sids: String,
    /// Key of the slice to take; if it is not among `sids`, one is drawn.
    #[serde(default = "sid")]
    sid: String,
    /// How many regions get a click at most.
    #[serde(default = "five")]
    connected_regions: usize,
}

fn label() -> String {
    "label".to_owned()
}

fn guidance() -> String {
    "guidance".to_owned()
}

fn sids() -> String {
    "sids".to_owned()
}

fn sid() -> String {
    "sid".to_owned()
}

fn five() -> usize {
    5
}

/// See [`AddInitialSeedPointdArgs`].
pub struct AddInitialSeedPointd(AddInitialSeedPointdArgs);

impl Component for AddInitialSeedPointd {
    type Args = AddInitialSeedPointdArgs;

    fn new(args: AddInitialSeedPointdArgs) -> Result<Self> {
        Ok(Self(args))
    }
}

byoc::register! { transforms: [AddInitialSeedPointd] }

impl Transform for AddInitialSeedPointd {
    fn apply(&self, sample: &mut Sample, random: &mut Random) -> Result<()> {
        let Self(args) = self;
        let label = sample.tensor(&args.label)?;
        let rank = label.dim();
        if !(3..=4).contains(&rank) || label.size()[0] != 1 {
            return Err(Error::data(format!(
                "`{}` has shape {:?}; a label of one channel, (1, H, W) or (1, D, H, W), is expected",
                args.label,
                label.size()
            )));
        }
        let slice = self.slice(sample, random)?;
        let slice_of_volume = slice.filter(|_| rank == 4);
        let region = match slice_of_volume {
            Some(slice) => label.f_select(1, slice).map_err(|_| {
                Error::data(format!("`{}` has {} slices, but no slice {slice}", args.label, label.size()[1]))
            })?,
            None => label.shallow_clone(),
        };
        let whole_volume = rank == 4 && slice_of_volume.is_none();
        let mut clicks = self.clicks(&region, whole_volume, random)?;
        if let Some(slice) = slice_of_volume {
            for click in &mut clicks {
                click.insert(1, slice);
            }
        }
        let none = vec![-1; rank];
        let wanted = if whole_volume { 1 } else { args.connected_regions };
        clicks.resize(wanted, none.clone());
        let guidance = Guidance { clicks: vec![clicks, vec![none; wanted]], slice: None };
        sample.insert(&args.guidance, guidance.to_text());
        Ok(())
    }

    fn is_random(&self) -> bool {
        true
    }
}

impl AddInitialSeedPointd {
    /// The slice that the sample names if it is listed, else one of the list; `None` without a list.
    fn slice(&self, sample: &Sample, random: &mut Random) -> Result<Option<i64>> {
        let Self(args) = self;
        if !sample.contains(&args.sids) {
            return Ok(None);
        }
        let listed: Vec<i64> = match sample.get(&args.sids)? {
            Value::Json(json) => serde_json::from_value(json.clone())
                .map_err(|error| Error::data(format!("`{}` is not a list of slices: {error}", args.sids)))?,
            other => {
                let tensor = other.as_tensor().map(|tensor| tensor.f_to_kind(Kind::Int64)?.f_reshape([-1]));
                let tensor: Tensor =
                    tensor.ok_or_else(|| Error::data(format!("`{}` is not a list of slices", args.sids)))??;
                Vec::try_from(tensor)?
            }
        };
        if sample.contains(&args.sid)
            && let Some(slice) = index_of(sample.get(&args.sid)?, &args.sid)?
            && listed.contains(&slice)
        {
            return Ok(Some(slice));
        }
        if listed.is_empty() {
            return Err(Error::data(format!("`{}` lists no slice to draw from", args.sids)));
        }
        Ok(Some(listed[random.integer(0, listed.len() as i64) as usize]))
    }

    fn clicks(&self, label: &Tensor, whole: bool, random: &mut Random) -> Result<Vec<Vec<i64>>> {
        let values = float_values(label)?;
        let mask: Vec<bool> = view::slice::<f32>(&values)?.iter().map(|&value| value > 0.5).collect();
        if !mask.contains(&true) {
            return Err(Error::data(format!("`{}` marks nothing: there is no voxel to click at", self.0.label)));
        }
        let shape: Vec<usize> = label.size().iter().map(|&n| n as usize).collect();
        if whole {
            return Ok(click::draw(&mask, &shape, random)?.into_iter().collect());
        }
        let components = label_components(&mask, &shape, 3);
        (1..components.sizes.len())
            .take(self.0.connected_regions)
            .filter_map(|region| {
                let inside: Vec<bool> = components.labels.iter().map(|&label| label as usize == region).collect();
                click::draw(&inside, &shape, random).transpose()
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use byoc::{Component, Random, Sample, Transform};
    use serde_json::{Value, json};
    use tch::{Kind, Tensor};

    use super::AddInitialSeedPointd;

    fn guidance(sample: &mut Sample, seed: u64) -> Vec<Vec<Vec<i64>>> {
        let transform = AddInitialSeedPointd::new(serde_json::from_value(json!({})).unwrap()).unwrap();
        transform.apply(sample, &mut Random::from_seed(seed)).unwrap();
        let Value::String(text) = sample.json("guidance").unwrap() else { panic!() };
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn a_listed_slice_is_drawn_and_each_of_its_regions_gets_a_click() {
        let label = Tensor::zeros([1, 4, 10, 10], (Kind::Float, tch::Device::Cpu));
        for (slice, row, column) in [(1, 1, 1), (1, 5, 5), (3, 2, 6)] {
            let _ = label.narrow(1, slice, 1).narrow(2, row, 3).narrow(3, column, 3).fill_(1.0);
        }
        let mut seen = std::collections::BTreeSet::new();
        for seed in 0..40 {
            let mut sample = Sample::new();
            sample.insert("label", label.copy());
            sample.insert("sids", Tensor::from_slice(&[1i64, 3]));
            let clicks = guidance(&mut sample, seed);
            let real: Vec<_> = clicks[0].iter().filter(|click| click[0] > 0).collect();
            assert_eq!((clicks[0].len(), real.len()), (5, if real[0][1] == 1 { 2 } else { 1 }));
            assert!(real.iter().all(|click| label.double_value(&[0, click[1], click[2], click[3]]) == 1.0));
            assert!(clicks[1].iter().all(|click| click == &[-1; 4]));
            seen.insert(real[0][1]);
        }
        assert_eq!(seen.len(), 2);
    }

    #[test]
    fn a_volume_without_slices_gets_one_click() {
        let label = Tensor::zeros([1, 5, 6, 7], (Kind::Float, tch::Device::Cpu));
        let _ = label.narrow(1, 2, 1).narrow(2, 3, 1).narrow(3, 4, 1).fill_(1.0);
        let mut sample = Sample::new();
        sample.insert("label", label);
        assert_eq!(guidance(&mut sample, 3), [[[1, 2, 3, 4]], [[-1; 4]]]);
    }
}
