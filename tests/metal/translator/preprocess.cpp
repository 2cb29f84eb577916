#include "preprocess.h"

#include <algorithm>
#include <vector>

#include "condition.h"
#include "macros.h"
#include "standard_macros.h"

namespace software_metal {
namespace {

// Lines joined at a backslash, comments as spaces; line breaks of both move behind.
std::string plain(const std::string& source) {
  std::string out;
  size_t owed = 0;  // line breaks that were taken out
  for (size_t i = 0; i < source.size(); ++i) {
    const char c = source[i], next = i + 1 < source.size() ? source[i + 1] : '\0';
    if (c == '\\' && next == '\n') {
      ++owed;
      ++i;
    } else if (c == '/' && next == '/') {
      while (i < source.size() && source[i] != '\n') ++i;
      --i;
    } else if (c == '/' && next == '*') {
      size_t end = source.find("*/", i + 2);
      if (end == std::string::npos) throw TranslationError("a comment does not end");
      owed += size_t(std::count(source.begin() + long(i), source.begin() + long(end), '\n'));
      out += ' ';
      i = end + 1;
    } else if (c == '"' || c == '\'') {
      // Not the separator of digits.
      const bool separator = c == '\'' && i > 0 && std::isalnum(static_cast<unsigned char>(source[i - 1]));
      size_t end = i + 1;
      if (!separator)
        while (end < source.size() && source[end] != c && source[end] != '\n') end += source[end] == '\\' ? 2 : 1;
      out.append(source, i, std::min(end + 1, source.size()) - i - (separator ? 1 : 0));
      i = separator ? i : end;
    } else if (c == '\n') {
      out.append(owed + 1, '\n');
      owed = 0;
    } else {
      out += c;
    }
  }
  return out + "\n";
}

class Preprocessor {
 public:
  explicit Preprocessor(const Definitions& definitions) {
    for (const char* definition : kStandardMacros) macros_.define(definition);
    for (const auto& [name, value] : definitions) macros_.define(name + " " + value);
  }

  std::string run(const std::string& source) {
    const std::string text = plain(source);
    for (size_t begin = 0; begin < text.size();) {
      size_t end = text.find('\n', begin);
      std::string line = text.substr(begin, end - begin);
      size_t first = line.find_first_not_of(" \t\r");
      if (first != std::string::npos && line[first] == '#') {
        flush();
        directive(line.substr(first + 1));
        out_ += '\n';
        ++line_;
      } else {
        pending_ += active() ? line + "\n" : "\n";
        if (!active()) flush();
      }
      begin = end + 1;
    }
    flush();
    if (!branches_.empty()) fail("an #if has no #endif");
    return out_;
  }

 private:
  struct Branch {
    bool outer, taken, now;  // whether code around it counts, a branch was taken, this one is
  };

  [[noreturn]] void fail(const std::string& what) const {
    throw TranslationError("program_source:" + std::to_string(line_) + ": error: " + what);
  }
  bool active() const { return branches_.empty() || branches_.back().now; }

  // Code up to the next directive, macros expanded.
  void flush() {
    for (const Token& token : macros_.expand(tokenize(pending_), line_)) out_ += token.text;
    pending_.clear();
  }

  bool holds(const std::string& text) {
    std::vector<Token> tokens = tokenize(text), plain;
    for (size_t i = 0; i < tokens.size(); ++i) {
      if (tokens[i].text != "defined" && tokens[i].text != "__has_include") {
        plain.push_back(tokens[i]);
        continue;
      }
      const bool is_defined = tokens[i].text == "defined";
      auto skip = [&] {
        do ++i;
        while (i < tokens.size() && tokens[i].kind == Token::space);
      };
      skip();
      const bool brackets = i < tokens.size() && tokens[i].text == "(";
      if (brackets) skip();
      if (i >= tokens.size()) fail("`defined` without a name");
      plain.push_back({Token::number, is_defined && macros_.defined(tokens[i].text) ? "1" : "0"});
      if (brackets)
        while (i < tokens.size() && tokens[i].text != ")") ++i;
    }
    int line = line_;
    return condition_holds(macros_.expand(plain, line));
  }

  void directive(const std::string& text) {
    size_t begin = text.find_first_not_of(" \t\r");
    if (begin == std::string::npos) return;
    size_t end = begin;
    while (end < text.size() && std::isalnum(static_cast<unsigned char>(text[end]))) ++end;
    const std::string name = text.substr(begin, end - begin), rest = text.substr(end);
    if (conditional(name, rest) || !active()) return;
    if (name == "define") return macros_.define(rest);
    if (name == "undef") return macros_.undefine(word(rest));
    if (name == "include" || name == "import") return include(rest);
    if (name == "pragma") {
      out_ += "#pragma" + rest;
      return;
    }
    if (name == "line" || name == "warning") return;
    if (name == "error") fail("#error" + rest);
    fail("#" + name + " is not understood");
  }

  bool conditional(const std::string& name, const std::string& rest) {
    if (name == "if" || name == "ifdef" || name == "ifndef") {
      const bool outer = active();
      const bool now = outer && (name == "if" ? holds(rest) : macros_.defined(word(rest)) == (name == "ifdef"));
      branches_.push_back({outer, now, now});
      return true;
    }
    if (name != "elif" && name != "else" && name != "endif") return false;
    if (branches_.empty()) fail("#" + name + " without an #if");
    Branch& branch = branches_.back();
    if (name == "endif") {
      branches_.pop_back();
    } else {
      branch.now = branch.outer && !branch.taken && (name == "else" || holds(rest));
      branch.taken |= branch.now;
    }
    return true;
  }

  // Headers of Metal's are in the shim; others do not exist for a program that is compiled from a string.
  void include(const std::string& rest) const {
    size_t begin = rest.find_first_of("<\"");
    if (begin == std::string::npos) fail("#include without a header");
    const std::string header = rest.substr(begin + 1, rest.find_first_of(">\"", begin + 1) - begin - 1);
    if (header.rfind("metal", 0) != 0 && header.rfind("simd/", 0) != 0) fail("'" + header + "' file not found");
  }

  static std::string word(const std::string& text) {
    for (const Token& token : tokenize(text))
      if (token.kind == Token::word) return token.text;
    return {};
  }

  Macros macros_;
  std::vector<Branch> branches_;
  std::string pending_, out_;
  int line_ = 1;
};

}  // namespace

std::string preprocess(const std::string& source, const Definitions& definitions) {
  return Preprocessor(definitions).run(source);
}

}  // namespace software_metal
