package dev.limbeck.bench.peers;

import java.util.List;

/** Work that both sides can do, on the same numbers. */
interface PeerCase extends AutoCloseable {
  /** Does it once. */
  void limbeck();

  /** The ways in which the peer can keep its numbers; it is timed with all, the best counts. */
  List<String> layouts();

  /**
   * Does it once.
   *
   * @param layout an index into {@link #layouts}
   */
  void peer(int layout);

  /** The largest difference of any result, relative to the result's largest value. */
  double difference();

  @Override
  void close();
}
