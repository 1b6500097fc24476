// Autocast per device type, with its dtype. The state belongs to the calling thread.
#include <ATen/autocast_mode.h>

#include "shim.h"

namespace {

at::DeviceType device_type(int device) { return static_cast<at::DeviceType>(device); }

}  // namespace

MMAR_EXPORT char* mmar_torch_autocast_get(int device, bool* enabled, int* dtype) {
  return mmar::guarded([&] {
    *enabled = at::autocast::is_autocast_enabled(device_type(device));
    *dtype = static_cast<int>(at::autocast::get_autocast_dtype(device_type(device)));
  });
}

MMAR_EXPORT char* mmar_torch_autocast_set(int device, bool enabled, int dtype) {
  return mmar::guarded([&] {
    at::autocast::set_autocast_dtype(device_type(device), static_cast<at::ScalarType>(dtype));
    at::autocast::set_autocast_enabled(device_type(device), enabled);
  });
}

MMAR_EXPORT char* mmar_torch_autocast_enter() {
  return mmar::guarded([] { at::autocast::increment_nesting(); });
}

// The casts of weights are cached until the outermost region ends.
MMAR_EXPORT char* mmar_torch_autocast_leave() {
  return mmar::guarded([] {
    if (at::autocast::decrement_nesting() == 0) at::autocast::clear_cache();
  });
}
