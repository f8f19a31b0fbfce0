// Graphs: instantiation, launch, and what little inspection tests need.
#include "driver/graph.h"

namespace limbeck {

namespace {

Graph *graphOf(void *handle) { return driver().graphs.count(handle) ? static_cast<Graph *>(handle) : nullptr; }

Executable *executableOf(void *handle) { return driver().executables.count(handle) ? static_cast<Executable *>(handle) : nullptr; }

// Nodes were captured in an order that keeps their dependencies; a schedule seed picks another such order.
std::vector<int> orderOf(const std::vector<Node> &nodes, uint64_t seed) {
  std::vector<int> missing(nodes.size()), order, ready;
  std::vector<std::vector<int>> next(nodes.size());
  for (size_t n = 0; n < nodes.size(); ++n) {
    missing[n] = static_cast<int>(nodes[n].after.size());
    for (int before : nodes[n].after) next[before].push_back(static_cast<int>(n));
    if (!missing[n]) ready.push_back(static_cast<int>(n));
  }
  uint64_t random = seed;
  while (!ready.empty()) {
    size_t pick = 0;
    if (seed) {
      random = random * 6364136223846793005ull + 1442695040888963407ull;
      pick = (random >> 33) % ready.size();
    }
    int node = ready[pick];
    ready.erase(ready.begin() + static_cast<long>(pick));
    order.push_back(node);
    for (int after : next[node])
      if (--missing[after] == 0) ready.push_back(after);
  }
  return order;
}

int instantiate(void **executable, void *handle) {
  return withContext([&](Context &c) -> int {
    Graph *graph = graphOf(handle);
    if (!executable) return kInvalidValue;
    if (!graph) return kInvalidHandle;
    auto *fresh = new Executable{&c, graph->nodes};
    driver().executables.insert(fresh);
    *executable = fresh;
    return kSuccess;
  });
}

}  // namespace

void destroyGraphs(Context &context) {
  for (const void *handle : std::unordered_set<const void *>(driver().graphs)) {
    const Graph *graph = static_cast<const Graph *>(handle);
    if (graph->context != &context) continue;
    driver().graphs.erase(handle);
    delete graph;
  }
  for (const void *handle : std::unordered_set<const void *>(driver().executables)) {
    const Executable *executable = static_cast<const Executable *>(handle);
    if (executable->context != &context) continue;
    driver().executables.erase(handle);
    delete executable;
  }
}

}  // namespace limbeck

using namespace limbeck;

LIMBECK_API cuGraphCreate(void **graph, unsigned flags) {
  return withContext([&](Context &c) {
    if (!graph || flags) return kInvalidValue;
    *graph = new Graph{&c, {}};
    driver().graphs.insert(*graph);
    return kSuccess;
  });
}

LIMBECK_API cuGraphDestroy(void *handle) {
  return withDriver([&] {
    Graph *graph = graphOf(handle);
    if (!graph) return kInvalidHandle;
    driver().graphs.erase(graph);
    delete graph;
    return kSuccess;
  });
}

LIMBECK_API cuGraphInstantiateWithFlags(void **executable, void *graph, unsigned long long flags) {
  if (flags > 8) return kInvalidValue;
  return instantiate(executable, graph);
}

LIMBECK_API cuGraphExecDestroy(void *handle) {
  return withDriver([&] {
    Executable *executable = executableOf(handle);
    if (!executable) return kInvalidHandle;
    driver().executables.erase(executable);
    delete executable;  // launches that wait in a queue hold a copy of its work
    return kSuccess;
  });
}

LIMBECK_API cuGraphUpload(void *handle, void *) {
  return withContext([&](Context &) { return executableOf(handle) ? kSuccess : kInvalidHandle; });
}

LIMBECK_API cuGraphLaunch(void *handle, void *streamHandle) {
  return withContext([&](Context &c) -> int {
    Executable *executable = executableOf(handle);
    int status = kSuccess;
    Stream *stream = streamOf(streamHandle, &c, status);
    if (!executable) return kInvalidHandle;
    if (!stream) return status;
    if (stream->capture) {  // child graphs are nothing a training step needs
      invalidate(*stream->capture);
      return kStreamCaptureUnsupported;
    }
    uint64_t seed = driver().options.scheduleSeed ? driver().options.scheduleSeed + ++driver().random : 0;
    auto nodes = std::make_shared<std::vector<Node>>(executable->nodes);
    return enqueue(*stream, {Work::Kind::empty, [&c, nodes, seed]() -> int {
                               for (int node : orderOf(*nodes, seed)) {
                                 const Work &work = (*nodes)[node].work;
                                 int failed = work.run ? work.run() : 0;
                                 if (failed) return failed;
                                 if (c.broken) return c.broken;
                               }
                               return kSuccess;
                             }});
  });
}

LIMBECK_API cuGraphGetNodes(void *handle, void **nodes, size_t *count) {
  return withContext([&](Context &) {
    Graph *graph = graphOf(handle);
    if (!graph || !count) return graph ? kInvalidValue : kInvalidHandle;
    if (nodes)
      for (size_t n = 0; n < *count && n < graph->nodes.size(); ++n) nodes[n] = &graph->nodes[n];
    *count = graph->nodes.size();
    return kSuccess;
  });
}

LIMBECK_API cuGraphNodeGetType(void *node, int *type) {
  return withContext([&](Context &) {
    if (!node || !type) return kInvalidValue;
    for (const void *handle : driver().graphs) {
      const Graph *graph = static_cast<const Graph *>(handle);
      for (const Node &candidate : graph->nodes) {
        if (&candidate != node) continue;
        // CUgraphNodeType: kernel 0, memcpy 1, memset 2, host 3, empty 5.
        switch (candidate.work.kind) {
          case Work::Kind::kernel: *type = 0; break;
          case Work::Kind::copy: *type = 1; break;
          case Work::Kind::fill: *type = 2; break;
          case Work::Kind::host: *type = 3; break;
          default: *type = 5;
        }
        return kSuccess;
      }
    }
    return kInvalidValue;
  });
}
