#include "pytree/pattern.h"

#include "base/small_vector.h"
#include "pytree/frozendict.h"

namespace funcnn::pytree {

using Children = SmallVector<PyObject*, 16>;

Pattern::Pattern(const TreeDef& treedef, nb::handle tree) : leaves_(treedef.num_leaves()) {
  size_t next = 0;
  if (!kPossible || !add(treedef.nodes(), next, tree.ptr())) containers_.clear();
}

bool Pattern::add(std::span<const Node> nodes, size_t& next, PyObject* object) {
  const Node& node = nodes[next++];
  Container& made = containers_.emplace_back(
      Container{node.kind, node.flat, node.arity, nullptr, node.record.get(), Ref<const DictOrder>()});
  const size_t self = containers_.size() - 1;
  switch (node.kind) {
    case Kind::NamedTuple:
      made.type = reinterpret_cast<PyTypeObject*>(node.record->type.ptr());
      break;
    case Kind::Dict:
      made.order = order_of(object);
      if (made.order->record != node.record) return false;
      break;
    case Kind::FrozenDict:
      if (!frozen_order(object).record) return false;
      break;
    case Kind::Leaf:
    case Kind::None:
    case Kind::Absent:
    case Kind::Tuple:
    case Kind::List:
      break;
    default:
      return false;
  }
  if (node.flat || node.arity == 0) return true;
  Children children(node.arity);
  if (!read_children(self, object, children.data())) return false;
  for (PyObject* child : children)
    if (!add(nodes, next, child)) return false;
  return true;
}

bool Pattern::read_children(size_t number, PyObject* object, PyObject** out) const {
  const Container& c = containers_[number];
  switch (c.kind) {
    case Kind::Leaf:
      *out = object;
      return true;
    case Kind::None:
      return object == Py_None;
    case Kind::Absent:
      return object == absent().ptr();
    case Kind::NamedTuple:
    case Kind::Tuple:
      if (Py_TYPE(object) != (c.kind == Kind::Tuple ? &PyTuple_Type : c.type) || tuple_size(object) != c.arity)
        return false;
      for (size_t i = 0; i < c.arity; ++i) out[i] = tuple_item(object, i);
      return true;
    case Kind::List:
      if (Py_TYPE(object) != &PyList_Type || list_size(object) != c.arity) return false;
      for (size_t i = 0; i < c.arity; ++i) out[i] = list_item(object, i);
      return true;
    case Kind::Dict: {
      if (Py_TYPE(object) != &PyDict_Type || size_t(PyDict_Size(object)) != c.arity) return false;
      const std::vector<nb::object>& keys = c.order->inserted;
      const uint32_t* places = c.order->places.empty() ? nullptr : c.order->places.data();
      PyObject *key, *value;
      Py_ssize_t position = 0;
      for (size_t i = 0; i < c.arity && PyDict_Next(object, &position, &key, &value); ++i) {
        if (key != keys[i].ptr()) return false;
        out[places ? places[i] : i] = value;
      }
      return true;
    }
    case Kind::FrozenDict: {
      if (!is_frozendict(object)) return false;
      const FrozenOrder known = frozen_order(object);
      if (known.record != c.record) return false;
      const uint32_t* places = known.order && !known.order->places.empty() ? known.order->places.data() : nullptr;
      PyObject *key, *value;
      Py_ssize_t position = 0;
      for (size_t i = 0; i < c.arity && PyDict_Next(frozendict_dict(object), &position, &key, &value); ++i)
        out[places ? places[i] : i] = value;
      return true;
    }
    default:
      return false;
  }
}

bool Pattern::read(nb::handle tree, PyObject** leaves) const {
  if (containers_.empty()) return false;
  size_t next = 0;
  return read(next, tree.ptr(), leaves);
}

bool Pattern::read(size_t& next, PyObject* object, PyObject**& leaves) const {
  const size_t number = next++;
  const Container& c = containers_[number];
  if (c.flat || c.kind == Kind::Leaf) {
    if (!read_children(number, object, leaves)) return false;
    leaves += c.kind == Kind::Leaf ? 1 : c.arity;
    return true;
  }
  Children children(c.arity);
  if (!read_children(number, object, children.data())) return false;
  for (PyObject* child : children)
    if (!read(next, child, leaves)) return false;
  return true;
}

}  // namespace funcnn::pytree
