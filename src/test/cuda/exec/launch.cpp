// Spreads the blocks of a launch over workers. Results do not depend on their number: blocks are independent, and a kernel whose
// atomics make the order visible is marked `ordered` and runs on one worker, in block order.
#include <algorithm>
#include <condition_variable>
#include <functional>
#include <numeric>
#include <thread>

#include "check/counters.h"
#include "check/shadow.h"
#include "exec/schedule.h"

namespace limbeck {

namespace {

constexpr uint32_t kGarbage = 0x7fffa5a5;  // a NaN: what nobody wrote shows

// Helper threads live as long as the process and are never joined: the JVM decides when that ends.
class Pool {
 public:
  static Pool &instance() {
    static Pool *pool = new Pool;
    return *pool;
  }

  void run(int workers, const std::function<void(int)> &work) {
    if (workers <= 1) {
      work(0);
      return;
    }
    {
      std::unique_lock<std::mutex> lock(mutex_);
      while (static_cast<int>(threads_) < workers - 1) {
        ++threads_;
        std::thread([this, number = threads_] { serve(static_cast<int>(number)); }).detach();
      }
      work_ = &work;
      wanted_ = workers;
      pending_ = workers - 1;
      ++round_;
    }
    wake_.notify_all();
    work(0);
    std::unique_lock<std::mutex> lock(mutex_);
    done_.wait(lock, [this] { return pending_ == 0; });
    work_ = nullptr;
  }

 private:
  void serve(int number) {
    uint64_t seen = 0;
    for (;;) {
      const std::function<void(int)> *work;
      {
        std::unique_lock<std::mutex> lock(mutex_);
        wake_.wait(lock, [&] { return round_ != seen; });
        seen = round_;
        if (number >= wanted_) continue;
        work = work_;
      }
      (*work)(number);
      std::unique_lock<std::mutex> lock(mutex_);
      if (--pending_ == 0) done_.notify_one();
    }
  }

