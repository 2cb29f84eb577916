// Globs over paths. The parts of a glob are states of an automaton that reads keys, so nothing is ever tried twice.
#include "pytree/container.h"
#include "pytree/pytree.h"

namespace funcnn::pytree {
namespace {

[[noreturn]] void malformed(std::string_view glob, const char* what) {
  PyErr_SetObject(PyExc_ValueError, as_str("the glob '" + std::string(glob) + "' " + what).ptr());
  throw nb::python_error();
}

struct Token {
  enum Kind : uint8_t { literal, one, run } kind;
  char byte = 0;  // of a literal
};

// What one key has to look like; `any` stands for any number of keys.
struct Part {
  bool any = false;
  std::vector<Token> tokens;
};

std::vector<Part> parse(std::string_view glob) {
  std::vector<Part> parts;
  if (glob.empty()) return parts;
  size_t begin = 0;
  auto finish = [&](size_t end) {
    std::string_view text = glob.substr(begin, end - begin);
    if (text.empty()) malformed(glob, "has an empty key; write \\e for a key that is the empty text");
    Part part;
    part.any = text == "**";
    for (size_t i = 0; i < text.size() && !part.any; ++i) {
      if (text[i] == '*') {
        if (part.tokens.empty() || part.tokens.back().kind != Token::run) part.tokens.push_back({Token::run});
      } else if (text[i] == '?') {
        part.tokens.push_back({Token::one});
      } else if (text[i] != '\\') {
        part.tokens.push_back({Token::literal, text[i]});
      } else if (text == "\\e") {
        break;
      } else {
        char c = text[++i];
        if (std::string_view(".\\*?").find(c) == std::string_view::npos)
          malformed(glob, "has a backslash that stands before none of . \\ * ?; write two for a backslash in a key");
        part.tokens.push_back({Token::literal, c});
      }
    }
    parts.push_back(std::move(part));
  };
  for (size_t i = 0; i < glob.size(); ++i) {
    if (glob[i] == '\\') {
      if (++i == glob.size()) malformed(glob, "ends in a backslash; write two for a backslash in a key");
    } else if (glob[i] == '.') {
      finish(i);
      begin = i + 1;
    }
  }
  finish(glob.size());
  return parts;
}

// Match what stands between two runs of anything at the first place where it fits: a later one leaves less for the
// rest.
bool matches(const Part& part, std::string_view key) {
  const std::vector<Token>& tokens = part.tokens;
  size_t at = 0, token = 0;
  size_t run = size_t(-1), retry = 0;  // the last run, and where in the key what follows it was tried
  auto after = [&](size_t i) {         // the next code point
    do ++i;
    while (i < key.size() && (uint8_t(key[i]) & 0xc0) == 0x80);
    return i;
  };
  while (at < key.size()) {
    if (token < tokens.size() && tokens[token].kind == Token::run) {
      run = token++;
      retry = at;
    } else if (token < tokens.size() && tokens[token].kind == Token::one) {
      at = after(at);
      ++token;
    } else if (token < tokens.size() && tokens[token].byte == key[at]) {
      ++at;
      ++token;
    } else if (run != size_t(-1)) {
      at = retry = after(retry);
      token = run + 1;
    } else {
      return false;
    }
  }
  while (token < tokens.size() && tokens[token].kind == Token::run) ++token;
  return token == tokens.size();
}

class Matcher {
 public:
  Matcher(std::span<const Node> nodes, std::vector<Part> parts) : nodes_(nodes), parts_(std::move(parts)) {}

  void all(std::vector<bool>& out) {
    States start(parts_.size() + 1);
    enter(start, 0);
    walk(start, out);
  }

 private:
  // By part: whether it is the next one to match. The last stands for "all matched".
  using States = std::vector<bool>;

  void enter(States& states, size_t part) const {
    states[part] = true;
    if (part < parts_.size() && parts_[part].any) enter(states, part + 1);
  }

  States read(const States& states, const std::string& key) const {
    States next(states.size());
    for (size_t i = 0; i < parts_.size(); ++i) {
      if (!states[i]) continue;
      if (parts_[i].any)
        enter(next, i);
      else if (matches(parts_[i], key))
        enter(next, i + 1);
    }
    return next;
  }

  void walk(const States& states, std::vector<bool>& out) {
    const Node& node = nodes_[node_++];
    if (node.kind == Kind::Leaf) return out.push_back(states.back());
    RecursionGuard guard;
    for (size_t i = 0; i < node.arity; ++i) {
      States next = read(states, key_text(key_of(node, i)));
      if (node.flat)
        out.push_back(next.back());
      else
        walk(next, out);
    }
  }

  std::span<const Node> nodes_;
  std::vector<Part> parts_;
  size_t node_ = 0;
};

}  // namespace

std::vector<bool> match_glob(const TreeDef& treedef, std::string_view glob) {
  std::vector<bool> result;
  result.reserve(treedef.num_leaves());
  Matcher(treedef.nodes(), parse(glob)).all(result);
  return result;
}

}  // namespace funcnn::pytree
