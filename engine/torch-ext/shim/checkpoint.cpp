// Writes a tree of tensors and plain values so that Python's torch.load(weights_only=True) opens it.
//
// The tree is built on a stack, leaves first: a list or dict takes its entries from the top.
#include <ATen/ops/empty.h>
#include <caffe2/serialize/inline_container.h>
#include <torch/csrc/jit/serialization/pickler.h>

#include <unordered_map>

#include "shim.h"

namespace {

struct Tree {
  std::vector<c10::IValue> stack;
  // storages that were copied from a device, by the storage they came from; views keep sharing the copy
  std::unordered_map<const c10::StorageImpl*, at::Tensor> copies;
  std::vector<at::Tensor> originals;

  // A checkpoint written on a GPU must open on a machine without one.
  at::Tensor on_cpu(const at::Tensor& tensor) {
    TORCH_CHECK(
        tensor.layout() == at::kStrided && !tensor.is_quantized(),
        "only dense tensors can be written into a checkpoint, this one is ", tensor.toString());
    if (tensor.is_cpu()) return tensor.detach();
    const auto storage = tensor.storage();
    auto found = copies.find(storage.unsafeGetStorageImpl());
    if (found == copies.end()) {
      const auto bytes = static_cast<int64_t>(storage.nbytes());
      auto flat = at::empty({0}, tensor.options().dtype(at::kByte).requires_grad(false)).set_(storage, 0, {bytes}, {1});
      found = copies.emplace(storage.unsafeGetStorageImpl(), flat.cpu()).first;
      originals.push_back(tensor);
    }
    return at::empty({0}, tensor.options().device(at::kCPU).requires_grad(false))
        .set_(found->second.storage(), tensor.storage_offset(), tensor.sizes(), tensor.strides());
  }

  std::vector<c10::IValue> take(size_t count) {
    TORCH_INTERNAL_ASSERT(stack.size() >= count);
    std::vector<c10::IValue> values(
        std::make_move_iterator(stack.end() - count), std::make_move_iterator(stack.end()));
    stack.resize(stack.size() - count);
    return values;
  }
};

}  // namespace

MMAR_EXPORT char* mmar_torch_tree_new(Tree** out) {
  return mmar::guarded([&] { *out = new Tree(); });
}

MMAR_EXPORT void mmar_torch_tree_free(Tree* tree) { delete tree; }

MMAR_EXPORT char* mmar_torch_tree_none(Tree* tree) {
  return mmar::guarded([&] { tree->stack.emplace_back(); });
}

MMAR_EXPORT char* mmar_torch_tree_bool(Tree* tree, bool value) {
  return mmar::guarded([&] { tree->stack.emplace_back(value); });
}

MMAR_EXPORT char* mmar_torch_tree_int(Tree* tree, int64_t value) {
  return mmar::guarded([&] { tree->stack.emplace_back(value); });
}

MMAR_EXPORT char* mmar_torch_tree_float(Tree* tree, double value) {
  return mmar::guarded([&] { tree->stack.emplace_back(value); });
}

MMAR_EXPORT char* mmar_torch_tree_str(Tree* tree, const char* text, size_t length) {
  return mmar::guarded([&] { tree->stack.emplace_back(std::string(text, length)); });
}

MMAR_EXPORT char* mmar_torch_tree_tensor(Tree* tree, const at::Tensor* tensor) {
  return mmar::guarded([&] { tree->stack.emplace_back(tree->on_cpu(*tensor)); });
}

MMAR_EXPORT char* mmar_torch_tree_list(Tree* tree, size_t count) {
  return mmar::guarded([&] {
    c10::impl::GenericList list(c10::AnyType::get());
    for (auto& value : tree->take(count)) list.push_back(std::move(value));
    tree->stack.emplace_back(std::move(list));
  });
}

// `count` entries: key, value, key, value …
MMAR_EXPORT char* mmar_torch_tree_dict(Tree* tree, size_t count) {
  return mmar::guarded([&] {
    c10::impl::GenericDict dict(c10::AnyType::get(), c10::AnyType::get());
    auto values = tree->take(2 * count);
    for (size_t i = 0; i < count; ++i) dict.insert_or_assign(std::move(values[2 * i]), std::move(values[2 * i + 1]));
    tree->stack.emplace_back(std::move(dict));
  });
}

// Gives the file's bytes to `sink`, front to back. The sink keeps its own errors: PyTorchStreamWriter writes the end of
// the file in its destructor, and an exception there would end the process.
MMAR_EXPORT char* mmar_torch_tree_write(Tree* tree, void (*sink)(void*, const void*, size_t), void* context) {
  return mmar::guarded([&] {
    TORCH_INTERNAL_ASSERT(tree->stack.size() == 1);
    std::string pickle;
    torch::jit::Pickler pickler(
        [&](const char* bytes, size_t size) { pickle.append(bytes, size); },
        /*tensor_table=*/nullptr, /*type_renamer=*/nullptr, /*memoized_class_types=*/nullptr, /*get_tensor_id=*/nullptr,
        // the type tags are calls that weights_only=True refuses
        /*tag_aggregates=*/false);
    pickler.protocol();
    pickler.pushIValue(tree->stack.front());
    pickler.stop();

    caffe2::serialize::PyTorchStreamWriter writer([&](const void* bytes, size_t size) {
      sink(context, bytes, size);
      return size;
    });
    writer.writeRecord("data.pkl", pickle.data(), pickle.size());
    const std::string byte_order = "little";
    writer.writeRecord("byteorder", byte_order.data(), byte_order.size());
    size_t index = 0;
    for (const auto& tensor : pickler.tensorData()) {
      const auto& storage = tensor.storage();
      writer.writeRecord("data/" + std::to_string(index++), storage.data(), storage.nbytes());
    }
    writer.writeEndOfFile();
  });
}
