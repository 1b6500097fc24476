//! The tables of `MetricsSaver`, as MONAI 0.8 writes them (`write_metrics_reports`): values per image and class with
//! their mean, and a summary over the images. NaN marks what is not defined and is left out of every operation.

use std::fmt::Write as _;

use byoc::{Error, Result};
use tch::{Kind, Tensor};

/// A column of the summary.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Operation {
    Mean,
    Median,
    Max,
    Min,
    Percentile(u32),
    Std,
    NotNans,
}

/// What `"*"` stands for, in this order.
const ALL: [Operation; 7] = [
    Operation::Mean,
    Operation::Median,
    Operation::Max,
    Operation::Min,
    Operation::Percentile(90),
    Operation::Std,
    Operation::NotNans,
];

impl Operation {
    pub(super) fn parse_all(names: &[String]) -> Result<Vec<Self>> {
        if names.iter().any(|name| name == "*") {
            return Ok(ALL.to_vec());
        }
        names.iter().map(|name| Self::parse(name)).collect()
    }

    fn parse(name: &str) -> Result<Self> {
        let percent = name.strip_suffix("percentile").and_then(|percent| percent.parse().ok());
        Ok(match (name, percent) {
            ("mean", _) => Self::Mean,
            ("median", _) => Self::Median,
            ("max", _) => Self::Max,
            ("min", _) => Self::Min,
            ("std", _) => Self::Std,
            ("notnans", _) => Self::NotNans,
            (_, Some(percent @ 0..=100)) => Self::Percentile(percent),
            _ => {
                return Err(Error::invalid_argument(format!(
                    "`summary_ops` has no operation `{name}`; there are mean, median, max, min, 0percentile to \
                     100percentile, std, notnans, and * for all"
                )));
            }
        })
    }

    fn name(self) -> String {
        match self {
            Self::Mean => "mean".into(),
            Self::Median => "median".into(),
            Self::Max => "max".into(),
            Self::Min => "min".into(),
            Self::Percentile(percent) => format!("{percent}percentile"),
            Self::Std => "std".into(),
            Self::NotNans => "notnans".into(),
        }
    }

    fn of(self, column: &[f64]) -> f64 {
        let mut values: Vec<f64> = column.iter().copied().filter(|value| !value.is_nan()).collect();
        values.sort_by(f64::total_cmp);
        let n = values.len() as f64;
        let mean = mean(&values);
        match self {
            Self::NotNans => n,
            _ if values.is_empty() => f64::NAN,
            Self::Mean => mean,
            Self::Median => percentile(&values, 50.0),
            Self::Max => values[values.len() - 1],
            Self::Min => values[0],
            Self::Percentile(percent) => percentile(&values, f64::from(percent)),
            // numpy's: of the population
            Self::Std => (values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / n).sqrt(),
        }
    }
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

/// With linear interpolation, as numpy has it.
fn percentile(sorted: &[f64], percent: f64) -> f64 {
    let place = percent / 100.0 * (sorted.len() - 1) as f64;
    let (low, high) = (sorted[place.floor() as usize], sorted[place.ceil() as usize]);
    low + (high - low) * place.fract()
}

/// Values per image (rows) and class, with their mean as the last column.
pub(super) struct Table {
    rows: Vec<Vec<f32>>,
}

impl Table {
    /// From (N, C); (N) and scalars have one class.
    pub(super) fn new(details: &Tensor) -> Result<Self> {
        let details = match details.dim() {
            0 => details.f_reshape([1, 1])?,
            1 => details.f_reshape([-1, 1])?,
            _ => details.f_flatten(1, -1)?,
        };
        let rows = Vec::<Vec<f32>>::try_from(&details.f_to_kind(Kind::Float)?.f_to_device(tch::Device::Cpu)?)?;
        let with_mean = |mut row: Vec<f32>| {
            let defined: Vec<f32> = row.iter().copied().filter(|value| !value.is_nan()).collect();
            row.push(defined.iter().sum::<f32>() / defined.len() as f32);
            row
        };
        Ok(Self { rows: rows.into_iter().map(with_mean).collect() })
    }

    fn labels(&self) -> Vec<String> {
        let classes = self.rows.first().map_or(0, |row| row.len() - 1);
        (0..classes).map(|class| format!("class{class}")).chain(["mean".into()]).collect()
    }

    /// One row per image.
    pub(super) fn raw(&self, images: &[String], delimiter: &str) -> String {
        let mut text = format!("filename{delimiter}{}\n", self.labels().join(delimiter));
        for (index, row) in self.rows.iter().enumerate() {
            let name = images.get(index).cloned().unwrap_or_else(|| index.to_string());
            let values: Vec<String> = row.iter().map(|value| python_f32(*value)).collect();
            let _ = writeln!(text, "{name}{delimiter}{}", values.join(delimiter));
        }
        text
    }

    /// One row per class and one for their mean.
    pub(super) fn summary(&self, operations: &[Operation], delimiter: &str) -> String {
        let names: Vec<String> = operations.iter().map(|operation| operation.name()).collect();
        let mut text = format!("class{delimiter}{}\n", names.join(delimiter));
        for (index, label) in self.labels().iter().enumerate() {
            let column: Vec<f64> = self.rows.iter().map(|row| f64::from(row[index])).collect();
            let values: Vec<String> = operations
                .iter()
                .map(|operation| operation.of(&column))
                .map(|value| if value.is_nan() { "nan".into() } else { format!("{value:.4}") })
                .collect();
            let _ = writeln!(text, "{label}{delimiter}{}", values.join(delimiter));
        }
        text
    }
}

/// A number as Python's `str` has it.
pub(super) fn python_f64(value: f64) -> String {
    if value.is_nan() { "nan".into() } else { format!("{value:?}") }
}

fn python_f32(value: f32) -> String {
    if value.is_nan() { "nan".into() } else { format!("{value:?}") }
}

#[cfg(test)]
mod tests {
    use tch::Tensor;

    use super::{ALL, Operation, Table};

    #[test]
    fn tables_are_those_of_monai() {
        // monai 1.6.1: write_metrics_reports(…, metric_details={"d": [[1, 0.5], [0.8, nan], [0.6, 0.1]]}, summary_ops="*")
        let details = Tensor::from_slice(&[1f32, 0.5, 0.8, f32::NAN, 0.6, 0.1]).view([3, 2]);
        let table = Table::new(&details).unwrap();
        let images = ["a.nii".to_owned(), "b.nii".to_owned(), "c.nii".to_owned()];
        assert_eq!(
            table.raw(&images, ","),
            "filename,class0,class1,mean\na.nii,1.0,0.5,0.75\nb.nii,0.8,nan,0.8\nc.nii,0.6,0.1,0.35000002\n"
        );
        assert_eq!(
            table.summary(&ALL, ","),
            "class,mean,median,max,min,90percentile,std,notnans\n\
             class0,0.8000,0.8000,1.0000,0.6000,0.9600,0.1633,3.0000\n\
             class1,0.3000,0.3000,0.5000,0.1000,0.4600,0.2000,2.0000\n\
             mean,0.6333,0.7500,0.8000,0.3500,0.7900,0.2014,3.0000\n"
        );
    }

    #[test]
    fn operations_are_checked() {
        let parse = |name: &str| Operation::parse_all(&[name.to_owned()]);
        assert_eq!(parse("15percentile").unwrap(), [Operation::Percentile(15)]);
        assert!(parse("101percentile").is_err());
        assert!(parse("average").unwrap_err().to_string().contains("`average`"));
    }
}
