#include "macros.h"

#include <algorithm>

namespace software_metal {
namespace {

using List = std::vector<Token>;

bool is_space(const Token& token) { return token.kind == Token::space; }

size_t skip_space(const List& tokens, size_t i) {
  while (i < tokens.size() && is_space(tokens[i])) ++i;
  return i;
}

void trim(List& tokens) {
  while (!tokens.empty() && is_space(tokens.back())) tokens.pop_back();
  tokens.erase(tokens.begin(), tokens.begin() + long(skip_space(tokens, 0)));
}

std::string text_of(const List& tokens) {
  std::string out;
  for (const Token& token : tokens) out += is_space(token) ? " " : token.text;
  return out;
}

// #x
Token stringized(List argument) {
  trim(argument);
  std::string out = "\"";
  for (const Token& token : argument) {
    if (is_space(token)) {
      out += ' ';
      continue;
    }
    for (char c : token.text) {
      if (token.kind == Token::literal && (c == '"' || c == '\\')) out += '\\';
      out += c;
    }
  }
  return {Token::literal, out + "\""};
}

// The arguments between the brackets that open at `at`; `at` becomes what follows. False: they do not close.
bool read_arguments(const List& tokens, size_t& at, std::vector<List>& arguments) {
  int depth = 0;
  arguments.emplace_back();
  for (size_t i = at; i < tokens.size(); ++i) {
    const std::string& t = tokens[i].text;
    const bool opens = t == "(" || t == "[" || t == "{", closes = t == ")" || t == "]" || t == "}";
    if (closes && --depth == 0) {
      at = i + 1;
      for (List& argument : arguments) trim(argument);
      return true;
    }
    if (t == "," && depth == 1)
      arguments.emplace_back();
    else if (depth > 0)
      arguments.back().push_back(tokens[i]);
    if (opens) ++depth;
  }
  return false;
}

}  // namespace

void Macros::define(const std::string& text) {
  List tokens = tokenize(text);
  trim(tokens);
  if (tokens.empty() || tokens[0].kind != Token::word) throw TranslationError("#define without a name");
  Macro macro;
  size_t at = 1;
  if (at < tokens.size() && tokens[at].text == "(") {
    macro.function = true;
    std::vector<List> parameters;
    if (!read_arguments(tokens, at, parameters)) throw TranslationError("#define " + tokens[0].text + ": no ) follows");
    for (const List& parameter : parameters) {
      std::string name = text_of(parameter);
      if (name == "...") {
        macro.variadic = true;
        name = "__VA_ARGS__";
      }
      if (!name.empty()) macro.parameters.push_back(name);
    }
  }
  macro.body.assign(tokens.begin() + long(at), tokens.end());
  trim(macro.body);
  all_[tokens[0].text] = std::move(macro);
}

// The body with the arguments in it: expanded, except beside # and ##.
List Macros::substitute(const Macro& macro, const std::vector<List>& arguments, int line,
                        const std::set<std::string>& hidden) const {
  auto argument_of = [&](const Token& token) -> const List* {
    if (token.kind != Token::word) return nullptr;
    auto it = std::find(macro.parameters.begin(), macro.parameters.end(), token.text);
    return it == macro.parameters.end() ? nullptr : &arguments[size_t(it - macro.parameters.begin())];
  };
  const List& body = macro.body;
  List out;
  bool paste = false;
  for (size_t i = 0; i < body.size(); ++i) {
    const Token& token = body[i];
    if (token.text == "##") {
      while (!out.empty() && is_space(out.back())) out.pop_back();
      paste = true;
      i = skip_space(body, i + 1) - 1;
      continue;
    }
    List piece;
    if (token.text == "#" && macro.function) {
      i = skip_space(body, i + 1);
      const List* argument = i < body.size() ? argument_of(body[i]) : nullptr;
      if (!argument) throw TranslationError("# is not followed by a parameter");
      piece = {stringized(*argument)};
    } else if (const List* argument = argument_of(token)) {
      size_t next = skip_space(body, i + 1);
      const bool raw = paste || (next < body.size() && body[next].text == "##");
      int at = line;
      piece = raw ? *argument : expand(*argument, at, hidden);
    } else {
      piece = {token};
    }
    if (paste && !piece.empty() && !out.empty()) {
      List joined = tokenize(out.back().text + piece[0].text);
      out.pop_back();
      piece.erase(piece.begin());
      out.insert(out.end(), joined.begin(), joined.end());
    }
    if (!is_space(token)) paste = false;
    out.insert(out.end(), piece.begin(), piece.end());
  }
  return out;
}

List Macros::expand(const List& tokens, int& line, const std::set<std::string>& hidden) const {
  List out;
  for (size_t i = 0; i < tokens.size();) {
    const Token& token = tokens[i];
    line += int(std::count(token.text.begin(), token.text.end(), '\n'));
    if (token.kind == Token::word && token.text == "__LINE__") {
      out.push_back({Token::number, std::to_string(line)});
      ++i;
      continue;
    }
    auto it = token.kind == Token::word && !hidden.count(token.text) ? all_.find(token.text) : all_.end();
    if (it == all_.end()) {
      out.push_back(token);
      ++i;
      continue;
    }
    const Macro& macro = it->second;
    std::vector<List> arguments;
    size_t after = i + 1;
    if (macro.function) {
      after = skip_space(tokens, after);
      if (after >= tokens.size() || tokens[after].text != "(" || !read_arguments(tokens, after, arguments)) {
        out.push_back(token);
        ++i;
        continue;
      }
      const size_t count = macro.parameters.size();
      if (macro.variadic && arguments.size() > count)  // the rest is one, commas and all
        for (size_t k = count; k < arguments.size(); ++k) {
          arguments[count - 1].push_back({Token::symbol, ","});
          arguments[count - 1].insert(arguments[count - 1].end(), arguments[k].begin(), arguments[k].end());
        }
      const bool none = count == 0 && arguments.size() == 1 && arguments[0].empty();
      if (!macro.variadic && !none && arguments.size() != count)
        throw TranslationError("program_source:" + std::to_string(line) + ": the macro " + token.text + " takes " +
                               std::to_string(count) + " arguments, not " + std::to_string(arguments.size()));
      arguments.resize(count);
    }
    std::set<std::string> inside = hidden;
    inside.insert(token.text);
    int at = line;
    List expanded = expand(substitute(macro, arguments, line, hidden), at, inside);
    // Line breaks between the arguments stay, behind what they are expanded to.
    std::string breaks;
    for (size_t k = i + 1; k < after; ++k)
      breaks.append(size_t(std::count(tokens[k].text.begin(), tokens[k].text.end(), '\n')), '\n');
    line += int(breaks.size());
    // A name of a function-like macro at the end may find its arguments in what follows.
    i = after;
    if (!expanded.empty() && expanded.back().kind == Token::word && all_.count(expanded.back().text) &&
        all_.at(expanded.back().text).function && !inside.count(expanded.back().text)) {
      size_t open = skip_space(tokens, after);
      if (open < tokens.size() && tokens[open].text == "(") {
        List rest{expanded.back()};
        expanded.pop_back();
        rest.insert(rest.end(), tokens.begin() + long(after), tokens.end());
        out.insert(out.end(), expanded.begin(), expanded.end());
        if (!breaks.empty()) out.push_back({Token::space, breaks});
        List tail = expand(rest, line, hidden);
        out.insert(out.end(), tail.begin(), tail.end());
        return out;
      }
    }
    out.push_back({Token::space, " "});
    out.insert(out.end(), expanded.begin(), expanded.end());
    out.push_back({Token::space, breaks.empty() ? " " : breaks});
  }
  return out;
}

}  // namespace software_metal
