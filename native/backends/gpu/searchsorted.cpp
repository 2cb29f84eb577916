#include "backends/gpu/keys.h"
#include "backends/gpu/lines.h"
#include "base/error.h"
#include "ops/sort_primitives.h"

namespace funcnn::gpu {
namespace {

// How many elements of a sorted line come before each value: by halving.
std::unique_ptr<Kernel> make_searchsorted(Machine& machine, const Primitive& primitive, Layouts in, Layouts out,
                                          const KernelProgram*) {
  if (element_count(out[0].shape) == 0) return nothing(machine);
  const bool right = static_cast<const SearchSorted&>(primitive).right();
  const size_t batch = in[0].shape.size() - 1;
  // The values as the lines have them: their batch axes, then all that belong to one line.
  Shape lengths = in[1].shape;
  Strides sorted(in[0].strides.begin(), in[0].strides.begin() + ptrdiff_t(batch)), values = in[1].strides;
  sorted.resize(lengths.size(), 0);
  merge_axes(lengths, {&sorted, &values});

  const std::string type(type_name(in[0].dtype)), key = has_long_key(in[0].dtype) ? "u64" : "u32";
  Nest nest(lengths, true);
  KernelText text(machine.traits(), "searchsorted", Nest::kThreads);
  declare_read(text, in[0], type, "sorted");
  declare_read(text, in[1], type, "values");
  text.write("u32", "out");
  Numbers numbers(true);
  numbers.add(text, nest);
  numbers.add(text, "length", in[0].shape[batch]);
  numbers.add(text, "step", in[0].strides[batch]);
  for (size_t d = 0; d < lengths.size(); ++d) {
    numbers.add(text, cat("sorted", d), sorted[d]);
    numbers.add(text, cat("values", d), values[d]);
  }
  text.before(key_text(in[0].dtype));
  text.body(nest.around(cat("    const i64 at = ", offset_text("sorted", 0, lengths.size()), ";\n    const ", key,
                            " value = key_of(values[", offset_text("values", 0, lengths.size()),
                            "]);\n"
                            "    i64 low = 0, high = p.length;\n"
                            "    while (low < high) {\n"
                            "      const i64 middle = (low + high) / 2;\n      const ",
                            key, " there = key_of(sorted[at + middle * p.step]);\n      if (there ", right ? "<=" : "<",
                            " value) {\n"
                            "        low = middle + 1;\n"
                            "      } else {\n"
                            "        high = middle;\n"
                            "      }\n"
                            "    }\n"
                            "    out[",
                            nest.flat(), "] = (u32)low;\n")));
  std::vector<Stage> stages{
      stage_of(machine, text, nest.groups(), nest.threads(), {{0, 0}, {1, 0}, {2, 0}}, 2, numbers.bytes())};
  return std::make_unique<StagedLaunches>(machine, std::move(stages));
}

const RegisterKernel registered("searchsorted", make_searchsorted);

}  // namespace
}  // namespace funcnn::gpu
