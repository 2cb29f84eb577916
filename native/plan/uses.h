// Who reads what: the edges of an Ir against their direction.
#pragma once

#include <vector>

#include "plan/reduce_form.h"

namespace funcnn {

struct Use {
  int reader;     // value, or -1 - operation
  bool ordering;  // only comes first
  View view;      // of the value, in the reader's shape (or the reduction's form)
};

class Uses {
 public:
  // Of the values that results need.
  explicit Uses(const Ir& ir);

  const std::vector<Use>& of(int v) const { return users_[size_t(v)]; }
  std::vector<Use>& of(int v) { return users_[size_t(v)]; }
  bool needed(int v) const { return needed_[size_t(v)]; }
  // Is, or lies in the memory of, a result.
  bool result(int v) const { return result_[size_t(v)]; }
  const ReduceForm& form(int reduce) const { return forms_[size_t(form_of_[size_t(reduce)])]; }

  // `reader` reads `operand` through this view of it.
  void add(const Ir& ir, int operand, int reader, View view);
  // A value has been added to the Ir.
  void extend(bool needed);
  // The input of a reduction lies in the memory of another value now.
  void move_form(int reduce, int base) { forms_[size_t(form_of_[size_t(reduce)])].view.base = base; }

 private:
  void need(const Ir& ir, int v);
  void need_base(int base);

  std::vector<std::vector<Use>> users_;
  std::vector<char> needed_, result_;
  std::vector<ReduceForm> forms_;
  std::vector<int> form_of_;  // reductions: index among the forms
  std::vector<int> work_;
};

}  // namespace funcnn
