// What the shim's files share: how errors and tensors cross.
//
// Every function returns nullptr, or a message that the caller frees with mmar_torch_free_message. No C++ exception
// leaves the shim. Tensors are at::Tensor*, as tch has them: borrowed when they come in, owned by the caller when they
// go out.
#pragma once

#include <ATen/core/Tensor.h>
#include <c10/util/Exception.h>

#include <cstdint>
#include <cstring>
#include <exception>
#include <string>
#include <vector>

#define MMAR_EXPORT extern "C"

namespace mmar {

inline char* copy_message(const char* text) noexcept {
  char* copy = strdup(text);
  // out of memory, and nothing left to say it with
  if (copy == nullptr) std::terminate();
  return copy;
}

// Runs the body and turns what it throws into a message.
template <typename Body>
char* guarded(Body&& body) noexcept {
  try {
    body();
    return nullptr;
  } catch (const c10::Error& error) {
    return copy_message(error.what_without_backtrace());
  } catch (const std::exception& error) {
    return copy_message(error.what());
  } catch (...) {
    return copy_message("libtorch threw something that is not an exception");
  }
}

inline std::vector<at::Tensor> list(at::Tensor* const* tensors, size_t count) {
  std::vector<at::Tensor> result;
  result.reserve(count);
  for (size_t i = 0; i < count; ++i) result.push_back(*tensors[i]);
  return result;
}

inline at::Tensor* give(at::Tensor tensor) { return new at::Tensor(std::move(tensor)); }

}  // namespace mmar
