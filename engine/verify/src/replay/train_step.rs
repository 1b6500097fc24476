//! Training steps: network, loss, optimizer and schedule together.

use byoc::{LossInput, ParameterGroup};
use tch::{Kind, Tensor};

use super::lr_scheduler::without_optimizer;
use super::network::load_weights;
use super::{Replay, Stop, make_loss, make_lr_scheduler, make_network, make_optimizer};
use crate::case::{Case, Named};
use crate::compare::Actual;
use crate::components::Components;

pub(super) fn replay(case: &Case, components: &mut dyn Components) -> Replay {
    let network: Named = case.required("network")?;
    let loss: Named = case.required("loss")?;
    let optimizer: Named = case.required("optimizer")?;
    let scheduler: Option<Named> = case.field("lr_scheduler")?;
    let steps: i64 = case.required("steps")?;

    let mut network = make_network(components, &network.name, &network.args)?;
    let loss = make_loss(components, &loss.name, &loss.args)?;
    load_weights(&mut network, case)?;
    let parameters = network.state.iter().filter(|n| n.trainable).map(|n| n.tensor.shallow_clone()).collect();
    let group = ParameterGroup { parameters, ..ParameterGroup::default() };
    let mut optimizer = make_optimizer(components, &optimizer.name, &optimizer.args, vec![group])?;
    let mut scheduler = match scheduler {
        None => None,
        Some(Named { name, args }) => {
            let initial = optimizer.learning_rates();
            let scheduler = make_lr_scheduler(components, &name, &without_optimizer(&args), &initial)?;
            optimizer.set_learning_rates(&scheduler.learning_rates())?;
            Some(scheduler)
        }
    };

    let (images, labels) = (case.input("image")?, case.input("label")?);
    let batches = images.size().first().copied().unwrap_or_default();
    if batches == 0 {
        return Err(Stop::Error("`in.image` of the case holds no batch".to_owned()));
    }
    let (mut losses, mut rates) = (Vec::new(), Vec::new());
    for step in 0..steps {
        let (x, y) = (images.f_select(0, step % batches)?, labels.f_select(0, step % batches)?);
        rates.push(optimizer.learning_rates().first().copied().unwrap_or(f64::NAN));
        optimizer.zero_grad()?;
        let outputs = network.network.forward_all(&[x], true)?;
        let value = loss.forward_full(&LossInput { inputs: &outputs, target: Some(&y), ..LossInput::default() })?;
        let value = value.f_mean(Kind::Float)?;
        value.f_backward()?;
        optimizer.step()?;
        if let Some(scheduler) = &mut scheduler {
            scheduler.step(None)?;
            optimizer.set_learning_rates(&scheduler.learning_rates())?;
        }
        losses.push(value.f_double_value(&[])?);
    }

    let mut actual = Actual::default();
    actual.insert("out.losses", Tensor::from_slice(&losses));
    actual.insert("out.lr", Tensor::from_slice(&rates));
    for named in &network.state {
        actual.insert(format!("final.{}", named.name), named.tensor.detach());
    }
    let y = tch::no_grad(|| network.network.forward(&images.select(0, 0), false))?;
    actual.insert("out.y_eval", y);
    Ok(actual)
}
