//! Metrics of differences between numbers.

use byoc::{Component, Error, Metric, Result};
use schemars::JsonSchema;
use serde::Deserialize;
use tch::{Kind, Tensor};

use super::accumulated::{Accumulated, MetricReduction};
use super::pair::same_shape;

byoc::register! {
    metrics: [
        MSEMetric = "MSEMetric" | "MeanSquaredError",
        MAEMetric = "MAEMetric" | "MeanAbsoluteError",
        RMSEMetric = "RMSEMetric" | "RootMeanSquaredError",
        MAPEMetric = "MAPEMetric" | "MeanAbsolutePercentageError",
        PSNRMetric = "PSNRMetric" | "PeakSignalToNoiseRatio",
    ],
}

/// A metric with one value per item, (B, 1), from the differences of its voxels.
macro_rules! regression {
    ($metric:ident, $args:ident, $doc:literal, $per_item:expr $(, $field:ident: $default:expr, $field_doc:literal)?) => {
        #[doc = $doc]
        ///
        /// Prediction and ground truth have the same shape, (B, C, spatial…).
        #[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
        #[serde(deny_unknown_fields)]
        pub struct $args {
            /// Over what the values are put together.
            #[serde(default)]
            reduction: MetricReduction,
            /// Accepted as MONAI has it; the count is always among the results.
            #[serde(default)]
            get_not_nans: bool,
            /// Accepted as MONAI has it; values per item are always kept.
            #[serde(default)]
            save_details: Option<bool>,
            $(
                #[doc = $field_doc]
                $field: Option<f64>,
            )?
        }

        #[doc = concat!("See [`", stringify!($args), "`].")]
        #[derive(Debug)]
        pub struct $metric {
            args: $args,
            values: Accumulated,
        }

        impl Component for $metric {
            type Args = $args;

            fn new(args: $args) -> Result<Self> {
                let _ = (args.get_not_nans, args.save_details);
                Ok(Self { args, values: Accumulated::default() })
            }
        }

        impl Metric for $metric {
            fn reset(&mut self) {
                self.values.reset();
            }

            fn state(&self) -> Result<Vec<(String, Tensor)>> {
                self.values.state()
            }

            fn load_state(&mut self, state: &[(String, Tensor)]) -> Result<()> {
                self.values.load_state(state);
                Ok(())
            }

            fn update(&mut self, y_pred: &Tensor, y: &Tensor) -> Result<()> {
                same_shape(y_pred, y, 2)?;
                let flat = |tensor: &Tensor| tensor.f_to_kind(Kind::Double)?.f_flatten(1, -1);
                let per_item: fn(&Tensor, &Tensor, Option<f64>) -> Result<Tensor> = $per_item;
                let argument = None $(.or(self.args.$field).or($default))?;
                self.values.push(&per_item(&flat(y_pred)?, &flat(y)?, argument)?)
            }

            fn compute(&self) -> Result<f64> {
                self.values.reduced(self.args.reduction)
            }

            fn details(&self) -> Option<Tensor> {
                self.values.details()
            }

            fn results(&self) -> Result<Vec<(String, Tensor)>> {
                self.values.results(self.args.reduction)
            }
        }
    };
}

regression!(MSEMetric, MSEMetricArgs, "Mean squared error per item (MONAI `MSEMetric`).", |y_pred, y, _| {
    squared_error(y_pred, y)
});
regression!(MAEMetric, MAEMetricArgs, "Mean absolute error per item (MONAI `MAEMetric`).", |y_pred, y, _| {
    mean(&y.f_sub(y_pred)?.f_abs()?)
});
regression!(
    RMSEMetric,
    RMSEMetricArgs,
    "Root of the mean squared error per item (MONAI `RMSEMetric`).",
    |y_pred, y, _| Ok(squared_error(y_pred, y)?.f_sqrt()?)
);
regression!(
    MAPEMetric,
    MAPEMetricArgs,
    "Mean absolute error per item, in percent of the truth (MONAI `MAPEMetric`).",
    |y_pred, y, epsilon| {
        let size = y.f_abs()?.f_clamp_min(epsilon.unwrap_or_default())?;
        mean(&y.f_sub(y_pred)?.f_abs()?.f_div(&size)?.f_mul_scalar(100.0)?)
    },
    epsilon: Some(1e-7),
    "The smallest size of the truth that is divided by; 1e-7 by default."
);
regression!(
    PSNRMetric,
    PSNRMetricArgs,
    "Peak signal to noise ratio per item, in dB (MONAI `PSNRMetric`).",
    |y_pred, y, max_val| {
        let Some(max_val) = max_val else {
            return Err(Error::invalid_argument("`max_val` is missing: the largest value that the images can have"));
        };
        Ok(squared_error(y_pred, y)?.f_log10()?.f_mul_scalar(-10.0)?.f_add_scalar(20.0 * max_val.log10())?)
    },
    max_val: None,
    "The largest value that the images can have; needed."
);

fn squared_error(y_pred: &Tensor, y: &Tensor) -> Result<Tensor> {
    mean(&y.f_sub(y_pred)?.f_square()?)
}

fn mean(values: &Tensor) -> Result<Tensor> {
    Ok(values.f_mean_dim([1].as_slice(), true, None)?)
}

#[cfg(test)]
mod tests {
    use byoc::{Component, Metric};
    use serde_json::{Value, json};
    use tch::Tensor;

    use super::{MAEMetric, MAPEMetric, MSEMetric, PSNRMetric, RMSEMetric};

    fn value<M: Metric + Component>(args: Value) -> byoc::Result<f64> {
        let mut metric = M::new(byoc::args::parse(&args)?)?;
        let y = Tensor::from_slice(&[1f32, 2.0, 4.0, 4.0]).view([1, 1, 4]);
        metric.update(&Tensor::from_slice(&[2f32, 2.0, 2.0, 3.0]).view([1, 1, 4]), &y)?;
        metric.compute()
    }

    #[test]
    fn values() {
        assert_eq!(value::<MSEMetric>(json!({})).unwrap(), 1.5);
        assert_eq!(value::<MAEMetric>(json!({})).unwrap(), 1.0);
        assert!((value::<RMSEMetric>(json!({})).unwrap() - 1.5f64.sqrt()).abs() < 1e-6);
        assert!((value::<MAPEMetric>(json!({})).unwrap() - 43.75).abs() < 1e-4);
        let psnr = value::<PSNRMetric>(json!({ "max_val": 4.0 })).unwrap();
        assert!((psnr - 10.0 * (16.0f64 / 1.5).log10()).abs() < 1e-5);
    }
}
