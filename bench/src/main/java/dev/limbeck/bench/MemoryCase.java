package dev.limbeck.bench;

import java.util.List;
import java.util.Map;

/**
 * Work whose peak memory is compared. Each method is called alone in a process that ends with it,
 * and loads no more than the engine that it measures.
 */
public interface MemoryCase {
  /** In a report: the peak resident memory, MB. */
  String PEAK = "peak";

  /** In a report: the peak before any tensor was made, with the engine loaded, MB. */
  String BASE = "base";

  /** In a report: the median of the later half of the steps, milliseconds. */
  String STEP = "step";

  /** In Limbeck's report: whatever its peer needs to make the same work, as JSON has it. */
  String WEIGHTS = "weights";

  /** Limbeck's side: what its process reports. */
  Map<String, Object> limbeck(int threads);

  /** The ways in which the peer can keep its numbers; all are measured, the least counts. */
  List<String> layouts();

  /**
   * The peer's side: what its process reports.
   *
   * @param layout an index into {@link #layouts}
   * @param ofLimbeck what Limbeck's process reported
   */
  Map<String, Object> peer(int layout, int threads, Map<String, Object> ofLimbeck);
}
