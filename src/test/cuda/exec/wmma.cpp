// wmma.load, wmma.mma, wmma.store. How a fragment lies in the registers is nobody's business but this file's: element e of a row-major
// tile belongs to lane e / perLane.
#include "exec/access.h"
#include "exec/collective.h"
#include "exec/half.h"
#include "exec/tensor.h"

namespace limbeck {

using ptx::Operand;
using ptx::Space;
using ptx::Type;

namespace {

struct Tile {
  int m, n, k;
};

// What Inst::imm of the three instructions holds.
struct Fragment {
  uint8_t rows, cols;
  uint8_t type;       // Type of an element
  uint8_t columnMajor;
  uint8_t registers;
};

int perLane(const Fragment &f) { return f.rows * f.cols / kLanes; }

bool isPacked(Type type) { return type == Type::f16 || type == Type::bf16; }

// f16 fragments of A and B have twice the registers they need.
int registersOf(char which, const Tile &tile, Type type) {
  int elements = which == 'a' ? tile.m * tile.k : which == 'b' ? tile.k * tile.n : tile.m * tile.n;
  int each = elements / kLanes;
  if (!isPacked(type)) return each;
  if (which == 'c' || which == 'd') return each / 2;
  return type == Type::f16 ? 8 : each / 2;
}

uint32_t elementBits(Warp &w, const Slot *slots, Type type, int lane, int element) {
  if (!isPacked(type)) return w.lanes<uint32_t>(slots[element])[lane];
  return w.lanes<uint32_t>(slots[element / 2])[lane] >> (16 * (element & 1)) & 0xffff;
}

void setElement(Warp &w, const Slot *slots, Type type, int lane, int element, uint32_t bits) {
  if (!isPacked(type)) {
    w.lanes<uint32_t>(slots[element])[lane] = bits;
    return;
  }
  uint32_t &word = w.lanes<uint32_t>(slots[element / 2])[lane];
  word = element & 1 ? (word & 0xffff) | bits << 16 : (word & 0xffff0000) | bits;
}

float valueOf(uint32_t bits, Type type) {
  switch (type) {
    case Type::f16: return halfToFloat(static_cast<uint16_t>(bits));
    case Type::bf16: return bfloatToFloat(static_cast<uint16_t>(bits));
    case Type::tf32: return floatOf(bits & ~0x1fffu);
    default: return floatOf(bits);
  }
}

bool ready(Warp &w, const Inst &i) {
  if (!gather(w, i)) return false;
  if (w.active != kAllLanes) {
    fault(w, Check::synccheck, 719, -1, "wmma needs all 32 lanes");
    return false;
  }
  ++w.syncEpoch;
  return true;
}

// b: slot of the stride (elements); more: registers. Each element of a lane is one access of the warp.
template <bool store>
void transfer(Warp &w, const Inst &i) {
  if (!ready(w, i)) return;
  Fragment f;
  std::memcpy(&f, w.launch->kernel->copies[static_cast<size_t>(i.target)].data(), sizeof f);
  Type type = static_cast<Type>(f.type);
  uint32_t bytes = isPacked(type) ? 2 : 4;
  uint64_t base[kLanes];
  laneAddresses(w, i.a, i.imm, i.flags & kAddress32, base);
  const uint32_t *stride = w.lanes<uint32_t>(i.b);
  for (int n = 0; n < perLane(f); ++n) {
    Access x;
    for (int l = 0; l < kLanes; ++l) {
      int e = l * perLane(f) + n;
      uint64_t row = static_cast<uint64_t>(e / f.cols), col = static_cast<uint64_t>(e % f.cols);
      x.address[l] = base[l] + (f.columnMajor ? col * stride[l] + row : row * stride[l] + col) * bytes;
    }
    if (!locateAt(w, i, bytes, x, static_cast<Space>(i.aux))) return;
    for (int l = 0; l < kLanes; ++l) {
      if (store) {
        uint32_t bits = elementBits(w, i.more, type, l, n);
        std::memcpy(x.at<char>(l), &bits, bytes);
      } else {
        uint32_t bits = 0;
        std::memcpy(&bits, x.at<char>(l), bytes);
        setElement(w, i.more, type, l, n, bits);
      }
    }
  }
}

struct Product {
  Fragment a, b, c, d;
};

void collect(Warp &w, const Slot *slots, const Fragment &f, float *matrix) {
  for (int e = 0; e < f.rows * f.cols; ++e) matrix[e] = valueOf(elementBits(w, slots, static_cast<Type>(f.type), e / perLane(f), e % perLane(f)), static_cast<Type>(f.type));
}

// more: d, a, b, c
void multiply(Warp &w, const Inst &i) {
  if (!ready(w, i)) return;
  Product p;
  std::memcpy(&p, w.launch->kernel->copies[static_cast<size_t>(i.target)].data(), sizeof p);
  const Slot *d = i.more, *a = d + p.d.registers, *b = a + p.a.registers, *c = b + p.b.registers;
  float A[512], B[512], C[512];
  collect(w, a, p.a, A);
  collect(w, b, p.b, B);
  collect(w, c, p.c, C);
  accumulate(A, p.a.cols, B, C, p.c.rows, p.c.cols, p.a.cols, w.launch->noiseSeed != 0);
  for (int e = 0; e < p.d.rows * p.d.cols; ++e) {
    float value = canonical(C[e]);
    setElement(w, d, static_cast<Type>(p.d.type), e / perLane(p.d), e % perLane(p.d), static_cast<Type>(p.d.type) == Type::f16 ? floatToHalf(value) : bitsOf(value));
  }
}

Tile takeTile(Encoder &e) {
  static const std::pair<std::string_view, Tile> tiles[] = {
      {"m16n16k16", {16, 16, 16}}, {"m32n8k16", {32, 8, 16}}, {"m8n32k16", {8, 32, 16}}, {"m16n16k8", {16, 16, 8}}};
  for (const auto &tile : tiles)
    if (e.mods.take(tile.first)) return tile.second;
  e.unknown();
}

Fragment fragmentOf(char which, const Tile &t, Type type, bool columnMajor) {
  int rows = which == 'b' ? t.k : t.m, cols = which == 'a' ? t.k : t.n;
  return {static_cast<uint8_t>(rows), static_cast<uint8_t>(cols), static_cast<uint8_t>(type), columnMajor, static_cast<uint8_t>(registersOf(which, t, type))};
}

void checkElement(Encoder &e, char which, const Tile &t, Type type) {
  bool factor = which == 'a' || which == 'b';
  bool legal = factor ? (t.k == 8 ? type == Type::tf32 : type == Type::f16 || type == Type::bf16) : type == Type::f32 || (type == Type::f16 && t.k == 16);
  if (!legal) e.unknown();
}

std::vector<Slot> registers(Encoder &e, const Operand &operand, const Fragment &f, bool write) {
  if (operand.kind != Operand::Kind::vector || operand.items.size() != f.registers) e.fail("expected a fragment of " + std::to_string(f.registers) + " registers");
  std::vector<Slot> slots;
  for (const Operand &item : operand.items) slots.push_back(write ? e.def(item, Type::b32) : e.use(item, Type::b32));
  return slots;
}

template <class T>
int32_t keep(Encoder &e, const T &value) {
  auto &copies = e.builder.kernel().copies;
  copies.emplace_back((sizeof(T) + 3) / 4);
  std::memcpy(copies.back().data(), &value, sizeof(T));
  return static_cast<int32_t>(copies.size() - 1);
}

bool takeColumnMajor(Encoder &e) {
  std::string_view layout = e.mods.takeOneOf({"row", "col"});
  if (layout.empty()) e.unknown();
  return layout == "col";
}

void decodeTransfer(Encoder &e, bool store) {
  std::string_view which = store ? e.mods.takeOneOf({"d"}) : e.mods.takeOneOf({"a", "b", "c"});
  if (which.empty()) e.unknown();
  bool columnMajor = takeColumnMajor(e);
  Tile tile = takeTile(e);
  Space space = takeSpace(e);
  Type type = e.type();
  checkElement(e, which[0], tile, type);
  Fragment f = fragmentOf(which[0], tile, type, columnMajor);
  e.arity(2, 3);
  size_t address = store ? 0 : 1;
  decodeAddress(e, e.operand(address), space, store ? kWrite : kRead);
  // Without a stride the tile is dense.
  e.out.b = e.operands() == 3 ? e.use(2, Type::u32) : e.constant(columnMajor ? f.rows : f.cols, 4);
  e.out.more = e.list(registers(e, e.operand(store ? 1 : 0), f, !store));
  e.out.c = e.constant(kAllLanes, 4);
  e.out.target = keep(e, f);
  e.emit(store ? transfer<true> : transfer<false>, space == Space::shared ? Class::shared : Class::global);
}

void decodeProduct(Encoder &e) {
  bool columnA = takeColumnMajor(e), columnB = takeColumnMajor(e);
  (void)columnA;  // how the tiles lay in memory was settled when they were loaded
  (void)columnB;
  Tile tile = takeTile(e);
  Type first = e.type(), second = e.type(), third = e.mods.takeType(), fourth = e.mods.takeType();
  // Two types name D and C of an f16 product, four name D, A, B, C.
  Type typeD = first, typeA = third == Type::none ? Type::f16 : second, typeC = third == Type::none ? second : fourth;
  if (third != Type::none && (third != second || fourth == Type::none)) e.unknown();
  checkElement(e, 'a', tile, typeA);
  checkElement(e, 'd', tile, typeD);
  checkElement(e, 'c', tile, typeC);
  if (typeA != Type::f16 && (typeD != Type::f32 || typeC != Type::f32)) e.unknown();
  Product p{fragmentOf('a', tile, typeA, false), fragmentOf('b', tile, typeA, false), fragmentOf('c', tile, typeC, false), fragmentOf('d', tile, typeD, false)};
  e.arity(4);
  std::vector<Slot> a = registers(e, e.operand(1), p.a, false), b = registers(e, e.operand(2), p.b, false), c = registers(e, e.operand(3), p.c, false);
  std::vector<Slot> all = registers(e, e.operand(0), p.d, true);
  for (const auto *part : {&a, &b, &c}) all.insert(all.end(), part->begin(), part->end());
  e.out.more = e.list(all);
  e.out.c = e.constant(kAllLanes, 4);
  e.out.target = keep(e, p);
  e.out.b = 2 * tile.m * tile.n * tile.k;  // flops, for the counters
  e.emit(multiply, Class::tensor);
}

}  // namespace

void decodeWmma(Encoder &e) {
  std::string_view kind = e.mods.takeOneOf({"load", "store", "mma"});
  if (!e.mods.take("sync") || !e.mods.take("aligned")) e.unknown();
  if (kind == "mma") {
    decodeProduct(e);
  } else if (kind == "load" || kind == "store") {
    decodeTransfer(e, kind == "store");
  } else {
    e.unknown();
  }
}

}  // namespace limbeck
