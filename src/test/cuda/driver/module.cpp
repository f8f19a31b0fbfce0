// Modules, functions, globals and launches.
#include <algorithm>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <sstream>
#include <thread>

#include "check/shadow.h"
#include "driver/profile.h"
#include "driver/state.h"
#include "exec/decode.h"

namespace limbeck {

namespace {

constexpr int kNewestPtx = 85;  // what a CUDA 12.6 driver reads

// Gives the module's global and constant variables their places and contents.
void placeGlobals(LoadedModule &module) {
  Arena &arena = *module.context->device->arena;
  for (ptx::Variable *v : module.text->globals) {
    if (v->space != ptx::Space::global && v->space != ptx::Space::constant) continue;
    if (v->isExternal) throw ptx::Error(v->line, "external variable " + v->name + " is not defined in this module", true);
    v->place = arena.allocate(std::max<size_t>(1, v->bytes), v->space == ptx::Space::constant);
    if (!v->place) throw std::bad_alloc();
    module.allocations.push_back(v->place);
  }
  for (ptx::Variable *v : module.text->globals) {
    if (!v->place) continue;
    const MemoryRange *range = arena.map().find(v->place);
    // Without an initialiser a global variable is zero.
    std::memset(range->host, 0, v->bytes);
    std::memset(range->written, 1, v->bytes);
    if (!v->initial.empty()) std::memcpy(range->host, v->initial.data(), v->initial.size());
    for (const ptx::Relocation &relocation : v->relocations) {
      uint64_t address = 0;
      auto number = module.functionNumbers.find(relocation.symbol);
      if (number != module.functionNumbers.end()) {
        address = kFunctionWindow | static_cast<uint64_t>(number->second) * 16;
      } else {
        for (ptx::Variable *other : module.text->globals)
          if (other->name == relocation.symbol) address = other->place;
        if (!address) throw ptx::Error(v->line, "unknown name " + relocation.symbol + " in an initialiser");
      }
      address += relocation.addend;
      std::memcpy(range->host + relocation.offset, &address, 8);
    }
  }
}

void buildKernels(LoadedModule &module) {
  int number = 0;
  for (const auto &entry : module.text->functions) module.functionNumbers[entry.first] = number++;
  placeGlobals(module);
  for (const auto &entry : module.text->functions) {
    const ptx::Function &function = *entry.second;
    if (!function.isEntry || !function.isDefined) continue;
    std::unique_ptr<Kernel> kernel = KernelBuilder(*module.text, module.functionNumbers, function).build();
    kernel->module = module.text.get();
    if (kernel->parameterBytes > kMaxParameterBytes) throw ptx::Error(function.line, "more than 4096 bytes of parameters");
    auto found = driver().registers.find(kernel->name + " sm_" + std::to_string(driver().options.capability));
    if (found == driver().registers.end()) found = driver().registers.find(kernel->name);
    if (found != driver().registers.end()) kernel->registers = found->second;
    module.kernels[entry.first] = std::move(kernel);
  }
}

}  // namespace

int loadModule(Context &context, const char *image, LoadedModule *&module, std::string &log) {
  if (!image) return kInvalidValue;
  if (std::memcmp(image, "\x7f" "ELF", 4) == 0 || std::memcmp(image, "\x50\xed\x55\xba", 4) == 0) {
    log = "this device runs PTX only, not cubins or fatbins";
    return kNoBinaryForGpu;
  }
  auto fresh = std::make_unique<LoadedModule>();
  fresh->context = &context;
  try {
    fresh->text = ptx::parse(image);
    if (fresh->text->version > kNewestPtx) {
      log = "unsupported .version " + std::to_string(fresh->text->version / 10) + "." + std::to_string(fresh->text->version % 10);
      std::fprintf(stderr, "limbeck software CUDA device: %s\n", log.c_str());
      return kUnsupportedPtxVersion;
    }
    if (fresh->text->target > driver().options.capability) {
      log = "the module is for sm_" + std::to_string(fresh->text->target) + ", the device is sm_" + std::to_string(driver().options.capability);
      return kNoBinaryForGpu;
    }
    buildKernels(*fresh);
  } catch (const ptx::Error &error) {
    log = error.what();
    std::fprintf(stderr, "limbeck software CUDA device: %s\n", error.what());
    for (CUdeviceptr address : fresh->allocations) context.device->arena->free(address);
    return error.unsupported ? kNotSupported : kInvalidPtx;
  }
  module = fresh.release();
  context.modules.insert(module);
  driver().modules.insert(module);
  return kSuccess;
}

void unloadModule(LoadedModule *module) {
  for (CUdeviceptr address : module->allocations) module->context->device->arena->free(address);
  module->context->modules.erase(module);
  driver().modules.erase(module);
  for (auto &entry : module->kernels) driver().kernels.erase(entry.second.get());
  delete module;
}

int checkLaunch(Context &, const LaunchRequest &r) {
  const Profile &profile = profileOf(driver().options.capability);
  const Kernel &kernel = *r.kernel;
  auto reject = [&](int status, const std::string &why) {
    std::fprintf(stderr, "limbeck software CUDA device: launch of %s refused: %s\n", kernel.name.c_str(), why.c_str());
    return status;
  };
  if (r.grid.count() == 0 || r.block.count() == 0) return reject(kInvalidValue, "an extent is 0");
  if (r.block.x > 1024 || r.block.y > 1024 || r.block.z > 64 || r.block.count() > 1024) return reject(kInvalidValue, "more than 1024 threads per block");
  if (r.grid.x > INT32_MAX || r.grid.y > 65535 || r.grid.z > 65535) return reject(kInvalidValue, "the grid is too large");
  if (r.block.count() > static_cast<uint64_t>(kernel.maxThreads))
    return reject(kInvalidValue, std::to_string(r.block.count()) + " threads per block, the kernel was compiled for " + std::to_string(kernel.maxThreads));
  if (kernel.exactThreads &&
      (static_cast<int>(r.block.x) != kernel.requiredThreads[0] || static_cast<int>(r.block.y) != kernel.requiredThreads[1] || static_cast<int>(r.block.z) != kernel.requiredThreads[2]))
    return reject(kInvalidValue, "the block is not the one the kernel requires");
  uint32_t limit = kernel.maxDynamicShared >= 0 ? static_cast<uint32_t>(kernel.maxDynamicShared) : profile.sharedPerBlock - std::min(profile.sharedPerBlock, kernel.staticShared);
  if (r.dynamicShared > limit) return reject(kInvalidValue, std::to_string(r.dynamicShared) + " bytes of dynamic shared memory, " + std::to_string(limit) + " allowed");
  if (kernel.staticShared > profile.sharedPerBlock) return reject(kInvalidValue, "too much static shared memory");
  if (kernel.registers > 0) {
    // Registers are given to warps in units of 256, that is 8 per thread.
    uint64_t warps = (r.block.count() + kLanes - 1) / kLanes;
    uint64_t need = warps * ((static_cast<uint64_t>(kernel.registers) + 7) / 8 * 8) * kLanes;
    if (need > profile.registers) return reject(kLaunchOutOfResources, std::to_string(need) + " registers, " + std::to_string(profile.registers) + " exist");
  }
  return kSuccess;
}

namespace {

void logCounters(const LaunchRequest &r, const Counters &counters);

int workerCount() {
  int workers = driver().options.workers;
  // Two: what the machines that build this have. More would be a choice of the user.
  return workers ? workers : static_cast<int>(std::min(2u, std::max(1u, std::thread::hardware_concurrency())));
}

}  // namespace

int runLaunch(Context &context, const LaunchRequest &r) {
  Options &options = driver().options;
  if (!driver().kernels.count(r.kernel)) {
    hostFinding("a graph launches a kernel whose module was unloaded");
    return kLaunchFailed;
  }
  uint64_t number = ++driver().launches;
  if (options.failLaunch > 0 && --options.failLaunch == 0) {
    hostFinding("launch of " + r.kernel->name + " fails as asked for by fail-launch");
    return kLaunchFailed;
  }
  Launch launch;
  launch.kernel = r.kernel;
  launch.grid = r.grid;
  launch.block = r.block;
  launch.dynamicShared = r.dynamicShared;
  launch.parameters = r.parameters;
  launch.memory = &context.device->arena->map();
  MemoryMap withPeers;
  if (!context.peers.empty()) {
    withPeers = context.device->arena->map();
    for (const Context *peer : context.peers)
      for (const MemoryRange &range : peer->device->arena->map().ranges())
        if (!range.pinned) withPeers.insert(range);
    launch.memory = &withPeers;
  }
  launch.checks = options.checks;
  launch.noiseSeed = options.noiseSeed;
  launch.scheduleSeed = options.scheduleSeed;
  launch.number = number;
  launch.instructionLimit = options.instructionLimit;
  launch.multiprocessors = kMultiprocessors;
  uint32_t start = (r.kernel->staticShared + r.kernel->dynamicAlign - 1) / r.kernel->dynamicAlign * r.kernel->dynamicAlign;
  launch.sharedBytes = r.dynamicShared ? start + r.dynamicShared : r.kernel->staticShared;
  Counters counters;
  if (options.counters) launch.counters = &counters;
  launch.observe = options.checks.any() || options.counters;
  GlobalShadow shadow;
  if (options.checks.racecheck) launch.globalShadow = &shadow;
  std::vector<Finding> findings;
  int status = execute(launch, workerCount(), findings);
  for (const Finding &finding : findings) FindingLog::add(finding);
  if (!status && !findings.empty() && options.strict) status = kLaunchFailed;
  if (options.counters) logCounters(r, counters);
  return status;
}

namespace {

void logCounters(const LaunchRequest &r, const Counters &counters) {
  std::ostringstream out;
  out << "{\"kernel\":\"" << r.kernel->name << "\",\"grid\":[" << r.grid.x << ',' << r.grid.y << ',' << r.grid.z << "],\"block\":[" << r.block.x << ',' << r.block.y
      << ',' << r.block.z << "]," << toJson(counters) << "}\n";
  driver().counterLog += out.str();
}

Kernel *kernelOf(void *handle) { return driver().kernels.count(handle) ? static_cast<Kernel *>(handle) : nullptr; }

LoadedModule *moduleOf(LoadedModule *handle) { return driver().modules.count(handle) ? handle : nullptr; }

int gatherParameters(const Kernel &kernel, void **parameters, void **extra, std::vector<uint8_t> &into) {
  into.assign(kernel.parameterBytes, 0);
  if (kernel.parameters.empty()) return kSuccess;
  if (parameters && extra) return kInvalidValue;
  if (parameters) {
    for (size_t i = 0; i < kernel.parameters.size(); ++i) {
      if (!parameters[i]) return kInvalidValue;
      std::memcpy(into.data() + kernel.parameters[i].first, parameters[i], kernel.parameters[i].second);
    }
    return kSuccess;
  }
  const void *buffer = nullptr;
  size_t bytes = 0;
  // Pairs of a key (1: the buffer, 2: its size) and a value, ended by 0.
  for (void **at = extra; at && *at; at += 2) {
    if (*at == reinterpret_cast<void *>(1)) buffer = at[1];
    if (*at == reinterpret_cast<void *>(2)) bytes = *static_cast<size_t *>(at[1]);
  }
  if (!buffer || bytes != kernel.parameterBytes) return kInvalidValue;
  std::memcpy(into.data(), buffer, bytes);
  return kSuccess;
}

}  // namespace

}  // namespace limbeck

