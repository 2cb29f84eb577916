// tree_map, tree_map_with_path and tree_flatten of the shim; see funcnn.compat.utils for what they do.
#include "bindings/shim_trees.h"

#include <vector>

#include "pytree/frozendict.h"

namespace funcnn {
namespace {

using Rest = std::vector<nb::object>;

// Trees of the functional API are walked too.
bool is_table(nb::handle x) { return PyDict_Check(x.ptr()) || pytree::is_frozendict(x.ptr()); }

nb::handle table_of(nb::handle x) {
  return pytree::is_frozendict(x.ptr()) ? nb::handle(pytree::frozendict_dict(x.ptr())) : x;
}

bool is_sequence(nb::handle x) { return PyList_Check(x.ptr()) || PyTuple_Check(x.ptr()); }

nb::object text_of(nb::handle key) {
  return PyUnicode_Check(key.ptr()) ? nb::borrow(key) : checked(PyObject_Str(key.ptr()));
}

// Items in the class of a list or tuple; named tuples take them one by one.
nb::object like(nb::handle sequence, const std::vector<nb::object>& items) {
  Py_ssize_t count = Py_ssize_t(items.size());
  bool exact = PyTuple_CheckExact(sequence.ptr());
  if (PyList_CheckExact(sequence.ptr())) {
    nb::object made = checked(PyList_New(count));
    for (Py_ssize_t i = 0; i < count; ++i) PyList_SetItem(made.ptr(), i, nb::object(items[size_t(i)]).release().ptr());
    return made;
  }
  nb::object made = checked(PyTuple_New(count));
  for (Py_ssize_t i = 0; i < count; ++i) PyTuple_SetItem(made.ptr(), i, nb::object(items[size_t(i)]).release().ptr());
  if (exact) return made;
  nb::handle type = sequence.type();
  if (nb::hasattr(sequence, "_fields")) return checked(PyObject_Call(type.ptr(), made.ptr(), nullptr));
  if (PyList_Check(sequence.ptr())) made = checked(PySequence_List(made.ptr()));
  return checked(PyObject_CallFunctionObjArgs(type.ptr(), made.ptr(), nullptr));
}

struct Map {
  nb::handle function, is_leaf;
  bool with_path;

  nb::object leaf(nb::handle path, nb::handle tree, const Rest& rest) const {
    PyObject* few[8];
    std::vector<PyObject*> many;
    size_t count = rest.size() + 2;
    PyObject** args = few;
    if (count > 8) {
      many.resize(count);
      args = many.data();
    }
    size_t next = 0;
    if (with_path) args[next++] = path.ptr();
    args[next++] = tree.ptr();
    for (const nb::object& other : rest) args[next++] = other.ptr();
    return checked(PyObject_Vectorcall(function.ptr(), args, next, nullptr));
  }

  // The path below one; at the root it is whatever the caller says, and nothing if that is empty.
  nb::object below(nb::handle path, nb::handle key) const {
    if (!with_path) return {};
    if (!truth(PyObject_IsTrue(path.ptr()))) return text_of(key);
    return checked(PyUnicode_FromFormat("%S.%S", path.ptr(), key.ptr()));
  }

  nb::object operator()(nb::handle path, nb::handle tree, const Rest& rest) const {
    if (!is_leaf.is_none() && truth(PyObject_IsTrue(is_leaf(tree).ptr()))) return leaf(path, tree, rest);
    bool sequence = is_sequence(tree);
    if (!sequence && !is_table(tree)) return leaf(path, tree, rest);
    Level level;
    Rest others(rest.size());
    auto mapped = [&](nb::handle key, nb::handle child) {
      for (size_t i = 0; i < rest.size(); ++i) others[i] = checked(PyObject_GetItem(rest[i].ptr(), key.ptr()));
      return (*this)(below(path, key), child, others);
    };
    if (sequence) {
      std::vector<nb::object> items;
      each_element(tree, [&](Py_ssize_t i, nb::handle child) {
        nb::object key;
        if (with_path || !rest.empty()) key = checked(PyLong_FromSsize_t(i));
        items.push_back(mapped(key, child));
      });
      return like(tree, items);
    }
    nb::object made = checked(PyDict_New());
    each_item(table_of(tree), [&](nb::handle key, nb::handle child) {
      check(PyDict_SetItem(made.ptr(), key.ptr(), mapped(key, child).ptr()));
    });
    return made;
  }
};

nb::object map(bool with_path, nb::handle path, nb::handle function, nb::handle is_leaf, nb::args trees) {
  Rest rest;
  for (size_t i = 1; i < trees.size(); ++i) rest.push_back(nb::borrow(trees[i]));
  return Map{function, is_leaf, with_path}(path, trees[0], rest);
}

struct Flatten {
  nb::handle is_leaf, destination;

