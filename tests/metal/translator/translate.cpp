#include "translate.h"

#include <cctype>

#include "kernels.h"
#include "overloads.h"
#include "tokens.h"

namespace software_metal {
namespace {

bool is_digits(const std::string& s) {
  for (char c : s)
    if (!std::isdigit(static_cast<unsigned char>(c))) return false;
  return !s.empty();
}

// constant T x [[function_constant(3)]];  ->  a static that asks the device when the library is loaded.
// All other attributes go.
void rewrite_attributes(Tokens& t) {
  for (int i = 0; i < t.size(); ++i) {
    if (!t.attribute(i)) continue;
    int end;
    std::string constant;
    for (const std::string& item : attribute_items(t, i, end))
      if (item.rfind("function_constant ( ", 0) == 0) constant = item.substr(20, item.size() - 22);
    if (!is_digits(constant) || t[end] != ";") {
      t.erase(i, end);
      i = end - 1;
      continue;
    }
    int begin = i;
    while (begin > 0 && t[begin - 1] != ";" && t[begin - 1] != "}" && t[begin - 1] != "{") --begin;
    const std::string name = t[i - 1];
    std::string type;
    for (int k = begin; k < i - 1; ++k)
      if (t[k] != "constant" && t[k] != "static" && t[k] != "const" && t[k] != "constexpr") type += t[k] + " ";
    t.erase(begin, end);
    t.put(begin, "static bool " + name + "_is_defined; static const " + type + name +
                     " = software_metal::function_constant<" + type + ">(" + constant + ", " + name + "_is_defined)");
    i = end;
  }
  t.renumber();
}

// Whether a declaration may start at i.
bool begins_statement(const Tokens& t, int i) {
  const std::string& before = t[i - 1];
  return before.empty() || before == ";" || before == "{" || before == "}" || before == ":" || before == ")";
}

// threadgroup T a[32], b;
struct SharedDeclaration {
  std::string type;
  int names, end;  // where the first name is, and the semicolon
};

// Of `threadgroup` at i, if what follows declares variables and no pointer, reference, parameter or function.
bool find_shared_declaration(Tokens& t, int i, SharedDeclaration& found) {
  std::string alignment;
  int angles = 0, at = i + 1;
  for (; at < t.size(); ++at) {
    const std::string& token = t[at];
    if (token == "alignas" && t[at + 1] == "(") {
      int end = t.closing(at + 1) + 1;
      alignment += t.joined(at, end) + " ";
      t.erase(at, end);
      at = end - 1;
      continue;
    }
    if (token == "<") ++angles;
    if (token == ">") --angles;
    if (angles || token == ">" || token.empty()) continue;
    if (token == "[" || token == ";" || token == "=" || token == ",") break;
    if (t.kind(at) != Token::word && token != "::") return false;
  }
  found.names = at - 1;
  found.type = alignment + "typedef " + t.joined(i + 1, found.names);
  found.end = at;
  while (found.end < t.size() && t[found.end] != ";") ++found.end;
  return true;
}

// They become references into the memory of the threadgroup.
void rewrite_shared_variables(Tokens& t) {
  int count = 0;
  for (int i = 0; i < t.size(); ++i) {
    if (t[i] != "threadgroup") continue;
    int begin = i;
    while (t[begin - 1] == "const" || t[begin - 1] == "static") --begin;
    SharedDeclaration declaration;
    if (!begins_statement(t, begin) || !find_shared_declaration(t, i, declaration)) continue;
    std::string out;
    for (auto [from, to] : t.split(declaration.names, declaration.end)) {
      int dimensions = from + 1;
      while (dimensions < to && t[dimensions] == "[") dimensions = t.closing(dimensions) + 1;
      const std::string name = t[from], number = std::to_string(count++);
      const std::string type = "shared_type_" + number, id = "shared_id_" + number;
      out += out.empty() ? "" : "; ";
      out += declaration.type + " " + type + t.joined(from + 1, dimensions) + "; static const char " + id + " = 0; ";
      out += type + "& " + name + " = *(" + type + "*)software_metal_shared(&" + id + ", \"" + name + "\", sizeof(" +
             type + "), alignof(" + type + "))";
    }
    t.erase(begin, declaration.end);
    t.put(begin, out);
    i = declaration.end;
  }
  t.renumber();
}

// Literals of reals are floats, or halves.
std::string rewritten_number(const std::string& number) {
  const bool hexadecimal = number.size() > 1 && (number[1] == 'x' || number[1] == 'X');
  if (hexadecimal) {
    bool exponent = number.find_first_of("pP") != std::string::npos;
    return exponent && number.back() != 'f' && number.back() != 'F' ? number + "f" : number;
  }
  size_t digits = number.find_last_of("0123456789.");
  std::string value = number.substr(0, digits + 1), suffix = number.substr(digits + 1);
  const bool real = value.find_first_of(".eE") != std::string::npos;
  if (suffix == "h" || suffix == "H") return "half(" + value + (real ? "f" : ".f") + ")";
  if (suffix == "bf" || suffix == "BF") return "bfloat(" + value + (real ? "f" : ".f") + ")";
  if (real && suffix.empty()) return value + "f";
  return number;
}

// Address spaces go; constant becomes const.
void rewrite_words(Tokens& t) {
  for (int i = 0; i < t.size(); ++i) {
    const std::string token = t[i], before = t[i - 1], after = t[i + 1];
    if (t.kind(i) == Token::number) t.put(i, rewritten_number(token));
    if (t.kind(i) != Token::word || before == "." || before == "->" || before == "::") continue;
    if (token == "thread" || token == "device" || token == "threadgroup" || token == "ray_data" ||
        token == "object_data") {
      t.put(i, "");
    } else if (token == "constant") {
      bool is_const = before == "const" || before == ")" || before == "constexpr" || before == "noexcept" ||
                      after == "const" || after == "constexpr";
      t.put(i, is_const ? "" : "const");
    } else if (token == "coherent") {
      t.erase(i, after == "(" ? t.closing(i + 1) + 1 : i + 1);
    } else if (token == "is_function_constant_defined" && after == "(") {
      t.put(i, "");
      t.put(i + 2, t[i + 2] + "_is_defined");
    }
  }
}

// Kernels ask for loops to be unrolled; they take several times as long to compile then, and run a few times. What is
// wrong in front of anything but a loop stays, for the compiler to say so.
void leave_loops(Tokens& t) {
  for (int i = 0; i < t.size(); ++i) {
    if (t[i] != "_Pragma" || t[i + 1] != "(" || t[i + 2] != "\"clang loop unroll(full)\"") continue;
    const int end = t.closing(i + 1) + 1;
    if (t[end] == "for" || t[end] == "while" || t[end] == "do") t.erase(i, end);
    i = end - 1;
  }
  t.renumber();
}

}  // namespace

std::string translate(const std::string& preprocessed) {
  Tokens tokens(preprocessed);
  leave_loops(tokens);
  Kernels kernels = Kernels::take(tokens);
  rewrite_attributes(tokens);
  drop_overloads_by_address_space(tokens);
  rewrite_shared_variables(tokens);
  rewrite_words(tokens);
  return tokens.str() + kernels.table();
}

}  // namespace software_metal
