package dev.limbeck.bench;

import java.util.List;
import java.util.Map;
import java.util.function.Consumer;
import java.util.regex.Pattern;

/** Another engine that does the same work in the same process; found as a service. */
public interface PeerSuite {
  /** The names of everything that can be compared. */
  List<String> names();

  /**
   * Times what has a match of the expression in its name, both sides by turns.
   *
   * @param threads of each side
   * @param progress told what is going on, a line at a time
   * @return for each its name, both sides' milliseconds, and the ratios
   */
  List<Map<String, Object>> run(Pattern only, int threads, Consumer<String> progress);
}
