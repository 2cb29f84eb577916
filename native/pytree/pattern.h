// Trees that were made in the same way as one met before, taken apart without looking anything up.
#pragma once

#include <vector>

#include "pytree/container.h"

namespace funcnn::pytree {

// Of the keys of an exact dict.
Ref<const DictOrder> order_of(PyObject* dict);

class Pattern {
 public:
#if defined(Py_GIL_DISABLED)
  static constexpr bool kPossible = false;  // others may change containers while they are read
#else
  static constexpr bool kPossible = true;
#endif

  Pattern() = default;  // of no tree
  // Of `tree`, which has the structure `treedef`, for as long as that lives.
  Pattern(const TreeDef& treedef, nb::handle tree);

  // False where `read` never succeeds: some containers can only be taken apart by Python code.
  explicit operator bool() const { return !containers_.empty(); }
  size_t num_leaves() const { return leaves_; }
  // Put the objects where `treedef` has leaves, borrowed, into `leaves`, which has room for all of them. False where
  // the tree has another structure or was made otherwise. Whether the objects are leaves has to be asked. Runs no
  // Python code.
  bool read(nb::handle tree, PyObject** leaves) const;

 private:
  struct Container {
    Kind kind;
    bool flat;
    uint32_t arity;
    PyTypeObject* type = nullptr;  // namedtuples
    const Record* record = nullptr;
    Ref<const DictOrder> order;  // dicts
  };
  bool add(std::span<const Node> nodes, size_t& next, PyObject* object);
  bool read(size_t& next, PyObject* object, PyObject**& leaves) const;
  // The children of a container, in canonical order.
  bool read_children(size_t number, PyObject* object, PyObject** out) const;

  std::vector<Container> containers_;  // in preorder, and leaves that are beside some
  size_t leaves_ = 0;
};

}  // namespace funcnn::pytree
