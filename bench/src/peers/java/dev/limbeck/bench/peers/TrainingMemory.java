package dev.limbeck.bench.peers;

import dev.limbeck.bench.MemoryCase;
import dev.limbeck.bench.PeakMemory;
import dev.limbeck.bench.peers.Torch.Layout;
import dev.limbeck.kernels.Json;
import dev.limbeck.kernels.cpu.CpuDevice;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/** The memory of a training step, on either side alone. */
final class TrainingMemory implements MemoryCase {
  /** Enough for buffers to be kept and for compilers to have had their turn. */
  private static final int STEPS = 10;

  private final NetworkWork work;

  TrainingMemory(NetworkWork work) {
    this.work = work;
  }

  @Override
  public Map<String, Object> limbeck(int threads) {
    try (CpuDevice device = CpuDevice.open(true, threads)) {
      double base = PeakMemory.megabytes();
      try (LimbeckUNet net = new LimbeckUNet(device, work)) {
        Map<String, Object> report = measured(base, net::run);
        report.put(WEIGHTS, net.weights());
        return report;
      }
    }
  }

  @Override
  public List<String> layouts() {
    return List.of(Layout.values()).stream().map(Layout::label).toList();
  }

  @Override
  public Map<String, Object> peer(int layout, int threads, Map<String, Object> ofLimbeck) {
    Torch.open(threads);
    double base = PeakMemory.megabytes();
    Map<String, int[]> weights = new LinkedHashMap<>();
    Json.object(ofLimbeck.get(WEIGHTS), WEIGHTS)
        .forEach((name, shape) -> weights.put(name, shape(shape)));
    return measured(base, TorchUNetWork.random(work, weights, Layout.values()[layout])::run);
  }

  private static int[] shape(Object parsed) {
    return Json.list(parsed, "a shape").stream().mapToInt(n -> ((Number) n).intValue()).toArray();
  }

  private static Map<String, Object> measured(double base, Runnable step) {
    double[] millis = new double[STEPS];
    for (int i = 0; i < STEPS; i++) {
      long start = System.nanoTime();
      step.run();
      millis[i] = (System.nanoTime() - start) / 1e6;
    }
    Map<String, Object> report = new LinkedHashMap<>();
    report.put(BASE, base);
    report.put(PEAK, PeakMemory.megabytes());
    double[] late = Arrays.copyOfRange(millis, STEPS / 2, STEPS);
    Arrays.sort(late);
    report.put(STEP, late[late.length / 2]);
    return report;
  }
}
