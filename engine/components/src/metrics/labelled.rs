//! Predictions and labels of a classification in the shapes that ignite knows.

use byoc::{Error, Result};
use tch::{Kind, Tensor};

/// What a prediction says of an item, or of a voxel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Problem {
    /// Yes or no: both are zeros and ones of the same shape.
    Binary,
    /// One of several classes: scores (B, C, …) against class numbers (B, …).
    Multiclass,
    /// Yes or no for each label: both are zeros and ones, (B, C, …).
    Multilabel,
}

/// A batch whose shapes and values fit each other.
#[derive(Debug)]
pub(super) struct Labelled {
    y_pred: Tensor,
    y: Tensor,
    problem: Problem,
}

impl Labelled {
    /// # Errors
    ///
    /// The shapes do not fit each other, or there are other values than zeros and ones where there must be these.
    #[track_caller]
    pub(super) fn new(y_pred: &Tensor, y: &Tensor, is_multilabel: bool) -> Result<Self> {
        let (prediction, truth) = (y_pred.size(), y.size());
        let channels = prediction.len() == truth.len() + 1
            && !truth.is_empty()
            && prediction[0] == truth[0]
            && prediction[2..] == truth[1..];
        let labels = prediction == truth && truth.len() > 1 && truth[1] > 1;
        let problem = match (is_multilabel, channels) {
            (true, _) if labels => Problem::Multilabel,
            (false, true) if prediction[1] > 1 => Problem::Multiclass,
            (false, true) => Problem::Binary,
            (false, false) if prediction == truth => Problem::Binary,
            (true, _) => {
                return Err(Error::data(format!(
                    "with `is_multilabel` prediction and ground truth must have the same shape (B, C, …) with C > 1, \
                     found {prediction:?} and {truth:?}"
                )));
            }
            (false, false) => {
                return Err(Error::data(format!(
                    "the ground truth's shape {truth:?} does not fit the prediction's, {prediction:?}: it must be the \
                     same, or that without the channels"
                )));
            }
        };
        if problem != Problem::Multiclass {
            check_binary(y_pred, "prediction")?;
            check_binary(y, "ground truth")?;
        }
        Ok(Self { y_pred: y_pred.detach(), y: y.detach(), problem })
    }

    /// Which items and voxels are right, (N); with several labels those where all are.
    pub(super) fn correct(&self) -> Result<Tensor> {
        let (y_pred, y) = match self.problem {
            Problem::Binary => (self.y_pred.f_reshape([-1])?, self.y.f_reshape([-1])?),
            Problem::Multiclass => (self.y_pred.f_argmax(1, false)?.f_reshape([-1])?, self.y.f_reshape([-1])?),
            Problem::Multilabel => {
                return Ok(self.y_pred.f_to_kind(self.y.kind())?.f_eq_tensor(&self.y)?.f_all_dim(1, false)?);
            }
        };
        Ok(y_pred.f_to_kind(Kind::Int64)?.f_eq_tensor(&y.f_to_kind(Kind::Int64)?)?)
    }

    /// Zeros and ones of prediction and ground truth, (N, C) float64, an item for each voxel; (N) for binary problems
    /// unless `both_classes` are asked for.
    pub(super) fn columns(&self, both_classes: bool) -> Result<(Tensor, Tensor)> {
        let double = |tensor: Tensor| tensor.f_to_kind(Kind::Double);
        match self.problem {
            Problem::Binary if !both_classes => {
                Ok((double(self.y_pred.f_reshape([-1])?)?, double(self.y.f_reshape([-1])?)?))
            }
            Problem::Binary => Ok((one_hot(&self.y_pred, 2)?, one_hot(&self.y, 2)?)),
            Problem::Multiclass => {
                let classes = self.y_pred.size()[1];
                Ok((one_hot(&self.y_pred.f_argmax(1, false)?, classes)?, one_hot(&self.y, classes)?))
            }
            Problem::Multilabel => {
                let labels = self.y_pred.size()[1];
                let columns = |tensor: &Tensor| double(tensor.f_transpose(1, -1)?.f_reshape([-1, labels])?);
                Ok((columns(&self.y_pred)?, columns(&self.y)?))
            }
        }
    }
}

fn one_hot(classes: &Tensor, count: i64) -> Result<Tensor> {
    let classes = classes.f_reshape([-1])?.f_to_kind(Kind::Int64)?;
    if classes.numel() > 0 {
        let (low, high) = (classes.f_min()?.f_int64_value(&[])?, classes.f_max()?.f_int64_value(&[])?);
        if low < 0 || high >= count {
            let wrong = if low < 0 { low } else { high };
            return Err(Error::data(format!("the ground truth holds class {wrong}, the prediction {count} classes")));
        }
    }
    Ok(classes.f_one_hot(count)?.f_to_kind(Kind::Double)?)
}

/// An error unless a tensor holds zeros and ones only.
#[track_caller]
fn check_binary(tensor: &Tensor, what: &str) -> Result<()> {
    if tensor.kind() == Kind::Bool {
        return Ok(());
    }
    let other = tensor.f_ne(0)?.f_logical_and(&tensor.f_ne(1)?)?.f_any()?;
    if other.f_int64_value(&[])? == 0 {
        return Ok(());
    }
    let (low, high) = (tensor.f_min()?.f_double_value(&[])?, tensor.f_max()?.f_double_value(&[])?);
    Err(Error::data(format!(
        "zeros and ones are compared, but the {what} holds values from {low} to {high}: put `AsDiscreted` before the metric"
    )))
}
