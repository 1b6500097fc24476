//! `output_transform` and its like: what of the engine's output a metric or handler wants to see.
//!
//! In dialect 4.1 the output is a list of samples, one per item; in 4.0 a single sample, the batch. A form for one of
//! the two also works on the other: on a list, `lambda x: x['pred']` means the list of every item's `pred`.

use byoc::{Error, ExpressionForm, Result, Sample, Value};
use tch::Tensor;

/// The keys that a form names.
pub(crate) fn keys(form: &ExpressionForm) -> Option<&[String]> {
    match form {
        ExpressionForm::FromEngine { keys, .. }
        | ExpressionForm::Keys { keys }
        | ExpressionForm::EachItemKeys { keys } => Some(keys),
        ExpressionForm::Key { key } | ExpressionForm::FirstItemKey { key } => Some(std::slice::from_ref(key)),
        _ => None,
    }
}

/// The samples that a form looks at: all, or only the first.
fn scope<'a>(form: &ExpressionForm, outputs: &'a [Sample]) -> &'a [Sample] {
    let first = matches!(form, ExpressionForm::FromEngine { first: true, .. } | ExpressionForm::FirstItemKey { .. });
    if first { &outputs[..outputs.len().min(1)] } else { outputs }
}

/// For each sample the tensors under the keys that the form names.
pub(crate) fn tensors(form: &ExpressionForm, outputs: &[Sample]) -> Result<Vec<Vec<Tensor>>> {
    let Some(keys) = keys(form) else { return Ok(Vec::new()) };
    scope(form, outputs)
        .iter()
        .map(|sample| keys.iter().map(|key| sample.tensor(key).map(Tensor::shallow_clone)).collect())
        .collect()
}

/// The one number that a form gives, if it gives one: of the first sample, as scalars are the same in all.
pub(crate) fn number(form: &ExpressionForm, outputs: &[Sample]) -> Result<Option<f64>> {
    let (Some([key]), Some(sample)) = (keys(form), outputs.first()) else { return Ok(None) };
    match sample.get(key)? {
        Value::Json(json) => Ok(json.as_f64()),
        value => match value.as_tensor() {
            Some(tensor) if tensor.numel() == 1 => Ok(Some(tensor.f_double_value(&vec![0; tensor.dim()])?)),
            Some(tensor) => Err(Error::data(format!(
                "`{key}` is no single number but a tensor of size {:?}; choose another `output_transform`",
                tensor.size()
            ))),
            None => Ok(None),
        },
    }
}

#[cfg(test)]
mod tests {
    use byoc::{ExpressionForm, Sample};
    use tch::Tensor;

    use super::{number, tensors};

    fn outputs() -> Vec<Sample> {
        (0..2)
            .map(|i| {
                let mut sample = Sample::new();
                sample.insert("pred", Tensor::from_slice(&[i as f32]));
                sample.insert("label", Tensor::from_slice(&[10 + i]));
                sample.insert("loss", serde_json::json!(0.25));
                sample
            })
            .collect()
    }

    #[test]
    fn each_form_takes_what_its_python_original_takes() {
        let keys = || vec!["pred".to_owned(), "label".to_owned()];
        let cases = [
            (ExpressionForm::FromEngine { keys: keys(), first: false }, 2, 2),
            (ExpressionForm::FromEngine { keys: keys(), first: true }, 1, 2),
            (ExpressionForm::Keys { keys: keys() }, 2, 2),
            (ExpressionForm::EachItemKeys { keys: keys() }, 2, 2),
            (ExpressionForm::Key { key: "pred".into() }, 2, 1),
            (ExpressionForm::FirstItemKey { key: "pred".into() }, 1, 1),
            (ExpressionForm::Nothing, 0, 0),
        ];
        for (form, samples, values) in cases {
            let taken = tensors(&form, &outputs()).unwrap();
            assert_eq!(taken.len(), samples, "{form:?}");
            assert!(taken.iter().all(|each| each.len() == values), "{form:?}");
        }
    }

    #[test]
    fn a_number_is_a_scalar_of_the_first_sample() {
        let form = |key: &str| ExpressionForm::FromEngine { keys: vec![key.into()], first: true };
        assert_eq!(number(&form("loss"), &outputs()).unwrap(), Some(0.25));
        assert_eq!(number(&form("label"), &outputs()).unwrap(), Some(10.0));
        assert_eq!(number(&ExpressionForm::Nothing, &outputs()).unwrap(), None);
        assert!(number(&form("los"), &outputs()).unwrap_err().to_string().contains("`loss`"));
    }
}
