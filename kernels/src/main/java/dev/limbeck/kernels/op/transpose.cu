// y[i0, …, ik] = x[Σ strides[a]·i_a], y contiguous. Transpose.java has merged axes that stay
// neighbours and left out those of size 1.
//
// transpose_tiles: for two axes of 16 or more, the one along which x is contiguous (high, y's stride
// high_stride) and y's last one (wide, x's stride wide_stride). A block of 256 threads carries a tile
// of 32×32 through shared memory, so that each warp reads and writes runs of 128 bytes; rows of 33
// words keep the columns in different banks. The other axes are in the table, as size, stride in x,
// stride in y, the last one first; the grid is tiles along high, tiles along wide, places of the
// others. Some 40 instructions of PTX per element.
//
// transpose: else. One thread per element, or per 16 bytes where whole runs of x stay together
// (f32x4); grid-stride. The table has size, multiplier, shift and stride of each axis, the last one
// first. Writes are whole runs; reads have a short axis between them and meet in L1.
//
// 8 bytes per element.

constexpr int TILE = 32;
constexpr int ROWS = 8;

extern "C" __global__ void __launch_bounds__(TILE * ROWS) transpose_tiles_f32(
    int outer, int axes, const int* __restrict__ table, int high, int high_stride, int wide,
    int wide_stride, const float* __restrict__ x, float* __restrict__ y) {
  __shared__ float tile[TILE][TILE + 1];
  int lane = threadIdx.x % TILE;
  int row = threadIdx.x / TILE;
  int top = blockIdx.x * TILE;
  for (int at = blockIdx.z; at < outer; at += gridDim.z) {
    int from = 0;
    int to = 0;
    int rest = at;
    for (int a = 0; a < axes; a++) {
      int next = rest / table[3 * a];
      int i = rest - next * table[3 * a];
      from += i * table[3 * a + 1];
      to += i * table[3 * a + 2];
      rest = next;
    }
    for (int left = blockIdx.y * TILE; left < wide; left += gridDim.y * TILE) {
      const float* source = x + from + (left + row) * wide_stride + top + lane;
#pragma unroll
      for (int r = 0; r < TILE; r += ROWS) {
        if (top + lane < high && left + row + r < wide) {
          tile[row + r][lane] = source[r * wide_stride];
        }
      }
      __syncthreads();
      float* target = y + to + (top + row) * high_stride + left + lane;
#pragma unroll
      for (int r = 0; r < TILE; r += ROWS) {
        if (left + lane < wide && top + row + r < high) {
          target[r * high_stride] = tile[lane][row + r];
        }
      }
      __syncthreads();
    }
  }
}

template <class T>
__device__ __forceinline__ void transpose(
    int n, int axes, const int* table, const T* x, T* y) {
  for (unsigned i = grid_first(); i < n; i += grid_stride()) {
    unsigned rest = i;
    unsigned from = 0;
#pragma unroll 1
    for (int a = 0; a < axes; a++) {
      int4 axis = reinterpret_cast<const int4*>(table)[a];
      unsigned next = quotient(rest, axis.y, axis.z);
      from += (rest - next * axis.x) * axis.w;
      rest = next;
    }
    y[i] = x[from];
  }
}

extern "C" __global__ void transpose_f32(
    int n, int axes, const int* __restrict__ table, const float* __restrict__ x,
    float* __restrict__ y) {
  transpose(n, axes, table, x, y);
}

extern "C" __global__ void transpose_f32x4(
    int n, int axes, const int* __restrict__ table, const float4* __restrict__ x,
    float4* __restrict__ y) {
  transpose(n, axes, table, x, y);
}
