// Gradients of parameters: dropping them for real, setting them, and finding out which tensors get one.
#include "shim.h"

#include <torch/csrc/autograd/function.h>
#include <torch/csrc/autograd/functions/accumulate_grad.h>

#include <unordered_set>

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

// Hands every leaf that a backward pass from `root` reaches to `take`, which owns what it gets.
MMAR_EXPORT char* mmar_torch_gradient_leaves(
    const at::Tensor* root, void (*take)(void*, at::Tensor*), void* context) {
  return mmar::guarded([&] {
    using torch::autograd::Node;
    std::vector<Node*> todo;
    std::unordered_set<Node*> seen;
    const auto visit = [&](Node* node) {
      if (node != nullptr && seen.insert(node).second) todo.push_back(node);
    };
    visit(root->grad_fn().get());
    while (!todo.empty()) {
      Node* node = todo.back();
      todo.pop_back();
      if (auto* leaf = dynamic_cast<torch::autograd::AccumulateGrad*>(node)) take(context, mmar::give(leaf->variable));
      for (const auto& edge : node->next_edges()) visit(edge.function.get());
    }
  });
}