using namespace limbeck;

LIMBECK_API cuModuleLoadDataEx(LoadedModule **module, const char *image, unsigned count, int *options, void **values) {
  return withContext([&](Context &c) -> int {
    if (!module || !image) return kInvalidValue;
    constexpr int kErrorLog = 5, kErrorLogBytes = 6;
    char *buffer = nullptr;
    size_t bytes = 0;
    for (unsigned i = 0; i < count; ++i) {
      if (options[i] == kErrorLog) buffer = static_cast<char *>(values[i]);
      if (options[i] == kErrorLogBytes) bytes = reinterpret_cast<size_t>(values[i]) & 0xffffffff;
    }
    if (buffer && !bytes) return kInvalidValue;  // as a driver of NVIDIA's does (580, an H100)
    std::string log;
    LoadedModule *fresh = nullptr;
    int status = loadModule(c, image, fresh, log);
    if (buffer) std::snprintf(buffer, bytes, "%s", log.c_str());
    if (!status) *module = fresh;
    return status;
  });
}

LIMBECK_API cuModuleLoadData(LoadedModule **module, const char *image) { return cuModuleLoadDataEx(module, image, 0, nullptr, nullptr); }

LIMBECK_API cuModuleLoad(LoadedModule **module, const char *path) {
  std::string text;
  try {
    if (!module || !path) return kInvalidValue;
    std::ifstream in(path, std::ios::binary);
    if (!in) return kFileNotFound;
    text.assign(std::istreambuf_iterator<char>(in), {});
  } catch (...) {
    return kOutOfMemory;
  }
  return cuModuleLoadData(module, text.c_str());
}

