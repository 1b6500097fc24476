// Tensors over memory that Rust owns.
#include <ATen/ops/from_blob.h>

#include "shim.h"

MMAR_EXPORT char* mmar_torch_from_memory(
    void* data, int dtype, const int64_t* sizes, size_t dimensions, void* owner, void (*release)(void*), at::Tensor** out) {
  return mmar::guarded([&] {
    auto options = at::TensorOptions().dtype(static_cast<at::ScalarType>(dtype)).device(at::kCPU);
    *out = mmar::give(at::from_blob(
        data, at::IntArrayRef(sizes, dimensions), [owner, release](void*) { release(owner); }, options));
  });
}
