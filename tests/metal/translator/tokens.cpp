#include "tokens.h"

#include <cctype>

namespace software_metal {
namespace {

bool starts_word(char c) { return std::isalpha(static_cast<unsigned char>(c)) || c == '_'; }
bool in_word(char c) { return starts_word(c) || std::isdigit(static_cast<unsigned char>(c)); }

constexpr std::string_view kSymbols[] = {"<<=", ">>=", "...", "::", "->", "++", "--", "&&", "||", "+=", "-=", "*=",
                                         "/=",  "%=",  "&=",  "|=", "^=", "!=", "==", "<=", ">=", "<<", "##"};

size_t end_of_quoted(std::string_view s, size_t i) {
  const char quote = s[i];
  for (++i; i < s.size() && s[i] != quote; ++i)
    if (s[i] == '\\') ++i;
  return std::min(i + 1, s.size());
}

// A pp-number: digits, letters, dots, signs after an exponent's letter, separators.
size_t end_of_number(std::string_view s, size_t i) {
  for (++i; i < s.size(); ++i) {
    char c = s[i], before = s[i - 1];
    if ((c == '+' || c == '-') && (before == 'e' || before == 'E' || before == 'p' || before == 'P')) continue;
    if (!in_word(c) && c != '.' && c != '\'') break;
  }
  return i;
}

}  // namespace

std::vector<Token> tokenize(std::string_view s) {
  std::vector<Token> tokens;
  bool line_start = true;
  for (size_t i = 0; i < s.size();) {
    size_t begin = i;
    Token::Kind kind;
    char c = s[i];
    if (std::isspace(static_cast<unsigned char>(c))) {
      while (i < s.size() && std::isspace(static_cast<unsigned char>(s[i]))) line_start |= s[i++] == '\n';
      tokens.push_back({Token::space, std::string(s.substr(begin, i - begin))});
      continue;
    }
    if (c == '#' && line_start) {
      while (i < s.size() && s[i] != '\n') ++i;
      kind = Token::directive;
    } else if (c == '"' || c == '\'') {
      i = end_of_quoted(s, i);
      kind = Token::literal;
    } else if (std::isdigit(static_cast<unsigned char>(c)) ||
               (c == '.' && i + 1 < s.size() && std::isdigit(static_cast<unsigned char>(s[i + 1])))) {
      i = end_of_number(s, i);
      kind = Token::number;
    } else if (starts_word(c)) {
      while (i < s.size() && in_word(s[i])) ++i;
      kind = Token::word;
    } else {
      i = begin + 1;
      for (std::string_view symbol : kSymbols)
        if (s.substr(begin, symbol.size()) == symbol) {
          i = begin + symbol.size();
          break;
        }
      // A >> may close two lists of template arguments.
      if (s.substr(begin, i - begin) == ">>") i = begin + 1;
      kind = Token::symbol;
    }
    line_start = false;
    tokens.push_back({kind, std::string(s.substr(begin, i - begin))});
  }
  return tokens;
}

const std::string& Tokens::operator[](int i) const {
  static const std::string none;
  return i >= 0 && i < size() ? all_[code_[size_t(i)]].text : none;
}

void Tokens::erase(int begin, int end) {
  for (int i = begin; i < end; ++i) put(i, "");
}

void Tokens::renumber() {
  code_.clear();
  for (size_t i = 0; i < all_.size(); ++i)
    if (all_[i].kind > Token::directive && !all_[i].text.empty()) code_.push_back(i);
}

std::string Tokens::str() const {
  std::string out;
  for (const Token& token : all_) out += token.text;
  return out;
}

std::string Tokens::joined(int begin, int end) const {
  std::string out;
  for (int i = begin; i < end; ++i) {
    if ((*this)[i].empty()) continue;
    if (!out.empty()) out += ' ';
    out += (*this)[i];
  }
  return out;
}

int Tokens::closing(int i) const {
  const std::string open = (*this)[i], close = open == "(" ? ")" : open == "[" ? "]" : "}";
  for (int depth = 0; i < size(); ++i) {
    if ((*this)[i] == open) ++depth;
    if ((*this)[i] == close && --depth == 0) return i;
  }
  throw TranslationError("a " + open + " has no " + close);
}

int Tokens::closing_angle(int i) const {
  for (int depth = 0, inside = 0; i < size(); ++i) {
    const std::string& t = (*this)[i];
    if (t == "(" || t == "[" || t == "{") ++inside;
    if (t == ")" || t == "]" || t == "}")
      if (--inside < 0) return -1;
    if (t == ";") return -1;
    if (inside) continue;
    if (t == "<") ++depth;
    if (t == ">" && --depth == 0) return i;
  }
  return -1;
}

std::vector<std::pair<int, int>> Tokens::split(int begin, int end) const {
  std::vector<std::pair<int, int>> parts;
  int inside = 0, from = begin;
  for (int i = begin; i < end; ++i) {
    const std::string& t = (*this)[i];
    if (t == "(" || t == "[" || t == "{" || t == "<") ++inside;
    if (t == ")" || t == "]" || t == "}" || t == ">") --inside;
    if (t == "," && inside == 0) {
      parts.emplace_back(from, i);
      from = i + 1;
    }
  }
  if (from < end) parts.emplace_back(from, end);
  return parts;
}

}  // namespace software_metal