LIMBECK_API cuModuleUnload(LoadedModule *module) {
  return withContext([&](Context &c) -> int {
    if (!moduleOf(module)) return kInvalidHandle;
    int status = runAll(c);
    unloadModule(module);
    return status;
  });
}

LIMBECK_API cuModuleGetFunction(void **function, LoadedModule *module, const char *name) {
  return withContext([&](Context &) {
    if (!function || !name) return kInvalidValue;
    if (!moduleOf(module)) return kInvalidHandle;
    auto found = module->kernels.find(name);
    if (found == module->kernels.end()) return kNotFound;
    *function = found->second.get();
    driver().kernels.insert(*function);
    return kSuccess;
  });
}

LIMBECK_API cuModuleGetGlobal_v2(CUdeviceptr *address, size_t *bytes, LoadedModule *module, const char *name) {
  return withContext([&](Context &) {
    if (!name) return kInvalidValue;
    if (!moduleOf(module)) return kInvalidHandle;
    for (const ptx::Variable *v : module->text->globals) {
      if (v->name != name || !v->place) continue;
      if (address) *address = v->place;
      if (bytes) *bytes = v->bytes;
      return kSuccess;
    }
    return kNotFound;
  });
}

LIMBECK_API cuModuleGetLoadingMode(int *mode) {
  if (!mode) return kInvalidValue;
  *mode = 1;  // eager
  return kSuccess;
}

