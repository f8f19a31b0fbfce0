package dev.limbeck.bench.peers;

import dev.limbeck.bench.peers.Torch.Layout;
import dev.limbeck.kernels.Device;
import java.util.ArrayList;
import java.util.List;
import org.bytedeco.javacpp.PointerScope;

/** A whole network: its answer, or a training step. */
final class UNetCase implements PeerCase {
  private final PointerScope pointers = new PointerScope();
  private final LimbeckUNet ours;
  private final List<TorchUNetWork> theirs = new ArrayList<>();

  UNetCase(Device device, NetworkWork work) {
    ours = new LimbeckUNet(device, work);
    for (Layout layout : Layout.values()) {
      theirs.add(TorchUNetWork.copyOf(work, ours, layout));
    }
  }

  @Override
  public void limbeck() {
    ours.run();
  }

  @Override
  public List<String> layouts() {
    return List.of(Layout.values()).stream().map(Layout::label).toList();
  }

  @Override
  public void peer(int layout) {
    theirs.get(layout).run();
  }

  /** Of the answer and of every parameter's gradient. */
  @Override
  public double difference() {
    double worst = 0;
    for (TorchUNetWork side : theirs) {
      List<float[]> a = ours.results();
      List<float[]> b = side.results();
      double largest = 0;
      for (float[] values : b) {
        largest = Math.max(largest, Differences.largest(values));
      }
      for (int i = 0; i < a.size(); i++) {
        // Keys' biases have no influence: their gradients are nothing but rounding.
        double floor = 1e-4 * largest;
        worst = Math.max(worst, Differences.relative(a.get(i), b.get(i), floor));
      }
    }
    return worst;
  }

  @Override
  public void close() {
    ours.close();
    pointers.close();
  }
}
