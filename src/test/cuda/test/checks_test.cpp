// The planted-bug suite: every checker fires on its bug, names the line, and gives the error a GPU would; the repaired kernel is clean.
// Arguments: the PTX and the source of bugs.cu.
#include <cmath>

#include "kit.h"

using namespace kit;

namespace {

std::string source;

int lineOf(const std::string &bug) {
  size_t at = source.find("// BUG " + bug + "\n");
  if (at == std::string::npos) return -1;
  int line = 1;
  for (size_t i = 0; i < at; ++i) line += source[i] == '\n';
  return line;
}

struct Bench {
  std::string path;
  std::unique_ptr<Module> m;

  explicit Bench(std::string p) : path(std::move(p)) { fresh(); }

  void fresh() {
    m.reset();
    restart();
    m = std::make_unique<Module>(read(path));
    findings();
  }

  // A finding of `check`, in the kernel, at the line of `bug`; `status` is the launch's. Then a fresh context.
  void expect(int actual, int status, const std::string &check, const std::string &kernel, const std::string &bug) {
    std::string text = findings();
    std::string where = "bugs.cu:" + std::to_string(lineOf(bug));
    ++checks;
    if (actual != status || text.find(check + ": ") == std::string::npos || text.find("kernel " + kernel + ",") == std::string::npos || text.find(where + ",") == std::string::npos)
      fail(__FILE__, __LINE__, bug + ": status " + std::to_string(actual) + " for " + std::to_string(status) + ", wanted " + check + " at " + where + ", got: " + text);
    if (status) {
      CHECK_EQ(cuCtxSynchronize(), status);  // it sticks
      fresh();
    }
  }

