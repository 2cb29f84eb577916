// How texts of kernels declare and address the operands of a primitive.
#pragma once

#include <initializer_list>
#include <string>
#include <string_view>

#include "backends/gpu/kernel.h"

namespace funcnn::gpu {

// Whether all elements are one in memory, which the host may hold.
bool is_one(const Layout& l);
// A parameter for an input: DEVICE const TYPE* name.
KernelText& read_operand(KernelText& text, const Layout& l, std::string_view name);

// The type for places in operands of these layouts: i32, or i64 where one of them spreads further.
std::string_view index_type(Layouts layouts);
std::string_view index_type(std::initializer_list<const Layout*> layouts);

// The statement `sum = sum + x * y` in the arithmetic of the dtype, operands being in registers.
std::string multiply_add(Dtype dtype, std::string_view sum, std::string_view x, std::string_view y);
// An element in a register as the element type, and back.
std::string narrowed(Dtype dtype, std::string_view value);
std::string widened(Dtype dtype, std::string_view element);
// The zero of a dtype in a register.
std::string_view zero_of(Dtype dtype);

std::string zero_element(Dtype dtype);  // the element
// A function fetch_NAME(from, step, count, wide): a pack of `each` elements `step` apart, of which `count` are there,
// and zeros for the rest. `wide`: they lie as packs do.
std::string fetch_text(std::string_view name, Dtype dtype, int each, std::string_view index);

// `#{name}` in the text stands for the value beside the name.
std::string filled_in(std::string_view text,
                      std::initializer_list<std::pair<std::string_view, std::string_view>> values);

// The lines of a text moved to the right, without the end of the last one.
std::string indented(std::string_view text, int by);

// One thread for each of `count` elements, in groups of 256.
Stage one_each(Ref<Pipeline> pipeline, int64_t count, std::vector<Place> operands, size_t read_only,
               const Values& values);
inline constexpr uint32_t kThreadsEach = 256;

}  // namespace funcnn::gpu