LIMBECK_API cuFuncGetModule(LoadedModule **module, void *function) {
  return withContext([&](Context &c) {
    Kernel *kernel = kernelOf(function);
    if (!kernel || !module) return kInvalidHandle;
    for (LoadedModule *candidate : c.modules)
      if (candidate->text.get() == kernel->module) *module = candidate;
    return kSuccess;
  });
}

LIMBECK_API cuFuncGetAttribute(int *value, int attribute, void *function) {
  return withContext([&](Context &) {
    Kernel *kernel = kernelOf(function);
    if (!kernel) return kInvalidHandle;
    if (!value) return kInvalidValue;
    const Profile &profile = profileOf(driver().options.capability);
    switch (attribute) {
      case 0: *value = kernel->maxThreads; break;
      case 1: *value = static_cast<int>(kernel->staticShared); break;
      case 2: *value = 0; break;
      case 3: *value = static_cast<int>(kernel->localBytes); break;
      case 4: *value = std::max(0, kernel->registers); break;
      case 5: *value = kernel->module->target; break;
      case 6: *value = driver().options.capability; break;
      case 7: *value = 0; break;
      case 8: *value = kernel->maxDynamicShared >= 0 ? kernel->maxDynamicShared : static_cast<int>(profile.sharedPerBlock - kernel->staticShared); break;
      case 9: *value = -1; break;
      default: return kInvalidValue;
    }
    return kSuccess;
  });
}

LIMBECK_API cuFuncSetAttribute(void *function, int attribute, int value) {
  return withContext([&](Context &) {
    Kernel *kernel = kernelOf(function);
    if (!kernel) return kInvalidHandle;
    if (attribute == 9) return kSuccess;  // the preferred carve-out is a hint
    const Profile &profile = profileOf(driver().options.capability);
    if (attribute != 8 || value < 0 || static_cast<uint64_t>(value) + kernel->staticShared > profile.sharedPerBlockOptin) return kInvalidValue;
    kernel->maxDynamicShared = value;
    return kSuccess;
  });
}

LIMBECK_API cuFuncSetCacheConfig(void *function, int) {
  return withContext([&](Context &) { return kernelOf(function) ? kSuccess : kInvalidHandle; });
}

LIMBECK_API cuOccupancyMaxActiveBlocksPerMultiprocessorWithFlags(int *blocks, void *function, int threads, size_t dynamicShared, unsigned) {
  return withContext([&](Context &) {
    Kernel *kernel = kernelOf(function);
    if (!kernel || !blocks || threads <= 0) return kInvalidValue;
    const Profile &p = profileOf(driver().options.capability);
    uint64_t warps = (static_cast<uint64_t>(threads) + kLanes - 1) / kLanes;
    uint64_t byThreads = p.threadsPerMultiprocessor / (warps * kLanes);
    uint64_t shared = kernel->staticShared + dynamicShared;
    uint64_t byShared = shared ? p.sharedPerMultiprocessor / (shared + 1024) : p.blocksPerMultiprocessor;
    uint64_t registers = kernel->registers > 0 ? static_cast<uint64_t>(kernel->registers + 7) / 8 * 8 : 32;
    uint64_t byRegisters = p.registers / (warps * registers * kLanes);
    *blocks = threads > kernel->maxThreads ? 0 : static_cast<int>(std::min({static_cast<uint64_t>(p.blocksPerMultiprocessor), byThreads, byShared, byRegisters}));
    return kSuccess;
  });
}

LIMBECK_API cuOccupancyMaxActiveBlocksPerMultiprocessor(int *blocks, void *function, int threads, size_t dynamicShared) {
  return cuOccupancyMaxActiveBlocksPerMultiprocessorWithFlags(blocks, function, threads, dynamicShared, 0);
}

LIMBECK_API cuLaunchKernel(void *function, unsigned gridX, unsigned gridY, unsigned gridZ, unsigned blockX, unsigned blockY, unsigned blockZ, unsigned sharedBytes, void *stream,
                           void **parameters, void **extra) {
  return withContext([&](Context &c) -> int {
    Kernel *kernel = kernelOf(function);
    int status = kSuccess;
    Stream *s = streamOf(stream, &c, status);
    if (!kernel || !s) return kInvalidHandle;
    LaunchRequest request{kernel, {gridX, gridY, gridZ}, {blockX, blockY, blockZ}, sharedBytes, {}};
    status = checkLaunch(c, request);
    if (!status) status = gatherParameters(*kernel, parameters, extra, request.parameters);
    if (status) return status;
    return enqueue(*s, {Work::Kind::kernel, [&c, request] { return runLaunch(c, request); }});
  });
}