  void add(nb::handle path, nb::handle leaf) const {
    if (PyDict_Check(destination.ptr())) {
      check(PyObject_SetItem(destination.ptr(), path.ptr(), leaf.ptr()));
      return;
    }
    nb::object pair = checked(PyTuple_Pack(2, path.ptr(), leaf.ptr()));
    if (PyList_CheckExact(destination.ptr()))
      check(PyList_Append(destination.ptr(), pair.ptr()));
    else
      destination.attr("append")(pair);
  }

  // `root`: the path is empty, and paths below it begin without a dot.
  void operator()(nb::handle path, nb::handle tree, bool root) const {
    bool leaf = !is_leaf.is_none() && truth(PyObject_IsTrue(is_leaf(tree).ptr()));
    bool sequence = is_sequence(tree);
    if (leaf || (!sequence && !is_table(tree))) return add(path, tree);
    Level level;
    if (sequence) {
      each_element(tree, [&](Py_ssize_t i, nb::handle child) {
        nb::object below =
            checked(root ? PyUnicode_FromFormat("%zd", i) : PyUnicode_FromFormat("%U.%zd", path.ptr(), i));
        (*this)(below, child, false);
      });
    } else {
      each_item(table_of(tree), [&](nb::handle key, nb::handle child) {
        nb::object below = root ? text_of(key) : checked(PyUnicode_FromFormat("%U.%S", path.ptr(), key.ptr()));
        (*this)(below, child, false);
      });
    }
  }
};

struct Reduce {
  nb::handle function, is_leaf;
  nb::object total;

  void operator()(nb::handle tree) {
    bool leaf = !is_leaf.is_none() && truth(PyObject_IsTrue(is_leaf(tree).ptr()));
    bool sequence = is_sequence(tree);
    if (leaf || (!sequence && !is_table(tree))) {
      PyObject* args[] = {total.ptr(), tree.ptr()};
      total = total.is_none() ? nb::borrow(tree) : checked(PyObject_Vectorcall(function.ptr(), args, 2, nullptr));
      return;
    }
    Level level;
    if (sequence)
      each_element(tree, [&](Py_ssize_t, nb::handle child) { (*this)(child); });
    else
      each_item(table_of(tree), [&](nb::handle, nb::handle child) { (*this)(child); });
  }
};

}  // namespace

void bind_shim_trees(nb::module_& m) {
  m.def(
      "_tree_map",
      [](nb::handle function, nb::handle is_leaf, nb::args trees) {
        return map(false, nb::none(), function, is_leaf, trees);
      },
      nb::arg("function").none(), nb::arg("is_leaf").none(), nb::arg("trees"),
      nb::sig("def _tree_map(function: object, is_leaf: object, *trees: object) -> object"));
  m.def(
      "_tree_map_with_path",
      [](nb::handle path, nb::handle function, nb::handle is_leaf, nb::args trees) {
        return map(true, path, function, is_leaf, trees);
      },
      nb::arg("path").none(), nb::arg("function").none(), nb::arg("is_leaf").none(), nb::arg("trees"),
      nb::sig("def _tree_map_with_path(path: object, function: object, is_leaf: object, *trees: object) "
              "-> object"));
  m.def(
      "_tree_flatten_into",
      [](nb::handle destination, nb::handle tree, nb::str prefix, nb::handle is_leaf) {
        bool root = nb::len(prefix) == 0;
        nb::object path = checked(PyUnicode_Substring(prefix.ptr(), 1, PY_SSIZE_T_MAX));
        Flatten{is_leaf, destination}(path, tree, root);
      },
      nb::arg("destination"), nb::arg("tree").none(), nb::arg("prefix"), nb::arg("is_leaf").none(),
      nb::sig("def _tree_flatten_into(destination: object, tree: object, prefix: str, is_leaf: object) -> None"));
  m.def(
      "_tree_reduce",
      [](nb::handle function, nb::handle tree, nb::object initializer, nb::handle is_leaf) {
        Reduce reduce{function, is_leaf, std::move(initializer)};
        reduce(tree);
        return reduce.total;
      },
      nb::arg("function").none(), nb::arg("tree").none(), nb::arg("initializer").none(), nb::arg("is_leaf").none(),
      nb::sig("def _tree_reduce(function: object, tree: object, initializer: object, is_leaf: object) -> object"));
}

}  // namespace funcnn
