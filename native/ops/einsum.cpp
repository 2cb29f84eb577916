#include "ops/einsum.h"

#include <algorithm>
#include <cctype>
#include <limits>
#include <map>
#include <string>

#include "base/error.h"
#include "ops/create.h"
#include "ops/dot.h"
#include "ops/elementwise.h"
#include "ops/reduce.h"
#include "ops/views.h"

namespace funcnn {
namespace {

// Letters are their codes; axes of the ellipsis are kEllipsis plus their distance from its end.
using Labels = std::vector<int>;
constexpr int kEllipsis = 256;

bool has(const Labels& labels, int label) { return std::find(labels.begin(), labels.end(), label) != labels.end(); }

struct Term {
  Array value;
  Labels labels;
};

struct Problem {
  std::vector<Term> terms;
  Labels output;
  std::map<int, int64_t> sizes;
};

[[noreturn]] void fail(std::string_view subscripts, const std::string& what) {
  throw ValueError(cat("einsum: ", what, " in '", std::string(subscripts), "'"));
}

// Names a character with all its bytes.
[[noreturn]] void refuse_character(std::string_view subscripts, std::string_view text, size_t at) {
  size_t end = at + 1;
  while (end < text.size() && (text[end] & 0xc0) == 0x80) ++end;
  fail(subscripts, cat("expected letters from a to z and A to Z, at most one '...', ',' and '->', found '",
                       std::string(text.substr(at, end - at)), "'"));
}

Labels parse_labels(std::string_view subscripts, std::string_view text, int ellipsis_axes) {
  Labels labels;
  bool seen = false;
  for (size_t i = 0; i < text.size(); ++i) {
    if (std::isalpha(static_cast<unsigned char>(text[i]))) {
      labels.push_back(text[i]);
    } else if (text.substr(i, 3) == "..." && !seen) {
      seen = true;
      for (int e = ellipsis_axes; e-- > 0;) labels.push_back(kEllipsis + e);
      i += 2;
    } else {
      refuse_character(subscripts, text, i);
    }
  }
  return labels;
}

Problem parse(std::string_view given, Span operands) {
  std::string text;
  for (char c : given)
    if (c != ' ') text.push_back(c);
  for (size_t i = 0; i < text.size(); ++i)
    if (!std::isalpha(static_cast<unsigned char>(text[i])) &&
        std::string_view(".,->").find(text[i]) == std::string_view::npos)
      refuse_character(given, text, i);
  size_t arrow = text.find("->");
  std::string left = text.substr(0, arrow);
  std::vector<std::string> inputs(1);
  for (char c : left) {
    if (c == ',')
      inputs.emplace_back();
    else
      inputs.back().push_back(c);
  }
  if (inputs.size() != operands.size())
    fail(given, cat("expected ", inputs.size(), " operand", inputs.size() == 1 ? "" : "s", ", got ", operands.size()));
  Problem problem;
  int widest = 0;
  std::map<int, int> count;
  for (size_t i = 0; i < inputs.size(); ++i) {
    const Array& x = operands[i];
    int letters = int(std::count_if(inputs[i].begin(), inputs[i].end(), [](char c) { return c != '.'; }));
    bool open = inputs[i].find("...") != std::string::npos;
    int rest = int(x.ndim()) - letters;
    if (rest < 0 || (rest > 0 && !open))
      fail(given,
           cat("operand ", i, " of shape ", x.shape(), " does not have the ", letters, " axes of '", inputs[i], "'"));
    if (open) widest = std::max(widest, rest);
    Labels labels = parse_labels(given, inputs[i], rest);
    for (size_t d = 0; d < labels.size(); ++d) {
      int64_t length = x.shape()[d];
      auto [it, fresh] = problem.sizes.try_emplace(labels[d], length);
      if (!fresh && it->second == 1) it->second = length;
      // Operands broadcast; a diagonal has one length.
      auto before = std::find(labels.begin(), labels.begin() + ptrdiff_t(d), labels[d]);
      int64_t met = before - labels.begin() < ptrdiff_t(d) ? x.shape()[size_t(before - labels.begin())] : length;
      if (met != length)
        fail(given, cat("the diagonal '", char(labels[d]), "' of operand ", i, " has lengths ", met, " and ", length,
                        ", which must be equal; its shape is ", x.shape()));
      if (length != it->second && length != 1) {
        std::string name = labels[d] >= kEllipsis ? "..." : std::string(1, char(labels[d]));
        fail(given, cat("axis '", name, "' has length ", it->second, " and ", length, " (operand ", i, ", shape ",
                        x.shape(), ")"));
      }
      ++count[labels[d]];
    }
    problem.terms.push_back({x, std::move(labels)});
  }
  if (arrow == std::string::npos) {
    for (int e = widest; e-- > 0;) problem.output.push_back(kEllipsis + e);
    for (auto [label, times] : count)
      if (label < kEllipsis && times == 1) problem.output.push_back(label);
  } else {
    problem.output = parse_labels(given, std::string_view(text).substr(arrow + 2), widest);
    for (size_t i = 0; i < problem.output.size(); ++i) {
      int label = problem.output[i];
      if (!problem.sizes.count(label)) fail(given, cat("the output label '", char(label), "' is in no operand"));
      if (std::count(problem.output.begin(), problem.output.end(), label) > 1)
        fail(given, cat("the output label '", char(label), "' is named twice"));
    }
  }
  return problem;
}

// One axis a label, and none of length 1 that others broadcast.
Term simplify(Term term, const Problem& problem) {
  for (size_t i = 0; i < term.labels.size(); ++i) {
    for (size_t j = i + 1; j < term.labels.size(); ++j) {
      if (term.labels[i] != term.labels[j]) continue;
      int label = term.labels[i];
      term.value = diagonal(term.value, 0, int64_t(i), int64_t(j));
      term.labels.erase(term.labels.begin() + ptrdiff_t(j));
      term.labels.erase(term.labels.begin() + ptrdiff_t(i));
      term.labels.push_back(label);
      return simplify(std::move(term), problem);
    }
  }
  Shape drop;
  Labels kept;
  for (size_t i = 0; i < term.labels.size(); ++i) {
    if (term.value.shape()[i] == 1 && problem.sizes.at(term.labels[i]) != 1)
      drop.push_back(int64_t(i));
    else
      kept.push_back(term.labels[i]);
  }
  if (!drop.empty()) term = {squeeze(term.value, drop), std::move(kept)};
  return term;
}

// The sum over labels that nothing else needs.
Term sum_out(Term term, const Labels& needed) {
  AxisSet axes;
  axes.all = false;
  Labels kept;
  for (size_t i = 0; i < term.labels.size(); ++i) {
    if (has(needed, term.labels[i]))
      kept.push_back(term.labels[i]);
    else
      axes.axes.push_back(int64_t(i));
  }
  if (axes.axes.empty()) return term;
  return {sum(term.value, axes, false), std::move(kept)};
}

Array arrange(const Term& term, const Labels& order) {
  Shape axes;
  for (int label : order)
    axes.push_back(std::find(term.labels.begin(), term.labels.end(), label) - term.labels.begin());
  return axes.empty() ? term.value : transpose(term.value, axes);
}

Labels joined(std::initializer_list<const Labels*> parts) {
  Labels all;
  for (const Labels* part : parts) all.insert(all.end(), part->begin(), part->end());
  return all;
}

// The product of two terms summed over the labels they share that are not `needed`.
Term contract(Term a, Term b, const Labels& needed, const Labels& output, const Problem& problem) {
  a = sum_out(std::move(a), joined({&needed, &b.labels}));
  b = sum_out(std::move(b), joined({&needed, &a.labels}));
  Labels batch, summed, free_a, free_b;
  for (int label : a.labels) (!has(b.labels, label) ? free_a : has(needed, label) ? batch : summed).push_back(label);
  for (int label : b.labels)
    if (!has(a.labels, label)) free_b.push_back(label);
  auto rank = [&](int label) { return std::find(output.begin(), output.end(), label) - output.begin(); };
  std::stable_sort(batch.begin(), batch.end(), [&](int x, int y) { return rank(x) < rank(y); });
  // The operand with the output's last label comes second: the result then lies as it is wanted.
  if (!free_a.empty() && (free_b.empty() || rank(free_a.back()) > rank(free_b.back()))) {
    std::swap(a, b);
    std::swap(free_a, free_b);
  }
  Labels labels = joined({&batch, &free_a, &free_b});
  Shape shape;
  for (int label : labels) shape.push_back(problem.sizes.at(label));
  auto product = [&](const Labels& labels_of) { return joined({&batch, &labels_of}); };
  auto length = [&](const Labels& labels_of) {
    int64_t n = 1;
    for (int label : labels_of) n *= problem.sizes.at(label);
    return n;
  };
  if (summed.empty()) {
    Array x = arrange(a, product(free_a)), y = arrange(b, product(free_b));
    Shape shape_x = x.shape(), shape_y(y.shape().begin(), y.shape().begin() + ptrdiff_t(batch.size()));
    for (size_t i = 0; i < free_b.size(); ++i) shape_x.push_back(1);
    for (size_t i = 0; i < free_a.size(); ++i) shape_y.push_back(1);
    for (int label : free_b) shape_y.push_back(problem.sizes.at(label));
    return {multiply(reshape(x, shape_x), reshape(y, shape_y)), std::move(labels)};
  }
  Dtype dtype = promote_types(a.value.dtype(), b.value.dtype());
  if (!is_inexact(dtype))
    throw ValueError(cat("einsum: sums of products are defined for floating-point and complex arrays, got ",
                         a.value.dtype(), " and ", b.value.dtype(), "; convert one with astype"));
  Array x = astype(arrange(a, joined({&batch, &free_a, &summed})), dtype);
  Array y = astype(arrange(b, joined({&batch, &summed, &free_b})), dtype);
  if (free_a.empty() && free_b.empty()) {
    AxisSet last;
    last.all = false;
    for (size_t i = 0; i < summed.size(); ++i) last.axes.push_back(int64_t(batch.size() + i));
    return {sum(multiply(x, y), last, false), std::move(labels)};
  }
  Shape lead;
  for (int label : batch) lead.push_back(problem.sizes.at(label));
  auto matrix = [&](int64_t rows, int64_t columns) {
    Shape s = lead;
    s.push_back(rows);
    s.push_back(columns);
    return s;
  };
  int64_t m = length(free_a), n = length(free_b), k = length(summed);
  return {reshape(dot(reshape(x, matrix(m, k)), reshape(y, matrix(k, n))), shape), std::move(labels)};
}

// The next pair of a greedy path: the one whose result takes the least room beyond what it replaces.
std::pair<size_t, size_t> next_pair(const std::vector<Labels>& terms, const Labels& output,
                                    const std::map<int, int64_t>& sizes) {
  auto room = [&](const Labels& labels) {
    double n = 1;
    for (int label : labels) n *= double(sizes.at(label));
    return n;
  };
  std::pair<size_t, size_t> best{0, 1};
  double least = std::numeric_limits<double>::infinity();
  for (size_t i = 0; i < terms.size(); ++i) {
    for (size_t j = i + 1; j < terms.size(); ++j) {
      Labels result;
      bool share = false;
      for (const Labels* from : {&terms[i], &terms[j]}) {
        for (int label : *from) {
          bool kept = has(output, label);
          for (size_t q = 0; q < terms.size() && !kept; ++q) kept = q != i && q != j && has(terms[q], label);
          if (kept && !has(result, label)) result.push_back(label);
          share = share || (from == &terms[j] && has(terms[i], label));
        }
      }
      double cost = room(result) - room(terms[i]) - room(terms[j]);
      if (!share) cost += 1e18;  // outer products last
      if (cost < least) {
        least = cost;
        best = {i, j};
      }
    }
  }
  return best;
}

Labels merged_labels(const std::vector<Labels>& terms, size_t i, size_t j, const Labels& output) {
  Labels result;
  for (const Labels* from : {&terms[i], &terms[j]})
    for (int label : *from) {
      bool kept = has(output, label);
      for (size_t q = 0; q < terms.size() && !kept; ++q) kept = q != i && q != j && has(terms[q], label);
      if (kept && !has(result, label)) result.push_back(label);
    }
  return result;
}

}  // namespace

std::vector<std::vector<int>> einsum_path(std::string_view subscripts, Span operands) {
  Problem problem = parse(subscripts, operands);
  std::vector<Labels> terms;
  for (const Term& term : problem.terms) terms.push_back(term.labels);
  if (terms.size() == 1) return {{0}};
  std::vector<std::vector<int>> path;
  while (terms.size() > 1) {
    auto [i, j] = next_pair(terms, problem.output, problem.sizes);
    path.push_back({int(i), int(j)});
    Labels result = merged_labels(terms, i, j, problem.output);
    terms.erase(terms.begin() + ptrdiff_t(j));
    terms.erase(terms.begin() + ptrdiff_t(i));
    terms.push_back(std::move(result));
  }
  return path;
}

Array einsum(std::string_view subscripts, Span operands) {
  Problem problem = parse(subscripts, operands);
  std::vector<Term>& terms = problem.terms;
  for (Term& term : terms) term = simplify(std::move(term), problem);
  while (terms.size() > 1) {
    std::vector<Labels> labels;
    for (const Term& term : terms) labels.push_back(term.labels);
    auto [i, j] = next_pair(labels, problem.output, problem.sizes);
    Labels needed = problem.output;
    for (size_t q = 0; q < terms.size(); ++q)
      if (q != i && q != j) needed.insert(needed.end(), labels[q].begin(), labels[q].end());
    Term made = contract(terms[i], terms[j], needed, problem.output, problem);
    terms.erase(terms.begin() + ptrdiff_t(j));
    terms.erase(terms.begin() + ptrdiff_t(i));
    terms.push_back(std::move(made));
  }
  return arrange(sum_out(std::move(terms[0]), problem.output), problem.output);
}

}  // namespace funcnn
