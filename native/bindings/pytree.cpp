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

// Leaves that Python handed over, held: others may change what they came in meanwhile.
Leaves given(nb::handle iterable) {
  const bool list = PyList_CheckExact(iterable.ptr());
  nb::object items = list ? nb::borrow(iterable) : owned(PySequence_Tuple(iterable.ptr()));
  Leaves leaves;
  Ref<const Record> none;
  expand(items.ptr(), {list ? Kind::List : Kind::Tuple}, leaves, none);
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
  return unflatten(treedef, std::move(leaves));
}

int traverse(PyObject* self, visitproc visit, void* arg) {
  Py_VISIT(Py_TYPE(self));
  return nb::inst_ready(self) ? nb::inst_ptr<TreeDef>(self)->traverse(visit, arg) : 0;
}

int clear(PyObject* self) {
  if (nb::inst_ready(self)) nb::inst_ptr<TreeDef>(self)->clear();
  return 0;
}

PyType_Slot slots[] = {
    {Py_tp_traverse, reinterpret_cast<void*>(traverse)},
    {Py_tp_clear, reinterpret_cast<void*>(clear)},
    {0, nullptr},
};

nb::object strings(const std::vector<std::string>& texts) {
  Leaves result;
  for (const std::string& text : texts) result.push_back(as_str(text));
  return list_of(std::move(result));
}

}  // namespace

