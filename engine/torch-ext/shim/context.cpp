// What libtorch keeps for the whole process: flags of numerics, random generators, its version.
#include <ATen/Context.h>
#include <torch/headeronly/version.h>

#include <cstdlib>
#include <mutex>

#include "shim.h"

using mmar::guarded;

namespace {

at::Generator generator(int device, int index) {
  return at::globalContext().defaultGenerator(
      at::Device(static_cast<at::DeviceType>(device), static_cast<at::DeviceIndex>(index)));
}

}  // namespace

MMAR_EXPORT void mmar_torch_free_message(char* message) { free(message); }

MMAR_EXPORT const char* mmar_torch_version() { return TORCH_VERSION; }

MMAR_EXPORT char* mmar_torch_set_tf32(bool allowed) {
  return guarded([&] {
    at::globalContext().setAllowTF32CuBLAS(allowed);
    at::globalContext().setAllowTF32CuDNN(allowed);
  });
}

MMAR_EXPORT char* mmar_torch_get_tf32(bool* matmul, bool* convolution) {
  return guarded([&] {
    *matmul = at::globalContext().allowTF32CuBLAS();
    *convolution = at::globalContext().allowTF32CuDNN();
  });
}

MMAR_EXPORT char* mmar_torch_set_cudnn(bool benchmark, bool deterministic) {
  return guarded([&] {
    at::globalContext().setBenchmarkCuDNN(benchmark);
    at::globalContext().setDeterministicCuDNN(deterministic);
  });
}

MMAR_EXPORT char* mmar_torch_get_cudnn(bool* benchmark, bool* deterministic) {
  return guarded([&] {
    *benchmark = at::globalContext().benchmarkCuDNN();
    *deterministic = at::globalContext().deterministicCuDNN();
  });
}

MMAR_EXPORT char* mmar_torch_set_deterministic_algorithms(bool enabled, bool warn_only) {
  return guarded([&] { at::globalContext().setDeterministicAlgorithms(enabled, warn_only); });
}

MMAR_EXPORT char* mmar_torch_get_deterministic_algorithms(bool* enabled, bool* warn_only) {
  return guarded([&] {
    *enabled = at::globalContext().deterministicAlgorithms();
    *warn_only = at::globalContext().deterministicAlgorithmsWarnOnly();
  });
}

MMAR_EXPORT char* mmar_torch_generator_state(int device, int index, at::Tensor** out) {
  return guarded([&] {
    auto source = generator(device, index);
    std::lock_guard<std::mutex> lock(source.mutex());
    *out = mmar::give(source.get_state());
  });
}

MMAR_EXPORT char* mmar_torch_generator_set_state(int device, int index, const at::Tensor* state) {
  return guarded([&] {
    auto target = generator(device, index);
    std::lock_guard<std::mutex> lock(target.mutex());
    target.set_state(*state);
  });
}
