package dev.limbeck.bench.peers;

import dev.limbeck.autograd.Var;
import dev.limbeck.bench.NetworkBench;
import dev.limbeck.distillation.Preset;
import dev.limbeck.kernels.Device;
import dev.limbeck.kernels.op.Conv2dSpec;
import dev.limbeck.nn.UNetConfig;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.function.Function;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.TensorOptional;
import org.bytedeco.pytorch.global.torch;

/** The work that Limbeck is compared by. */
final class PeerCases {
  private static final float EPSILON = 1e-5f;
  private static final int GROUPS = 32;

  private PeerCases() {}

  /** Every case by its name, in the order of the results table. */
  static Map<String, Function<Device, PeerCase>> all() {
    Map<String, Function<Device, PeerCase>> all = new LinkedHashMap<>();
    for (int n : new int[] {512, 1024, 2048}) {
      all.put("matmul/" + n, d -> new OpCase(d, matmul(n), false));
    }
    for (int channels : new int[] {64, 128, 256}) {
      for (int side : new int[] {8, 16, 32}) {
        int batch = 16;
        String shape = batch + "x" + side + "x" + side + "x" + channels;
        all.put("conv3x3/" + shape, d -> new OpCase(d, conv(batch, side, channels), false));
        all.put("conv3x3-grad/" + shape, d -> new OpCase(d, conv(batch, side, channels), true));
      }
    }
    for (int side : new int[] {16, 32}) {
      String shape = "16x" + side + "x" + side + "x128";
      all.put("groupnorm-silu/" + shape, d -> new OpCase(d, groupNorm(16, side, 128), false));
      all.put("groupnorm-silu-grad/" + shape, d -> new OpCase(d, groupNorm(16, side, 128), true));
    }
    for (int tokens : new int[] {256, 1024}) {
      String shape = "4x" + tokens + "x128";
      all.put("attention/" + shape, d -> new OpCase(d, attention(4, tokens, 128), false));
      all.put("attention-grad/" + shape, d -> new OpCase(d, attention(4, tokens, 128), true));
    }
    trainings().forEach((name, work) -> all.put(name, d -> new UNetCase(d, work)));
    for (int batch : new int[] {1, 16}) {
      NetworkWork small = new NetworkWork(mnist(), batch, 16, false);
      NetworkWork large = new NetworkWork(NetworkBench.cifar(), batch, 32, false);
      all.put("unet-forward/mnist-" + batch, d -> new UNetCase(d, small));
      all.put("unet-forward/cifar-" + batch, d -> new UNetCase(d, large));
    }
    return all;
  }

  /** The training steps by name; their memory is measured too. */
  static Map<String, NetworkWork> trainings() {
    Map<String, NetworkWork> all = new LinkedHashMap<>();
    for (int batch : new int[] {16, 64}) {
      all.put("unet-train/mnist-" + batch, new NetworkWork(mnist(), batch, 16, true));
      all.put("unet-train/cifar-" + batch, new NetworkWork(NetworkBench.cifar(), batch, 32, true));
    }
    return all;
  }

  /** The network of the main job. */
  private static UNetConfig mnist() {
    return Preset.quick().network();
  }

  private static OpCase.Op matmul(int n) {
    int[] square = {n, n};
    return new OpCase.Op(
        List.of(square, square), v -> v[0].matmul(v[1]), t -> torch.matmul(t[0], t[1]));
  }

  private static OpCase.Op conv(int batch, int side, int channels) {
    long[] one = {1, 1};
    Function<Tensor[], Tensor> theirs =
        t -> torch.conv2d(t[0], t[1], new TensorOptional(t[2]), one, one, one, 1);
    return new OpCase.Op(
        List.of(
            new int[] {batch, side, side, channels},
            new int[] {channels, 3, 3, channels},
            new int[] {channels}),
        v -> v[0].conv2d(v[1], v[2], Conv2dSpec.same(3)),
        theirs);
  }

  private static OpCase.Op groupNorm(int batch, int side, int channels) {
    int[] each = {channels};
    return new OpCase.Op(
        List.of(new int[] {batch, side, side, channels}, each, each),
        v -> v[0].groupNorm(GROUPS, v[1], v[2], EPSILON, true),
        t -> {
          TensorOptional gamma = new TensorOptional(t[1]);
          TensorOptional beta = new TensorOptional(t[2]);
          return torch.silu(torch.group_norm(t[0], GROUPS, gamma, beta, EPSILON, false));
        });
  }

  /** One head, as in DDPM++. */
  private static OpCase.Op attention(int batch, int tokens, int channels) {
    int[] shape = {batch, tokens, channels};
    float scale = (float) (1 / Math.sqrt(channels));
    return new OpCase.Op(
        List.of(shape, shape, shape),
        v -> Var.attention(v[0], v[1], v[2], 1, scale),
        t ->
            torch
                .scaled_dot_product_attention(
                    t[0].unsqueeze(1), t[1].unsqueeze(1), t[2].unsqueeze(1))
                .squeeze(1));
  }
}
