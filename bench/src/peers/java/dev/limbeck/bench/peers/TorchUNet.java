package dev.limbeck.bench.peers;

import dev.limbeck.autograd.Parameter;
import dev.limbeck.bench.peers.Torch.Layout;
import dev.limbeck.nn.UNet;
import dev.limbeck.nn.UNetConfig;
import dev.limbeck.nn.UNetConfig.AttendIn;
import dev.limbeck.nn.UNetConfig.Modulation;
import dev.limbeck.nn.UNetConfig.Resampling;
import java.util.ArrayDeque;
import java.util.Deque;
import java.util.LinkedHashMap;
import java.util.Map;
import org.bytedeco.pytorch.DoubleOptional;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.TensorOptional;
import org.bytedeco.pytorch.TensorVector;
import org.bytedeco.pytorch.global.torch;

/** A {@link UNet} built from libtorch's ops, with the same weights. */
final class TorchUNet {
  private final UNetConfig config;
  private final Map<String, Tensor> weights = new LinkedHashMap<>();

  private TorchUNet(UNetConfig config) {
    this.config = config;
  }

  /** Copies the weights of a network without a guidance input, with a class table or none. */
  static TorchUNet copyOf(UNet net, Layout layout) {
    TorchUNet copy = new TorchUNet(net.config());
    for (Parameter p : net.params().list()) {
      int[] shape = p.value().shape().toArray();
      float[] values = p.value().toFloats();
      Tensor t = shape.length == 4 ? Torch.image(values, layout, shape) : Torch.of(values, shape);
      copy.weights.put(p.name(), t.set_requires_grad(true));
    }
    return copy;
  }

  /**
   * A network of random weights, for which Limbeck's need not exist.
   *
   * @param shapes of the parameters by name, as Limbeck has them
   */
  static TorchUNet random(UNetConfig config, Map<String, int[]> shapes, Layout layout) {
    TorchUNet net = new TorchUNet(config);
    shapes.forEach(
        (name, shape) ->
            net.weights.put(name, Torch.random(layout, shape).set_requires_grad(true)));
    return net;
  }

  /** The parameters, in Limbeck's order. */
  Map<String, Tensor> weights() {
    return weights;
  }

  private Tensor w(String name) {
    return weights.get(name);
  }

  /**
   * The answer.
   *
   * @param time features of the noise condition, [N, width]
   * @param labels int64 [N], or null
   */
  Tensor forward(Tensor x, Tensor time, Tensor labels) {
    Tensor f = time;
    if (config.classInput() == UNetConfig.ClassInput.TABLE_BEFORE_LAYERS) {
      f = f.add(torch.embedding(w("class_embedding.weight"), labels));
    }
    Tensor e = linear("time_embedding.linear_2", torch.silu(linear("time_embedding.linear_1", f)));
    if (config.classInput() == UNetConfig.ClassInput.TABLE) {
      e = e.add(torch.embedding(w("class_embedding.weight"), labels));
    }
    e = torch.silu(e);
    Deque<Tensor> skips = new ArrayDeque<>();
    Tensor h = conv("conv_in", x, 1, 1);
    skips.addLast(h);
    int top = config.levels() - 1;
    for (int level = 0; level <= top; level++) {
      String name = "down_blocks." + level;
      for (int i = 0; i < config.blocksPerLevel(); i++) {
        h = block(name + ".resnets." + i, h, e, 0, config.residualScale());
        h = attend(config.encoderAttention().get(level), name, i, config.blocksPerLevel(), h);
        skips.addLast(h);
      }
      if (level < top) {
        h = down(name + ".downsamplers.0", h, e);
        skips.addLast(h);
      }
    }
    h = block("mid_block.resnets.0", h, e, 0, config.middleScale());
    if (config.middleAttention()) {
      h = attention("mid_block.attentions.0", h, config.middleScale());
    }
    h = block("mid_block.resnets.1", h, e, 0, config.middleScale());
    for (int level = top; level >= 0; level--) {
      String name = "up_blocks." + (top - level);
      int count = config.blocksPerLevel() + 1;
      for (int i = 0; i < count; i++) {
        h = torch.cat(new TensorVector(h, skips.removeLast()), 1);
        h = block(name + ".resnets." + i, h, e, 0, config.residualScale());
        h = attend(config.decoderAttention().get(level), name, i, count, h);
      }
      if (level > 0) {
        h = up(name + ".upsamplers.0", h, e);
      }
    }
    return conv("conv_out", torch.silu(norm("conv_norm_out", h)), 1, 1);
  }

