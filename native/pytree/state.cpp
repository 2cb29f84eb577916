// Structures as other programs see them: what is pickled, and what the garbage collector visits.
#include <array>
#include <utility>

#include "pytree/container.h"
#include "pytree/pytree.h"

namespace funcnn::pytree {
namespace {

constexpr std::array<std::pair<Kind, const char*>, 12> kNames{{
    {Kind::Leaf, "leaf"},
    {Kind::None, "None"},
    {Kind::Absent, "absent"},
    {Kind::Tuple, "tuple"},
    {Kind::List, "list"},
    {Kind::Dict, "dict"},
    {Kind::FrozenDict, "frozendict"},
    {Kind::DefaultDict, "defaultdict"},
    {Kind::OrderedDict, "OrderedDict"},
    {Kind::NamedTuple, "namedtuple"},
    {Kind::Attrs, "attrs"},
    {Kind::Custom, "custom"},
}};

const char* name_of(Kind kind) {
  for (auto [known, name] : kNames)
    if (known == kind) return name;
  return "";
}

[[noreturn]] void fail(const char* what) {
  PyErr_Format(PyExc_ValueError, "a pickled PyTreeDef %s", what);
  throw nb::python_error();
}

// Reads nodes in preorder and counts what is below them.
class Restorer {
 public:
  explicit Restorer(nb::handle state) : state_(nb::tuple(nb::borrow(state))) {}

  Ref<const Structure> run() {
    auto structure = make_ref<Structure>();
    nodes_ = &structure->nodes;
    next();
    if (at_ != state_.size()) fail("has nodes that belong to nothing");
    return structure;
  }

 private:
  void next() {
    if (at_ == state_.size()) fail("ends too early");
    nb::handle entry = state_[at_++];
    if (!PyTuple_Check(entry.ptr()) || nb::len(entry) != 6) fail("has an entry that describes no node");
    RecursionGuard guard;
    size_t self = nodes_->size();
    nodes_->emplace_back();
    Node node;
    node.kind = kind_of(nb::str(nb::object(entry[0])).c_str());
    node.flat = nb::cast<bool>(nb::object(entry[1]));
    node.arity = nb::cast<uint32_t>(nb::object(entry[2]));
    node.record = record_of(node, nb::object(entry[3]), nb::object(entry[4]), nb::object(entry[5]));
    bool childless = node.kind == Kind::Leaf || node.kind == Kind::None || node.kind == Kind::Absent;
    if (childless && node.arity) fail("gives children to what has none");
    if (node.kind != Kind::Leaf) node.leaves = node.flat ? node.arity : 0;
    for (size_t i = 0; i < node.arity && !node.flat; ++i) {
      size_t child = nodes_->size();
      next();
      node.leaves += (*nodes_)[child].leaves;
    }
    node.nodes = uint32_t(nodes_->size() - self);
    (*nodes_)[self] = std::move(node);
  }

  static Kind kind_of(std::string_view name) {
    for (auto [kind, known] : kNames)
      if (name == known) return kind;
    fail("has a node of a kind that this version does not know");
  }

  static Ref<const Record> record_of(const Node& node, nb::object keys, nb::object type, nb::object metadata) {
    bool typed = node.kind == Kind::NamedTuple || node.kind == Kind::Attrs || node.kind == Kind::Custom ||
                 node.kind == Kind::OrderedDict || node.kind == Kind::DefaultDict;
    if (!typed && !is_dict(node.kind)) return nullptr;
    auto record = make_ref<Record>();
    if (is_dict(node.kind)) {
      if (!PyTuple_CheckExact(keys.ptr()) || tuple_size(keys.ptr()) != node.arity) fail("has a dict of other keys");
      record->str_keys = node.arity > 0;
      for (size_t i = 0; i < node.arity; ++i) record->str_keys &= bool(PyUnicode_CheckExact(tuple_item(keys.ptr(), i)));
      record->keys = std::move(keys);
    }
    if (!typed) return record;
    if (!PyType_Check(type.ptr())) fail("has a node whose class is none");
    if (node.kind == Kind::NamedTuple) {
      if (nb::len(nb::object(type.attr("_fields"))) != node.arity) fail("has a named tuple of other fields");
    } else {
      const Registration* registration = find_registration(type.ptr());
      if (!registration || registration->kind != node.kind) {
        PyErr_Format(PyExc_TypeError, "%R is no tree node here: import what registers it before unpickling",
                     type.ptr());
        throw nb::python_error();
      }
      if (node.kind == Kind::Attrs) {
        bool fits = PyTuple_CheckExact(metadata.ptr()) && tuple_size(registration->fields.ptr()) == node.arity &&
                    tuple_size(registration->static_fields.ptr()) == tuple_size(metadata.ptr());
        if (!fits) fail("has a class whose fields are others now");
      }
      if (node.kind == Kind::Attrs || node.kind == Kind::Custom) record->registration = registration;
      if (node.kind != Kind::OrderedDict) record->metadata = std::move(metadata);
    }
    record->type = std::move(type);
    return record;
  }

  nb::tuple state_;
  size_t at_ = 0;
  std::vector<Node>* nodes_ = nullptr;
};

}  // namespace

nb::object TreeDef::state() const {
  nb::list entries;
  auto or_none = [](const nb::object& object) { return object.is_valid() ? object : nb::none(); };
  for (const Node& node : nodes()) {
    const Record none;
    const Record& record = node.record ? *node.record : none;
    entries.append(nb::make_tuple(name_of(node.kind), node.flat, node.arity, or_none(record.keys), or_none(record.type),
                                  or_none(record.metadata)));
  }
  return nb::tuple(entries);
}

TreeDef TreeDef::restore(nb::handle state) { return TreeDef(Restorer(state).run()); }

int TreeDef::traverse(visitproc visit, void* arg) const {
  if (!structure_ || structure_->use_count() != 1) return 0;
  for (const Node& node : structure_->nodes)
    if (int stop = traverse_record(node.record.get(), 1, visit, arg)) return stop;
  return 0;
}

void TreeDef::clear() {
  // A leaf, so that what is called while a cycle is taken apart finds a structure.
  auto leaf = make_ref<Structure>();
  leaf->nodes.emplace_back();
  structure_ = std::move(leaf);
}

}  // namespace funcnn::pytree
