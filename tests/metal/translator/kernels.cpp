#include "kernels.h"

#include <algorithm>
#include <iterator>
#include <set>

namespace software_metal {
namespace {

// In the order of builtin<> in shim/entry.h.
constexpr const char* kBuiltins[] = {"thread_position_in_grid",
                                     "thread_position_in_threadgroup",
                                     "threadgroup_position_in_grid",
                                     "thread_index_in_threadgroup",
                                     "thread_index_in_simdgroup",
                                     "simdgroup_index_in_threadgroup",
                                     "threads_per_grid",
                                     "threads_per_threadgroup",
                                     "threadgroups_per_grid",
                                     "dispatch_threads_per_threadgroup",
                                     "threads_per_simdgroup",
                                     "thread_execution_width",
                                     "simdgroups_per_threadgroup",
                                     "dispatch_simdgroups_per_threadgroup",
                                     "thread_index_in_quadgroup",
                                     "quadgroup_index_in_threadgroup",
                                     "quadgroups_per_threadgroup",
                                     "grid_origin",
                                     "grid_size"};
constexpr int kLastBinding = 30;

bool starts_with(const std::string& s, const char* prefix) { return s.rfind(prefix, 0) == 0; }

// "name ( x )" -> "x"; empty: another item.
std::string argument_of(const std::string& item, const std::string& name) {
  if (!starts_with(item, (name + " (").c_str()) || item.back() != ')') return {};
  size_t begin = name.size() + 3;
  return begin < item.size() - 2 ? item.substr(begin, item.size() - 2 - begin) : std::string();
}

bool is_number(const std::string& s) {
  return !s.empty() && std::all_of(s.begin(), s.end(), [](char c) { return c >= '0' && c <= '9'; });
}

// A string literal, or several side by side, without quotes.
std::string unquoted(const std::string& literals) {
  std::string out;
  bool inside = false;
  for (char c : literals) {
    if (c == '"')
      inside = !inside;
    else if (inside)
      out += c;
  }
  return out;
}

KernelParameter parse_parameter(const Tokens& tokens, int begin, int end, const std::string& kernel) {
  KernelParameter parameter{KernelParameter::builtin, -1};
  bool known = false, optional = false;
  std::string space;
  for (int i = begin; i < end; ++i) {
    const std::string& t = tokens[i];
    if (space.empty() && (t == "device" || t == "constant" || t == "threadgroup")) space = t;
    if (!tokens.attribute(i)) continue;
    int after;
    for (const std::string& item : attribute_items(tokens, i, after)) {
      if (starts_with(item, "function_constant")) optional = true;
      for (auto [name, kind] : {std::pair{"buffer", KernelParameter::buffer}, {"threadgroup", KernelParameter::shared}})
        if (std::string index = argument_of(item, name); !index.empty()) {
          if (!is_number(index)) throw TranslationError("kernel " + kernel + ": the index " + index + " is no number");
          parameter = {kind, std::stoi(index)};
          known = true;
        }
      auto builtin = std::find(std::begin(kBuiltins), std::end(kBuiltins), item);
      if (builtin != std::end(kBuiltins)) {
        parameter = {KernelParameter::builtin, int(builtin - std::begin(kBuiltins))};
        known = true;
      }
    }
    i = after - 1;
  }
  if (!known && !space.empty()) {
    parameter.kind = space == "threadgroup" ? KernelParameter::shared : KernelParameter::buffer;
    known = true;
  }
  if (!known)
    throw TranslationError("kernel " + kernel + ": nothing says what the parameter `" + tokens.joined(begin, end) +
                           "` is");
  if (optional && parameter.kind == KernelParameter::buffer) parameter.kind = KernelParameter::optional_buffer;
  if (parameter.kind != KernelParameter::builtin && parameter.index > kLastBinding)
    throw TranslationError("kernel " + kernel + ": the index " + std::to_string(parameter.index) + " is over 30");
  return parameter;
}

// Those without an index take the free ones.
void number_parameters(std::vector<KernelParameter>& parameters) {
  for (bool shared : {false, true}) {
    auto counts = [&](const KernelParameter& p) {
      return p.kind != KernelParameter::builtin && (p.kind == KernelParameter::shared) == shared;
    };
    std::set<int> used;
    for (const auto& p : parameters)
      if (counts(p)) used.insert(p.index);
    int next = 0;
    for (auto& p : parameters) {
      if (!counts(p) || p.index >= 0) continue;
      while (used.count(next)) ++next;
      used.insert(next);
      p.index = next;
    }
  }
}

// template [[host_name("x")]] [[kernel]] decltype(f<float>) f<float>;
// template [[host_name("x")]] kernel void f<float>(device float*, uint);
void take_instantiation(Tokens& tokens, int begin, int end, Kernels& kernels) {
  std::string host_name;
  bool kernel = false;
  std::vector<int> rest;
  for (int i = begin + 1; i < end; ++i) {
    if (tokens.attribute(i)) {
      int after;
      for (const std::string& item : attribute_items(tokens, i, after)) {
        if (starts_with(item, "host_name")) host_name = unquoted(item);
        kernel |= item == "kernel";
      }
      i = after - 1;
    } else if (tokens[i] == "kernel") {
      kernel = true;
    } else {
      rest.push_back(i);
    }
  }
  if (!kernel && host_name.empty()) return;  // of an ordinary function
  if (rest.size() < 2) throw TranslationError("an instantiation of a kernel without its name");
  std::string function;
  int name_at;
  if (tokens[rest[0]] == "decltype") {
    name_at = tokens.closing(rest[0] + 1) + 1;
    function = "&" + tokens.joined(name_at, end);
  } else {
    name_at = rest[1];
    int after = name_at + 1;
    while (tokens[after] == "::") after += 2;
    if (tokens[after] == "<") after = tokens.closing_angle(after) + 1;
    function = "&" + tokens.joined(name_at, after);
    if (tokens[after] == "(") {  // the parameters say which overload
      std::string types;
      for (int i = after, last = tokens.closing(after); i <= last; ++i) {
        const std::string& t = tokens[i];
        if (tokens.attribute(i)) {
          attribute_items(tokens, i, i);
          --i;
        } else if (t != "device" && t != "thread" && t != "threadgroup") {
          types += (t == "constant" ? "const" : t) + " ";
        }
      }
      function = "static_cast<void (*)" + types + ">(" + function + ")";
    }
  }
  int last = name_at;  // of a::b::f the last name is the kernel's
  while (tokens[last + 1] == "::") last += 2;
  const std::string name = tokens[last];
  kernels.instantiations.push_back({host_name.empty() ? name : host_name, name, function});
  tokens.erase(begin, end + 1);
}

// The words before `void NAME(`: attributes and `kernel`, in any order.
bool take_kernel(Tokens& tokens, int begin, Kernels& kernels) {
  KernelSignature signature;
  bool kernel = false;
  int i = begin;
  for (;;) {
    if (tokens.attribute(i)) {
      int after;
      for (const std::string& item : attribute_items(tokens, i, after)) {
        kernel |= item == "kernel";
        if (starts_with(item, "host_name")) signature.host_name = unquoted(item);
        std::string most = argument_of(item, "max_total_threads_per_threadgroup");
        if (!most.empty()) signature.most_threads = most;
      }
      i = after;
    } else if (tokens[i] == "kernel") {
      kernel = true;
      ++i;
    } else {
      break;
    }
  }
  if (!kernel || tokens[i] != "void") return false;
  const std::string name = tokens[i + 1];
  if (tokens[i + 2] != "(") throw TranslationError("kernel " + name + " has no parameters");
  if (signature.host_name.empty()) signature.host_name = name;
  const bool is_template = signature.is_template = tokens[begin - 1] == ">";
  if (is_template) signature.most_threads = "0";  // may be in terms of its parameters
  for (auto [from, to] : tokens.split(i + 3, tokens.closing(i + 2)))
    signature.parameters.push_back(parse_parameter(tokens, from, to, name));
  number_parameters(signature.parameters);
  kernels.signatures.emplace(name, std::move(signature));
  for (int j = begin; j < i; ++j)
    if (tokens[j] == "kernel") tokens.put(j, "");
  if (!is_template) tokens.put(i, "static void");  // but for its row nobody calls it
  return true;
}

}  // namespace

std::vector<std::string> attribute_items(const Tokens& tokens, int i, int& end) {
  end = tokens.closing(i) + 1;
  std::vector<std::string> items;
  for (auto [from, to] : tokens.split(i + 2, end - 2)) items.push_back(tokens.joined(from, to));
  return items;
}

Kernels Kernels::take(Tokens& tokens) {
  Kernels kernels;
  for (int i = 0; i < tokens.size(); ++i) {
    const std::string& before = tokens[i - 1];
    if (tokens[i] != "template" || tokens[i + 1] == "<" || before == "::" || before == "." || before == "->") continue;
    int end = i;
    while (end < tokens.size() && tokens[end] != ";") ++end;
    take_instantiation(tokens, i, end, kernels);
    i = end;
  }
  tokens.renumber();
  for (int i = 0; i < tokens.size(); ++i)
    if (tokens[i] == "kernel" || tokens.attribute(i))
      if (!take_kernel(tokens, i, kernels) && tokens.attribute(i)) i = tokens.closing(i);
  tokens.renumber();
  return kernels;
}

std::string Kernels::table() const {
  std::string rows;
  auto add = [&](const KernelSignature& signature, const std::string& host_name, const std::string& function) {
    constexpr const char* kKinds[] = {"buffer", "optional_buffer", "shared", "builtin"};
    rows += "    software_metal::Entry<decltype(" + function + ")";
    for (const KernelParameter& p : signature.parameters)
      rows += std::string(", software_metal::Binding<software_metal::Parameter::") + kKinds[p.kind] + ", " +
              std::to_string(p.index) + ">";
    rows += ">::row<" + function + ">(\"" + host_name + "\", unsigned(" + signature.most_threads + ")),\n";
  };
  for (const auto& [name, signature] : signatures)
    if (!signature.is_template) add(signature, signature.host_name, "&" + name);
  for (const Instantiation& instantiation : instantiations) {
    auto it = signatures.find(instantiation.kernel);
    if (it == signatures.end())
      throw TranslationError("an instantiation of " + instantiation.kernel + ", which is no kernel");
    add(it->second, instantiation.host_name, instantiation.function);
  }
  if (rows.empty()) throw TranslationError("the source has no kernel");
  return std::string(kTableStart) +
         "extern \"C\" __attribute__((visibility(\"default\"))) const software_metal::Kernel "
         "software_metal_kernels[] = {\n" +
         rows + "    {}};\n";
}

}  // namespace software_metal