  private Tensor down(String name, Tensor h, Tensor e) {
    if (config.resampling() == Resampling.CONVOLUTION) {
      return conv(name + ".conv", h, 2, config.downPadding());
    }
    return block(name, h, e, -1, config.residualScale());
  }

  private Tensor up(String name, Tensor h, Tensor e) {
    if (config.resampling() == Resampling.CONVOLUTION) {
      return conv(name + ".conv", doubled(h), 1, 1);
    }
    return block(name, h, e, 1, config.residualScale());
  }

  private Tensor attend(AttendIn where, String name, int i, int count, Tensor h) {
    boolean attends =
        where == AttendIn.EVERY_BLOCK || where == AttendIn.LAST_BLOCK && i == count - 1;
    if (!attends) {
      return h;
    }
    int number = where == AttendIn.LAST_BLOCK ? 0 : i;
    return attention(name + ".attentions." + number, h, config.residualScale());
  }

  private Tensor block(String name, Tensor x, Tensor e, int resize, float scale) {
    Tensor h = conv(name + ".conv1", resized(torch.silu(norm(name + ".norm1", x)), resize), 1, 1);
    Tensor p = linear(name + ".time_emb_proj", e).unsqueeze(2).unsqueeze(3);
    if (config.modulation() == Modulation.SCALE_SHIFT) {
      TensorVector parts = p.chunk(2, 1);
      Tensor scaled = norm(name + ".norm2", h).mul(parts.get(0).add(new Scalar(1.0)));
      h = torch.silu(scaled.add(parts.get(1)));
    } else {
      h = torch.silu(norm(name + ".norm2", h.add(p)));
    }
    h = conv(name + ".conv2", h, 1, 1);
    Tensor bypass = resized(x, resize);
    if (w(name + ".conv_shortcut.weight") != null) {
      bypass = conv(name + ".conv_shortcut", bypass, 1, 0);
    }
    return scaled(h.add(bypass), scale);
  }

  private static Tensor scaled(Tensor x, float scale) {
    return scale == 1f ? x : x.mul(new Scalar((double) scale));
  }

  private static Tensor resized(Tensor x, int resize) {
    if (resize == 0) {
      return x;
    }
    return resize > 0 ? doubled(x) : torch.avg_pool2d(x, 2, 2);
  }

  private static Tensor doubled(Tensor x) {
    long[] size = {2 * x.size(2), 2 * x.size(3)};
    return torch.upsample_nearest2d(x, size, new DoubleOptional(), new DoubleOptional());
  }

  private Tensor attention(String name, Tensor x, float scale) {
    long n = x.size(0);
    long c = x.size(1);
    long height = x.size(2);
    long width = x.size(3);
    long heads = config.headChannels() == 0 ? 1 : c / config.headChannels();
    Tensor h = norm(name + ".group_norm", x).permute(0, 2, 3, 1).reshape(n, height * width, c);
    Tensor[] parts = new Tensor[3];
    String[] names = {".to_q", ".to_k", ".to_v"};
    for (int i = 0; i < 3; i++) {
      parts[i] =
          linear(name + names[i], h)
              .reshape(n, height * width, heads, c / heads)
              .permute(0, 2, 1, 3);
    }
    Tensor mixed =
        torch
            .scaled_dot_product_attention(parts[0], parts[1], parts[2])
            .permute(0, 2, 1, 3)
            .reshape(n, height * width, c);
    Tensor y = linear(name + ".to_out.0", mixed).reshape(n, height, width, c).permute(0, 3, 1, 2);
    return scaled(y.add(x), scale);
  }

  private Tensor norm(String name, Tensor x) {
    int groups = config.groupsOf((int) x.size(1));
    TensorOptional gamma = new TensorOptional(w(name + ".weight"));
    TensorOptional beta = new TensorOptional(w(name + ".bias"));
    return torch.group_norm(x, groups, gamma, beta, config.normEpsilon(), false);
  }

  private Tensor linear(String name, Tensor x) {
    return torch.linear(x, w(name + ".weight"), new TensorOptional(w(name + ".bias")));
  }

  /** A convolution; padding 0 at stride 2 means one row and column at the bottom and right. */
  private Tensor conv(String name, Tensor x, int stride, int pad) {
    Tensor in = x;
    if (stride == 2 && pad == 0) {
      in = torch.constant_pad_nd(x, new long[] {0, 1, 0, 1}, new Scalar(0.0));
    }
    return torch.conv2d(
        in,
        w(name + ".weight"),
        new TensorOptional(w(name + ".bias")),
        new long[] {stride, stride},
        new long[] {pad, pad},
        new long[] {1, 1},
        1);
  }
}