  void clean(int actual, const char *what) {
    std::string text = findings();
    ++checks;
    if (actual != 0 || !text.empty()) fail(__FILE__, __LINE__, std::string(what) + " is not clean: " + std::to_string(actual) + " " + text);
    if (actual) fresh();
  }
};

std::vector<float> ones(size_t n) { return std::vector<float>(n, 1.f); }

void memory(Bench &b) {
  {
    Buffer<float> x(ones(100)), beside(ones(100));
    b.clean(b.m->run("out_of_bounds", 1, 128, 0, 99, x.address), "in bounds");
    b.expect(b.m->run("out_of_bounds", 1, 128, 0, 100, x.address), 700, "memcheck", "out_of_bounds", "out_of_bounds");
  }
  {
    Buffer<float> x(ones(100));
    b.expect(b.m->run("before_begin", 1, 32, 0, x.address), 700, "memcheck", "before_begin", "before_begin");
  }
  {
    Buffer<float> x(ones(64));
    b.clean(b.m->run("shared_overrun", 1, 64, 0, x.address, 1), "shared in bounds");
    b.expect(b.m->run("shared_overrun", 1, 64, 0, x.address, 2), 700, "memcheck", "shared_overrun", "shared_overrun");
  }
  {
    Buffer<float> x(ones(64));
    b.expect(b.m->run("local_overrun", 1, 32, 0, x.address, 11), 700, "memcheck", "local_overrun", "local_overrun");
  }
  {
    Buffer<float> x(ones(64)), out(ones(64));
    b.expect(b.m->run("misaligned", 1, 32, 0, x.address, out.address), 716, "alignment", "misaligned", "misaligned");
  }
  {
    Buffer<float> x(ones(64)), out(ones(64));
    unsigned long long freed = x.address;
    CHECK_EQ(cuMemFree_v2(x.address), 0);
    b.expect(b.m->run("read_fresh", 1, 32, 0, freed, out.address), 700, "memcheck", "read_fresh", "read_fresh");
    x.address = 0;
  }
  {
    Buffer<float> x(ones(100)), out(ones(64));
    option("memcheck", "off");
    b.clean(b.m->run("out_of_bounds", 1, 128, 0, 100, x.address), "memcheck off");
    option("memcheck", "on");
  }
}

void synchronisation(Bench &b) {
  Buffer<float> first(ones(64));
  b.clean(b.m->run("divergent_barrier", 1, 64, 0, first.address, 64), "whole barrier");
  {
    Buffer<float> x(ones(64));
    b.expect(b.m->run("divergent_barrier", 1, 64, 0, x.address, 40), 719, "synccheck", "divergent_barrier", "divergent_barrier");
  }
  {
    Buffer<float> x(ones(64));
    b.expect(b.m->run("two_barriers", 1, 64, 0, x.address, 32), 719, "synccheck", "two_barriers", "two_barriers");
  }
  {
    Buffer<int> x(std::vector<int>(32, 0));
    b.clean(b.m->run("absent_lane", 1, 32, 0, x.address, 0x0ff0u), "lanes present");
    b.expect(b.m->run("absent_lane", 1, 32, 0, x.address, 0x0ff8u), 719, "synccheck", "absent_lane", "absent_lane");
  }
  {
    Buffer<int> x(std::vector<int>(32, 0));
    b.expect(b.m->run("wrong_mask", 1, 32, 0, x.address), 719, "synccheck", "wrong_mask", "wrong_mask");
  }
  {
    Buffer<int> x(std::vector<int>(32, 0));
    option("synccheck", "off");  // the barrier of half a warp would be found first
    b.expect(b.m->run("never_come", 1, 32, 0, x.address, x.address), 719, "synccheck", "never_come", "never_come");
    option("synccheck", "on");
  }
}

void races(Bench &b) {
  option("racecheck", "on");
  std::vector<float> x = ones(128);
  auto shared = [&](const char *kernel, unsigned threads, const char *bug) {
    {
      Buffer<float> in(x), out(128);
      b.clean(b.m->run(kernel, 1, threads, 0, in.address, out.address, 1), kernel);
    }
    Buffer<float> in(x), out(128);
    b.expect(b.m->run(kernel, 1, threads, 0, in.address, out.address, 0), 719, "racecheck", kernel, bug);
  };
  shared("sum_neighbours", 128, "missing_barrier");
  shared("two_rounds", 128, "write_after_read");
  shared("within_warp", 32, "missing_syncwarp");
  if (b.path.find("_75") == std::string::npos) shared("copy_too_early", 128, "copy_too_early");
  {
    Buffer<int> v(std::vector<int>(256, 0));
    b.clean(b.m->run("blocks_collide", 4, 32, 0, v.address, 32), "blocks apart");
    b.expect(b.m->run("blocks_collide", 4, 32, 0, v.address, 16), 719, "racecheck", "blocks_collide", "blocks_collide");
  }
  {
    Buffer<int> v(std::vector<int>(256, 0)), out(std::vector<int>(256, 0));
    b.clean(b.m->run("blocks_read_blocks", 4, 32, 0, v.address, out.address, 0), "own block");
    b.expect(b.m->run("blocks_read_blocks", 4, 32, 0, v.address, out.address, 1), 719, "racecheck", "blocks_read_blocks", "blocks_read_blocks");
  }
  {
    Buffer<int> parts(128), out(32);
    Buffer<unsigned> ticket(std::vector<unsigned>(1, 0));
    b.clean(b.m->run("last_block_sums", 4, 32, 0, parts.address, ticket.address, out.address), "last block");
    CHECK_EQ(out.values()[5], 6);
    Buffer<int> count(std::vector<int>(4, 0));
    b.clean(b.m->run("atomics_agree", 4, 32, 0, count.address), "atomics");
  }
  {
    Buffer<float> in(x), out(128);
    b.clean(b.m->run("in_place", 1, 64, 0, 64, in.address, out.address), "out of place");
    b.expect(b.m->run("in_place", 1, 64, 0, 64, in.address, in.address), 719, "readonly", "in_place", "in_place");
  }
  option("racecheck", "off");
}

void initialisation(Bench &b) {
  option("initcheck", "on");
  {
    Buffer<float> x(ones(32)), out(32);
    b.clean(b.m->run("read_fresh", 1, 32, 0, x.address, out.address), "written by the host");
    Buffer<float> again(32);
    b.clean(b.m->run("read_fresh", 1, 32, 0, out.address, again.address), "written by a kernel");
    Buffer<float> set(32);
    CHECK_EQ(cuMemsetD32_v2(set.address, 0, 32), 0);
    b.clean(b.m->run("read_fresh", 1, 32, 0, set.address, again.address), "memset");
  }
  {
    Buffer<float> x(32), out(32);
    b.expect(b.m->run("read_fresh", 1, 32, 0, x.address, out.address), 719, "initcheck", "read_fresh", "read_fresh");
  }
  {
    Buffer<float> out(64);
    b.clean(b.m->run("read_fresh_shared", 2, 64, 0, out.address, 64), "shared written");
    b.expect(b.m->run("read_fresh_shared", 1, 64, 0, out.address, 60), 719, "initcheck", "read_fresh_shared", "read_fresh_shared");
  }
  option("initcheck", "off");
  {
    Buffer<float> x(32), out(32);
    b.clean(b.m->run("read_fresh", 1, 32, 0, x.address, out.address), "initcheck off");
    CHECK(std::isnan(out.values()[7]));  // fresh memory is NaN: it shows without the check, too
  }
  {
    option("initcheck", "on");
    option("strict", "off");
    Buffer<float> x(32), out(32);
    b.expect(b.m->run("read_fresh", 1, 32, 0, x.address, out.address), 0, "initcheck", "read_fresh", "read_fresh");
    option("strict", "on");
    option("initcheck", "off");
  }
}

void others(Bench &b) {
  {
    Buffer<int> x(std::vector<int>(32, 0));
    b.clean(b.m->run("by_zero", 1, 32, 0, x.address, 3), "by three");
    b.expect(b.m->run("by_zero", 1, 32, 0, x.address, 0), 719, "arithmetic", "by_zero", "by_zero");
  }
  b.clean(b.m->run("asserts", 1, 32, 0, 32), "assertion holds");
  b.expect(b.m->run("asserts", 1, 32, 0, 31), 710, "assertion", "asserts", "asserts");
  {
    option("instructions", "1000000");
    Buffer<int> flag(std::vector<int>(1, 0));
    b.expect(b.m->run("endless", 1, 32, 0, flag.address), 702, "limit", "endless", "endless");
    option("instructions", "1000000000");
  }
  {
    Buffer<float> x(ones(64));
    option("fail-launch", "2");
    b.clean(b.m->run("out_of_bounds", 1, 32, 0, 32, x.address), "first launch");
    CHECK_EQ(b.m->run("out_of_bounds", 1, 32, 0, 32, x.address), 719);
    b.fresh();
  }
  option("fail-allocation", "2");
  unsigned long long one = 0, two = 0;
  CHECK_EQ(cuMemAlloc_v2(&one, 16), 0);
  CHECK_EQ(cuMemAlloc_v2(&two, 16), 2);
  CHECK_EQ(cuMemFree_v2(one), 0);
  CHECK_EQ(cuMemFree_v2(one), 1);
  option("lost", "on");
  CHECK_EQ(cuCtxSynchronize(), 999);
  option("lost", "off");
  b.fresh();
}

void lateCopies(Bench &b) {
  std::vector<float> x(128);
  for (int i = 0; i < 128; ++i) x[i] = static_cast<float>(i);
  Buffer<float> in(x), out(128);
  b.clean(b.m->run("copy_async", 1, 32, 0, in.address, out.address, 1), "copy with a wait");
  CHECK_EQ(out.values()[0], 124.f);
  b.clean(b.m->run("copy_async", 1, 32, 0, in.address, out.address, 0), "copy without a wait");
  CHECK(std::isnan(out.values()[0]));  // what lay in shared memory before
}

}  // namespace

int main(int, char **argv) {
  start();
  source = read(argv[2]);
  Bench b(argv[1]);
  memory(b);
  synchronisation(b);
  races(b);
  initialisation(b);
  others(b);
  if (std::string(argv[1]).find("_75") == std::string::npos) lateCopies(b);
  return finish();
}
