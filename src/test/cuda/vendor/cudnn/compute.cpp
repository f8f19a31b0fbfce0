// The three sums of a convolution by their definition, in double, rounded once to the type of the result.
#include <atomic>
#include <cstring>
#include <vector>

#include "problem.h"

namespace limbeck::dnn {

namespace {

using Array = std::vector<double>;

size_t index(int64_t i) { return static_cast<size_t>(i); }

// Dense copy with channels last: [N,H,W,C] of a tensor, [K,R,S,C] of a filter.
Array load_dense(Address address, const Layout &layout, Number type, InputRounding rounding) {
  const size_t size = size_of(type);
  const void *host = readable(address, index(layout.count()) * size, size);
  Array flat(index(layout.count())), dense(flat.size());
  load(type, host, flat.size(), 1, rounding, flat.data());
  size_t i = 0;
  for (int64_t n = 0; n < layout.dims[0]; n++)
    for (int64_t h = 0; h < layout.dims[2]; h++)
      for (int64_t w = 0; w < layout.dims[3]; w++)
        for (int64_t c = 0; c < layout.dims[1]; c++) dense[i++] = flat[index(layout.at(n, c, h, w))];
  return dense;
}

// Calls tap(x, y, w): offsets, in dense arrays, of an input pixel and of the output pixel it goes to, and the filter's position
// r * S + s.
template <class Tap>
void for_each_tap(const Problem &p, Tap tap) {
  const int64_t *x = p.x.dims, *y = p.y.dims, r_count = p.w.dims[2], s_count = p.w.dims[3];
  for (int64_t n = 0; n < y[0]; n++) {
    for (int64_t row = 0; row < y[2]; row++) {
      for (int64_t column = 0; column < y[3]; column++) {
        for (int64_t r = 0; r < r_count; r++) {
          const int64_t h = row * p.strides[0] - p.pads[0] + r * p.dilations[0];
          if (h < 0 || h >= x[2]) continue;
          for (int64_t s = 0; s < s_count; s++) {
            const int64_t w = column * p.strides[1] - p.pads[1] + s * p.dilations[1];
            if (w < 0 || w >= x[3]) continue;
            const int64_t position = p.flipped ? (r_count - 1 - r) * s_count + s_count - 1 - s : r * s_count + s;
            tap(((n * x[2] + h) * x[3] + w) * x[1], ((n * y[2] + row) * y[3] + column) * y[1], position);
          }
        }
      }
    }
  }
}

// y[n,p,q,k] = sum over r, s, c of x[n,h,w,c] w[k,r,s,c].
Array forward(const Problem &p, const Array &x, const Array &w) {
  const int64_t k_count = p.w.dims[0], c_count = p.w.dims[1], taps = p.w.dims[2] * p.w.dims[3], per_group = k_count / p.groups;
  Array turned(w.size()), y(index(p.y.count()));  // [tap,c,k], so that the inner loop runs over k
  for (int64_t k = 0; k < k_count; k++)
    for (int64_t t = 0; t < taps * c_count; t++) turned[index(t * k_count + k)] = w[index(k * taps * c_count + t)];
  for_each_tap(p, [&](int64_t from, int64_t to, int64_t position) {
    for (int64_t g = 0; g < p.groups; g++)
      for (int64_t c = 0; c < c_count; c++)
        multiply_add(&y[index(to + g * per_group)], &turned[index((position * c_count + c) * k_count + g * per_group)],
                     x[index(from + g * c_count + c)], index(per_group));
  });
  return y;
}

// dx[n,h,w,c] = sum over k, r, s of dy[n,p,q,k] w[k,r,s,c].
Array backward_data(const Problem &p, const Array &w, const Array &dy) {
  const int64_t k_count = p.w.dims[0], c_count = p.w.dims[1], taps = p.w.dims[2] * p.w.dims[3], per_group = k_count / p.groups;
  Array dx(index(p.x.count()));
  for_each_tap(p, [&](int64_t to, int64_t from, int64_t position) {
    for (int64_t k = 0; k < k_count; k++)
      multiply_add(&dx[index(to + k / per_group * c_count)], &w[index((k * taps + position) * c_count)], dy[index(from + k)],
                   index(c_count));
  });
  return dx;
}

// dw[k,r,s,c] = sum over n, p, q of dy[n,p,q,k] x[n,h,w,c].
Array backward_filter(const Problem &p, const Array &x, const Array &dy) {
  const int64_t k_count = p.w.dims[0], c_count = p.w.dims[1], taps = p.w.dims[2] * p.w.dims[3], per_group = k_count / p.groups;
  Array dw(index(p.w.count()));
  for_each_tap(p, [&](int64_t pixel, int64_t gradient, int64_t position) {
    for (int64_t k = 0; k < k_count; k++)
      multiply_add(&dw[index((k * taps + position) * c_count)], &x[index(pixel + k / per_group * c_count)],
                   dy[index(gradient + k)], index(c_count));
  });
  return dw;
}

// A float's last bit, up, down or not at all, different in every run: what an unordered sum does to a result.
double unsteady(double value, uint64_t run, uint64_t i) {
  uint64_t hash = (run * 0x9e3779b97f4a7c15ULL + i) * 0xbf58476d1ce4e5b9ULL;
  hash ^= hash >> 31;
  return value * (1 + (static_cast<double>(hash % 3) - 1) * 0x1p-23);
}

void store(const Job &job, const Layout &layout, const Array &sums) {
  static std::atomic<uint64_t> runs{0};
  const uint64_t run = runs++;
  const Number type = job.problem.type;
  const size_t size = size_of(type), bytes = sums.size() * size;
  const void *before = job.beta == 0 ? nullptr : readable(job.result, bytes, size);
  void *after = writable(job.result, bytes, size);
  size_t i = 0;
  for (int64_t n = 0; n < layout.dims[0]; n++) {
    for (int64_t h = 0; h < layout.dims[2]; h++) {
      for (int64_t w = 0; w < layout.dims[3]; w++) {
        for (int64_t c = 0; c < layout.dims[1]; c++, i++) {
          const size_t at = index(layout.at(n, c, h, w));
          const double sum = job.deterministic ? sums[i] : unsteady(sums[i], run, i);
          store_one(type, after, at, job.alpha * sum + (job.beta == 0 ? 0 : job.beta * load_one(type, before, at)));
        }
      }
    }
  }
}

}  // namespace

void Job::operator()() const {
  // A workspace is scratch: whoever keeps something in it loses it.
  if (workspace_bytes > 0) std::memset(writable(workspace, workspace_bytes, 1), 0xff, workspace_bytes);
  const Problem &p = problem;
  const auto dense = [&](Address address, const Layout &layout) { return load_dense(address, layout, p.type, rounding); };
  switch (direction) {
    case Direction::kForward:
      return store(*this, p.y, forward(p, dense(first, p.x), dense(second, p.w)));
    case Direction::kBackwardData:
      return store(*this, p.x, backward_data(p, dense(first, p.w), dense(second, p.y)));
    default:
      return store(*this, p.w, backward_filter(p, dense(first, p.x), dense(second, p.y)));
  }
}

}  // namespace limbeck::dnn
