// Flattening, and structures as values: equality, hash, printing, paths, building trees again.
#include <algorithm>

#include "base/hash.h"
#include "pytree/container.h"
#include "pytree/pytree.h"

namespace funcnn::pytree {
namespace {

class Flattener {
 public:
  Flattener(Leaves& leaves, std::vector<Node>& nodes, const FlattenOptions& options)
      : leaves_(leaves), nodes_(nodes), options_(options) {}

  void root(nb::handle tree) {
    Class cls = classify_node(tree.ptr());
    if (cls.kind != Kind::Leaf) return container(tree.ptr(), cls);
    leaves_.push_back(nb::borrow(tree));
    nodes_.emplace_back();
  }

 private:
  Class classify_node(PyObject* object) {
    // Leaves come in runs of one class; a leaf met in this walk keeps its class alive.
    if (Py_TYPE(object) == leaf_type_ && !options_.is_leaf) return {Kind::Leaf};
    if (options_.is_leaf) {
      PyObject* args[] = {nullptr, object};
      nb::object answer =
          owned(PyObject_Vectorcall(options_.is_leaf.ptr(), args + 1, 1 | PY_VECTORCALL_ARGUMENTS_OFFSET, nullptr));
      int yes = PyObject_IsTrue(answer.ptr());
      if (yes < 0) throw nb::python_error();
      if (yes) return {Kind::Leaf};
    }
    Class cls = classify(object);
    if (cls.kind == Kind::None && options_.none_is_leaf) return {Kind::Leaf};
    if (cls.kind == Kind::Absent && options_.absent_is_leaf) return {Kind::Leaf};
    if (cls.kind == Kind::Leaf && !PyTuple_Check(object)) leaf_type_ = Py_TYPE(object);
    return cls;
  }

  void container(PyObject* object, Class cls) {
    RecursionGuard guard;
    size_t self = nodes_.size(), first_leaf = leaves_.size();
    nodes_.emplace_back();
    // Children wait at the top of one stack, owned, for the callbacks below may change the container.
    size_t base = stack_.size();
    Ref<const Record> record;
    expand(object, cls, stack_, record);
    size_t arity = stack_.size() - base;
    bool flat = true;
    make_room(leaves_, arity);
    for (size_t child = 0; child < arity; ++child) {
      PyObject* item = stack_[base + child].ptr();
      Class item_class = classify_node(item);
      if (item_class.kind == Kind::Leaf) {
        leaves_.push_back(std::move(stack_[base + child]));
        if (!flat) nodes_.emplace_back();
      } else {
        if (flat) nodes_.resize(nodes_.size() + child);
        flat = false;
        container(item, item_class);
      }
    }
    stack_.resize(base);
    Node& node = nodes_[self];
    node.kind = cls.kind;
    node.flat = flat;
    node.arity = uint32_t(arity);
    node.leaves = uint32_t(leaves_.size() - first_leaf);
    node.nodes = uint32_t(nodes_.size() - self);
    node.record = std::move(record);
  }

  Leaves& leaves_;
  std::vector<Node>& nodes_;
  const FlattenOptions& options_;
  Leaves stack_;
  PyTypeObject* leaf_type_ = nullptr;
};

// A list or tuple, into which the items are moved.
nb::object sequence_of(Kind kind, std::span<nb::object> items) {
  const auto size = Py_ssize_t(items.size());
  if (kind == Kind::List) {
    nb::object list = owned(PyList_New(size));
    for (size_t i = 0; i < items.size(); ++i) fill_list(list.ptr(), i, items[i].release().ptr());
    return list;
  }
  nb::object tuple = owned(PyTuple_New(size));
  for (size_t i = 0; i < items.size(); ++i) fill_tuple(tuple.ptr(), i, items[i].release().ptr());
  return tuple;
}

// Leaves are handles, which somebody else holds, or objects, which are moved into the tree.
template <class T>
class Builder {
 public:
  Builder(std::span<const Node> nodes, std::span<T> leaves) : nodes_(nodes), leaves_(leaves) {}

