// funcnn._core.pytree: what funcnn.tree is made of.
#include "pytree/pytree.h"

#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include "bindings/bindings.h"
#include "pytree/container.h"

namespace funcnn {
namespace {

using namespace pytree;

FlattenOptions options(nb::handle is_leaf) {
  FlattenOptions result;
  if (!is_leaf.is_none()) result.is_leaf = is_leaf;
  return result;
}

Leaves to_leaves(nb::handle iterable) {
  Leaves leaves;
  if (PyList_CheckExact(iterable.ptr()) || PyTuple_CheckExact(iterable.ptr())) leaves.reserve(nb::len(iterable));
  for (nb::handle leaf : iterable) leaves.push_back(nb::borrow(leaf));
  return leaves;
}

nb::object map(nb::handle f, nb::handle tree, nb::args rest, nb::handle is_leaf) {
  Leaves leaves;
  TreeDef treedef = flatten(tree, leaves, options(is_leaf));
  size_t width = rest.size() + 1, count = leaves.size();
  std::vector<Leaves> others(rest.size());
  for (size_t i = 0; i < rest.size(); ++i) {
    others[i].reserve(count);
    flatten_up_to(treedef, rest[i], others[i], "tree.map, argument " + std::to_string(i + 3));
  }
  std::vector<PyObject*> args(width + 1);
  for (size_t leaf = 0; leaf < count; ++leaf) {
    args[1] = leaves[leaf].ptr();
    for (size_t i = 1; i < width; ++i) args[i + 1] = others[i - 1][leaf].ptr();
    leaves[leaf] =
        owned(PyObject_Vectorcall(f.ptr(), args.data() + 1, width | PY_VECTORCALL_ARGUMENTS_OFFSET, nullptr));
  }
  return unflatten(treedef, leaves);
}

}  // namespace

void bind_pytree(nb::module_& core) {
  nb::module_ m = core.def_submodule("pytree", "Pytrees; see funcnn.tree.");
  initialise(m);

  nb::class_<TreeDef>(m, "PyTreeDef",
                      "The structure of a tree: hashable, comparable, picklable, made by ``tree.structure``.")
      .def_prop_ro("num_leaves", &TreeDef::num_leaves, "How many leaves a tree of this structure has.")
      .def(
          "unflatten", [](const TreeDef& self, nb::handle leaves) { return unflatten(self, to_leaves(leaves)); },
          nb::arg("leaves"),
          nb::sig("def unflatten(self, leaves: collections.abc.Iterable[typing.Any], /) -> typing.Any"),
          "Build the tree of this structure with these leaves.")
      .def(
          "flatten_up_to",
          [](const TreeDef& self, nb::handle tree) {
            Leaves subtrees;
            subtrees.reserve(self.num_leaves());
            flatten_up_to(self, tree, subtrees, "flatten_up_to");
            return list_of(subtrees);
          },
          nb::arg("tree"), nb::sig("def flatten_up_to(self, tree: typing.Any, /) -> list[typing.Any]"),
          "List the subtrees of ``tree`` that stand where this structure has leaves.")
      .def("paths", &TreeDef::paths, "List the path of each leaf, as in ``layers.0.weight``.")
      .def("children", &TreeDef::children, "List the structures of the root's children.")
      .def(
          "__eq__",
          [](const TreeDef& self, nb::handle other) {
            return nb::isinstance<TreeDef>(other) && self == nb::cast<const TreeDef&>(other);
          },
          nb::arg("other"), nb::sig("def __eq__(self, other: object, /) -> bool"))
      .def("__hash__", &TreeDef::hash)
      .def("__repr__", &TreeDef::repr)
      .def("__reduce__", [](const TreeDef& self) {
        Leaves zeros(self.num_leaves(), nb::int_(0));
        return nb::make_tuple(nb::module_::import_("funcnn.tree").attr("structure"),
                              nb::make_tuple(unflatten(self, zeros)));
      });

  m.def(
      "flatten",
      [](nb::handle tree, nb::handle is_leaf) {
        Leaves leaves;
        TreeDef treedef = flatten(tree, leaves, options(is_leaf));
        return nb::make_tuple(list_of(leaves), std::move(treedef));
      },
      nb::arg("tree").none(), nb::arg("is_leaf") = nb::none());
  m.def(
      "leaves",
      [](nb::handle tree, nb::handle is_leaf) {
        Leaves leaves;
        flatten(tree, leaves, options(is_leaf));
        return list_of(leaves);
      },
      nb::arg("tree").none(), nb::arg("is_leaf") = nb::none());
  m.def(
      "structure",
      [](nb::handle tree, nb::handle is_leaf) {
        Leaves leaves;
        return flatten(tree, leaves, options(is_leaf));
      },
      nb::arg("tree").none(), nb::arg("is_leaf") = nb::none());
  m.def("unflatten", [](const TreeDef& treedef, nb::handle leaves) { return unflatten(treedef, to_leaves(leaves)); });
  m.def("map", &map, nb::arg("f"), nb::arg("tree").none(), nb::arg("rest"), nb::kw_only(),
        nb::arg("is_leaf") = nb::none());
  m.def(
      "broadcast_prefix",
      [](nb::handle prefix, nb::handle tree, nb::handle is_leaf) {
        Leaves ignored, leaves;
        TreeDef treedef = flatten(tree, ignored);
        broadcast_prefix(prefix, treedef, leaves, "tree.broadcast_prefix", options(is_leaf));
        return unflatten(treedef, leaves);
      },
      nb::arg("prefix").none(), nb::arg("tree").none(), nb::arg("is_leaf") = nb::none());
  // Structure in which what was left out counts as a leaf.
  m.def(
      "flatten_with_absent",
      [](nb::handle tree) {
        Leaves leaves;
        FlattenOptions options;
        options.absent_is_leaf = true;
        TreeDef treedef = flatten(tree, leaves, options);
        return nb::make_tuple(list_of(leaves), std::move(treedef));
      },
      nb::arg().none());
  // (keys, children) of a container, None for a leaf.
  m.def(
      "children",
      [](nb::handle tree) -> nb::object {
        Leaves keys, values;
        if (!children(tree, keys, values)) return nb::none();
        return nb::make_tuple(list_of(keys), list_of(values));
      },
      nb::arg().none());
  m.def(
      "with_children", [](nb::handle tree, nb::handle children) { return with_children(tree, to_leaves(children)); },
      nb::arg().none(), nb::arg());
  m.def("key_text", [](nb::handle key) { return key_text(key); }, nb::arg().none());
  m.def("register_node", &register_node, nb::arg(), nb::arg(), nb::arg(), nb::arg().none());
  m.def("register_attrs", &register_attrs);
  m.def("clear_cache", &clear_cache);
}

}  // namespace funcnn
