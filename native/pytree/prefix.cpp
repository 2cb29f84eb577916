// Walking two trees at once: subtrees at the leaves of a structure, and a prefix spread over it.
#include "pytree/container.h"
#include "pytree/pytree.h"

namespace funcnn::pytree {
namespace {

std::string text_of(nb::handle object) { return nb::repr(object).c_str(); }

std::string count(size_t n, const char* what) { return std::to_string(n) + " " + what + (n == 1 ? "" : "s"); }

std::string describe_keys(nb::handle keys) {
  std::string text = "keys [";
  size_t shown = 0, size = nb::len(keys);
  for (nb::handle key : keys) {
    if (shown == 8 && size > 9) {
      text += ", ... " + std::to_string(size - shown) + " more";
      break;
    }
    text += (shown++ ? ", " : "") + text_of(key);
  }
  return text + "]";
}

std::string article(const std::string& noun) {
  return (std::string("aeiouAEIOU").find(noun[0]) == std::string::npos ? "a " : "an ") + noun;
}

// "a dict with keys ['a', 'b']"
std::string describe(const Node& node, nb::handle object) {
  switch (node.kind) {
    case Kind::Leaf:
      return object ? "a leaf (" + text_of(object.type().attr("__name__")) + ")" : "a leaf";
    case Kind::None:
      return "None";
    case Kind::Absent:
      return "absent";
    case Kind::Tuple:
      return "a tuple of " + count(node.arity, "item");
    case Kind::List:
      return "a list of " + count(node.arity, "item");
    case Kind::Dict:
      return "a dict with " + describe_keys(node.record->keys);
    case Kind::FrozenDict:
      return "a frozendict with " + describe_keys(node.record->keys);
    case Kind::DefaultDict:
      return "a defaultdict with " + describe_keys(node.record->keys);
    case Kind::OrderedDict:
      return "an OrderedDict with " + describe_keys(node.record->keys);
    default:
      break;
  }
  std::string text = article(nb::cast<std::string>(nb::str(node.record->type.attr("__name__"))));
  text += " of " + std::to_string(node.arity) + (node.arity == 1 ? " child" : " children");
  if (node.kind != Kind::NamedTuple) text += " and static data " + text_of(node.record->metadata);
  return text;
}

Node absent_node() {
  Node node;
  node.kind = Kind::Absent;
  return node;
}

// One container of the other tree, opened.
struct Opened {
  Node node;
  size_t base = 0;
};

// Walks `treedef` together with another tree.
class Matcher {
 public:
  Matcher(const TreeDef& treedef, std::string_view what, const FlattenOptions& options)
      : treedef_(treedef), nodes_(treedef.nodes()), what_(what), options_(options) {}

  void up_to(nb::handle object, Leaves& out) {
    const Node& node = nodes_[node_++];
    if (node.kind == Kind::Absent) return;
    if (node.kind == Kind::Leaf) {
      if (object.is(absent())) mismatch(absent_node(), object);
      out.push_back(nb::borrow(object));
      return;
    }
    RecursionGuard guard;
    Opened other = open(object, classify(object.ptr()));
    align(node, other, object);
    for (size_t i = 0; i < node.arity; ++i) {
      if (node.flat && stack_[other.base + i].is(absent())) mismatch(absent_node(), stack_[other.base + i], i);
      if (node.flat)
        out.push_back(std::move(stack_[other.base + i]));
      else
        up_to(nb::object(stack_[other.base + i]), out);
    }
    stack_.resize(other.base);
  }

  void spread(nb::handle object, Leaves& out) {
    const Node& node = nodes_[node_++];
    Class cls = classify_prefix(object);
    if (cls.kind == Kind::Leaf) {
      out.insert(out.end(), node.leaves, nb::borrow(object));
      node_ += node.nodes - 1;
      return;
    }
    RecursionGuard guard;
    Opened other = open(object, cls);
    align(node, other, object);
    for (size_t i = 0; i < node.arity; ++i) {
      nb::object item = stack_[other.base + i];
      if (!node.flat) {
        spread(item, out);
      } else {
        Class item_class = classify_prefix(item);
        if (item_class.kind != Kind::Leaf) {
          Opened inner = open(item, item_class);
          mismatch(inner.node, item, i);
        }
        out.push_back(std::move(item));
      }
    }
    stack_.resize(other.base);
  }

 private:
  Class classify_prefix(nb::handle object) {
    if (options_.is_leaf && nb::cast<bool>(options_.is_leaf(object))) return {Kind::Leaf};
    Class cls = classify(object.ptr());
    if (cls.kind == Kind::None && options_.none_is_leaf) return {Kind::Leaf};
    return cls;
  }

  Opened open(nb::handle object, Class cls) {
    Opened opened;
    opened.node.kind = cls.kind;
    opened.base = stack_.size();
    expand(object.ptr(), cls, stack_, opened.node.record);
    opened.node.arity = uint32_t(stack_.size() - opened.base);
    return opened;
  }

  // Check that `other` has the children that `node` has and bring them into its order.
  void align(const Node& node, const Opened& other, nb::handle object) {
    if (node.arity != other.node.arity) mismatch(other.node, object);
    if (is_dict(node.kind) && is_dict(other.node.kind)) {
      const Record &mine = *node.record, &theirs = *other.node.record;
      if (&mine == &theirs || mine.keys.is(theirs.keys)) return;
      if (mine.keys.equal(theirs.keys)) return;
      nb::dict values;
      for (size_t i = 0; i < node.arity; ++i)
        values[nb::handle(tuple_item(theirs.keys.ptr(), i))] = stack_[other.base + i];
      for (size_t i = 0; i < node.arity; ++i) {
        PyObject* value = PyDict_GetItemWithError(values.ptr(), tuple_item(mine.keys.ptr(), i));
        if (!value && PyErr_Occurred()) throw nb::python_error();
        if (!value) mismatch(other.node, object);
        stack_[other.base + i] = nb::borrow(value);
      }
      return;
    }
    if (is_sequence(node.kind) && is_sequence(other.node.kind)) return;
    if (node.kind != other.node.kind || !records_equal(node.record.get(), other.node.record.get()))
      mismatch(other.node, object);
  }

  // The node just entered, or the leaf that is its i-th child, differs from `object`.
  [[noreturn]] void mismatch(const Node& other, nb::handle object, size_t leaf_child = size_t(-1)) {
    size_t at = node_ - 1;
    const Node& node = nodes_[at];
    std::string path = treedef_.path_of_node(at);
    std::string mine = describe(node, {});
    if (leaf_child != size_t(-1)) {
      append_key(path, key_of(node, leaf_child));
      mine = "a leaf";
    }
    std::string where = path.empty() ? "at the root" : "at " + path;
    std::string text =
        std::string(what_) + ": the trees differ " + where + ": expected " + mine + ", got " + describe(other, object);
    PyErr_SetObject(PyExc_ValueError, as_str(text).ptr());
    throw nb::python_error();
  }

  const TreeDef& treedef_;
  std::span<const Node> nodes_;
  std::string_view what_;
  FlattenOptions options_;
  size_t node_ = 0;
  Leaves stack_;
};

}  // namespace

void flatten_up_to(const TreeDef& treedef, nb::handle tree, Leaves& subtrees, std::string_view what) {
  Matcher(treedef, what, {}).up_to(tree, subtrees);
}

void broadcast_prefix(nb::handle prefix, const TreeDef& treedef, Leaves& leaves, std::string_view what,
                      const FlattenOptions& options) {
  Matcher(treedef, what, options).spread(prefix, leaves);
}

}  // namespace funcnn::pytree
