#include "check/findings.h"

#include <cstdio>
#include <mutex>

#include "exec/warp.h"

namespace limbeck {

namespace {

// Reports beyond this many per worker and launch say nothing new.
constexpr size_t kMaxFindings = 32;

struct Log {
  std::mutex mutex;
  std::string text;
  uint64_t count = 0;
};

Log &log() {
  static Log *log = new Log;  // leaked on purpose: the JVM may call until its very end
  return *log;
}

Finding describe(Warp &w, Check check, int status, int lane, const std::string &what) {
  const Kernel &kernel = *w.launch->kernel;
  int pc = w.pc > 0 ? w.pc - 1 : 0;
  Finding finding;
  finding.check = check;
  finding.status = status;
  finding.kernel = kernel.name;
  finding.blockNumber = w.block->number;
  finding.block[0] = w.block->index.x;
  finding.block[1] = w.block->index.y;
  finding.block[2] = w.block->index.z;
  if (lane < 0) lane = w.active ? __builtin_ctz(w.active) : 0;
  uint32_t thread = w.number * kLanes + static_cast<uint32_t>(lane);
  finding.thread[0] = thread % w.launch->block.x;
  finding.thread[1] = thread / w.launch->block.x % w.launch->block.y;
  finding.thread[2] = thread / w.launch->block.x / w.launch->block.y;
  const Source &source = kernel.source[pc];
  finding.ptxLine = source.line;
  if (source.location >= 0) {
    const ptx::Location &location = kernel.module->locations[source.location];
    auto file = kernel.module->files.find(location.file);
    if (file != kernel.module->files.end()) finding.file = file->second.substr(file->second.rfind('/') + 1);
    finding.line = location.line;
  }
  finding.instruction = std::string(kernel.module->sourceLine(source.line));
  finding.what = what;
  return finding;
}

}  // namespace

const char *nameOf(Check check) {
  static const char *const names[] = {"memcheck", "alignment", "initcheck", "racecheck", "synccheck", "readonly", "arithmetic", "assertion", "limit", "host"};
  return names[static_cast<int>(check)];
}

std::string Finding::text() const {
  std::string result = std::string(nameOf(check)) + ": ";
  if (onHost) return result + what;
  auto triple = [](const uint32_t *v) { return "(" + std::to_string(v[0]) + "," + std::to_string(v[1]) + "," + std::to_string(v[2]) + ")"; };
  result += what + "; kernel " + kernel + ", block " + triple(block) + ", thread " + triple(thread) + ", ";
  if (!file.empty()) result += file + ":" + std::to_string(line) + ", ";
  return result + "PTX line " + std::to_string(ptxLine) + ": " + instruction;
}

void FindingLog::add(const Finding &finding) {
  std::string line = finding.text();
  std::lock_guard<std::mutex> lock(log().mutex);
  ++log().count;
  log().text += line + "\n";
  std::fprintf(stderr, "limbeck software CUDA device: %s\n", line.c_str());
}

std::string FindingLog::all() {
  std::lock_guard<std::mutex> lock(log().mutex);
  return log().text;
}

uint64_t FindingLog::count() {
  std::lock_guard<std::mutex> lock(log().mutex);
  return log().count;
}

void FindingLog::clear() {
  std::lock_guard<std::mutex> lock(log().mutex);
  log().text.clear();
  log().count = 0;
}

void fault(Warp &w, Check check, int status, int lane, const std::string &what) {
  if (!w.block->faulted) w.worker->findings.push_back(describe(w, check, status, lane, what));
  w.block->faulted = true;
  w.stop = 0;
  int64_t number = static_cast<int64_t>(w.block->number);
  int64_t known = w.launch->faultBlock.load();
  while (number < known && !w.launch->faultBlock.compare_exchange_weak(known, number)) {
  }
}

void report(Warp &w, Check check, int lane, const std::string &what) {
  std::vector<Finding> &findings = w.worker->findings;
  if (findings.size() >= kMaxFindings) return;
  int line = w.launch->kernel->source[w.pc > 0 ? w.pc - 1 : 0].line;
  for (const Finding &known : findings)
    if (known.check == check && known.ptxLine == line) return;
  findings.push_back(describe(w, check, 0, lane, what));
}

}  // namespace limbeck
