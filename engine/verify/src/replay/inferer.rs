//! Inferers: a network applied to an input in the inferer's way.

use super::network::load_weights;
use super::{Replay, make_inferer, make_network, with_references};
use crate::case::{Case, Named};
use crate::compare::Actual;
use crate::components::Components;

pub(super) fn replay(case: &Case, components: &mut dyn Components) -> Replay {
    let inferer = make_inferer(components, &case.name, &with_references(&case.args))?;
    let network: Named = case.required("network")?;
    let mut built = make_network(components, &network.name, &network.args)?;
    load_weights(&mut built, case)?;
    // saliency maps are gradients; every other inferer runs without
    let _guard = (!case.name.ends_with("SaliencyInferer")).then(tch::no_grad_guard);
    let y = inferer.infer(case.input("x")?, &mut |window| built.network.forward(window, false))?;
    let mut actual = Actual::default();
    actual.insert("out.y", y.detach());
    Ok(actual)
}
