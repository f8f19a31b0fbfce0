// Streams, events, callbacks and the door for library stand-ins.
#include <algorithm>
#include <chrono>
#include <thread>

#include "driver/state.h"
#include "host_api.h"

namespace limbeck {

Stream *streamOf(void *handle, Context *context, int &status) {
  // 0 and 1 are the legacy default stream. 2, a default stream per thread, is one the product does not use.
  if (handle == nullptr || handle == reinterpret_cast<void *>(1)) return context->defaultStream.get();
  if (handle == reinterpret_cast<void *>(2)) {
    status = kNotSupported;
    return nullptr;
  }
  if (!driver().streams.count(handle)) {
    status = kInvalidHandle;
    return nullptr;
  }
  Stream *stream = static_cast<Stream *>(handle);
  if (stream->context != context) status = kInvalidHandle;
  return status ? nullptr : stream;
}

namespace {

Event *eventOf(void *handle) { return driver().events.count(handle) ? static_cast<Event *>(handle) : nullptr; }

double now() { return std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now().time_since_epoch()).count(); }

bool isDone(const Event &event) {
  return !event.recorded || !driver().streams.count(event.stream) || event.stream->completed >= event.sequence;
}

// A callback runs on a thread of its own, as the driver's do: JCuda attaches and detaches the thread it is called on.
void onOwnThread(const std::function<void()> &body) { std::thread(body).join(); }

template <class F>
int withStream(void *handle, F body) {
  return withContext([&](Context &c) -> int {
    int status = kSuccess;
    Stream *stream = streamOf(handle, &c, status);
    return stream ? body(c, *stream) : status;
  });
}

int createStream(void **stream, unsigned flags, int priority) {
  return withContext([&](Context &c) {
    if (!stream || flags > 1) return kInvalidValue;
    auto *fresh = new Stream;
    fresh->context = &c;
    fresh->flags = flags;
    fresh->priority = std::min(0, std::max(-5, priority));
    fresh->id = driver().nextId++;
    c.streams.insert(fresh);
    driver().streams.insert(fresh);
    *stream = fresh;
    return kSuccess;
  });
}

int breakCapture(Stream &stream) {
  invalidate(*stream.capture);
  return kStreamCaptureUnsupported;
}

}  // namespace

}  // namespace limbeck

using namespace limbeck;

extern "C" __attribute__((visibility("default"))) int limbeck_device_enqueue(void *handle, int (*run)(void *), void (*destroy)(void *), void *argument) {
  if (!run) return kInvalidValue;
  return withStream(handle, [&](Context &, Stream &stream) -> int {
    auto accepted = std::make_shared<bool>(true);
    std::shared_ptr<void> owner(argument, [destroy, accepted](void *p) {
      if (destroy && *accepted) destroy(p);
    });
    int status = append(stream, {Work::Kind::kernel, [run, owner] { return run(owner.get()); }});
    if (status) {
      *accepted = false;  // the argument stays the caller's
      return status;
    }
    settle(stream);  // an error of the context shows in the next call; this one has done its part
    return kSuccess;
  });
}

LIMBECK_API cuStreamCreate(void **stream, unsigned flags) { return createStream(stream, flags, 0); }

LIMBECK_API cuStreamCreateWithPriority(void **stream, unsigned flags, int priority) { return createStream(stream, flags, priority); }

LIMBECK_API cuStreamDestroy_v2(void *handle) {
  return withContext([&](Context &c) -> int {
    int status = kSuccess;
    Stream *stream = streamOf(handle, &c, status);
    if (!stream || stream->isDefault) return kInvalidHandle;
    if (stream->capture) invalidate(*stream->capture);
    // What was enqueued still runs; here it runs now.
    status = runUntil(*stream, stream->issued);
    c.streams.erase(stream);
    driver().streams.erase(stream);
    delete stream;
    return status;
  });
}

LIMBECK_API cuStreamSynchronize(void *handle) {
  return withStream(handle, [](Context &c, Stream &stream) -> int {
    if (stream.capture) return breakCapture(stream);
    if (stream.isDefault) {
      int status = forbidDuringCapture(c);
      if (status) return status;
      // The legacy stream has seen all blocking streams.
      for (Stream *other : std::set<Stream *>(c.streams))
        if (!(other->flags & 1) && (status = runUntil(*other, other->issued))) return status;
    }
    return runUntil(stream, stream.issued);
  });
}

LIMBECK_API cuStreamQuery(void *handle) {
  return withStream(handle, [](Context &c, Stream &stream) -> int {
    if (stream.capture) return breakCapture(stream);
    if (isIdle(stream)) return kSuccess;
    runOne(c);  // time passes
    return c.broken ? c.broken : static_cast<int>(kNotReady);
  });
}

LIMBECK_API cuStreamGetFlags(void *handle, unsigned *flags) {
  return withStream(handle, [&](Context &, Stream &stream) {
    if (!flags) return kInvalidValue;
    *flags = stream.flags;
    return kSuccess;
  });
}

