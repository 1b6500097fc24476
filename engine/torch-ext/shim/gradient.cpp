// Gradients of parameters: dropping them for real, and setting them.
#include "shim.h"

// PyTorch's zero_grad(set_to_none=True).
MMAR_EXPORT char* mmar_torch_gradient_clear(at::Tensor* const* parameters, size_t count) {
  return mmar::guarded([&] {
    for (size_t i = 0; i < count; ++i) parameters[i]->mutable_grad().reset();
  });
}

MMAR_EXPORT char* mmar_torch_gradient_set(at::Tensor* parameter, const at::Tensor* gradient) {
  return mmar::guarded([&] {
    TORCH_CHECK(
        parameter->sizes() == gradient->sizes(), "a gradient of shape ", gradient->sizes(), " for a parameter of shape ",
        parameter->sizes());
    parameter->mutable_grad() = gradient->detach();
  });
}
