// Fourier transforms for one instruction set: see backends/cpu/fft.h.
#include "backends/cpu/fft.h"

#include <algorithm>

#include "backends/cpu/simd/fft_moves.h"
#include "backends/cpu/simd/fft_passes.h"
#include "backends/cpu/simd/fft_vector.h"
#include "backends/cpu/simd/of_this_set.h"

namespace funcnn::cpu {
extern const FftTable FUNCNN_OF_THIS_SET(fft_table_);
namespace {

// ---- a long line as a matrix
//
// Of x[j * columns + c] the columns are transformed, output k of column c is multiplied by w^(k c), and the rows are
// transformed: output t of row k is X[k + rows * t]. Between the two, element c of row k lies in group k / lanes, row
// c, lane k % lanes: as the transform of rows reads it.

void down(const FftSquare& square, const FftView& line, bool swap, float* between, float* room, int64_t begin,
          int64_t end) {
  const int64_t rows = square.rows, columns = square.columns;
  const int64_t padded = (columns + kLanes - 1) / kLanes * kLanes;
  const bool whole = !square.whole.empty();
  for (int64_t block = begin; block < end; ++block) {
    int64_t column = block * kLanes, count = std::min<int64_t>(kLanes, columns - column);
    FftView from = line.at(column);
    from.apart = line.step;
    from.step = line.step * columns;
    from.starts = nullptr;
    float* second = room + rows * kRow;
    const float* done = room;
    if (count == kLanes && from.apart == 2 && from.im == 1) {
      lines_into_rows(square.down, PairSource{from.data, from.step, swap}, room, second);
    } else {
      gather(from, count, rows, swap, second);
      done = lines(square.down, second, room, second);
    }
    for (int64_t k = 0; k < rows; k += kLanes) {
      V re[kLanes], im[kLanes];
      int64_t height = std::min<int64_t>(kLanes, rows - k);
      for (int64_t i = 0; i < kLanes; ++i) {
        re[i] = im[i] = V{};
        if (i >= height) continue;
        Complex factor;
        if (whole) {
          const float* at = square.whole.data() + (k + i) * 2 * padded + column;
          factor = {load(at), load(at + padded)};
        } else {
          factor =
              splat(square.first.data() + 2 * (block * rows + k + i)) * load_row(square.lane.data() + (k + i) * kRow);
        }
        Complex x = load_row(done + (k + i) * kRow) * factor;
        re[i] = x.re;
        im[i] = x.im;
      }
      transpose(re);
      transpose(im);
      float* to = between + (k / kLanes * columns + column) * kRow;
      for (int64_t i = 0; i < count; ++i) store_row(to + i * kRow, {re[i], im[i]});
    }
  }
}

void across(const FftSquare& square, const float* between, bool swap, float scale, const FftView& line, float* room,
            int64_t begin, int64_t end) {
  const int64_t rows = square.rows, columns = square.columns;
  for (int64_t group = begin; group < end; ++group) {
    const float* in = between + group * columns * kRow;
    FftView to = line.at(group * kLanes);
    to.apart = line.step;
    to.step = line.step * rows;
    to.starts = nullptr;
    int64_t count = std::min<int64_t>(kLanes, rows - group * kLanes);
    if (count == kLanes && to.apart == 2 && to.im == 1)
      lines_into_pairs(square.across, RowSource{in}, room, room + columns * kRow,
                       {to.data, to.step, swap, splat(scale)});
    else
      scatter(lines(square.across, in, room, room + columns * kRow), count, columns, swap, scale, to);
  }
}

// ---- lines side by side

void beside(const FftPasses& passes, const FftView& from, const FftView& to, bool swap, float scale, float* room) {
  lines_into_pairs(passes, PairSource{from.data, from.step, swap}, room, room + passes.length * kRow,
                   {to.data, to.step, swap, splat(scale)});
}

// ---- short lines
//
// A matrix whose rows are one vector each. Its columns are transformed in registers; `group` lines together fill the
// vectors of the other transform.
//
// Shuffles and arithmetic take turns, since processors do not look far ahead for what else could be done.

template <int lanes, int rows, bool swap, bool scaled>
void brief_of(const FftSquare& square, float scale, const float* const* in, float* const* out) {
  constexpr int group = rows < lanes ? lanes / rows : 1, blocks = rows * group / lanes;
  static_assert(blocks >= 1 && group <= 2);
  V re[blocks][lanes], im[blocks][lanes];
  FUNCNN_UNROLL
  for (int line = 0; line < group; ++line) {
    Complex x[rows];
    FUNCNN_UNROLL
    for (int k = 0; k < rows; ++k) {
      x[k] = load_pairs(in[line] + k * 2 * lanes);
      if (swap) x[k] = {x[k].im, x[k].re};
    }
    butterfly<rows>(x, nullptr);
    const float* factor = square.whole.data();
    FUNCNN_UNROLL
    for (int k = 0; k < rows; ++k) {
      if (k > 0) x[k] = x[k] * load_row(factor + k * 2 * lanes);
      const int at = line * rows + k, block = at / lanes, row = at % lanes;
      re[block][row] = x[k].re;
      im[block][row] = x[k].im;
      if constexpr (lanes >= 4)
        if (row % 4 == 3) {
          transpose_blocks(re[block][row - 3], re[block][row - 2], re[block][row - 1], re[block][row]);
          transpose_blocks(im[block][row - 3], im[block][row - 2], im[block][row - 1], im[block][row]);
        }
    }
  }
  const V by = splat(scale);
  FUNCNN_UNROLL
  for (int block = 0; block < blocks; ++block) {
    auto put = [&](int t, Complex y) {
      V a = y.re, b = y.im;
      if (scaled) a *= by, b *= by;
      if (swap) std::swap(a, b);
      if constexpr (group == 2) {
        store(out[0] + t * 2 * rows, low(a, b));
        store(out[1] + t * 2 * rows, high(a, b));
      } else {
        store_pairs(out[0] + t * 2 * rows + block * 2 * lanes, {a, b});
      }
    };
    Complex x[lanes];
    auto take = [&](int j) {
      transpose_of_blocks(re[block], j);
      transpose_of_blocks(im[block], j);
      FUNCNN_UNROLL
      for (int c = j; c < lanes; c += 4) x[c] = {re[block][c], im[block][c]};
    };
    if constexpr (lanes == 16) {
      take(0);
      across16<0>(x);
      take(1);
      across16<1>(x);
      take(2);
      across16<2>(x);
      take(3);
      across16<3>(x);
      FUNCNN_UNROLL
      for (int q = 0; q < 4; ++q) {
        along16(x, q);
        FUNCNN_UNROLL
        for (int p = 0; p < 4; ++p) put(q + 4 * p, x[4 * q + p]);
      }
    } else if constexpr (lanes >= 4) {
      FUNCNN_UNROLL
      for (int j = 0; j < 4; ++j) take(j);
      butterfly<lanes>(x, nullptr);
      FUNCNN_UNROLL
      for (int t = 0; t < lanes; ++t) put(t, x[t]);
    }
  }
}

int brief_group(int64_t length) {
  if (kLanes < 4 || length % kLanes) return 0;
  int64_t rows = length / kLanes;
  if (rows * 2 == kLanes) return 2;
  return rows == kLanes || (rows == 2 * kLanes && rows <= 16) ? 1 : 0;
}

template <int lanes, bool swap, bool scaled>
void brief_with(const FftSquare& square, float scale, const float* const* in, float* const* out) {
  if constexpr (lanes >= 4) {
    if (square.rows * 2 == lanes) return brief_of<lanes, lanes / 2, swap, scaled>(square, scale, in, out);
    if (square.rows == lanes) return brief_of<lanes, lanes, swap, scaled>(square, scale, in, out);
    if constexpr (lanes <= 8) brief_of<lanes, 2 * lanes, swap, scaled>(square, scale, in, out);
  }
}

void brief(const FftSquare& square, bool swap, float scale, const float* const* in, float* const* out) {
  if (swap)
    scale == 1 ? brief_with<kLanes, true, false>(square, scale, in, out)
               : brief_with<kLanes, true, true>(square, scale, in, out);
  else
    scale == 1 ? brief_with<kLanes, false, false>(square, scale, in, out)
               : brief_with<kLanes, false, true>(square, scale, in, out);
}

// ---- real lines
//
// A real line of length 2 h is a complex one, z, of length h. With S = Z[k] + conj Z[h - k], D = Z[k] - conj Z[h - k]
// and u = -i e^(-i pi k / h): X[k] = (S + u D) / 2 and X[h - k] = conj (S - u D) / 2. The other way, with conj u and
// without the halves, is the inverse.

template <bool back>
void halves_at(const float* in, float* out, int64_t k, int64_t h, float ur, float ui) {
  float ar = in[2 * k], ai = in[2 * k + 1], br = in[2 * (h - k)], bi = in[2 * (h - k) + 1];
  float sr = ar + br, si = ai - bi, dr = ar - br, di = ai + bi;
  if (back) ui = -ui;
  float pr = dr * ur - di * ui, pi = dr * ui + di * ur, scale = back ? 1.0f : 0.5f;
  out[2 * k] = (sr + pr) * scale;
  out[2 * k + 1] = (si + pi) * scale;
  out[2 * (h - k)] = (sr - pr) * scale;
  out[2 * (h - k) + 1] = (pi - si) * scale;
}

template <bool back>
void halves_of(const FftPlan& plan, const float* in, float* out, int64_t begin, int64_t end) {
  const int64_t h = plan.length, quarter = h / 2 + 1;
  const float *ur = plan.halves.data(), *ui = ur + quarter;
  int64_t k = begin;
  if (k == 0 && end > 0) {
    // The ends are real.
    if (back) {
      float a = in[0], b = in[2 * h];
      out[0] = a + b;
      out[1] = a - b;
    } else {
      float a = in[0], b = in[1];
      out[0] = a + b;
      out[2 * h] = a - b;
      out[1] = out[2 * h + 1] = 0;
    }
    ++k;
  }
  if constexpr (kLanes > 1) {
    // The last vector has as many lanes as there are numbers left.
    for (; k < end && k + kLanes <= h; k += kLanes) {
      const int64_t count = std::min<int64_t>(kLanes, end - k), other = h - k - kLanes + 1;
      const bool all = count == kLanes;
      Complex a = all ? load_pairs(in + 2 * k) : load_some_pairs(in + 2 * k, 2 * count);
      Complex b = all ? load_pairs(in + 2 * other) : load_part_of_pairs(in + 2 * other, 2 * (kLanes - count), kRow);
      b = {backwards(b.re), backwards(b.im)};
      Complex s{a.re + b.re, a.im - b.im}, d{a.re - b.re, a.im + b.im}, u{load(ur + k), load(ui + k)};
      if (back) u.im = -u.im;
      Complex p = d * u;
      Complex x = s + p, y{s.re - p.re, p.im - s.im};
      if (!back) {
        V half = splat(0.5f);
        x = {x.re * half, x.im * half};
        y = {y.re * half, y.im * half};
      }
      y = {backwards(y.re), backwards(y.im)};
      if (all) {
        store_pairs(out + 2 * k, x);
        store_pairs(out + 2 * other, y);
      } else {
        store_part_of_pairs(out + 2 * k, x, 0, 2 * count);
        store_part_of_pairs(out + 2 * other, y, 2 * (kLanes - count), kRow);
      }
    }
  }
  for (; k < end; ++k) halves_at<back>(in, out, k, h, ur[k], ui[k]);
}

void halves(const FftPlan& plan, bool back, const float* in, float* out, int64_t begin, int64_t end) {
  back ? halves_of<true>(plan, in, out, begin, end) : halves_of<false>(plan, in, out, begin, end);
}

template <bool back>
void halves_of_all(const FftPlan& plan, const float* in, float* out) {
  const int64_t h = plan.length, quarter = h / 2 + 1;
  const float *ur = plan.halves.data(), *ui = ur + quarter;
  Complex first = load_row(in);
  V last = back ? load(in + h * kRow) : first.im;
  Complex sum{first.re + last, V{}}, difference{first.re - last, V{}};
  if (back) {
    store_row(out, {sum.re, difference.re});
  } else {
    store_row(out, sum);
    store_row(out + h * kRow, difference);
  }
  const V half = splat(0.5f);
  for (int64_t k = 1; k < quarter; ++k) {
    Complex a = load_row(in + k * kRow), b = load_row(in + (h - k) * kRow);
    Complex s{a.re + b.re, a.im - b.im}, d{a.re - b.re, a.im + b.im};
    Complex p = d * Complex{splat(ur[k]), splat(back ? -ui[k] : ui[k])};
    Complex x = s + p, y{s.re - p.re, p.im - s.im};
    if (!back) {
      x = {x.re * half, x.im * half};
      y = {y.re * half, y.im * half};
    }
    store_row(out + k * kRow, x);
    store_row(out + (h - k) * kRow, y);
  }
}

void halves_of_rows(const FftPlan& plan, bool back, const float* in, float* out) {
  back ? halves_of_all<true>(plan, in, out) : halves_of_all<false>(plan, in, out);
}

// ---- products of Bluestein's convolution

void multiply(const float* in, const float* by, float* out, int64_t length, bool before, bool after) {
  const int64_t real = before ? 1 : 0, first = after ? 1 : 0;
  int64_t j = 0;
  for (; j + kLanes <= length; j += kLanes) {
    Complex a = load_pairs(in + 2 * j);
    if (before) a = {a.im, a.re};
    Complex x = a * load_pairs(by + 2 * j);
    if (after) x = {x.im, x.re};
    store_pairs(out + 2 * j, x);
  }
  for (; j < length; ++j) {
    float ar = in[2 * j + real], ai = in[2 * j + 1 - real], br = by[2 * j], bi = by[2 * j + 1];
    out[2 * j + first] = ar * br - ai * bi;
    out[2 * j + 1 - first] = ar * bi + ai * br;
  }
}

void multiply_rows(float* rows, const float* by, int64_t length, bool before, bool after) {
  for (int64_t j = 0; j < length; ++j, rows += kRow, by += 2) {
    Complex a = load_row(rows);
    if (before) a = {a.im, a.re};
    Complex x = a * splat(by);
    if (after) x = {x.im, x.re};
    store_row(rows, x);
  }
}

}  // namespace

const FftTable FUNCNN_OF_THIS_SET(fft_table_) = {kLanes,         gather,   scatter,      lines, beside,
                                                 down,           across,   brief_group,  brief, halves,
                                                 halves_of_rows, multiply, multiply_rows};

}  // namespace funcnn::cpu