  nb::object next() {
    const Node& node = nodes_[node_++];
    if (node.kind == Kind::Leaf) return take(leaves_[leaf_++]);
    if (node.flat) {
      leaf_ += node.arity;
      return make(node, leaves_.subspan(leaf_ - node.arity, node.arity));
    }
    RecursionGuard guard;
    size_t base = stack_.size();
    for (size_t child = 0; child < node.arity; ++child) {
      nb::object item = next();
      stack_.push_back(std::move(item));
    }
    nb::object result = make(node, std::span(stack_).subspan(base));
    stack_.resize(base);
    return result;
  }

 private:
  static nb::object take(nb::object& leaf) { return std::move(leaf); }
  static nb::object take(nb::handle leaf) { return nb::borrow(leaf); }
  static nb::object make(const Node& node, Objects children) { return build(node.kind, node.record.get(), children); }
  static nb::object make(const Node& node, std::span<nb::object> children) {
    return is_sequence(node.kind) ? sequence_of(node.kind, children) : make(node, view(children));
  }

  std::span<const Node> nodes_;
  std::span<T> leaves_;
  size_t node_ = 0, leaf_ = 0;
  Leaves stack_;
};

class Printer {
 public:
  explicit Printer(std::span<const Node> nodes) : nodes_(nodes) {}
  std::string print() {
    next();
    return std::move(out_);
  }

 private:
  static std::string text(nb::handle object) { return nb::repr(object).c_str(); }
  static std::string name(const Node& node) { return nb::type_name(node.record->type).c_str(); }
  static std::string short_name(const Node& node) {
    return nb::cast<std::string>(nb::str(node.record->type.attr("__name__")));
  }

  void next() {
    const Node& node = nodes_[node_++];
    RecursionGuard guard;
    switch (node.kind) {
      case Kind::Leaf:
        out_ += "*";
        return;
      case Kind::None:
        out_ += "None";
        return;
      case Kind::Absent:
        out_ += "absent";
        return;
      case Kind::Tuple:
        return items(node, "(", node.arity == 1 ? ",)" : ")", false);
      case Kind::List:
        return items(node, "[", "]", false);
      case Kind::Dict:
        return items(node, "{", "}", true);
      case Kind::FrozenDict:
        return items(node, "frozendict({", "})", true);
      case Kind::OrderedDict:
        return items(node, "OrderedDict({", "})", true);
      case Kind::DefaultDict:
        return items(node, "defaultdict(" + text(node.record->metadata) + ", {", "})", true);
      case Kind::NamedTuple:
        return items(node, short_name(node) + "(", ")", true);
      case Kind::Attrs: {
        std::string constants;
        const nb::object& names = node.record->registration->static_fields;
        for (size_t i = 0; i < tuple_size(names.ptr()); ++i)
          constants += ", " + nb::cast<std::string>(names[i]) + "=" + text(nb::object(node.record->metadata[i]));
        if (node.arity == 0 && !constants.empty()) constants.erase(0, 2);
        return items(node, short_name(node) + "(", constants + ")", true);
      }
      case Kind::Custom:
        return items(node, short_name(node) + "[" + text(node.record->metadata) + "](", ")", false);
    }
  }

  void items(const Node& node, const std::string& open, const std::string& close, bool keys) {
    out_ += open;
    for (size_t i = 0; i < node.arity; ++i) {
      if (i) out_ += ", ";
      if (keys) {
        nb::object key = key_of(node, i);
        out_ += is_dict(node.kind) ? text(key) + ": " : nb::cast<std::string>(key) + "=";
      }
      if (node.flat)
        out_ += "*";
      else
        next();
    }
    out_ += close;
  }

