// Errors that cross into Python as the exception of the same name.
#pragma once

#include <sstream>
#include <stdexcept>
#include <string>

namespace funcnn {

struct Error : std::runtime_error {
  using std::runtime_error::runtime_error;
};
struct ValueError : Error {
  using Error::Error;
};
struct TypeError : Error {
  using Error::Error;
};
struct IndexError : Error {
  using Error::Error;
};
// An axis out of range: both an IndexError and a ValueError in Python.
struct AxisError : Error {
  using Error::Error;
};
// A value was needed while only its shape is known.
struct TracedValueError : Error {
  using Error::Error;
};
struct OutOfMemoryError : Error {
  using Error::Error;
};
// The user asked to stop.
struct Interrupted : Error {
  Interrupted() : Error("interrupted") {}
};
// An exception is already set in the interpreter.
struct PendingError {};

namespace detail {
template <class T>
void append(std::ostream& out, const T& value) {
  out << value;
}
}  // namespace detail

// Concatenate anything streamable into a message.
template <class... Args>
std::string cat(const Args&... args) {
  std::ostringstream out;
  (detail::append(out, args), ...);
  return out.str();
}

}  // namespace funcnn
