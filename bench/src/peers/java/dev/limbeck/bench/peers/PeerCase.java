package dev.limbeck.bench.peers;

import dev.limbeck.bench.peers.Torch.Layout;

/** Work that both sides can do, on the same numbers. */
interface PeerCase extends AutoCloseable {
  /** Does it once. */
  void limbeck();

  /** Does it once. */
  void torch(Layout layout);

  /** The largest difference of any result, relative to the result's largest value. */
  double difference();

  /** Whether libtorch's layout makes a difference to it. */
  boolean hasLayout();

  @Override
  void close();
}
