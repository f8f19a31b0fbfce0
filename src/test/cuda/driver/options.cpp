#include "driver/options.h"

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <thread>

#include "check/findings.h"
#include "host_api.h"

namespace limbeck {

namespace {

bool toSwitch(const std::string &value, bool &into) {
  if (value != "on" && value != "off") return false;
  into = value == "on";
  return true;
}

bool toNumber(const std::string &value, int64_t low, int64_t high, int64_t &into) {
  char *end;
  errno = 0;
  long long number = std::strtoll(value.c_str(), &end, 10);
  if (value.empty() || *end || errno || number < low || number > high) return false;
  into = number;
  return true;
}

bool writeFile(const std::string &path, const std::string &text) {
  std::ofstream out(path, std::ios::binary);
  out << text;
  return static_cast<bool>(out.flush());
}

// A table of "kernel registers" or "kernel sm_80 registers" lines, made from what ptxas -v says.
bool readRegisters(const std::string &path, std::map<std::string, int> &into) {
  std::ifstream in(path);
  if (!in) return false;
  std::string line;
  while (std::getline(in, line)) {
    char name[512], sm[64];
    int count;
    if (std::sscanf(line.c_str(), "%511s %63s %d", name, sm, &count) == 3) {
      into[std::string(name) + " " + sm] = count;
    } else if (std::sscanf(line.c_str(), "%511s %d", name, &count) == 2) {
      into[name] = count;
    } else if (!line.empty()) {
      return false;
    }
  }
  return true;
}

// Memory that kernels wrote before the check was on counts as written.
void trustPresentMemory() {
  for (auto &device : driver().devices)
    for (const MemoryRange &range : device->arena->map().ranges())
      if (range.written) std::fill(range.written, range.written + (range.end - range.begin), uint8_t{1});
}

bool setSwitch(Options &o, const std::string &name, const std::string &value, bool &known) {
  known = true;
  if (name == "memcheck") return toSwitch(value, o.checks.memcheck);
  if (name == "synccheck") return toSwitch(value, o.checks.synccheck);
  if (name == "racecheck") return toSwitch(value, o.checks.racecheck);
  if (name == "strict") return toSwitch(value, o.strict);
  if (name == "eager") return toSwitch(value, o.eager);
  if (name == "lost") return toSwitch(value, o.lost);
  if (name == "count") return toSwitch(value, o.counters);
  known = false;
  return false;
}

bool setNumber(Options &o, const std::string &name, const std::string &value, bool &known) {
  int64_t n = 0;
  known = true;
  if (name == "noise" && toNumber(value, 0, INT64_MAX, n)) {
    o.noiseSeed = static_cast<uint64_t>(n);
  } else if (name == "schedule" && toNumber(value, 0, INT64_MAX, n)) {
    o.scheduleSeed = static_cast<uint64_t>(n);
  } else if (name == "capability" && toNumber(value, 75, 90, n) && (n == 75 || n == 80 || n == 90)) {
    o.capability = static_cast<int>(n);
  } else if (name == "workers" && toNumber(value, 0, 64, n)) {
    o.workers = static_cast<int>(n);
  } else if (name == "instructions" && toNumber(value, 1, INT64_MAX, n)) {
    o.instructionLimit = static_cast<uint64_t>(n);
  } else if (name == "fail-allocation" && toNumber(value, 0, INT64_MAX, n)) {
    o.failAllocation = n;
  } else if (name == "fail-launch" && toNumber(value, 0, INT64_MAX, n)) {
    o.failLaunch = n;
  } else {
    known = false;
    return false;
  }
  return true;
}

// What cannot change once cuInit has built the devices.
bool setAtStart(Options &o, bool initialized, const std::string &name, const std::string &value) {
  int64_t n = 0;
  if (initialized) return false;
  if (name == "devices" && toNumber(value, 1, 8, n)) {
    o.devices = static_cast<int>(n);
    return true;
  }
  if (name == "memory" && toNumber(value, 1, 1 << 20, n)) {
    o.memory = static_cast<uint64_t>(n) << 20;
    return true;
  }
  return false;
}

bool set(Options &o, const std::string &name, const std::string &value, Driver *d) {
  bool known;
  bool done = setSwitch(o, name, value, known);
  if (known) return done;
  if (setNumber(o, name, value, known)) return true;
  if (name == "initcheck") {
    bool on;
    if (!toSwitch(value, on)) return false;
    if (on && !o.checks.initcheck && d) trustPresentMemory();
    o.checks.initcheck = on;
    return true;
  }
  if (setAtStart(o, d && d->initialized, name, value)) return true;
  if (name == "registers") {
    o.registerTable = value;
    return d == nullptr || readRegisters(value, d->registers);
  }
  if (!d) return false;
  if (name == "findings") return value == "clear" ? (FindingLog::clear(), true) : writeFile(value, FindingLog::all());
  if (name == "counters") {
    if (value == "clear") {
      d->counterLog.clear();
      return true;
    }
    return writeFile(value, d->counterLog);
  }
  if (name == "reset" && value == "all") {
    Options fresh;
    fresh.devices = o.devices;
    fresh.memory = o.memory;
    o = fresh;
    return true;
  }
  return false;
}

int applyTo(Options &options, Driver *d, const std::string &assignments) {
  size_t begin = 0;
  while (begin <= assignments.size()) {
    size_t end = assignments.find(',', begin);
    if (end == std::string::npos) end = assignments.size();
    std::string one = assignments.substr(begin, end - begin);
    begin = end + 1;
    if (one.empty()) continue;
    size_t equals = one.find('=');
    if (equals == std::string::npos || !set(options, one.substr(0, equals), one.substr(equals + 1), d)) {
      std::fprintf(stderr, "limbeck software CUDA device: unknown option or value: %s\n", one.c_str());
      return kInvalidValue;
    }
  }
  return kSuccess;
}

}  // namespace

void readEnvironment(Options &options) {
  const char *text = std::getenv("LIMBECK_DEVICE");
  if (!text) return;
  if (applyTo(options, nullptr, text) != kSuccess) std::fprintf(stderr, "limbeck software CUDA device: LIMBECK_DEVICE is not understood: %s\n", text);
}

int applyOption(const std::string &assignment) { return applyTo(driver().options, &driver(), assignment); }

}  // namespace limbeck

extern "C" __attribute__((visibility("default"))) int limbeck_device_option(const char *name, const char *value) {
  using namespace limbeck;
  if (!name || !value) return kInvalidValue;
  try {
    std::lock_guard<std::recursive_mutex> lock(driver().mutex);
    return applyOption(std::string(name) + "=" + value);
  } catch (...) {
    return kUnknown;
  }
}