  std::span<const Node> nodes_;
  size_t node_ = 0;
  std::string out_;
};

Py_hash_t record_hash(const Record& record) {
  Hasher hasher;
  auto add = [&](const nb::object& object) {
    Py_hash_t hash = object ? PyObject_Hash(object.ptr()) : 0;
    if (hash == -1) throw nb::python_error();
    hasher.add(int64_t(hash));
  };
  add(record.keys);
  try {
    add(record.metadata);
  } catch (nb::python_error& error) {
    refuse_metadata(error, record);
  }
  hasher.add(static_cast<const void*>(record.type.ptr()));
  return Py_hash_t(hasher.finish().low);
}

}  // namespace

TreeDef flatten(nb::handle tree, Leaves& leaves, const FlattenOptions& options) {
  auto structure = make_ref<Structure>();
  Flattener(leaves, structure->nodes, options).root(tree);
  return TreeDef(std::move(structure));
}

namespace {

template <class T>
nb::object unflatten_all(const TreeDef& treedef, std::span<T> leaves) {
  if (leaves.size() != treedef.num_leaves())
    throw nb::value_error(("unflatten: the structure has " + std::to_string(treedef.num_leaves()) + " leaves, got " +
                           std::to_string(leaves.size()))
                              .c_str());
  return Builder<T>(treedef.nodes(), leaves).next();
}

}  // namespace

nb::object unflatten(const TreeDef& treedef, Objects leaves) { return unflatten_all(treedef, leaves); }
nb::object unflatten(const TreeDef& treedef, Leaves&& leaves) {
  return unflatten_all(treedef, std::span<nb::object>(leaves));
}

bool TreeDef::operator==(const TreeDef& other) const {
  if (structure_ == other.structure_) return true;
  if (!structure_ || !other.structure_) return false;
  const auto &a = structure_->nodes, &b = other.structure_->nodes;
  if (a.size() != b.size()) return false;
  for (size_t i = 0; i < a.size(); ++i)
    if (a[i].kind != b[i].kind || a[i].arity != b[i].arity || a[i].flat != b[i].flat) return false;
  for (size_t i = 0; i < a.size(); ++i)
    if (!records_same(a[i].record.get(), b[i].record.get())) return false;
  return true;
}

Py_hash_t TreeDef::hash() const {
  Py_hash_t known = structure_->hash.load(std::memory_order_relaxed);
  if (known != -1) return known;
  Hasher hasher;
  for (const Node& node : structure_->nodes) {
    hasher.add(uint64_t(node.kind) << 32 | node.arity);
    if (node.record) hasher.add(int64_t(record_hash(*node.record)));
  }
  Py_hash_t hash = Py_hash_t(hasher.finish().low);
  if (hash == -1) hash = -2;
  structure_->hash.store(hash, std::memory_order_relaxed);
  return hash;
}

std::string TreeDef::repr() const { return "PyTreeDef(" + Printer(nodes()).print() + ")"; }

std::vector<TreeDef> TreeDef::children() const {
  std::vector<TreeDef> result;
  const Node& root = nodes()[0];
  size_t position = 1;
  for (size_t i = 0; i < root.arity; ++i) {
    auto structure = make_ref<Structure>();
    if (root.flat) {
      structure->nodes.emplace_back();
    } else {
      auto part = nodes().subspan(position, nodes()[position].nodes);
      structure->nodes.assign(part.begin(), part.end());
      position += part.size();
    }
    result.emplace_back(std::move(structure));
  }
  return result;
}

bool children(nb::handle tree, Leaves& keys, Leaves& values) {
  Class cls = classify(tree.ptr());
  if (cls.kind == Kind::Leaf) return false;
  Node node;
  node.kind = cls.kind;
  expand(tree.ptr(), cls, values, node.record);
  for (size_t i = 0; i < values.size(); ++i) keys.push_back(key_of(node, i));
  return true;
}

nb::object with_children(nb::handle tree, Objects children) {
  Class cls = classify(tree.ptr());
  Ref<const Record> record;
  Leaves old;
  expand(tree.ptr(), cls, old, record);
  if (cls.kind == Kind::Leaf || old.size() != children.size()) throw nb::value_error("wrong number of children");
  return build(cls.kind, record.get(), children);
}

}  // namespace funcnn::pytree
