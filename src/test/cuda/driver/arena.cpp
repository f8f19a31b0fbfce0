#include "driver/arena.h"

#include <sys/mman.h>

#include <algorithm>
#include <cstring>
#include <new>

namespace limbeck {

namespace {

constexpr uint64_t kAlignment = 512;                // of the addresses cuMemAlloc returns
constexpr uint64_t kGuard = 512;                    // unmapped bytes behind each allocation, so that a run over the end is never another's memory
constexpr uint64_t kQuarantine = 64ull << 20;       // freed bytes that are kept from reuse
constexpr uint32_t kFresh = 0x7fffdead;             // a NaN: what nobody wrote shows

void *reserve(uint64_t bytes) {
  void *memory = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED) throw std::bad_alloc();
  return memory;
}

uint64_t footprint(uint64_t bytes) { return (bytes + kAlignment - 1) / kAlignment * kAlignment + kGuard; }

}  // namespace

Arena::Arena(uint64_t base, uint64_t bytes) : base_(base), bytes_(bytes) {
  // Twice the nominal size in addresses: guards and quarantine must not count against what a device of that size could hold.
  host_ = static_cast<char *>(reserve(2 * bytes));
  written_ = static_cast<uint8_t *>(reserve(2 * bytes));
  free_[base] = 2 * bytes;
}

Arena::~Arena() {
  munmap(host_, 2 * bytes_);
  munmap(written_, 2 * bytes_);
}

uint64_t Arena::take(uint64_t bytes) {
  for (auto at = free_.begin(); at != free_.end(); ++at) {
    if (at->second < bytes) continue;
    uint64_t begin = at->first, rest = at->second - bytes;
    free_.erase(at);
    if (rest) free_[begin + bytes] = rest;
    return begin;
  }
  return 0;
}

uint64_t Arena::allocate(uint64_t bytes, bool readOnly) {
  if (bytes == 0 || used_ + bytes > bytes_) return 0;
  uint64_t begin = take(footprint(bytes));
  while (!begin && !quarantine_.empty()) {
    auto oldest = quarantine_.front();
    quarantine_.pop_front();
    release(oldest.first, oldest.second);
    begin = take(footprint(bytes));
  }
  if (!begin) return 0;
  used_ += bytes;
  MemoryRange range;
  range.begin = begin;
  range.end = begin + bytes;
  range.host = host_ + (begin - base_);
  range.written = written_ + (begin - base_);
  range.readOnly = readOnly;
  std::fill_n(reinterpret_cast<uint32_t *>(range.host), (bytes + 3) / 4, kFresh);
  std::memset(range.written, 0, bytes);
  map_.insert(range);
  return begin;
}

bool Arena::free(uint64_t address) {
  const MemoryRange *range = map_.find(address);
  if (!range || range->begin != address || range->pinned) return false;
  uint64_t bytes = range->end - range->begin;
  used_ -= bytes;
  map_.erase(address);
  quarantine_.push_back({address, footprint(bytes)});
  quarantined_ += footprint(bytes);
  while (quarantined_ > kQuarantine) {
    auto oldest = quarantine_.front();
    quarantine_.pop_front();
    release(oldest.first, oldest.second);
  }
  return true;
}

bool Arena::wasFreed(uint64_t address) const {
  return std::any_of(quarantine_.begin(), quarantine_.end(), [=](const auto &q) { return address >= q.first && address < q.first + q.second; });
}

// Back to the free list, merged with its neighbours; large runs give their pages back to the host.
void Arena::release(uint64_t begin, uint64_t bytes) {
  quarantined_ -= bytes;
  if (bytes >= 1 << 20) {
    constexpr uint64_t kPage = 4096;
    uint64_t from = (begin - base_ + kPage - 1) / kPage * kPage, to = (begin - base_ + bytes) / kPage * kPage;
    madvise(host_ + from, to - from, MADV_DONTNEED);
    madvise(written_ + from, to - from, MADV_DONTNEED);
  }
  auto after = free_.lower_bound(begin);
  if (after != free_.end() && begin + bytes == after->first) {
    bytes += after->second;
    after = free_.erase(after);
  }
  if (after != free_.begin()) {
    auto before = std::prev(after);
    if (before->first + before->second == begin) {
      before->second += bytes;
      return;
    }
  }
  free_[begin] = bytes;
}

void Arena::addPinned(char *host, uint64_t bytes) {
  MemoryRange range;
  range.begin = reinterpret_cast<uint64_t>(host);
  range.end = range.begin + bytes;
  range.host = host;
  range.pinned = true;
  map_.insert(range);
}

void Arena::removePinned(char *host) { map_.erase(reinterpret_cast<uint64_t>(host)); }

void Arena::clear() {
  std::vector<uint64_t> begins;
  for (const MemoryRange &range : map_.ranges())
    if (!range.pinned) begins.push_back(range.begin);
  for (uint64_t begin : begins) free(begin);
}

}  // namespace limbeck
