#include "plan/apart.h"

#include <utility>

namespace funcnn {
namespace {

thread_local bool explaining = false;

}  // namespace

Explaining::Explaining() : before_(std::exchange(explaining, true)) {}
Explaining::~Explaining() { explaining = before_; }
bool Explaining::on() { return explaining; }

std::string_view text_of(Apart why) {
  switch (why) {
    case Apart::no:
      break;
    case Apart::off:
      return "fusion is off";
    case Apart::only_after:
      return "it only has to come first";
    case Apart::producer_alone:
      return "the operation that makes it has a kernel of its own";
    case Apart::reader_alone:
      return "the operation that reads it has a kernel of its own";
    case Apart::domain:
      return "they go over different numbers of elements";
    case Apart::order:
      return "its elements are read in another order than they are made";
    case Apart::by_column:
      return "a reduction over rows is complete only when all rows have been read";
    case Apart::nothing:
      return "there are no elements to go over";
    case Apart::reduced_twice:
      return "what a reduction leaves is reduced in a loop of its own";
    case Apart::long_rows:
      return "its rows are too long to be kept until they are reduced";
    case Apart::rows:
      return "the loop is divided into rows of another length";
    case Apart::not_worth:
      return "a loop is divided into rows only for what comes from a reduction";
    case Apart::numbers:
      return "numbers of elements are not made once a row";
    case Apart::places:
      return "it is read at different places of a loop";
    case Apart::length:
      return "the kernel would become too long";
    case Apart::operands:
      return "the kernel would have more operands than the device allows";
    case Apart::mixed:
      return "the device reduces rows or columns in one kernel, not both";
    case Apart::bands:
      return "they reduce different bands of rows";
    case Apart::waits:
      return "something between them has to be computed first";
    case Apart::several_results:
      return "an operation with several results takes no epilogue";
    case Apart::later_reader:
      return "several read it, and only the first can be its epilogue";
    case Apart::taken:
      return "the reader is the epilogue of another operation";
    case Apart::kernel:
      return "the kernel that makes it takes no such epilogue";
    case Apart::reduction:
      return "a reduction is no epilogue: it needs whole rows";
    case Apart::no_place:
      return "no result fits into its memory";
  }
  return "they are one kernel";
}

}  // namespace funcnn
