// Copies of elements of any type, as bits.
//
// fill: y[i] = value for n elements; 16 bytes per store, then the last few elements; 4 (2) bytes per
// element. The value lies in device memory, because a sampler's noise level differs from step to step.
//
// copy_block: y[to + r·target_pitch + j] = x[from + r·pitch + j] for r < rows, j < width. Lengths are
// in units of 16, 4 or 2 bytes, the largest unit that divides all of them. One thread per unit,
// grid-stride over rows·width, so that short rows fill warps too; 2 times the block's bytes.
//
// int_to_float: four elements per thread; 8 bytes per element.

extern "C" __global__ void fill_b32(int n, const int* value, int* y) {
  int v = *value;
  for (unsigned i = grid_first(); i < n / 4; i += grid_stride()) {
    reinterpret_cast<int4*>(y)[i] = make_int4(v, v, v, v);
  }
  unsigned i = (n & ~3) + grid_first();
  if (i < n) {
    y[i] = v;
  }
}

/** The value is in the lower half of the word. */
extern "C" __global__ void fill_b16(int n, const int* value, short* y) {
  int v = (*value & 0xFFFF) | (*value << 16);
  for (unsigned i = grid_first(); i < n / 8; i += grid_stride()) {
    reinterpret_cast<int4*>(y)[i] = make_int4(v, v, v, v);
  }
  unsigned i = (n & ~7) + grid_first();
  if (i < n) {
    y[i] = static_cast<short>(v);
  }
}

#define COPY_BLOCK(name, unit)                                                                    \
  extern "C" __global__ void copy_block_##name(                                                   \
      int n, unsigned width, unsigned multiplier, int shift, int pitch, int target_pitch,         \
      int from, int to, const unit* x, unit* y) {                                                 \
    for (unsigned i = grid_first(); i < n; i += grid_stride()) {                                  \
      unsigned row = quotient(i, multiplier, shift);                                              \
      unsigned column = i - row * width;                                                          \
      y[to + row * target_pitch + column] = x[from + row * pitch + column];                       \
    }                                                                                             \
  }

COPY_BLOCK(b128, int4)
COPY_BLOCK(b32, int)
COPY_BLOCK(b16, short)

extern "C" __global__ void int_to_float_f32(int n, const int* __restrict__ x, float* y) {
  for (unsigned i = grid_first(); i < n / 4; i += grid_stride()) {
    int4 v = reinterpret_cast<const int4*>(x)[i];
    reinterpret_cast<float4*>(y)[i] = make_float4(v.x, v.y, v.z, v.w);
  }
  unsigned i = (n & ~3) + grid_first();
  if (i < n) {
    y[i] = x[i];
  }
}