  std::mutex mutex_;
  std::condition_variable wake_, done_;
  const std::function<void(int)> *work_ = nullptr;
  int wanted_ = 0, pending_ = 0;
  unsigned threads_ = 0;
  uint64_t round_ = 0;
};


Slot specialOf(const Kernel &kernel, ptx::Special special) { return kernel.specials[static_cast<int>(special)]; }

char *aligned(std::vector<char> &memory, size_t bytes) {
  if (memory.size() < bytes + 64) memory.resize(bytes + 64);
  return reinterpret_cast<char *>((reinterpret_cast<uintptr_t>(memory.data()) + 63) & ~uintptr_t{63});
}

void prepareWarp(Warp &w, const Launch &launch, uint32_t number) {
  const Kernel &kernel = *launch.kernel;
  uint32_t threads = static_cast<uint32_t>(launch.block.count());
  for (int lane = 0; lane < kLanes; ++lane) {
    uint32_t thread = std::min(number * kLanes + lane, threads - 1);
    w.lanes<uint32_t>(specialOf(kernel, ptx::Special::tid_x))[lane] = thread % launch.block.x;
    w.lanes<uint32_t>(specialOf(kernel, ptx::Special::tid_y))[lane] = thread / launch.block.x % launch.block.y;
    w.lanes<uint32_t>(specialOf(kernel, ptx::Special::tid_z))[lane] = thread / launch.block.x / launch.block.y;
    w.lanes<uint32_t>(specialOf(kernel, ptx::Special::warpid))[lane] = number;
  }
}

void prepare(Worker &worker, Launch &launch) {
  const Kernel &kernel = *launch.kernel;
  worker.launch = &launch;
  worker.findings.clear();
  std::fill(std::begin(worker.cache), std::end(worker.cache), nullptr);
  char *constants = aligned(worker.constants, kernel.constants.size());
  std::memcpy(constants, kernel.constants.data(), kernel.constants.size());
  auto fill = [&](ptx::Special special, uint32_t value) {
    Slot slot = specialOf(kernel, special);
    if (slot != kNoSlot && (slot & 1)) std::fill_n(reinterpret_cast<uint32_t *>(constants + (slot & ~1)), kLanes, value);
  };
  fill(ptx::Special::ntid_x, launch.block.x);
  fill(ptx::Special::ntid_y, launch.block.y);
  fill(ptx::Special::ntid_z, launch.block.z);
  fill(ptx::Special::nctaid_x, launch.grid.x);
  fill(ptx::Special::nctaid_y, launch.grid.y);
  fill(ptx::Special::nctaid_z, launch.grid.z);
  uint32_t warps = static_cast<uint32_t>((launch.block.count() + kLanes - 1) / kLanes);
  fill(ptx::Special::nwarpid, warps);
  fill(ptx::Special::nsmid, launch.multiprocessors);
  fill(ptx::Special::gridid, static_cast<uint32_t>(launch.number));
  fill(ptx::Special::dynamic_smem_size, launch.dynamicShared);
  fill(ptx::Special::total_smem_size, launch.sharedBytes);

  size_t registerBytes = (kernel.registerBytes + 63) / 64 * 64;
  char *registers = aligned(worker.registers, registerBytes * warps);
  size_t localBytes = static_cast<size_t>(kernel.localBytes) * kLanes;
  char *local = aligned(worker.local, localBytes * warps);
  std::fill_n(reinterpret_cast<uint32_t *>(local), localBytes * warps / 4, kGarbage);
  worker.returns.resize(static_cast<size_t>(kernel.maxDepth + 1) * kLanes * 2 * warps);
  Block &block = worker.block;
  block.shared = aligned(worker.shared, launch.sharedBytes + 16);
  block.warps.resize(warps);
  for (uint32_t number = 0; number < warps; ++number) {
    Warp &w = block.warps[number];
    w.base[0] = registers + registerBytes * number;
    w.base[1] = constants;
    w.number = number;
    w.block = &block;
    w.worker = &worker;
    w.launch = &launch;
    w.local = local + localBytes * number;
    w.returns = worker.returns.data() + static_cast<size_t>(kernel.maxDepth + 1) * kLanes * 2 * number;
    prepareWarp(w, launch, number);
  }
  prepareShadow(worker);
  if (launch.counters) {
    worker.executed.assign(kernel.code.size(), 0);
    worker.lanesExecuted.assign(kernel.code.size(), 0);
    worker.counters = std::make_unique<Counters>();
  }
}

void startBlock(Worker &worker, uint64_t number) {
  Launch &launch = *worker.launch;
  const Kernel &kernel = *launch.kernel;
  Block &block = worker.block;
  block.number = number;
  block.index = {static_cast<uint32_t>(number % launch.grid.x), static_cast<uint32_t>(number / launch.grid.x % launch.grid.y),
                 static_cast<uint32_t>(number / launch.grid.x / launch.grid.y)};
  char *constants = block.warps[0].base[1];
  auto fill = [&](ptx::Special special, uint32_t value) {
    Slot slot = specialOf(kernel, special);
    if (slot != kNoSlot) std::fill_n(reinterpret_cast<uint32_t *>(constants + (slot & ~1)), kLanes, value);
  };
  fill(ptx::Special::ctaid_x, block.index.x);
  fill(ptx::Special::ctaid_y, block.index.y);
  fill(ptx::Special::ctaid_z, block.index.z);
  fill(ptx::Special::smid, static_cast<uint32_t>(number % launch.multiprocessors));
  std::fill_n(reinterpret_cast<uint32_t *>(block.shared), (launch.sharedBytes + 3) / 4, kGarbage);
  block.liveThreads = static_cast<uint32_t>(launch.block.count());
  block.barrierEpoch = 0;
  block.faulted = false;
  for (Barrier &barrier : block.barriers) barrier = Barrier();
  uint32_t threads = block.liveThreads;
  for (Warp &w : block.warps) {
    uint32_t count = std::min<uint32_t>(kLanes, threads - w.number * kLanes);
    startWarp(w, count == kLanes ? kAllLanes : (1u << count) - 1);
  }
  startShadow(worker);
}

std::vector<std::unique_ptr<Worker>> &workersOf(int count) {
  static auto *workers = new std::vector<std::unique_ptr<Worker>>;
  while (static_cast<int>(workers->size()) < count) workers->push_back(std::make_unique<Worker>());
  return *workers;
}

}  // namespace

int execute(Launch &launch, int count, std::vector<Finding> &findings) {
  const uint64_t blocks = launch.grid.count();
  if (launch.kernel->ordered || launch.globalShadow) count = 1;
  // Waking a thread costs as much as a few hundred warp instructions: small launches stay here.
  constexpr uint64_t kWarpsPerWorker = 32;
  uint64_t warps = blocks * ((launch.block.count() + kLanes - 1) / kLanes);
  count = static_cast<int>(std::max<uint64_t>(1, std::min({static_cast<uint64_t>(count), blocks, warps / kWarpsPerWorker})));
  std::vector<uint32_t> order;
  if (launch.scheduleSeed && blocks <= 1u << 24) {
    order.resize(blocks);
    std::iota(order.begin(), order.end(), 0u);
    uint64_t random = mix(launch.scheduleSeed ^ mix(launch.number));
    for (uint64_t i = blocks; i > 1; --i) {
      random = mix(random);
      std::swap(order[i - 1], order[random % i]);
    }
  }
  std::vector<std::unique_ptr<Worker>> &workers = workersOf(count);
  std::atomic<uint64_t> next{0};
  Pool::instance().run(count, [&](int number) {
    Worker &worker = *workers[number];
    prepare(worker, launch);
    for (;;) {
      uint64_t turn = next.fetch_add(1);
      if (turn >= blocks || launch.faultBlock.load() != INT64_MAX) break;
      startBlock(worker, order.empty() ? turn : order[turn]);
      runBlock(worker);
    }
  });
  for (int i = 0; i < count; ++i) {
    findings.insert(findings.end(), workers[i]->findings.begin(), workers[i]->findings.end());
    if (launch.counters) collect(*launch.counters, *workers[i]);
  }
  // Which later blocks had begun when one failed is chance; only the first one to fail speaks.
  const uint64_t last = static_cast<uint64_t>(launch.faultBlock.load());
  findings.erase(std::remove_if(findings.begin(), findings.end(), [last](const Finding &f) { return f.blockNumber > last; }), findings.end());
  std::stable_sort(findings.begin(), findings.end(), [](const Finding &a, const Finding &b) { return a.blockNumber < b.blockNumber; });
  int status = 0;
  for (const Finding &finding : findings)
    if (finding.status && !status) status = finding.status;
  return status;
}

}  // namespace limbeck
