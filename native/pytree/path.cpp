// Paths: the keys from the root of a tree to a node of it, as one text.
#include "pytree/container.h"
#include "pytree/pytree.h"

namespace funcnn::pytree {
namespace {

class PathWalker {
 public:
  explicit PathWalker(std::span<const Node> nodes) : nodes_(nodes) {}

  void all(std::vector<std::string>& out) {
    const Node& node = nodes_[node_++];
    if (node.kind == Kind::Leaf) return out.push_back(path_);
    RecursionGuard guard;
    size_t length = path_.size();
    for (size_t i = 0; i < node.arity; ++i) {
      append_key(path_, key_of(node, i));
      if (node.flat)
        out.push_back(path_);
      else
        all(out);
      path_.resize(length);
    }
  }

 private:
  std::span<const Node> nodes_;
  size_t node_ = 0;
  std::string path_;
};

[[noreturn]] void malformed(std::string_view path, const char* what) {
  PyErr_SetObject(PyExc_ValueError, as_str("the path '" + std::string(path) + "' " + what).ptr());
  throw nb::python_error();
}

}  // namespace

nb::object as_str(std::string_view text) {
  return owned(PyUnicode_DecodeUTF8(text.data(), Py_ssize_t(text.size()), "surrogatepass"));
}

std::string as_utf8(nb::handle str) {
  Py_ssize_t size;
  if (const char* text = PyUnicode_AsUTF8AndSize(str.ptr(), &size)) return std::string(text, size_t(size));
  PyErr_Clear();  // a lone surrogate
  nb::object bytes = owned(PyUnicode_AsEncodedString(str.ptr(), "utf-8", "surrogatepass"));
  char* data;
  if (PyBytes_AsStringAndSize(bytes.ptr(), &data, &size) < 0) throw nb::python_error();
  return std::string(data, size_t(size));
}

std::string key_text(nb::handle key) {
  if (PyUnicode_Check(key.ptr())) return as_utf8(key);
  if (PyLong_Check(key.ptr()) && !PyBool_Check(key.ptr())) return as_utf8(owned(PyNumber_ToBase(key.ptr(), 10)));
  return as_utf8(nb::str(key));
}

void append_key(std::string& path, nb::handle key) {
  if (!path.empty()) path += '.';
  std::string text = key_text(key);
  if (text.empty()) path += "\\e";
  for (char c : text) {
    if (c == '.' || c == '\\') path += '\\';
    path += c;
  }
}

std::vector<std::string> split_path(std::string_view path) {
  std::vector<std::string> keys;
  if (path.empty()) return keys;
  keys.emplace_back();
  bool empty = true;  // nothing of this key has been read
  auto finish = [&] {
    if (empty) malformed(path, "has an empty key; write \\e for a key that is the empty text");
  };
  for (size_t i = 0; i < path.size(); ++i) {
    char c = path[i];
    if (c == '.') {
      finish();
      keys.emplace_back();
      empty = true;
      continue;
    }
    if (c == '\\') {
      c = ++i < path.size() ? path[i] : '\0';
      if (c != '.' && c != '\\' && c != 'e')
        malformed(path, "has a backslash that stands before none of . \\ e; write two for a backslash in a key");
      if (c == 'e') {
        bool alone = empty && (i + 1 == path.size() || path[i + 1] == '.');
        if (!alone) malformed(path, "has \\e, the empty text, beside others in a key");
        empty = false;
        continue;
      }
    }
    keys.back() += c;
    empty = false;
  }
  finish();
  return keys;
}

std::vector<std::string> TreeDef::paths() const {
  std::vector<std::string> result;
  result.reserve(num_leaves());
  PathWalker(nodes()).all(result);
  return result;
}

std::string TreeDef::path_of_leaf(size_t leaf) const {
  std::string path;
  for (size_t at = 0; nodes()[at].kind != Kind::Leaf;) {
    const Node& node = nodes()[at++];
    size_t child = 0;
    if (node.flat)
      child = leaf;
    else
      for (; leaf >= nodes()[at].leaves; ++child) {
        leaf -= nodes()[at].leaves;
        at += nodes()[at].nodes;
      }
    append_key(path, key_of(node, child));
    if (node.flat) break;
  }
  return path;
}

std::string TreeDef::path_of_node(size_t target) const {
  std::string path;
  for (size_t at = 0; at != target;) {
    const Node& node = nodes()[at++];
    size_t child = 0;
    for (; target >= at + nodes()[at].nodes; ++child) at += nodes()[at].nodes;
    append_key(path, key_of(node, child));
  }
  return path;
}

}  // namespace funcnn::pytree
