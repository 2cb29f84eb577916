// Macros and their expansion.
#pragma once

#include <map>
#include <set>
#include <string>
#include <vector>

#include "tokens.h"

namespace software_metal {

struct Macro {
  bool function = false, variadic = false;
  std::vector<std::string> parameters;  // the last is __VA_ARGS__ where it is variadic
  std::vector<Token> body;
};

class Macros {
 public:
  // What follows #define.
  void define(const std::string& text);
  void undefine(const std::string& name) { all_.erase(name); }
  bool defined(const std::string& name) const { return all_.count(name) != 0; }

  // With all macros expanded but those in `hidden`, which are being expanded. `line` is that of the first token.
  std::vector<Token> expand(const std::vector<Token>& tokens, int& line,
                            const std::set<std::string>& hidden = {}) const;

 private:
  std::vector<Token> substitute(const Macro& macro, const std::vector<std::vector<Token>>& arguments, int line,
                                const std::set<std::string>& hidden) const;
  std::map<std::string, Macro> all_;
};

}  // namespace software_metal
