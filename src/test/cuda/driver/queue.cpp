// Streams are real queues. Nothing runs when it is enqueued; work runs when somebody waits for it, and then only what the wait needs
// (or, with a schedule seed, whatever the seed picks among the ready). A missing wait therefore shows as stale data, not by luck.
#include <algorithm>

#include "driver/state.h"
#include "exec/schedule.h"

namespace limbeck {

namespace {

// A queue on a GPU is not endless either: beyond this the host waits for the oldest.
constexpr uint64_t kMaxPending = 1024;

bool isReady(const Stream &stream) {
  if (stream.queue.empty()) return false;
  for (const auto &[other, sequence] : stream.queue.front().after)
    if (driver().streams.count(other) && other->completed < sequence) return false;
  return true;
}

// Runs the head of a stream. In a broken context work is dropped, as a GPU drops it.
void step(Stream &stream) {
  Item item = std::move(stream.queue.front());
  stream.queue.pop_front();
  Context &context = *stream.context;
  if (!context.broken && item.work.run) {
    int status = item.work.run();
    if (status && !context.broken) context.broken = status;
  }
  stream.completed = item.sequence;
}

std::vector<Stream *> streamsOf(Context &context) {
  std::vector<Stream *> result{context.defaultStream.get()};
  result.insert(result.end(), context.streams.begin(), context.streams.end());
  // By age, not by address: runs must repeat.
  std::sort(result.begin(), result.end(), [](Stream *a, Stream *b) { return a->id < b->id; });
  return result;
}

// The stream whose head has to run for `stream` to move: itself, or one it waits for.
Stream *blocker(Stream &stream, int depth = 0) {
  if (isReady(stream)) return &stream;
  if (depth > 64 || stream.queue.empty()) return nullptr;
  for (const auto &[other, sequence] : stream.queue.front().after)
    if (driver().streams.count(other) && other->completed < sequence)
      if (Stream *found = blocker(*other, depth + 1)) return found;
  return nullptr;
}

uint64_t nextRandom() { return driver().random = mix(driver().random + driver().options.scheduleSeed); }

Stream *pickReady(Context &context) {
  std::vector<Stream *> ready;
  for (Stream *stream : streamsOf(context))
    if (isReady(*stream)) ready.push_back(stream);
  if (ready.empty()) return nullptr;
  return driver().options.scheduleSeed ? ready[nextRandom() % ready.size()] : ready.front();
}

// The legacy default stream waits for every blocking stream, and they wait for it.
void addLegacyOrder(Stream &stream, Item &item) {
  Context &context = *stream.context;
  if (stream.isDefault) {
    for (Stream *other : context.streams)
      if (!(other->flags & 1) && other->issued > other->completed && !other->capture) item.after.push_back({other, other->issued});
  } else if (!(stream.flags & 1)) {
    Stream &legacy = *context.defaultStream;
    if (legacy.issued > legacy.completed) item.after.push_back({&legacy, legacy.issued});
  }
}

}  // namespace

int append(Stream &stream, Work work, std::vector<std::pair<Stream *, uint64_t>> after) {
  if (stream.capture) return capture(stream, std::move(work));
  if (stream.isDefault) {
    // Work in the legacy stream would have to wait for a stream that is being captured.
    for (Capture *running : driver().captures)
      if (running->origin->context == stream.context && running->mode != 2 && !(running->origin->flags & 1)) {
        invalidate(*running);
        return kStreamCaptureImplicit;
      }
  }
  Item item{std::move(work), ++stream.issued, std::move(after)};
  addLegacyOrder(stream, item);
  stream.queue.push_back(std::move(item));
  return kSuccess;
}

int settle(Stream &stream) {
  if (stream.capture) return kSuccess;
  if (driver().options.eager) return runUntil(stream, stream.issued);
  int status = kSuccess;
  while (stream.queue.size() > kMaxPending && !status) status = runUntil(stream, stream.completed + 1);
  return status;
}

int enqueue(Stream &stream, Work work, std::vector<std::pair<Stream *, uint64_t>> after) {
  int status = append(stream, std::move(work), std::move(after));
  return status ? status : settle(stream);
}

int runUntil(Stream &stream, uint64_t sequence) {
  Context &context = *stream.context;
  while (stream.completed < sequence) {
    Stream *next = driver().options.scheduleSeed ? pickReady(context) : blocker(stream);
    if (!next) next = pickReady(context);
    if (!next) return kUnknown;
    step(*next);
  }
  return context.broken;
}

bool runOne(Context &context) {
  Stream *next = pickReady(context);
  if (next) step(*next);
  return next != nullptr;
}

int runAll(Context &context) {
  while (runOne(context)) {
  }
  return context.broken;
}

bool isIdle(const Stream &stream) { return stream.queue.empty(); }

}  // namespace limbeck
