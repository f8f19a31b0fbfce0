// y = the rows of x [rows, count] in ascending order, -0 before 0, NaN last.
//
// Floats are compared as integers of the same order, NaN as the largest. sort_tiles sorts runs of 8
// elements per thread (2048 with 256 threads) in one block: 8 in registers, then merges in shared
// memory, each thread finding by bisection which 8 elements of a merged run are its own (the merge
// path). sort_merge merges pairs of sorted runs of the same row, 2048 outputs per block: bisection in
// global memory for the block's ends, then the same in shared memory. Each launch reads and writes 8
// bytes per element, in runs; ⌈log₂(count/2048)⌉ merges, all blocks busy in each. Results go into
// shared memory 16 bytes at a time (two lanes per bank); the threads of a merge read from places that
// depend on the data, where a bank serves about three lanes.

constexpr int ITEMS = 8;
constexpr int THREADS = 256;
constexpr int TILE = ITEMS * THREADS;
constexpr unsigned LAST = 0xFFFFFFFFu;

__device__ __forceinline__ unsigned key(float v) {
  unsigned bits = __float_as_uint(v);
  unsigned flip = (bits >> 31) != 0 ? 0xFFFFFFFFu : 0x80000000u;
  return v != v ? LAST : bits ^ flip;
}

__device__ __forceinline__ unsigned key(unsigned k) { return k; }

__device__ __forceinline__ float value(unsigned key) {
  return __uint_as_float(key ^ ((key >> 31) != 0 ? 0x80000000u : 0xFFFFFFFFu));
}

/** How many of the first taken elements of the merged runs come from a; equal ones from a first. */
template <class T>
__device__ __forceinline__ int merge_path(const T* a, int na, const T* b, int nb, int taken) {
  int low = max(0, taken - nb);
  int high = min(taken, na);
  while (low < high) {
    int middle = (low + high) / 2;
    if (key(a[middle]) <= key(b[taken - 1 - middle])) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  return low;
}

/**
 * The ITEMS elements of the merged runs from number taken on, LAST beyond their end; the second run
 * stands behind the first. Without branches, because neighbouring lanes would take different ones:
 * a run that has ended goes on with LAST, and where both are LAST it does not matter which is taken.
 */
__device__ __forceinline__ void merge(
    const unsigned* runs, int na, int nb, int taken, unsigned* items) {
  int end = na + nb;
  taken = min(taken, end);
  int i = merge_path(runs, na, runs + na, nb, taken);
  int j = na + taken - i;
  unsigned u = i < na ? runs[i] : LAST;
  unsigned v = j < end ? runs[j] : LAST;
#pragma unroll
  for (int k = 0; k < ITEMS; k++) {
    bool first = u <= v;
    items[k] = first ? u : v;
    i += first ? 1 : 0;
    j += first ? 0 : 1;
    int next = first ? i : j;
    bool more = next < (first ? na : end);
    unsigned read = runs[more ? next : 0];
    unsigned follower = more ? read : LAST;
    u = first ? follower : u;
    v = first ? v : follower;
  }
}

/** Sorts eight numbers by exchanging neighbours, 28 times. */
__device__ __forceinline__ void sort_items(unsigned* items) {
#pragma unroll
  for (int round = 0; round < ITEMS; round++) {
#pragma unroll
    for (int k = round % 2; k + 1 < ITEMS; k += 2) {
      unsigned low = min(items[k], items[k + 1]);
      items[k + 1] = max(items[k], items[k + 1]);
      items[k] = low;
    }
  }
}

/** Puts each thread's items into shared memory, in the order of the threads. */
__device__ __forceinline__ void put(const unsigned* items, uint4* shared) {
  __syncthreads();
  shared[2 * threadIdx.x] = make_uint4(items[0], items[1], items[2], items[3]);
  shared[2 * threadIdx.x + 1] = make_uint4(items[4], items[5], items[6], items[7]);
  __syncthreads();
}

/** Blocks count a row's tiles, then rows. A tile has ITEMS elements per thread of the block. */
extern "C" __global__ void __launch_bounds__(THREADS) sort_tiles_f32(
    int count, int tiles, const float* x, float* y) {
  __shared__ uint4 memory[TILE / 4];
  unsigned* shared = reinterpret_cast<unsigned*>(memory);
  int row = blockIdx.x / tiles;
  int tile = ITEMS * blockDim.x;
  int start = (blockIdx.x - row * tiles) * tile;
  int length = min(tile, count - start);
  x += row * count + start;
  y += row * count + start;
  for (int i = threadIdx.x; i < tile; i += blockDim.x) {
    shared[i] = i < length ? key(x[i]) : LAST;
  }
  __syncthreads();
  uint4 u = memory[2 * threadIdx.x];
  uint4 v = memory[2 * threadIdx.x + 1];
  unsigned items[ITEMS] = {u.x, u.y, u.z, u.w, v.x, v.y, v.z, v.w};
  sort_items(items);
  put(items, memory);
  for (int run = ITEMS; run < tile; run *= 2) {
    int first = ITEMS * threadIdx.x / (2 * run) * (2 * run);
    merge(shared + first, run, run, ITEMS * threadIdx.x - first, items);
    put(items, memory);
  }
  for (int i = threadIdx.x; i < length; i += blockDim.x) {
    y[i] = value(shared[i]);
  }
}

/** Merges neighbouring runs of x into y; run is a multiple of TILE. Blocks as in sort_tiles. */
extern "C" __global__ void __launch_bounds__(THREADS) sort_merge_f32(
    int count, int tiles, int run, const float* __restrict__ x, float* __restrict__ y) {
  __shared__ uint4 memory[TILE / 4];
  unsigned* shared = reinterpret_cast<unsigned*>(memory);
  __shared__ int ends[2];
  int row = blockIdx.x / tiles;
  int start = (blockIdx.x - row * tiles) * TILE;
  int length = min(TILE, count - start);
  int pair = start / run / 2 * 2 * run;
  const float* a = x + row * count + pair;
  int na = min(run, count - pair);
  int nb = max(0, min(run, count - pair - run));
  const float* b = a + na;
  if (threadIdx.x < 2) {
    ends[threadIdx.x] = merge_path(a, na, b, nb, start - pair + (threadIdx.x == 0 ? 0 : length));
  }
  __syncthreads();
  int from_a = ends[0];
  int from_b = start - pair - from_a;
  na = ends[1] - from_a;
  nb = length - na;
  for (int i = threadIdx.x; i < length; i += THREADS) {
    shared[i] = key(i < na ? a[from_a + i] : b[from_b + i - na]);
  }
  __syncthreads();
  unsigned items[ITEMS];
  merge(shared, na, nb, ITEMS * threadIdx.x, items);
  put(items, memory);
  for (int i = threadIdx.x; i < length; i += THREADS) {
    y[row * count + start + i] = value(shared[i]);
  }
}
