#include "bindings/texts.h"

#include <bit>
#include <cstdint>
#include <cstring>

namespace funcnn {
namespace {

// The bytes of an object, as long as this lives.
struct Bytes {
  Py_buffer view;
  explicit Bytes(nb::handle object) {
    if (PyObject_GetBuffer(object.ptr(), &view, PyBUF_SIMPLE) < 0) throw nb::python_error();
  }
  ~Bytes() { PyBuffer_Release(&view); }
  Bytes(const Bytes&) = delete;
};

// `count` texts of UTF-8 one after another, each behind its length in eight bytes, and where they end.
nb::tuple texts(nb::handle content, size_t at, size_t count) {
  Bytes bytes(content);
  const char* data = static_cast<const char*>(bytes.view.buf);
  size_t end = size_t(bytes.view.len);
  nb::list found;
  auto take = [&](uint64_t size) {
    if (at > end || size > end - at) throw ValueError(cat("it ends within something of ", size, " bytes at byte ", at));
    at += size;
    return data + (at - size);
  };
  for (size_t i = 0; i < count; ++i) {
    uint64_t size;
    const char* length = take(sizeof size);
    static_assert(std::endian::native == std::endian::little);
    std::memcpy(&size, length, sizeof size);
    const char* text = take(size);
    nb::object made = nb::steal(PyUnicode_DecodeUTF8(text, Py_ssize_t(size), nullptr));
    if (!made) throw nb::python_error();
    found.append(made);
  }
  return nb::make_tuple(found, at);
}

}  // namespace

void bind_texts(nb::module_& m) {
  m.def(
      "_texts", &texts, nb::arg("content"), nb::arg("at"), nb::arg("count"),
      nb::sig("def _texts(content: bytes | memoryview, at: int, count: int, /) -> tuple[list[str], int]"),
      "Read texts of UTF-8 that stand one after another, each behind its length in eight bytes; also where they end.");
}

}  // namespace funcnn
