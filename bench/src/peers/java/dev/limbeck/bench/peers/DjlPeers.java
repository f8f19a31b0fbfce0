package dev.limbeck.bench.peers;

import ai.djl.engine.Engine;
import ai.djl.ndarray.types.Shape;
import ai.djl.nn.convolutional.Conv2d;
import ai.djl.pytorch.jni.JniUtils;
import dev.limbeck.bench.MemoryCase;
import dev.limbeck.bench.PeerSuite;
import dev.limbeck.kernels.Device;
import dev.limbeck.kernels.op.Conv2dSpec;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.function.Consumer;
import java.util.function.Function;
import java.util.regex.Pattern;

/** PyTorch's own build of libtorch, with MKL, through DJL: a few ops, forward. */
public final class DjlPeers implements PeerSuite {
  static final String ENGINE = "PyTorch";

  @Override
  public String peer() {
    return "djl-pytorch 2.7.1";
  }

  @Override
  public List<String> names() {
    return List.copyOf(cases().keySet());
  }

  @Override
  public String open(int threads) {
    // Everything comes from the class path; nothing may be fetched while it runs.
    System.setProperty("ai.djl.offline", "true");
    // Where this machine keeps the library is no part of how it was built.
    String description = Engine.getEngine(ENGINE).toString().split("PyTorch Library:")[0].strip();
    JniUtils.setNumThreads(threads);
    return description;
  }

  @Override
  public List<Map<String, Object>> time(Pattern only, int threads, Consumer<String> progress) {
    return new Turns(peer(), threads, progress).rows(only, cases());
  }

  @Override
  public Map<String, MemoryCase> memory() {
    return Map.of();
  }

  private static Map<String, Function<Device, PeerCase>> cases() {
    Map<String, Function<Device, PeerCase>> all = new LinkedHashMap<>();
    for (int n : new int[] {512, 1024, 2048}) {
      all.put("djl/matmul/" + n, d -> new DjlCase(d, matmul(n)));
    }
    for (int channels : new int[] {64, 128, 256}) {
      int side = 2048 / channels; // 32, 16 and 8, as in a network
      String shape = "16x" + side + "x" + side + "x" + channels;
      all.put("djl/conv3x3/" + shape, d -> new DjlCase(d, conv(16, side, channels)));
    }
    return all;
  }

  private static DjlCase.Op matmul(int n) {
    int[] square = {n, n};
    return new DjlCase.Op(List.of(square, square), v -> v[0].matmul(v[1]), a -> a[0].matMul(a[1]));
  }

  private static DjlCase.Op conv(int batch, int side, int channels) {
    Shape one = new Shape(1, 1);
    return new DjlCase.Op(
        List.of(
            new int[] {batch, side, side, channels},
            new int[] {channels, 3, 3, channels},
            new int[] {channels}),
        v -> v[0].conv2d(v[1], v[2], Conv2dSpec.same(3)),
        a -> Conv2d.conv2d(a[0], a[1], a[2], one, one, one).singletonOrThrow());
  }
}