void bind_pytree(nb::module_& m) {
  initialise(m);

  nb::class_<TreeDef>(m, "PyTreeDef", nb::type_slots(slots),
                      "The structure of a tree: hashable, comparable, picklable. ``tree.structure`` makes it.")
      .def_prop_ro("num_leaves", &TreeDef::num_leaves, "How many leaves a tree of this structure has.")
      .def(
          "unflatten", [](const TreeDef& self, nb::handle leaves) { return unflatten(self, given(leaves)); },
          nb::arg("leaves"),
          nb::sig("def unflatten(self, leaves: collections.abc.Iterable[typing.Any], /) -> typing.Any"),
          "Build the tree of this structure with these leaves.")
      .def(
          "flatten_up_to",
          [](const TreeDef& self, nb::handle tree) {
            Leaves subtrees;
            subtrees.reserve(self.num_leaves());
            flatten_up_to(self, tree, subtrees, "flatten_up_to");
            return list_of(std::move(subtrees));
          },
          nb::arg("tree").none(), nb::sig("def flatten_up_to(self, tree: typing.Any, /) -> list[typing.Any]"),
          "List the subtrees of ``tree`` that stand where this structure has leaves.")
      .def(
          "paths", [](const TreeDef& self) { return strings(self.paths()); },
          nb::sig("def paths(self, /) -> list[str]"), "List the path of each leaf, as in ``layers.0.weight``.")
      .def("children", &TreeDef::children, "List the structures of the root's children.")
      .def(
          "__eq__",
          [](const TreeDef& self, nb::handle other) {
            return nb::isinstance<TreeDef>(other) && self == nb::cast<const TreeDef&>(other);
          },
          nb::arg("other").none(), nb::sig("def __eq__(self, other: object, /) -> bool"))
      .def("__hash__", &TreeDef::hash)
      .def("__repr__", &TreeDef::repr)
      .def(
          "__reduce__",
          [](const TreeDef& self) {
            return nb::make_tuple(nb::module_::import_("funcnn.tree._basic").attr("restore_structure"),
                                  nb::make_tuple(self.state()));
          },
          nb::sig("def __reduce__(self) -> tuple[typing.Any, ...]"));

  m.def(
      "tree_flatten",
      [](nb::handle tree, nb::handle is_leaf) {
        Leaves leaves;
        TreeDef treedef = flatten(tree, leaves, options(is_leaf));
        return nb::make_tuple(list_of(std::move(leaves)), std::move(treedef));
      },
      nb::arg("tree").none(), nb::arg("is_leaf").none(),
      nb::sig("def tree_flatten(tree: typing.Any, is_leaf: typing.Callable[[typing.Any], bool] | None, /) -> "
              "tuple[list[typing.Any], PyTreeDef]"));
  m.def(
      "tree_leaves",
      [](nb::handle tree, nb::handle is_leaf) {
        Leaves leaves;
        flatten(tree, leaves, options(is_leaf));
        return list_of(std::move(leaves));
      },
      nb::arg("tree").none(), nb::arg("is_leaf").none(),
      nb::sig("def tree_leaves(tree: typing.Any, is_leaf: typing.Callable[[typing.Any], bool] | None, /) -> "
              "list[typing.Any]"));
  m.def(
      "tree_structure",
      [](nb::handle tree, nb::handle is_leaf) {
        Leaves leaves;
        return flatten(tree, leaves, options(is_leaf));
      },
      nb::arg("tree").none(), nb::arg("is_leaf").none(),
      nb::sig("def tree_structure(tree: typing.Any, is_leaf: typing.Callable[[typing.Any], bool] | None, /) -> "
              "PyTreeDef"));
  m.def("tree_map", &map, nb::arg("f"), nb::arg("tree").none(), nb::arg("rest"), nb::kw_only(),
        nb::arg("is_leaf") = nb::none(),
        nb::sig("def tree_map(f: typing.Callable[..., typing.Any], tree: typing.Any, *rest: typing.Any, is_leaf: "
                "typing.Callable[[typing.Any], bool] | None = None) -> typing.Any"));
  m.def(
      "tree_broadcast_prefix",
      [](nb::handle prefix, nb::handle tree, nb::handle is_leaf) {
        Leaves ignored, leaves;
        TreeDef treedef = flatten(tree, ignored);
        broadcast_prefix(prefix, treedef, leaves, "tree.broadcast_prefix", options(is_leaf));
        return unflatten(treedef, leaves);
      },
      nb::arg("prefix").none(), nb::arg("tree").none(), nb::arg("is_leaf").none(),
      nb::sig("def tree_broadcast_prefix(prefix: typing.Any, tree: typing.Any, is_leaf: "
              "typing.Callable[[typing.Any], bool] | None, /) -> typing.Any"));
  m.def(
      "tree_flatten_with_absent",
      [](nb::handle tree) {
        Leaves leaves;
        FlattenOptions options;
        options.absent_is_leaf = true;
        TreeDef treedef = flatten(tree, leaves, options);
        return nb::make_tuple(list_of(std::move(leaves)), std::move(treedef));
      },
      nb::arg("tree").none(),
      nb::sig("def tree_flatten_with_absent(tree: typing.Any, /) -> tuple[list[typing.Any], PyTreeDef]"),
      "Flatten with what was left out counted as leaves.");
  m.def(
      "tree_children",
      [](nb::handle tree) -> nb::object {
        Leaves keys, values;
        if (!children(tree, keys, values)) return nb::none();
        return nb::make_tuple(list_of(std::move(keys)), list_of(std::move(values)));
      },
      nb::arg("tree").none(),
      nb::sig("def tree_children(tree: typing.Any, /) -> tuple[list[typing.Any], list[typing.Any]] | None"),
      "The keys and children of a container, None for a leaf.");
  m.def(
      "tree_with_children",
      [](nb::handle tree, nb::handle children) { return with_children(tree, view(given(children))); },
      nb::arg("tree").none(), nb::arg("children"),
      nb::sig("def tree_with_children(tree: typing.Any, children: collections.abc.Iterable[typing.Any], /) -> "
              "typing.Any"),
      "A container with other children.");
  m.def(
      "tree_key_text", [](nb::handle key) { return as_str(key_text(key)); }, nb::arg("key").none(),
      nb::sig("def tree_key_text(key: typing.Any, /) -> str"), "The text of a key in paths, before escaping.");
  m.def(
      "tree_join_path",
      [](nb::iterable keys) {
        std::string path;
        for (nb::handle key : keys) append_key(path, key);
        return as_str(path);
      },
      nb::arg("keys"), nb::sig("def tree_join_path(keys: collections.abc.Iterable[typing.Any], /) -> str"));
  m.def(
      "tree_split_path", [](nb::str path) { return strings(split_path(as_utf8(path))); }, nb::arg("path"),
      nb::sig("def tree_split_path(path: str, /) -> list[str]"));
  m.def(
      "tree_match_glob", [](const TreeDef& treedef, nb::str glob) { return match_glob(treedef, as_utf8(glob)); },
      nb::arg("treedef"), nb::arg("glob"),
      nb::sig("def tree_match_glob(treedef: PyTreeDef, glob: str, /) -> list[bool]"),
      "Which leaves have a path that the glob matches.");
  m.def("tree_restore", &TreeDef::restore, nb::arg("state"),
        nb::sig("def tree_restore(state: tuple[typing.Any, ...], /) -> PyTreeDef"), "What pickles of structures call.");
  m.def("tree_register_node", &register_node, nb::arg(), nb::arg(), nb::arg(), nb::arg().none(),
        nb::sig("def tree_register_node(cls: type, flatten: typing.Any, unflatten: typing.Any, keys: typing.Any, /) -> "
                "None"));
  m.def("tree_register_attrs", &register_attrs,
        nb::sig("def tree_register_attrs(cls: type, fields: collections.abc.Iterable[str], static: "
                "collections.abc.Iterable[str], caches: collections.abc.Iterable[str], /) -> None"));
  m.def("tree_absent", &absent, nb::sig("def tree_absent() -> typing.Any"),
        "What stands for a leaf left out of a part.");
  m.def("tree_clear_cache", &clear_cache, "Forget the remembered key orders of dicts (at most 4096 of them).");
}

}  // namespace funcnn
