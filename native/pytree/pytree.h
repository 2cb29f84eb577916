// Pytrees: nests of containers with leaves, taken apart into a list of leaves and a TreeDef and put together again.
//
// Leaves are opaque Python objects. Every function here needs the GIL (or an attached thread), destructors of TreeDef
// included, because a structure owns the keys and metadata it met.
#pragma once

#include <nanobind/nanobind.h>
#include <nanobind/stl/string.h>

#include <atomic>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/ref.h"

namespace funcnn::pytree {

namespace nb = nanobind;

using Leaves = std::vector<nb::object>;
// Objects that somebody else holds.
using Objects = std::span<const nb::handle>;
inline Objects view(std::span<const nb::object> objects) {
  static_assert(sizeof(nb::object) == sizeof(nb::handle));
  return {static_cast<const nb::handle*>(objects.data()), objects.size()};
}

enum class Kind : uint8_t {
  Leaf,
  None,
  Absent,  // what `partition` leaves behind: a node without leaves
  Tuple,
  List,
  Dict,
  FrozenDict,
  DefaultDict,
  OrderedDict,
  NamedTuple,
  Attrs,   // a class whose listed attributes are its children
  Custom,  // a class with callbacks
};

struct Record;

// One container of a tree, in preorder. A node whose children are all leaves is `flat`: its leaves have no nodes.
struct Node {
  Kind kind = Kind::Leaf;
  bool flat = false;
  uint32_t arity = 0;
  uint32_t leaves = 1;
  uint32_t nodes = 1;  // of the subtree, this one included
  Ref<const Record> record;
};

struct Structure : RefCounted {
  std::vector<Node> nodes;
  mutable std::atomic<Py_hash_t> hash{-1};  // -1: not computed yet
};

// The structure of a tree: a value, cheap to copy, comparable and hashable.
class TreeDef {
 public:
  TreeDef() = default;  // no structure at all; every other member needs one
  explicit TreeDef(Ref<const Structure> structure) : structure_(std::move(structure)) {}

  explicit operator bool() const noexcept { return bool(structure_); }
  size_t num_leaves() const noexcept { return structure_->nodes[0].leaves; }
  std::span<const Node> nodes() const noexcept { return structure_->nodes; }
  bool is_leaf() const noexcept { return structure_->nodes[0].kind == Kind::Leaf; }

  bool operator==(const TreeDef& other) const;
  Py_hash_t hash() const;
  std::string repr() const;

  // The structures of the root's children, in the order of their leaves.
  std::vector<TreeDef> children() const;
  // What `restore` makes the same structure of.
  nb::object state() const;
  static TreeDef restore(nb::handle state);

  // For the garbage collector: visit the objects that only this handle keeps alive, and let go of all.
  int traverse(visitproc visit, void* arg) const;
  void clear();

  // "layers.0.weight" for each leaf; the root alone has the path "".
  std::vector<std::string> paths() const;
  std::string path_of_leaf(size_t leaf) const;
  std::string path_of_node(size_t node) const;

 private:
  Ref<const Structure> structure_;
};

struct FlattenOptions {
  nb::handle is_leaf = {};      // called with every node; true makes it a leaf
  bool none_is_leaf = false;    // as `in_axes` wants it
  bool absent_is_leaf = false;  // as `merge` wants it
};

// Append the leaves of `tree` to `leaves`.
TreeDef flatten(nb::handle tree, Leaves& leaves, const FlattenOptions& options = {});
// The tree of this structure with these leaves; ValueError unless there are exactly as many as the structure has.
nb::object unflatten(const TreeDef& treedef, Objects leaves);
inline nb::object unflatten(const TreeDef& treedef, const Leaves& leaves) { return unflatten(treedef, view(leaves)); }
nb::object unflatten(const TreeDef& treedef, Leaves&& leaves);

// Append the subtrees of `tree` that stand where `treedef` has leaves. Kinds of dict match each other, as do lists and
// tuples; where `treedef` has an absent node anything matches. Otherwise ValueError "WHAT: the trees differ at PATH:
// ..."
void flatten_up_to(const TreeDef& treedef, nb::handle tree, Leaves& subtrees, std::string_view what);
// Append one leaf of `prefix` for each leaf of `treedef`, repeating a leaf for the whole subtree that it stands for.
void broadcast_prefix(nb::handle prefix, const TreeDef& treedef, Leaves& leaves, std::string_view what,
                      const FlattenOptions& options = {});

// One level of a tree: the keys and children of a container. False for a leaf.
bool children(nb::handle tree, Leaves& keys, Leaves& children);
// The container `tree` with other children, in the order of `children`.
nb::object with_children(nb::handle tree, Objects children);

// Paths. Texts are UTF-8, in which lone surrogates have three bytes like any other code point.
//
// The text of a key is its str(), and for subclasses of str and int, enumerations among them, their value. In a path a
// backslash stands before a dot or backslash of it, and an empty text is written "\e".
std::string key_text(nb::handle key);
// Keys to the path that names them.
void append_key(std::string& path, nb::handle key);
// The texts of a path's keys; ValueError if it is malformed.
std::vector<std::string> split_path(std::string_view path);
nb::object as_str(std::string_view text);
std::string as_utf8(nb::handle str);

// Which leaves have a path that a glob matches; ValueError if it is malformed. Takes time linear in both.
std::vector<bool> match_glob(const TreeDef& treedef, std::string_view glob);

// Whether two values are equal and of equal types all through tuples: True, 1 and 1.0 differ, and so do 0.0 and -0.0.
bool same_value(nb::handle a, nb::handle b);

void register_node(nb::handle type, nb::handle flatten, nb::handle unflatten, nb::handle keys);
void register_attrs(nb::handle type, nb::handle fields, nb::handle static_fields, nb::handle caches);
// Forget the remembered key orders of dicts (they are bounded in any case).
void clear_cache();

// The singleton that stands for "left out of this part", and the type of immutable dicts.
nb::object absent();
nb::handle frozendict_type();
void initialise(nb::module_& m);

}  // namespace funcnn::pytree
