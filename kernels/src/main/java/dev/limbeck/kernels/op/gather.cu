// Rows by number.
//
// gather: y[i, :] = table[index[i], :]. One thread per 4 elements of y where the width is a multiple
// of 4 (f32x4: width and n count 16 bytes), else one per element; grid-stride. The lanes that share a
// row read its number from L1; 8 bytes per element.
//
// scatter_add: table[index[i], :] += x[i, :] in the order of i, as on the CPU, without atomics. A warp
// owns 32 columns (f32x4: 128) of one row of the table: it looks through all numbers, 32 at a time,
// and adds the rows of x that are meant for it one after the other. Rows that no number names are not
// touched. Reads each row of x once and each named row of the table once, but every warp looks at all
// n numbers, about ten instructions for 32: less than the time of the memory for tables of up to some
// thousand rows (classes), beyond that the larger part.
//
// one_hot: y[i, c] = 1 if c = index[i], else 0; a row of zeros for a negative number. One thread for
// four elements at a time; 4 bytes per element.
//
// A kernel cannot throw. A number that names no row gives NaN: gather and one_hot in the row asked for,
// scatter_add in row 0 of the table; so it shows in the loss, not in silence.

__device__ __forceinline__ float not_a_number() { return __int_as_float(0x7FC00000); }

__device__ __forceinline__ void clear(float& v) { v = not_a_number(); }
__device__ __forceinline__ void clear(float4& v) {
  v = make_float4(not_a_number(), not_a_number(), not_a_number(), not_a_number());
}

__device__ __forceinline__ void add(float& sum, float v) { sum += v; }
__device__ __forceinline__ void add(float4& sum, float4 v) {
  sum = make_float4(sum.x + v.x, sum.y + v.y, sum.z + v.z, sum.w + v.w);
}

template <class T>
__device__ __forceinline__ void gather(
    int n, unsigned width, unsigned multiplier, int shift, int rows, const T* table,
    const int* index, T* y) {
  for (unsigned i = grid_first(); i < n; i += grid_stride()) {
    unsigned at = quotient(i, multiplier, shift);
    int row = index[at];
    T v;
    if (row >= 0 && row < rows) {
      v = table[row * width + (i - at * width)];
    } else {
      clear(v);
    }
    y[i] = v;
  }
}

extern "C" __global__ void gather_f32(
    int n, unsigned width, unsigned multiplier, int shift, int rows,
    const float* __restrict__ table, const int* __restrict__ index, float* y) {
  gather(n, width, multiplier, shift, rows, table, index, y);
}

extern "C" __global__ void gather_f32x4(
    int n, unsigned width, unsigned multiplier, int shift, int rows,
    const float4* __restrict__ table, const int* __restrict__ index, float4* y) {
  gather(n, width, multiplier, shift, rows, table, index, y);
}

template <class T>
__device__ __forceinline__ void scatter_add(
    int n, int width, int rows, const T* x, const int* index, T* table) {
  int lane = threadIdx.x % 32;
  int row = (blockIdx.x * blockDim.x + threadIdx.x) / 32;
  if (row >= rows) {
    return;
  }
  for (int first = 32 * blockIdx.y; first < width; first += 32 * gridDim.y) {
    int column = first + lane;
    bool inside = column < width;
    bool touched = false;
    bool wrong = false;
    T sum;
    clear(sum);
    for (int begin = 0; begin < n; begin += 32) {
      int i = begin + lane;
      int k = i < n ? index[i] : 0;
      unsigned mine = __ballot_sync(0xFFFFFFFFu, i < n && k == row);
      wrong |= k < 0 || k >= rows;
      if (mine != 0 && !touched) {
        touched = true;
        if (inside) {
          sum = table[row * width + column];
        }
      }
      for (; mine != 0; mine &= mine - 1) {
        if (inside) {
          add(sum, x[(begin + __ffs(mine) - 1) * width + column]);
        }
      }
    }
    if (row == 0 && __any_sync(0xFFFFFFFFu, wrong)) {
      touched = true;
      clear(sum);
    }
    if (touched && inside) {
      table[row * width + column] = sum;
    }
  }
}

extern "C" __global__ void scatter_add_f32(
    int n, int width, int rows, const float* __restrict__ x, const int* __restrict__ index,
    float* table) {
  scatter_add(n, width, rows, x, index, table);
}

extern "C" __global__ void scatter_add_f32x4(
    int n, int width, int rows, const float4* __restrict__ x, const int* __restrict__ index,
    float4* table) {
  scatter_add(n, width, rows, x, index, table);
}

__device__ __forceinline__ float one_hot(int k, int c, int classes) {
  return k >= classes ? not_a_number() : k == c ? 1.0f : 0.0f;
}

extern "C" __global__ void one_hot_f32(
    int n, unsigned classes, unsigned multiplier, int shift, const int* __restrict__ index,
    float* y) {
  auto value = [=](unsigned i) {
    unsigned row = quotient(i, multiplier, shift);
    return one_hot(index[row], i - row * classes, classes);
  };
  for (unsigned i = grid_first(); i < n / 4; i += grid_stride()) {
    reinterpret_cast<float4*>(y)[i] =
        make_float4(value(4 * i), value(4 * i + 1), value(4 * i + 2), value(4 * i + 3));
  }
  unsigned i = (n & ~3) + grid_first();
  if (i < n) {
    y[i] = value(i);
  }
}
