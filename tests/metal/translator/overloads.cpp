#include "overloads.h"

#include <algorithm>
#include <set>

namespace software_metal {
namespace {

// A namespace or class whose declarations are being looked at.
struct Scope {
  bool is_class;
  std::set<std::string> seen;  // declarations without address spaces
};

class Walk {
 public:
  explicit Walk(Tokens& tokens) : t_(tokens) { scopes_.push_back({false, {}}); }

  void run() {
    while (at_ < t_.size()) step();
  }

 private:
  void step() {
    const std::string& token = t_[at_];
    if (token == "}") {
      if (scopes_.size() > 1) scopes_.pop_back();
      begin_ = ++at_;
    } else if (token == ";" || (token == ":" && is_access(t_[at_ - 1]))) {
      begin_ = ++at_;
    } else if (token == "template" && t_[at_ + 1] == "<") {
      int end = t_.closing_angle(at_ + 1);
      at_ = (end < 0 ? at_ + 1 : end) + 1;
    } else if (token == "(") {
      parenthesis();
    } else if (token == "{") {
      brace();
    } else {
      ++at_;
    }
  }

  // Perhaps the parameters of a function.
  void parenthesis() {
    int after = t_.closing(at_) + 1;
    if (t_[after] == "(") after = t_.closing(after) + 1;  // operator()(...)
    while (t_[after] == "const" || t_[after] == "noexcept" || is_address_space(t_[after])) ++after;
    const std::string& next = t_[after];
    static const std::set<std::string> not_functions{"decltype", "alignas", "__attribute__", "static_assert"};
    bool function =
        (next == "{" || next == ":" || next == ";" || next == "=") && begin_ < at_ && !not_functions.count(t_[at_ - 1]);
    if (function && next == "=" && mentions(begin_, at_, "constexpr") && !mentions(begin_, at_, "operator"))
      function = false;  // constexpr int x(...) = ...
    if (!function) {
      at_ = t_.closing(at_) + 1;
      return;
    }
    int body = after;
    while (body < t_.size() && t_[body] != "{" && t_[body] != ";")
      body = t_[body] == "(" ? t_.closing(body) + 1 : body + 1;
    int end = (t_[body] == "{" ? t_.closing(body) : body) + 1;
    if (repeats(begin_, after)) t_.erase(begin_, end);
    at_ = begin_ = end;
  }

  void brace() {
    if (mentions(begin_, at_, "namespace") || mentions(begin_, at_, "extern")) {
      scopes_.push_back({false, {}});
    } else if (mentions(begin_, at_, "struct") || mentions(begin_, at_, "class") || mentions(begin_, at_, "union")) {
      if (repeats(begin_, at_)) {
        int end = t_.closing(at_) + 1;
        t_.erase(begin_, end);
        at_ = begin_ = end;
        return;
      }
      scopes_.push_back({true, {}});
    } else {
      at_ = t_.closing(at_) + 1;
      return;
    }
    begin_ = ++at_;
  }

  // Whether a declaration with address spaces was seen before with others.
  bool repeats(int begin, int end) {
    std::string plain;
    bool spaces = false;
    for (int i = begin; i < end; ++i) {
      if (is_address_space(t_[i]))
        spaces = true;
      else
        plain += t_[i] + " ";
    }
    return !scopes_.back().seen.insert(plain).second && spaces;
  }
  bool mentions(int begin, int end, const char* word) const {
    for (int i = begin; i < end; ++i)
      if (t_[i] == word) return true;
    return false;
  }
  static bool is_access(const std::string& word) {
    return word == "public" || word == "private" || word == "protected";
  }

  Tokens& t_;
  std::vector<Scope> scopes_;
  int at_ = 0, begin_ = 0;  // of the declaration
};

}  // namespace

bool is_address_space(const std::string& word) {
  return word == "device" || word == "threadgroup" || word == "thread" || word == "constant";
}

void drop_overloads_by_address_space(Tokens& tokens) {
  Walk(tokens).run();
  tokens.renumber();
}

}  // namespace software_metal
