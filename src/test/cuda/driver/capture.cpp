// Stream capture: while it lasts, work becomes nodes instead of running, and what no graph can hold ends the capture.
#include <algorithm>

#include "driver/graph.h"

namespace limbeck {

namespace {

// The capture modes: global forbids unsafe calls in every thread, thread-local in its own, relaxed nowhere.
enum Mode { kGlobal = 0, kThreadLocal = 1, kRelaxed = 2 };

bool concerns(const Capture &capture) { return capture.mode == kGlobal || (capture.mode == kThreadLocal && capture.thread == threadNumber()); }

}  // namespace

void invalidate(Capture &capture) { capture.invalid = true; }

int forbidDuringCapture(Context &context) {
  for (Capture *running : driver().captures) {
    if (running->origin->context != &context || !concerns(*running)) continue;
    invalidate(*running);
    return kStreamCaptureUnsupported;
  }
  return kSuccess;
}

int capture(Stream &stream, Work work) {
  Capture &running = *stream.capture;
  if (running.invalid) return kStreamCaptureInvalidated;
  running.graph->nodes.push_back({std::move(work), stream.captureTips});
  stream.captureTips = {static_cast<int>(running.graph->nodes.size()) - 1};
  return kSuccess;
}

int recordDuringCapture(Stream &stream, Event &event) {
  if (stream.capture->invalid) return kStreamCaptureInvalidated;
  event.capture = stream.capture;
  event.captureNodes = stream.captureTips;
  event.recorded = true;
  return kSuccess;
}

int waitDuringCapture(Stream &stream, Event &event) {
  if (!event.capture) {
    if (!event.recorded) return kSuccess;
    // A graph cannot depend on work outside of it.
    invalidate(*stream.capture);
    return kStreamCaptureIsolation;
  }
  Capture &running = *event.capture;
  if (running.invalid) return kStreamCaptureInvalidated;
  if (!driver().captures.count(&running)) return kCapturedEvent;
  if (stream.capture && stream.capture != event.capture) {
    invalidate(*stream.capture);
    invalidate(running);
    return kStreamCaptureMerge;
  }
  if (stream.isDefault) {
    invalidate(running);
    return kStreamCaptureImplicit;
  }
  if (!stream.capture) {  // the stream joins the capture
    stream.capture = event.capture;
    stream.captureTips.clear();
    running.streams.insert(&stream);
  }
  for (int node : event.captureNodes)
    if (std::find(stream.captureTips.begin(), stream.captureTips.end(), node) == stream.captureTips.end()) stream.captureTips.push_back(node);
  return kSuccess;
}

namespace {

int begin(Stream &stream, int mode) {
  if (stream.isDefault) return kStreamCaptureUnsupported;
  if (stream.capture) return kStreamCaptureUnsupported;
  if (mode < kGlobal || mode > kRelaxed) return kInvalidValue;
  auto fresh = std::make_shared<Capture>();
  fresh->graph = new Graph{stream.context, {}};
  fresh->origin = &stream;
  fresh->mode = mode;
  fresh->thread = threadNumber();
  fresh->id = driver().nextId++;
  fresh->streams.insert(&stream);
  stream.capture = fresh;
  stream.captureTips.clear();
  driver().captures.insert(fresh.get());
  return kSuccess;
}

// Every node must be reachable backwards from where the origin stream ended: forked streams have to be joined.
bool isJoined(const Graph &graph, const std::vector<int> &tips) {
  std::vector<char> seen(graph.nodes.size(), 0);
  std::vector<int> open = tips;
  while (!open.empty()) {
    int node = open.back();
    open.pop_back();
    if (seen[node]) continue;
    seen[node] = 1;
    open.insert(open.end(), graph.nodes[node].after.begin(), graph.nodes[node].after.end());
  }
  return std::all_of(seen.begin(), seen.end(), [](char s) { return s; });
}

int end(Stream &stream, void **graph) {
  *graph = nullptr;
  if (!stream.capture) return kInvalidValue;
  std::shared_ptr<Capture> ending = stream.capture;
  if (ending->origin != &stream) return kStreamCaptureUnmatched;
  if (ending->mode != kRelaxed && ending->thread != threadNumber()) return kStreamCaptureWrongThread;
  int status = ending->invalid ? kStreamCaptureInvalidated : isJoined(*ending->graph, stream.captureTips) ? kSuccess : kStreamCaptureUnjoined;
  for (Stream *member : ending->streams) {
    member->capture.reset();
    member->captureTips.clear();
  }
  driver().captures.erase(ending.get());
  if (status) {
    delete ending->graph;
    return status;
  }
  driver().graphs.insert(ending->graph);
  *graph = ending->graph;
  return kSuccess;
}

}  // namespace

}  // namespace limbeck

using namespace limbeck;

LIMBECK_API cuStreamBeginCapture_v2(void *handle, int mode) {
  return withContext([&](Context &c) -> int {
    int status = kSuccess;
    Stream *stream = streamOf(handle, &c, status);
    return stream ? begin(*stream, mode) : status;
  });
}

LIMBECK_API cuStreamEndCapture(void *handle, void **graph) {
  return withContext([&](Context &c) -> int {
    int status = kSuccess;
    Stream *stream = streamOf(handle, &c, status);
    if (!graph) return kInvalidValue;
    return stream ? end(*stream, graph) : status;
  });
}

LIMBECK_API cuStreamIsCapturing(void *handle, int *state) {
  return withContext([&](Context &c) -> int {
    int status = kSuccess;
    Stream *stream = streamOf(handle, &c, status);
    if (!stream) return status;
    if (!state) return kInvalidValue;
    *state = !stream->capture ? 0 : stream->capture->invalid ? 2 : 1;
    return kSuccess;
  });
}

LIMBECK_API cuThreadExchangeStreamCaptureMode(int *mode) {
  thread_local int current = kGlobal;
  if (!mode || *mode < kGlobal || *mode > kRelaxed) return kInvalidValue;
  std::swap(current, *mode);
  return kSuccess;
}
