// Operators on lists of tensors: fused optimizer steps, foreach, the check of a gradient scaler.
#include <ATen/ops/_amp_foreach_non_finite_check_and_unscale.h>
#include <ATen/ops/_foreach_add.h>
#include <ATen/ops/_foreach_mul.h>
#include <ATen/ops/_foreach_norm.h>
#include <ATen/ops/_fused_adam.h>
#include <ATen/ops/_fused_adamw.h>
#include <ATen/ops/_fused_sgd.h>

#include "shim.h"

using mmar::guarded;
using mmar::list;

// Numbers of one Adam step; the Rust side has the same struct.
struct AdamNumbers {
  double lr;
  double beta1;
  double beta2;
  double weight_decay;
  double eps;
  bool amsgrad;
  bool maximize;
  bool decoupled;
};

// `lists` are parameters, gradients, exp_avgs, exp_avg_sqs, state_steps and, with amsgrad, max_exp_avg_sqs: `count`
// tensors each.
MMAR_EXPORT char* mmar_torch_fused_adam(at::Tensor* const* const* lists, size_t count, const AdamNumbers* n) {
  return guarded([&] {
    auto parameters = list(lists[0], count), gradients = list(lists[1], count), averages = list(lists[2], count);
    auto squares = list(lists[3], count), steps = list(lists[4], count);
    auto maxima = n->amsgrad ? list(lists[5], count) : std::vector<at::Tensor>{};
    if (n->decoupled) {
      at::_fused_adamw_(
          parameters, gradients, averages, squares, maxima, steps, n->lr, n->beta1, n->beta2, n->weight_decay, n->eps,
          n->amsgrad, n->maximize);
    } else {
      at::_fused_adam_(
          parameters, gradients, averages, squares, maxima, steps, n->lr, n->beta1, n->beta2, n->weight_decay, n->eps,
          n->amsgrad, n->maximize);
    }
  });
}

struct SgdNumbers {
  double lr;
  double momentum;
  double dampening;
  double weight_decay;
  bool nesterov;
  bool maximize;
  bool first_step;
};

// `lists` are parameters, gradients and, with momentum, the momentum buffers.
MMAR_EXPORT char* mmar_torch_fused_sgd(at::Tensor* const* const* lists, size_t count, const SgdNumbers* n) {
  return guarded([&] {
    auto parameters = list(lists[0], count), gradients = list(lists[1], count);
    auto buffers = n->momentum != 0 ? list(lists[2], count) : std::vector<at::Tensor>{};
    at::_fused_sgd_(
        parameters, gradients, buffers, n->weight_decay, n->momentum, n->lr, n->dampening, n->nesterov, n->maximize,
        n->first_step);
  });
}

// `out` has room for `count` tensors.
MMAR_EXPORT char* mmar_torch_foreach_norm(at::Tensor* const* tensors, size_t count, double order, at::Tensor** out) {
  return guarded([&] {
    auto norms = at::_foreach_norm(list(tensors, count), order);
    for (size_t i = 0; i < count; ++i) out[i] = mmar::give(std::move(norms[i]));
  });
}

MMAR_EXPORT char* mmar_torch_foreach_scale(at::Tensor* const* tensors, size_t count, double factor) {
  return guarded([&] { at::_foreach_mul_(list(tensors, count), factor); });
}

// out[i] = tensors[i] * factors[i]; `out` has room for `count` tensors.
MMAR_EXPORT char* mmar_torch_foreach_multiply(
    at::Tensor* const* tensors, at::Tensor* const* factors, size_t count, at::Tensor** out) {
  return guarded([&] {
    auto products = at::_foreach_mul(list(tensors, count), list(factors, count));
    for (size_t i = 0; i < count; ++i) out[i] = mmar::give(std::move(products[i]));
  });
}

// tensors[i] += value
MMAR_EXPORT char* mmar_torch_foreach_increase(at::Tensor* const* tensors, size_t count, double value) {
  return guarded([&] { at::_foreach_add_(list(tensors, count), value); });
}

// tensors[i] += alpha * others[i]
MMAR_EXPORT char* mmar_torch_foreach_add(at::Tensor* const* tensors, at::Tensor* const* others, size_t count, double alpha) {
  return guarded([&] { at::_foreach_add_(list(tensors, count), list(others, count), alpha); });
}

// Multiplies the gradients with `inverse_scale` and sets `found` to 1 if one of them is not finite.
MMAR_EXPORT char* mmar_torch_amp_unscale(
    at::Tensor* const* gradients, size_t count, at::Tensor* found, const at::Tensor* inverse_scale) {
  return guarded([&] {
    at::_amp_foreach_non_finite_check_and_unscale_(list(gradients, count), *found, *inverse_scale);
  });
}
