// How the transformations see Python values: trees whose leaves are arrays, and functions of such trees.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "bindings/array.h"
#include "bindings/gil.h"
#include "bindings/trace.h"
#include "graph/trace.h"
#include "pytree/container.h"
#include "pytree/pytree.h"

namespace funcnn {

// A tree taken apart into its arrays and whatever else its leaves are.
struct Flat {
  pytree::TreeDef treedef;
  Arrays arrays;
  pytree::Leaves leaves;         // by leaf; null where there is an array
  std::vector<uint32_t> at;      // leaf of each array
  std::vector<bool> weak;        // by array: whether it stands for a Python number
  std::vector<bool> rebindable;  // by array

  // The same tree with other arrays, as weak as those and in handles of the same classes.
  nb::object with(Span arrays) const;
};

enum class Others : uint8_t { convert, keep };  // leaves that are no arrays: make them arrays, or pass them through
// `what` ("grad: argument 0") starts the error for a leaf that cannot be an array.
Flat flatten_arrays(nb::handle tree, Others others, const std::string& what);
// A leaf as an array: an array, a number (of dtype `like`, if given) or what another library calls one.
bool leaf_as_array(nb::handle leaf, std::optional<Dtype> like, Array& out);
// " at layers.0.weight", empty for the root.
std::string at_path(const pytree::TreeDef& treedef, size_t leaf);

// Arrays for the leaves of `like` from a tree of the same structure; None is null. Shapes and dtypes must agree.
// `what` ("vjp: the cotangent") starts the errors.
Arrays matching_arrays(const Flat& like, nb::handle tree, const std::string& what);

nb::object call(nb::handle f, nb::handle args, nb::handle kwargs = {});
// The elements of a pair returned by `f`; an error saying what it should return otherwise.
std::pair<nb::object, nb::object> as_pair(nb::handle result, const char* message);

// Python objects that nodes of the graph hold: they may be let go on any thread, without the interpreter lock.
template <class T>
std::shared_ptr<T> keep_python(T* owned) {
  return std::shared_ptr<T>(owned, [](T* held) { release_soon([held] { delete held; }); });
}

void bind_vmap(nb::module_& m);
void bind_rules(nb::module_& m);

}  // namespace funcnn
