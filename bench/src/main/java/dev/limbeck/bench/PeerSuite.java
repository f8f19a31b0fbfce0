package dev.limbeck.bench;

import java.util.List;
import java.util.Map;
import java.util.function.Consumer;
import java.util.regex.Pattern;

/**
 * Another engine that does the same work; found as a service. Only {@link #open}, {@link #time} and
 * the methods of a {@link MemoryCase} load the engine; they run in a {@link PeerProcess}.
 */
public interface PeerSuite {
  /** The engine and its version. */
  String peer();

  /** The names of everything that can be timed. */
  List<String> names();

  /**
   * Loads the engine.
   *
   * @return how it was built, in its own words
   */
  String open(int threads);

  /**
   * Times what has a match of the expression in its name, both sides by turns.
   *
   * @param threads of each side
   * @param progress told what is going on, a line at a time
   * @return for each its name, both sides' milliseconds, and the ratios
   */
  List<Map<String, Object>> time(Pattern only, int threads, Consumer<String> progress);

  /** What memory is measured of, by the names of the same work when it is timed. */
  Map<String, MemoryCase> memory();
}
