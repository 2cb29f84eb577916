#include "condition.h"

#include <cstdlib>
#include <map>

namespace software_metal {
namespace {

// By precedence climbing.
class Evaluation {
 public:
  explicit Evaluation(const std::vector<Token>& tokens) {
    for (const Token& token : tokens)
      if (token.kind != Token::space) tokens_.push_back(token);
    // The tokenizer splits >> for templates.
    for (size_t i = 0; i + 1 < tokens_.size(); ++i)
      if (tokens_[i].text == ">" && tokens_[i + 1].text == ">") {
        tokens_[i].text = ">>";
        tokens_.erase(tokens_.begin() + long(i) + 1);
      }
  }

  long value() {
    long result = choice();
    if (at_ < tokens_.size()) fail();
    return result;
  }

 private:
  [[noreturn]] static void fail() { throw TranslationError("a condition of #if is not understood"); }
  const std::string& peek() const {
    static const std::string none;
    return at_ < tokens_.size() ? tokens_[at_].text : none;
  }
  bool take(const char* text) {
    if (peek() != text) return false;
    ++at_;
    return true;
  }

  long choice() {
    long condition = binary(1);
    if (!take("?")) return condition;
    long yes = choice();
    if (!take(":")) fail();
    long no = choice();
    return condition ? yes : no;
  }

  static int precedence(const std::string& op) {
    static const std::map<std::string, int> levels{{"||", 1}, {"&&", 2}, {"|", 3}, {"^", 4},  {"&", 5},  {"==", 6},
                                                   {"!=", 6}, {"<", 7},  {">", 7}, {"<=", 7}, {">=", 7}, {"<<", 8},
                                                   {">>", 8}, {"+", 9},  {"-", 9}, {"*", 10}, {"/", 10}, {"%", 10}};
    auto it = levels.find(op);
    return it == levels.end() ? 0 : it->second;
  }

  long binary(int least) {
    long left = unary();
    for (;;) {
      const std::string op = peek();
      const int level = precedence(op);
      if (!level || level < least) return left;
      ++at_;
      left = apply(op, left, binary(level + 1));
    }
  }

  static long apply(const std::string& op, long a, long b) {
    if (op == "||") return a || b;
    if (op == "&&") return a && b;
    if (op == "|") return a | b;
    if (op == "^") return a ^ b;
    if (op == "&") return a & b;
    if (op == "==") return a == b;
    if (op == "!=") return a != b;
    if (op == "<") return a < b;
    if (op == ">") return a > b;
    if (op == "<=") return a <= b;
    if (op == ">=") return a >= b;
    if (op == "<<") return b >= 0 && b < 64 ? long(static_cast<unsigned long>(a) << b) : 0;
    if (op == ">>") return a >> (b >= 0 && b < 63 ? b : 63);
    if (op == "+") return a + b;
    if (op == "-") return a - b;
    if (op == "*") return a * b;
    if (b == 0) return 0;  // in a branch that is not taken, or a mistake that nobody can miss
    return op == "/" ? a / b : a % b;
  }

  long unary() {
    if (take("!")) return !unary();
    if (take("~")) return ~unary();
    if (take("-")) return -unary();
    if (take("+")) return unary();
    if (take("(")) {
      long inside = choice();
      if (!take(")")) fail();
      return inside;
    }
    if (at_ >= tokens_.size()) fail();
    const Token& token = tokens_[at_++];
    if (token.kind == Token::number) return long(std::strtoull(token.text.c_str(), nullptr, 0));
    if (token.kind == Token::word) return token.text == "true";
    fail();
  }

  std::vector<Token> tokens_;
  size_t at_ = 0;
};

}  // namespace

bool condition_holds(const std::vector<Token>& tokens) { return Evaluation(tokens).value() != 0; }

}  // namespace software_metal
