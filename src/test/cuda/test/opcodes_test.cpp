// Runs every row of the opcode table, once with all lanes active and once with every third lane only, so that both loops of a handler are
// met; and checks that NVIDIA-like strictness holds for what is not PTX.
#include "kit.h"
#include "opcode_table.h"

using namespace kit;

namespace {

std::string kernelOf(const Row &row, int number, bool partial) {
  std::string stores;
  switch (row.kind) {
    case 'r': stores = "cvt.u64.u32 x0, r0;"; break;
    case 'h': stores = "cvt.u64.u16 x0, h0;"; break;
    case 'f': stores = "mov.b32 r0, f0; cvt.u64.u32 x0, r0;"; break;
    case 'g': stores = "mov.b64 x0, g0;"; break;
    case 'p': stores = "selp.u64 x0, 1, 0, p;"; break;
    default: break;
  }
  std::string text = ".visible .entry t" + std::to_string(number) + (partial ? "p" : "") + R"((.param .u64 pa, .param .u64 pb, .param .u64 pc, .param .u64 pd)
{
  .reg .pred p, q, skip; .reg .b16 h<8>; .reg .b32 r<10>; .reg .b64 x<10>; .reg .f32 f<8>; .reg .f64 g<8>;
  .shared .align 16 .b8 s[512]; .local .align 16 .b8 l[64];
  mov.u32 r7, %tid.x; mul.wide.u32 x8, r7, 8;
  ld.param.u64 x1, [pa]; ld.param.u64 x2, [pb]; ld.param.u64 x3, [pc]; ld.param.u64 x9, [pd];
  add.u64 x1, x1, x8; add.u64 x2, x2, x8; add.u64 x3, x3, x8; add.u64 x9, x9, x8;
  ld.global.u64 x1, [x1]; ld.global.u64 x2, [x2]; ld.global.u64 x3, [x3];
)";
  if (partial) text += "  rem.u32 r8, r7, 3; setp.ne.u32 skip, r8, 0; @skip bra DONE;\n";
  text += "  mov.u32 r8, s; mad.lo.u32 r7, r7, 16, r8;\n";
  for (int k = 1; k <= 3; ++k) {
    std::string n = std::to_string(k);
    text += "  cvt.u32.u64 r" + n + ", x" + n + "; cvt.u16.u64 h" + n + ", x" + n + "; mov.b32 f" + n + ", r" + n + "; mov.b64 g" + n + ", x" + n + ";\n";
  }
  return text + "  " + row.fragment + "\n  " + stores + " st.global.u64 [x9], x0;\nDONE:\n  ret;\n}\n";
}

bool needsWholeWarp(const std::string &fragment) {
  for (const char *word : {"sync", "bar.", "activemask", "%laneid", "%lanemask"})
    if (fragment.find(word) != std::string::npos) return true;
  return false;
}

void runRow(const Module &m, const Row &row, int number, bool partial) {
  std::vector<uint64_t> a(32), b(32), c(32);
  for (size_t lane = 0; lane < 32; ++lane) {
    const Case &one = row.cases[lane % row.cases.size()];
    a[lane] = one.a;
    b[lane] = one.b;
    c[lane] = one.c;
  }
  constexpr uint64_t kUntouched = 0x5555555555555555ull;
  Buffer<uint64_t> da(a), db(b), dc(c), dd(std::vector<uint64_t>(32, kUntouched));
  std::string name = "t" + std::to_string(number) + (partial ? "p" : "");
  int status = m.run(name.c_str(), 1, 32, 0, da.address, db.address, dc.address, dd.address);
  std::vector<uint64_t> d = dd.values();
  for (size_t lane = 0; lane < 32; ++lane) {
    const Case &one = row.cases[lane % row.cases.size()];
    bool runs = !partial || lane % 3 == 0;
    uint64_t expected = runs ? one.expected : kUntouched;
    ++checks;
    if (status == 0 && d[lane] == expected) continue;
    char text[256];
    std::snprintf(text, sizeof text, "%s lane %zu: a %llx b %llx c %llx gives %llx, expected %llx (status %d)", row.fragment, lane, static_cast<unsigned long long>(one.a),
                  static_cast<unsigned long long>(one.b), static_cast<unsigned long long>(one.c), static_cast<unsigned long long>(d[lane]), static_cast<unsigned long long>(expected), status);
    fail(__FILE__, __LINE__, text);
    return;
  }
}

// None of these may load: a word that is overlooked is a wrong number later.
void strictness() {
  const char *wrong[] = {
      "add.s32 r0, r1;",            "add.s32 r0, r1, x1;",       "add.f32 f0, f1, 1;",         "add.rn.s32 r0, r1, r2;",   "add.f16x3 r0, r1, r2;",
      "mul.s32 r0, r1, r2;",        "cvt.s32.f32 r0, f1;",       "cvt.f32.s32 f0, r1;",        "cvt.rn.s32.f32 r0, f1;",   "setp.lo.s32 p, r1, r2;",
      "setp.lt.b32 p, r1, r2;",     "shl.u32 r0, r1, r2;",       "ld.global.nc.shared.u32 r0, [x1];", "ld.global.v3.u32 {r0, r1, r2}, [x1];", "ld.global.u32 r0, [r1];",
      "st.global.u32 [x1], h1;",    "bra nowhere;",              "mov.u32 r0, %nosuch;",       "mov.u32 r99, 1;",          "shfl.bfly.b32 r0, r1, 1, 31;",
      "mma.sync.aligned.m16n8k16.row.row.f32.bf16.bf16.f32 {f0}, {r1}, {r1}, {f1};", "atom.shared.add.f16 h0, [r7], h1;", "div.f32 f0, f1, f2;", ".reg .v2 .b32 z;",
      "fma.f32 f0, f1, f2, f3;",    "vote.all.pred p, q;",       "cp.async.cg.shared.global [r7], [x1], 8;", "wgmma.fence.sync.aligned;", "tex.1d.v4.f32.s32 {f0, f1, f2, f3}, [x1, {r1}];",
  };
  for (const char *fragment : wrong) {
    Row row{fragment, 'r', {}};
    void *handle = nullptr;
    int status = cuModuleLoadData(&handle, (".version 8.0\n.target sm_90\n.address_size 64\n" + kernelOf(row, 0, false)).c_str());
    ++checks;
    if (status != 218 && status != 801) fail(__FILE__, __LINE__, std::string("loads, and must not: ") + fragment);
  }
}

}  // namespace

int main() {
  option("capability", "90");
  start();
  const std::vector<Row> &rows = opcodeTable();
  std::string text = ".version 8.0\n.target sm_90\n.address_size 64\n";
  for (size_t r = 0; r < rows.size(); ++r) {
    text += kernelOf(rows[r], static_cast<int>(r), false);
    if (!needsWholeWarp(rows[r].fragment)) text += kernelOf(rows[r], static_cast<int>(r), true);
  }
  Module m(text);
  for (size_t r = 0; r < rows.size(); ++r) {
    runRow(m, rows[r], static_cast<int>(r), false);
    if (!needsWholeWarp(rows[r].fragment)) runRow(m, rows[r], static_cast<int>(r), true);
  }
  strictness();
  return finish();
}
