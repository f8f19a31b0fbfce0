// Options and what they change: noise inside its bounds, register tables, two devices, counters, capabilities.
#include <cmath>
#include <cstring>

#include "kit.h"

using namespace kit;

namespace {

const char *const kHeader = ".version 8.0\n.target sm_75\n.address_size 64\n";

// y = f(x), one value per thread.
std::string unary(const std::string &instruction) {
  return std::string(kHeader) + ".visible .entry f(.param .u64 px, .param .u64 py) { .reg .b32 t; .reg .b64 x, y, o; .reg .f32 a, b;\n"
         "ld.param.u64 x, [px]; ld.param.u64 y, [py]; mov.u32 t, %tid.x; mul.wide.u32 o, t, 4; add.s64 x, x, o; add.s64 y, y, o;\n"
         "ld.global.f32 a, [x]; " + instruction + " b, a; st.global.f32 [y], b; ret; }\n";
}

std::vector<float> evaluate(const Module &m, const std::vector<float> &values) {
  Buffer<float> x(values), y(values.size());
  CHECK_EQ(m.run("f", 1, static_cast<unsigned>(values.size()), 0, x.address, y.address), 0);
  return y.values();
}

struct Function {
  const char *instruction;
  double (*exact)(double);
  double low, high;            // of the arguments
  double relative, absolute;   // the manual's bound
};

void noise() {
  const Function functions[] = {
      {"ex2.approx.f32", [](double v) { return std::exp2(v); }, -10, 10, 0x1p-22, 0},
      {"rcp.approx.f32", [](double v) { return 1 / v; }, 0.1, 10, 0x1p-23, 0},
      {"rsqrt.approx.f32", [](double v) { return 1 / std::sqrt(v); }, 0.1, 10, 0x1p-22, 0},
      {"sqrt.approx.f32", [](double v) { return std::sqrt(v); }, 0.1, 10, 0x1p-23, 0},
      {"lg2.approx.f32", [](double v) { return std::log2(v); }, 0.1, 10, 0x1p-22, 0x1p-22},
      {"sin.approx.f32", [](double v) { return std::sin(v); }, -3, 3, 0, 0x1p-20},
      {"cos.approx.f32", [](double v) { return std::cos(v); }, -3, 3, 0, 0x1p-20},
      {"tanh.approx.f32", [](double v) { return std::tanh(v); }, -3, 3, 0x1p-11, 0},
  };
  for (const Function &f : functions) {
    Module m(unary(f.instruction));
    std::vector<float> x(1024);
    for (size_t i = 0; i < x.size(); ++i) x[i] = static_cast<float>(f.low + (f.high - f.low) * (static_cast<double>(i) + 0.5) / 1024);
    std::vector<std::vector<float>> runs;
    for (const char *seed : {"0", "1", "2", "1"}) {
      option("noise", seed);
      runs.push_back(evaluate(m, x));
      double worst = 0;
      for (size_t i = 0; i < x.size(); ++i) {
        double exact = f.exact(x[i]), bound = std::max(std::fabs(exact) * f.relative, f.absolute);
        // Half a unit in the last place: the result is an f32.
        worst = std::max(worst, std::fabs(runs.back()[i] - exact) / (bound + std::fabs(exact) * 0x1p-24));
      }
      CHECK(worst <= 1);
    }
    CHECK(runs[0] != runs[1]);
    CHECK(runs[1] != runs[2]);
    CHECK(runs[1] == runs[3]);
  }
  option("noise", "0");
}

void registerTable() {
  std::ofstream("registers-test.txt") << "f 200\n";
  option("registers", "registers-test.txt");
  Module m(unary("neg.f32"));
  Buffer<float> x(std::vector<float>(1024, 1.f)), y(1024);
  CHECK_EQ(m.run("f", 1, 1024, 0, x.address, y.address), 701);
  CHECK_EQ(m.run("f", 1, 320, 0, x.address, y.address), 0);
  CHECK_EQ(limbeck_device_option("registers", "no-such-file"), 1);
  std::remove("registers-test.txt");
}

// A store with a stride of two words meets each bank twice; a float4 per lane takes four passes for its four quarters of the warp.
void counters() {
  Module m(std::string(kHeader) + ".visible .entry k() { .reg .b32 t, o; .shared .align 16 .b8 s[512]; mov.u32 t, %tid.x; shl.b32 o, t, 3; mov.u32 t, s; add.s32 o, o, t;\n"
           "st.shared.u32 [o], t; ret; }\n.visible .entry v() { .reg .pred p; .reg .b32 t, o; .shared .align 16 .b8 s[512]; mov.u32 t, %tid.x; shl.b32 o, t, 4;\n"
           "st.shared.v4.u32 [o], {t, t, t, t}; setp.lt.u32 p, t, 8; @p bra END; mov.u32 o, 1; END: ret; }\n");
  option("counters", "clear");
  option("count", "on");
  CHECK_EQ(m.run("k", 1, 32, 0), 0);
  CHECK_EQ(m.run("v", 3, 32, 0), 0);
  option("count", "off");
  option("counters", "options-test.json");
  std::string text = read("options-test.json");
  std::remove("options-test.json");
  CHECK(text.find("\"kernel\":\"k\"") != std::string::npos);
  CHECK(text.find("\"shared_stores\":{\"requests\":1,\"bytes\":128,\"passes\":2}") != std::string::npos);
  CHECK(text.find("\"shared_stores\":{\"requests\":3,\"bytes\":1536,\"passes\":12}") != std::string::npos);
  CHECK(text.find("\"divergent_branches\":3") != std::string::npos);
}

void capabilities() {
  void *handle;
  std::string newer = kHeader;
  newer.replace(newer.find("sm_75"), 5, "sm_90");
  option("capability", "80");
  CHECK_EQ(cuModuleLoadData(&handle, newer.c_str()), 209);
  option("capability", "90");
  CHECK_EQ(cuModuleLoadData(&handle, newer.c_str()), 0);
  CHECK_EQ(cuModuleUnload(handle), 0);
  CHECK_EQ(limbeck_device_option("capability", "86"), 1);
  CHECK_EQ(limbeck_device_option("no-such-option", "on"), 1);
  CHECK_EQ(limbeck_device_option("memcheck", "perhaps"), 1);
  int device;
  CHECK_EQ(cuDeviceGetByPCIBusId(&device, "limbeck:schedule=3,schedule=0"), 0);
  CHECK_EQ(cuDeviceGetByPCIBusId(&device, "limbeck:devices=3"), 1);  // too late
  char name[100];
  CHECK_EQ(cuDeviceGetName(name, sizeof name, 0), 0);
  CHECK(std::strcmp(name, "Software CUDA device (PTX interpreter)") == 0);
}

void twoDevices() {
  int count = 0;
  CHECK_EQ(cuDeviceGetCount(&count), 0);
  CHECK_EQ(count, 2);
  void *first, *second;
  REQUIRE(cuCtxGetCurrent(&first));
  REQUIRE(cuDevicePrimaryCtxRetain(&second, 1));
  Buffer<float> here(std::vector<float>(32, 3.f));
  REQUIRE(cuCtxSetCurrent(second));
  {
    Module m(unary("neg.f32"));
    Buffer<float> there(std::vector<float>(32, 1.f));
    CHECK_EQ(cuMemcpyPeer(there.address, second, here.address, first, 128), 0);
    CHECK_EQ(there.values()[9], 3.f);
    CHECK_EQ(cuCtxEnablePeerAccess(first, 0), 0);
    CHECK_EQ(cuCtxEnablePeerAccess(first, 0), 704);
    CHECK_EQ(m.run("f", 1, 32, 0, here.address, there.address), 0);
    CHECK_EQ(there.values()[9], -3.f);
  }
  {
    cuDevicePrimaryCtxReset_v2(1);
    REQUIRE(cuDevicePrimaryCtxRetain(&second, 1));
    REQUIRE(cuCtxSetCurrent(second));
    Module m(unary("neg.f32"));
    Buffer<float> there(std::vector<float>(32, 1.f));
    CHECK_EQ(m.run("f", 1, 32, 0, here.address, there.address), 700);  // another device's memory, no peer access
    CHECK_EQ(cuCtxSynchronize(), 700);
    REQUIRE(cuCtxSetCurrent(first));
    CHECK_EQ(cuCtxSynchronize(), 0);  // the error is that context's alone
    cuDevicePrimaryCtxReset_v2(1);
    there.context = -1;
  }
}

}  // namespace

int main() {
  option("devices", "2");
  option("memory", "64");
  start();
  noise();
  registerTable();
  counters();
  capabilities();
  twoDevices();
  return finish();
}