LIMBECK_API cuStreamGetPriority(void *handle, int *priority) {
  return withStream(handle, [&](Context &, Stream &stream) {
    if (!priority) return kInvalidValue;
    *priority = stream.priority;
    return kSuccess;
  });
}

LIMBECK_API cuStreamGetCtx(void *handle, Context **context) {
  return withStream(handle, [&](Context &c, Stream &) {
    if (!context) return kInvalidValue;
    *context = &c;
    return kSuccess;
  });
}

LIMBECK_API cuStreamGetId(void *handle, unsigned long long *id) {
  return withStream(handle, [&](Context &, Stream &stream) {
    if (!id) return kInvalidValue;
    *id = stream.id;
    return kSuccess;
  });
}

LIMBECK_API cuStreamWaitEvent(void *handle, void *eventHandle, unsigned) {
  return withStream(handle, [&](Context &, Stream &stream) -> int {
    Event *event = eventOf(eventHandle);
    if (!event) return kInvalidHandle;
    if (event->capture || stream.capture) return waitDuringCapture(stream, *event);
    if (isDone(*event)) return kSuccess;
    return enqueue(stream, {}, {{event->stream, event->sequence}});
  });
}

LIMBECK_API cuStreamAddCallback(void *handle, void (*callback)(void *, int, void *), void *data, unsigned flags) {
  return withStream(handle, [&](Context &c, Stream &stream) -> int {
    if (!callback || flags) return kInvalidValue;
    if (stream.capture) return breakCapture(stream);
    return enqueue(stream, {Work::Kind::host, [&c, handle, callback, data] {
                              onOwnThread([&] { callback(handle, c.broken, data); });
                              return kSuccess;
                            }});
  });
}

LIMBECK_API cuLaunchHostFunc(void *handle, void (*function)(void *), void *data) {
  return withStream(handle, [&](Context &, Stream &stream) -> int {
    if (!function) return kInvalidValue;
    return enqueue(stream, {Work::Kind::host, [function, data] {
                              onOwnThread([&] { function(data); });
                              return kSuccess;
                            }});
  });
}

LIMBECK_API cuEventCreate(void **event, unsigned flags) {
  return withContext([&](Context &c) {
    if (!event || flags > 7) return kInvalidValue;
    auto *fresh = new Event;
    fresh->context = &c;
    fresh->flags = flags;
    c.events.insert(fresh);
    driver().events.insert(fresh);
    *event = fresh;
    return kSuccess;
  });
}

LIMBECK_API cuEventDestroy_v2(void *handle) {
  return withDriver([&] {
    Event *event = eventOf(handle);
    if (!event) return kInvalidHandle;
    event->context->events.erase(event);
    driver().events.erase(event);
    delete event;
    return kSuccess;
  });
}

LIMBECK_API cuEventRecordWithFlags(void *handle, void *streamHandle, unsigned) {
  return withStream(streamHandle, [&](Context &c, Stream &stream) -> int {
    Event *event = eventOf(handle);
    if (!event) return kInvalidHandle;
    if (event->context != &c) return kInvalidHandle;
    if (stream.capture) return recordDuringCapture(stream, *event);
    event->capture.reset();
    event->captureNodes.clear();
    event->time = std::make_shared<double>(0.0);
    int status = enqueue(stream, {Work::Kind::event, [time = event->time] {
                                    *time = now();
                                    return kSuccess;
                                  }});
    if (status) return status;
    event->recorded = true;
    event->stream = &stream;
    event->sequence = stream.issued;
    return kSuccess;
  });
}

LIMBECK_API cuEventRecord(void *event, void *stream) { return cuEventRecordWithFlags(event, stream, 0); }

LIMBECK_API cuEventSynchronize(void *handle) {
  return withContext([&](Context &) -> int {
    Event *event = eventOf(handle);
    if (!event) return kInvalidHandle;
    if (event->capture) return kCapturedEvent;
    return isDone(*event) ? kSuccess : runUntil(*event->stream, event->sequence);
  });
}

LIMBECK_API cuEventQuery(void *handle) {
  return withContext([&](Context &c) -> int {
    Event *event = eventOf(handle);
    if (!event) return kInvalidHandle;
    if (event->capture) return kCapturedEvent;
    if (isDone(*event)) return kSuccess;
    runOne(c);
    return c.broken ? c.broken : static_cast<int>(kNotReady);
  });
}

LIMBECK_API cuEventElapsedTime(float *milliseconds, void *first, void *last) {
  return withContext([&](Context &) -> int {
    Event *a = eventOf(first), *b = eventOf(last);
    if (!a || !b || !a->recorded || !b->recorded || (a->flags & 2) || (b->flags & 2)) return kInvalidHandle;
    if (!milliseconds) return kInvalidValue;
    if (a->capture || b->capture) return kCapturedEvent;
    if (!isDone(*a) || !isDone(*b)) return kNotReady;
    *milliseconds = static_cast<float>(*b->time - *a->time);
    return kSuccess;
  });
}
