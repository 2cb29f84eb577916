// A translation unit as tokens, which passes look at and rewrite in place.
#pragma once

#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace software_metal {

class TranslationError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

struct Token {
  enum Kind : unsigned char { space, directive, literal, number, word, symbol };
  Kind kind;
  std::string text;
};

std::vector<Token> tokenize(std::string_view source);

// The tokens that are code, numbered without white space and directives. Reading outside gives "".
class Tokens {
 public:
  explicit Tokens(std::string_view source) : all_(tokenize(source)) { renumber(); }

  int size() const { return int(code_.size()); }
  const std::string& operator[](int i) const;
  Token::Kind kind(int i) const { return all_[code_[size_t(i)]].kind; }
  bool adjacent(int i) const { return code_[size_t(i)] + 1 == code_[size_t(i) + 1]; }  // no space after it

  void put(int i, std::string text) { all_[code_[size_t(i)]].text = std::move(text); }
  void erase(int begin, int end);
  // Leave erased tokens out of the numbering.
  void renumber();
  std::string str() const;

  // Code of [begin, end), with single spaces.
  std::string joined(int begin, int end) const;
  // The partner of the bracket at i.
  int closing(int i) const;
  // The > that ends the template arguments opened at i; -1: i is a comparison.
  int closing_angle(int i) const;
  // [begin, end) split at commas outside brackets.
  std::vector<std::pair<int, int>> split(int begin, int end) const;
  // Whether [[ starts at i.
  bool attribute(int i) const { return (*this)[i] == "[" && (*this)[i + 1] == "[" && adjacent(i); }

 private:
  std::vector<Token> all_;
  std::vector<size_t> code_;
};

}  // namespace software_metal
