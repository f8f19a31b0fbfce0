// Streams, events, capture and graphs: what is enqueued runs late, in order, and only as far as somebody waits; what may not be captured
// ends the capture; contexts belong to threads; limits are refused. Argument: the PTX of kernels.cu.
#include <algorithm>
#include <thread>

#include "kit.h"

using namespace kit;

namespace {

constexpr int kN = 64;

struct Bench {
  Module module;
  void *axpy;
  explicit Bench(const std::string &text) : module(text), axpy(module.function("axpy")) {}

  int launch(void *stream, float a, unsigned long long x, unsigned long long y) const {
    int n = kN;
    void *arguments[] = {&n, &a, &x, &y};
    return cuLaunchKernel(axpy, 1, 1, 1, kN, 1, 1, 0, stream, arguments, nullptr);
  }
};

void *newStream(unsigned flags = 1) {
  void *stream;
  REQUIRE(cuStreamCreate(&stream, flags));
  return stream;
}

struct Pinned {
  float *host = nullptr;
  explicit Pinned(float value) {
    REQUIRE(cuMemHostAlloc(reinterpret_cast<void **>(&host), kN * sizeof(float), 0));
    std::fill(host, host + kN, value);
  }
  ~Pinned() { cuMemFreeHost(host); }
  Pinned(const Pinned &) = delete;
  Pinned &operator=(const Pinned &) = delete;
};

// Pinned memory is read when the copy runs, and nothing runs before somebody waits.
void late() {
  void *stream = newStream();
  Pinned from(1.f), to(0.f);
  Buffer<float> x(kN);
  CHECK_EQ(cuMemcpyHtoDAsync_v2(x.address, from.host, kN * 4, stream), 0);
  CHECK_EQ(cuMemcpyDtoHAsync_v2(to.host, x.address, kN * 4, stream), 0);
  CHECK_EQ(to.host[3], 0.f);
  std::fill(from.host, from.host + kN, 2.f);  // too early: the bug a real device shows now and then
  CHECK_EQ(cuStreamQuery(stream), 600);
  CHECK_EQ(cuStreamSynchronize(stream), 0);
  CHECK_EQ(cuStreamQuery(stream), 0);
  CHECK_EQ(to.host[3], 2.f);
  // Pageable memory is copied at the call.
  std::vector<float> pageable(kN, 3.f);
  CHECK_EQ(cuMemcpyHtoDAsync_v2(x.address, pageable.data(), kN * 4, stream), 0);
  std::fill(pageable.begin(), pageable.end(), 4.f);
  CHECK_EQ(cuMemcpyDtoHAsync_v2(to.host, x.address, kN * 4, stream), 0);
  CHECK_EQ(cuStreamSynchronize(stream), 0);
  CHECK_EQ(to.host[3], 3.f);
  cuStreamDestroy_v2(stream);
}

// Without an event the second stream overtakes; with one it does not.
void ordering(const Bench &b) {
  void *first = newStream(), *second = newStream();
  void *event;
  REQUIRE(cuEventCreate(&event, 0));
  for (bool wait : {false, true}) {
    Buffer<float> x(std::vector<float>(kN, 1.f)), y(std::vector<float>(kN, 0.f));
    Pinned to(0.f);
    CHECK_EQ(b.launch(first, 5.f, x.address, y.address), 0);
    CHECK_EQ(cuEventRecord(event, first), 0);
    CHECK_EQ(cuEventQuery(event) == 0, false);
    if (wait) CHECK_EQ(cuStreamWaitEvent(second, event, 0), 0);
    if (!wait) {  // the query above let time pass: enqueue afresh
      CHECK_EQ(cuStreamSynchronize(first), 0);
      CHECK_EQ(b.launch(first, 5.f, x.address, y.address), 0);
    }
    CHECK_EQ(cuMemcpyDtoHAsync_v2(to.host, y.address, kN * 4, second), 0);
    CHECK_EQ(cuStreamSynchronize(second), 0);
    CHECK_EQ(to.host[0], 5.f);
    CHECK_EQ(cuStreamSynchronize(first), 0);
    CHECK_EQ(y.values()[0], wait ? 5.f : 10.f);
  }
  cuEventDestroy_v2(event);
  cuStreamDestroy_v2(first);
  cuStreamDestroy_v2(second);
}

// A blocking stream and the default stream wait for each other.
void legacy(const Bench &b) {
  void *blocking = newStream(0);
  Buffer<float> x(std::vector<float>(kN, 1.f)), y(std::vector<float>(kN, 0.f));
  CHECK_EQ(b.launch(blocking, 2.f, x.address, y.address), 0);
  CHECK_EQ(b.launch(nullptr, 2.f, y.address, y.address), 0);  // y += 2 y
  CHECK_EQ(b.launch(blocking, 1.f, x.address, y.address), 0);
  CHECK_EQ(cuStreamSynchronize(blocking), 0);
  CHECK_EQ(y.values()[0], 7.f);
  cuStreamDestroy_v2(blocking);
}

void graphs(const Bench &b) {
  void *stream = newStream(), *side = newStream();
  void *graph = nullptr, *executable = nullptr, *fork, *join;
  REQUIRE(cuEventCreate(&fork, 0));
  REQUIRE(cuEventCreate(&join, 0));
  Buffer<float> x(std::vector<float>(kN, 1.f)), y(std::vector<float>(kN, 0.f)), z(std::vector<float>(kN, 0.f));
  CHECK_EQ(cuStreamBeginCapture_v2(stream, 0), 0);
  CHECK_EQ(b.launch(stream, 1.f, x.address, y.address), 0);
  CHECK_EQ(cuEventRecord(fork, stream), 0);
  CHECK_EQ(cuStreamWaitEvent(side, fork, 0), 0);
  CHECK_EQ(b.launch(side, 1.f, y.address, z.address), 0);
  CHECK_EQ(cuEventRecord(join, side), 0);
  CHECK_EQ(cuStreamWaitEvent(stream, join, 0), 0);
  CHECK_EQ(b.launch(stream, 1.f, z.address, y.address), 0);
  CHECK_EQ(cuStreamEndCapture(stream, &graph), 0);
  CHECK_EQ(y.values()[0], 0.f);  // nothing ran
  CHECK_EQ(cuGraphInstantiateWithFlags(&executable, graph, 0), 0);
  CHECK_EQ(cuGraphDestroy(graph), 0);
  for (int run = 0; run < 2; ++run) CHECK_EQ(cuGraphLaunch(executable, stream), 0);
  CHECK_EQ(cuStreamSynchronize(stream), 0);
  // y = 1, z = 1, y = 2; then y = 3, z = 4, y = 7
  CHECK_EQ(y.values()[0], 7.f);
  CHECK_EQ(z.values()[0], 4.f);
  CHECK_EQ(cuGraphExecDestroy(executable), 0);
  CHECK_EQ(cuGraphLaunch(executable, stream), 400);
  cuStreamDestroy_v2(stream);
  cuStreamDestroy_v2(side);
}

// Each of these ends the capture with its own status; the end of the capture then says that it was invalidated.
void forbidden(const Bench &b) {
  Buffer<float> x(std::vector<float>(kN, 1.f)), y(std::vector<float>(kN, 0.f));
  std::vector<float> pageable(kN);
  void *other = newStream(), *before;
  REQUIRE(cuEventCreate(&before, 0));
  CHECK_EQ(b.launch(other, 1.f, x.address, y.address), 0);
  CHECK_EQ(cuEventRecord(before, other), 0);
  unsigned long long address;
  struct Case {
    const char *name;
    int status, end;
    std::function<int(void *)> call;
  };
  const Case cases[] = {
      {"synchronise", 900, 901, [](void *s) { return cuStreamSynchronize(s); }},
      {"query", 900, 901, [](void *s) { return cuStreamQuery(s); }},
      {"synchronise the context", 900, 901, [](void *) { return cuCtxSynchronize(); }},
      {"allocate", 900, 901, [&](void *) { return cuMemAlloc_v2(&address, 16); }},
      {"allocate on the stream", 900, 901, [&](void *s) { return cuMemAllocAsync(&address, 16, s); }},
      {"free", 900, 901, [&](void *) { return cuMemFree_v2(x.address); }},
      {"synchronous copy", 900, 901, [&](void *) { return cuMemcpyDtoH_v2(pageable.data(), x.address, 16); }},
      {"pageable copy", 900, 901, [&](void *s) { return cuMemcpyDtoHAsync_v2(pageable.data(), x.address, 16, s); }},
      {"outside event", 905, 901, [&](void *s) { return cuStreamWaitEvent(s, before, 0); }},
      {"unjoined", 0, 904,
       [&](void *s) {
         void *fork;
         cuEventCreate(&fork, 0);
         cuEventRecord(fork, s);
         cuStreamWaitEvent(other, fork, 0);
         return b.launch(other, 1.f, x.address, y.address);
       }},
  };
  for (const Case &c : cases) {
    void *stream = newStream(), *graph = nullptr;
    CHECK_EQ(cuStreamBeginCapture_v2(stream, 0), 0);
    CHECK_EQ(b.launch(stream, 1.f, x.address, y.address), 0);
    int status = c.call(stream);
    int end = cuStreamEndCapture(stream, &graph);
    ++checks;
    if (status != c.status || end != c.end || graph) fail(__FILE__, __LINE__, std::string(c.name) + ": " + std::to_string(status) + ", end " + std::to_string(end));
    int capturing = -1;
    CHECK_EQ(cuStreamIsCapturing(stream, &capturing), 0);
    CHECK_EQ(capturing, 0);
    CHECK_EQ(b.launch(stream, 1.f, x.address, y.address), 0);  // the stream works again
    CHECK_EQ(cuStreamSynchronize(stream), 0);
    cuStreamDestroy_v2(stream);
  }
  void *legacyGraph = nullptr;
  CHECK_EQ(cuStreamBeginCapture_v2(nullptr, 0), 900);
  CHECK_EQ(cuStreamEndCapture(other, &legacyGraph), 1);
  cuStreamDestroy_v2(other);
}

// Whatever the seed: the order of independent work differs, results do not.
void seeds(const Bench &b) {
  for (int seed = 0; seed < 5; ++seed) {
    option("schedule", std::to_string(seed));
    for (const char *workers : {"1", "2", "3"}) {
      option("workers", workers);
      const int n = 10007;
      std::vector<float> values(n);
      for (int i = 0; i < n; ++i) values[i] = static_cast<float>(i * 7919 % 1000) / 999.f;
      Buffer<float> x(values), sums(20);
      CHECK_EQ(b.module.run("block_sum", 20, 96, 0, n, x.address, sums.address), 0);
      static std::vector<float> first;
      if (first.empty()) first = sums.values();
      CHECK(first == sums.values());
    }
  }
  option("schedule", "0");
  option("workers", "0");
}

void threads() {
  int status = 0;
  unsigned long long address = 0;
  void *mine;
  REQUIRE(cuCtxGetCurrent(&mine));
  std::thread([&] { status = cuMemAlloc_v2(&address, 16); }).join();
  CHECK_EQ(status, 201);
  std::thread([&] {
    cuCtxSetCurrent(mine);
    status = cuMemAlloc_v2(&address, 16);
  }).join();
  CHECK_EQ(status, 0);
  CHECK_EQ(cuMemFree_v2(address), 0);
}

void limits(const Bench &b) {
  Buffer<float> x(std::vector<float>(kN, 1.f));
  int n = kN;
  float a = 1.f;
  void *arguments[] = {&n, &a, &x.address, &x.address};
  auto launch = [&](unsigned gx, unsigned gy, unsigned bx, unsigned by, unsigned shared) { return cuLaunchKernel(b.axpy, gx, gy, 1, bx, by, 1, shared, nullptr, arguments, nullptr); };
  CHECK_EQ(launch(1, 1, 1025, 1, 0), 1);
  CHECK_EQ(launch(1, 1, 64, 17, 0), 1);
  CHECK_EQ(launch(0, 1, 64, 1, 0), 1);
  CHECK_EQ(launch(1, 65536, 64, 1, 0), 1);
  CHECK_EQ(launch(1, 1, 64, 1, 49153), 1);
  CHECK_EQ(launch(1, 1, 64, 1, 49152), 0);
  int most = 0;
  CHECK_EQ(cuDeviceGetAttribute(&most, 97, 0), 0);
  CHECK_EQ(cuFuncSetAttribute(b.axpy, 8, most + 1), 1);
  CHECK_EQ(cuFuncSetAttribute(b.axpy, 8, most), 0);
  CHECK_EQ(launch(1, 1, 64, 1, static_cast<unsigned>(most)), 0);
  CHECK_EQ(cuCtxSynchronize(), 0);
  void *f;
  CHECK_EQ(cuModuleGetFunction(&f, b.module.handle, "no_such_kernel"), 500);
  void *m;
  CHECK_EQ(cuModuleLoadData(&m, ".version 8.0\n.target sm_75\n.address_size 64\n.visible .entry k() { .reg .v2 %r<3>; ret; }"), 218);
  CHECK_EQ(cuModuleLoadData(&m, ".version 8.0\n.target sm_75\n.address_size 64\n.visible .entry k() { frobnicate.b32 1; ret; }"), 801);
  CHECK_EQ(cuModuleLoadData(&m, ".version 9.0\n.target sm_75\n.address_size 64\n"), 222);
  CHECK_EQ(cuModuleLoadData(&m, ".version 8.0\n.target sm_120\n.address_size 64\n"), 209);
}

// A device pointer is no host pointer, and the door for libraries checks what it is asked.
void door() {
  Buffer<float> x(std::vector<float>(4, 2.f));
  float *host = static_cast<float *>(limbeck_device_translate(x.address, 16, 0));
  CHECK(host != nullptr && host[3] == 2.f);
  CHECK(reinterpret_cast<unsigned long long>(host) != x.address);
  CHECK(limbeck_device_translate(x.address, 17, 0) == nullptr);
  CHECK(!findings().empty());
  struct Work {
    int runs = 0, destroyed = 0;
  } work;
  void *stream = newStream();
  CHECK_EQ(limbeck_device_enqueue(stream, [](void *p) { return ++static_cast<Work *>(p)->runs, 0; }, [](void *p) { ++static_cast<Work *>(p)->destroyed; }, &work), 0);
  CHECK_EQ(work.runs, 0);
  CHECK_EQ(cuStreamSynchronize(stream), 0);
  CHECK_EQ(work.runs, 1);
  CHECK_EQ(work.destroyed, 1);
  void *graph, *executable;
  CHECK_EQ(cuStreamBeginCapture_v2(stream, 0), 0);
  CHECK_EQ(limbeck_device_enqueue(stream, [](void *p) { return ++static_cast<Work *>(p)->runs, 0; }, [](void *p) { ++static_cast<Work *>(p)->destroyed; }, &work), 0);
  CHECK_EQ(cuStreamEndCapture(stream, &graph), 0);
  CHECK_EQ(cuGraphInstantiateWithFlags(&executable, graph, 0), 0);
  CHECK_EQ(cuGraphDestroy(graph), 0);
  CHECK_EQ(cuGraphLaunch(executable, stream), 0);
  CHECK_EQ(cuGraphLaunch(executable, stream), 0);
  CHECK_EQ(cuStreamSynchronize(stream), 0);
  CHECK_EQ(work.runs, 3);
  CHECK_EQ(work.destroyed, 1);
  CHECK_EQ(cuGraphExecDestroy(executable), 0);
  CHECK_EQ(work.destroyed, 2);
  cuStreamDestroy_v2(stream);
}

void counters(const Bench &b) {
  option("counters", "clear");
  option("count", "on");
  Buffer<float> x(std::vector<float>(kN, 1.f)), y(std::vector<float>(kN, 0.f));
  CHECK_EQ(b.launch(nullptr, 1.f, x.address, y.address), 0);
  CHECK_EQ(cuCtxSynchronize(), 0);
  option("count", "off");
  option("counters", "counters-test.json");
  std::string text = read("counters-test.json");
  std::remove("counters-test.json");
  // Two warps, each two loads and a store of 128 bytes in 4 sectors.
  CHECK(text.find("\"global_loads\":{\"requests\":4,\"bytes\":512,\"sectors\":16}") != std::string::npos);
  CHECK(text.find("\"global_stores\":{\"requests\":2,\"bytes\":256,\"sectors\":8}") != std::string::npos);
}

}  // namespace

int main(int, char **argv) {
  start();
  const std::string text = read(argv[1]);
  {
    Bench b(text);
    late();
    ordering(b);
    legacy(b);
    graphs(b);
    forbidden(b);
    seeds(b);
    threads();
    limits(b);
    door();
    counters(b);
  }
  return finish();
}
