// mma.sync and ldmatrix: fragments spread over the lanes as the PTX manual draws them (g = lane / 4, t = lane % 4).
#include "exec/tensor.h"

#include "exec/access.h"
#include "exec/collective.h"
#include "exec/half.h"

namespace limbeck {

using ptx::Operand;
using ptx::Space;
using ptx::Type;

namespace {

float tf32(uint32_t bits) { return floatOf(bits & ~0x1fffu); }  // the low 13 bits are ignored

struct Shape {
  int k;
  int aRegisters, bRegisters;
};

// The 32 lanes of a register are, in memory, the rows g of an 8 x 8 (or, in tf32, 8 x 4) tile: lane 4 g + t holds columns 2 t and 2 t + 1.
template <class H>
void widen(Warp &w, Slot slot, float (*tile)[8]) {
  const uint16_t *halves = w.lanes<uint16_t>(slot);
  float *to = &tile[0][0];
  for (int e = 0; e < 64; ++e) to[e] = H::wide(halves[e]);
}

template <class H>
void gatherHalves(Warp &w, const Slot *a, const Slot *b, const Shape &shape, float (*A)[16], float (*B)[8]) {
  alignas(32) float tile[8][8];
  for (int r = 0; r < shape.aRegisters; ++r) {
    widen<H>(w, a[r], tile);
    for (int g = 0; g < 8; ++g) std::memcpy(&A[g + 8 * (r & 1)][8 * (r >> 1)], tile[g], sizeof tile[g]);
  }
  for (int r = 0; r < shape.bRegisters; ++r) {
    widen<H>(w, b[r], tile);
    for (int k = 0; k < 8; ++k)
      for (int g = 0; g < 8; ++g) B[8 * r + k][g] = tile[g][k];
  }
}

void gatherTf32(Warp &w, const Slot *a, const Slot *b, const Shape &shape, float (*A)[16], float (*B)[8]) {
  for (int r = 0; r < shape.aRegisters; ++r)
    for (int l = 0; l < kLanes; ++l) A[l / 4 + 8 * (r & 1)][l % 4 + 4 * (r >> 1)] = tf32(w.lanes<uint32_t>(a[r])[l]);
  for (int r = 0; r < shape.bRegisters; ++r)
    for (int l = 0; l < kLanes; ++l) B[l % 4 + 4 * r][l / 4] = tf32(w.lanes<uint32_t>(b[r])[l]);
}

// Accumulators: registers 2 h and 2 h + 1 hold the even and odd columns of rows 8 h to 8 h + 7.
void gatherAccumulator(Warp &w, const Slot *c, bool half, float (*C)[8]) {
  for (int h = 0; h < 2; ++h) {
    if (half) {
      widen<F16>(w, c[h], C + 8 * h);
    } else {
      const float *even = w.lanes<float>(c[2 * h]), *odd = w.lanes<float>(c[2 * h + 1]);
      float *to = C[8 * h];
      for (int l = 0; l < kLanes; ++l) {
        to[2 * l] = even[l];
        to[2 * l + 1] = odd[l];
      }
    }
  }
}

void scatterAccumulator(Warp &w, const Slot *d, bool half, const float (*C)[8]) {
  for (int h = 0; h < 2; ++h) {
    const float *from = C[8 * h];
    if (half) {
      uint16_t *halves = w.lanes<uint16_t>(d[h]);
      for (int e = 0; e < 64; ++e) halves[e] = floatToHalf(from[e]);
    } else {
      float *even = w.lanes<float>(d[2 * h]), *odd = w.lanes<float>(d[2 * h + 1]);
      for (int l = 0; l < kLanes; ++l) {
        even[l] = canonical(from[2 * l]);
        odd[l] = canonical(from[2 * l + 1]);
      }
    }
  }
}

enum Kind : uint32_t { kF16, kBf16, kTf32 };

// imm: k; aux: Kind | 16: C in f16 | 32: D in f16. more: d, a, b, c.
void multiply(Warp &w, const Inst &i) {
  if (!gather(w, i)) return;
  if (w.active != kAllLanes) return fault(w, Check::synccheck, 719, -1, "mma needs all 32 lanes");
  ++w.syncEpoch;
  const uint32_t kind = i.aux & 15;
  Shape shape{static_cast<int>(i.imm), 0, 0};
  int perRegister = kind == kTf32 ? 1 : 2;
  shape.aRegisters = 16 * shape.k / kLanes / perRegister;
  shape.bRegisters = 8 * shape.k / kLanes / perRegister;
  const bool halfC = i.aux & 16, halfD = i.aux & 32;
  const Slot *d = i.more, *a = d + (halfD ? 2 : 4), *b = a + shape.aRegisters, *c = b + shape.bRegisters;
  alignas(32) float A[16][16], B[16][8], C[16][8];
  if (kind == kF16) gatherHalves<F16>(w, a, b, shape, A, B);
  if (kind == kBf16) gatherHalves<Bf16>(w, a, b, shape, A, B);
  if (kind == kTf32) gatherTf32(w, a, b, shape, A, B);
  gatherAccumulator(w, c, halfC, C);
  accumulate(&A[0][0], 16, &B[0][0], &C[0][0], 16, 8, shape.k, w.launch->noiseSeed != 0);
  scatterAccumulator(w, d, halfD, C);
}

std::vector<Slot> fragment(Encoder &e, const Operand &operand, size_t registers, Type type, bool write) {
  if (operand.kind != Operand::Kind::vector || operand.items.size() != registers) e.fail("expected a fragment of " + std::to_string(registers) + " registers");
  std::vector<Slot> slots;
  for (const Operand &item : operand.items) slots.push_back(write ? e.def(item, type) : e.use(item, type));
  return slots;
}

void decodeMma(Encoder &e) {
  if (!e.mods.take("sync") || !e.mods.take("aligned")) e.unknown();
  std::string_view shape = e.mods.takeOneOf({"m16n8k4", "m16n8k8", "m16n8k16"});
  if (shape.empty() || !e.mods.take("row") || !e.mods.take("col")) e.unknown();
  int k = shape == "m16n8k4" ? 4 : shape == "m16n8k8" ? 8 : 16;
  Type typeD = e.type(), typeA = e.type(), typeB = e.type(), typeC = e.type();
  if (typeA != typeB) e.unknown();
  uint32_t kind = typeA == Type::f16 ? kF16 : typeA == Type::bf16 ? kBf16 : kTf32;
  bool legal = (typeA == Type::f16 && k >= 8) || (typeA == Type::bf16 && k >= 8) || (typeA == Type::tf32 && k <= 8);
  auto accumulator = [&](Type t) { return t == Type::f32 || (t == Type::f16 && typeA == Type::f16); };
  if (!legal || !accumulator(typeD) || !accumulator(typeC)) e.unknown();
  e.arity(4);
  int perRegister = kind == kTf32 ? 1 : 2;
  std::vector<Slot> a = fragment(e, e.operand(1), 16 * k / kLanes / perRegister, Type::b32, false);
  std::vector<Slot> b = fragment(e, e.operand(2), 8 * k / kLanes / perRegister, Type::b32, false);
  std::vector<Slot> c = fragment(e, e.operand(3), typeC == Type::f16 ? 2 : 4, Type::b32, false);
  std::vector<Slot> all = fragment(e, e.operand(0), typeD == Type::f16 ? 2 : 4, Type::b32, true);
  for (const auto *part : {&a, &b, &c}) all.insert(all.end(), part->begin(), part->end());
  e.out.more = e.list(all);
  e.out.imm = k;
  e.out.aux = kind | (typeC == Type::f16 ? 16 : 0) | (typeD == Type::f16 ? 32 : 0);
  e.out.c = e.constant(kAllLanes, 4);
  e.out.b = 2 * 16 * 8 * k;  // flops, for the counters
  e.emit(multiply, Class::tensor);
}

// One 16-byte row per lane: 8 lanes to a matrix. count: matrices, aux: shared, target: 1 transposed.
bool rowsOf(Warp &w, const Inst &i, Access &x) {
  int matrices = i.count;
  uint32_t active = w.active;
  w.active = matrices == 4 ? kAllLanes : (1u << (8 * matrices)) - 1;  // the other lanes' addresses are ignored
  bool fine = locate(w, i, 16, x);
  w.active = active;
  return fine;
}

void loadMatrix(Warp &w, const Inst &i) {
  if (!gather(w, i)) return;
  if (w.active != kAllLanes) return fault(w, Check::synccheck, 719, -1, "ldmatrix needs all 32 lanes");
  Access x;
  if (!rowsOf(w, i, x)) return;
  ++w.syncEpoch;
  uint32_t result[4][kLanes];
  for (int m = 0; m < i.count; ++m)
    for (int l = 0; l < kLanes; ++l) {
      int row = l / 4, col = 2 * (l % 4);
      if (i.target) {
        uint32_t low = x.at<uint16_t>(8 * m + col)[row], high = x.at<uint16_t>(8 * m + col + 1)[row];
        result[m][l] = high << 16 | low;
      } else {
        std::memcpy(&result[m][l], x.at<uint16_t>(8 * m + row) + col, 4);
      }
    }
  for (int m = 0; m < i.count; ++m) std::memcpy(w.lanes<uint32_t>(i.more[m]), result[m], sizeof result[m]);
}

void storeMatrix(Warp &w, const Inst &i) {
  if (!gather(w, i)) return;
  if (w.active != kAllLanes) return fault(w, Check::synccheck, 719, -1, "stmatrix needs all 32 lanes");
  Access x;
  if (!rowsOf(w, i, x)) return;
  ++w.syncEpoch;
  for (int m = 0; m < i.count; ++m)
    for (int l = 0; l < kLanes; ++l) {
      int row = l / 4, col = 2 * (l % 4);
      uint32_t value = w.lanes<uint32_t>(i.more[m])[l];
      if (i.target) {
        x.at<uint16_t>(8 * m + col)[row] = static_cast<uint16_t>(value);
        x.at<uint16_t>(8 * m + col + 1)[row] = static_cast<uint16_t>(value >> 16);
      } else {
        std::memcpy(x.at<uint16_t>(8 * m + row) + col, &value, 4);
      }
    }
}

void decodeMatrix(Encoder &e, bool store) {
  if (!e.mods.take("sync") || !e.mods.take("aligned") || !e.mods.take("m8n8")) e.unknown();
  std::string_view number = e.mods.takeOneOf({"x1", "x2", "x4"});
  if (number.empty()) e.unknown();
  bool transposed = e.mods.take("trans");
  Space space = takeSpace(e);
  if (e.type() != Type::b16 || (space != Space::shared && space != Space::generic)) e.unknown();
  e.arity(2);
  decodeAddress(e, e.operand(store ? 0 : 1), space, store ? kWrite : kRead);
  size_t matrices = static_cast<size_t>(number[1] - '0');
  e.out.more = e.list(fragment(e, e.operand(store ? 1 : 0), matrices, Type::b32, !store));
  e.out.target = transposed;
  e.out.c = e.constant(kAllLanes, 4);
  e.emit(store ? storeMatrix : loadMatrix, Class::shared);
}

}  // namespace

namespace {

// With the width known at compile time a row of C stays in registers.
template <int n>
void accumulateRows(const float *A, int strideA, const float *B, float *C, int m, int k, bool backwards) {
  for (int row = 0; row < m; ++row) {
    float sum[n];
    std::memcpy(sum, C + row * n, sizeof sum);
    for (int step = 0; step < k; ++step) {
      // The order in which a tensor core adds is not specified: noise runs add the other way round.
      int at = backwards ? k - 1 - step : step;
      float a = A[row * strideA + at];
      const float *b = B + at * n;
      for (int col = 0; col < n; ++col) sum[col] = std::fma(a, b[col], sum[col]);
    }
    std::memcpy(C + row * n, sum, sizeof sum);
  }
}

}  // namespace

void accumulate(const float *A, int strideA, const float *B, float *C, int m, int n, int k, bool backwards) {
  if (n == 8) accumulateRows<8>(A, strideA, B, C, m, k, backwards);
  if (n == 16) accumulateRows<16>(A, strideA, B, C, m, k, backwards);
  if (n == 32) accumulateRows<32>(A, strideA, B, C, m, k, backwards);
}

void addTensorFamily(DecodeTable &table) {
  table["mma"] = decodeMma;
  table["ldmatrix"] = [](Encoder &e) { decodeMatrix(e, false); };
  table["stmatrix"] = [](Encoder &e) { decodeMatrix(e, true); };
  table["wmma"] = decodeWmma;
}

}  // namespace limbeck
