package dev.limbeck.bench.peers;

import java.util.Locale;
import org.bytedeco.javacpp.FloatPointer;
import org.bytedeco.openblas.global.openblas_full;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch;

/** Numbers into and out of libtorch. */
final class Torch {
  /** How libtorch keeps images: it is timed with both and counts with the better. */
  enum Layout {
    NCHW(torch.MemoryFormat.Contiguous),
    CHANNELS_LAST(torch.MemoryFormat.ChannelsLast);

    private final torch.MemoryFormat format;

    Layout(torch.MemoryFormat format) {
      this.format = format;
    }

    String label() {
      return name().toLowerCase(Locale.ROOT);
    }

    /** A tensor of four axes in this layout. */
    Tensor of(Tensor t) {
      return t.contiguous(format);
    }
  }

  private Torch() {}

  /** Loads libtorch and says how it was built. */
  static String open(int threads) {
    torch.set_num_threads(threads);
    // Matrix products go to OpenBLAS, which has threads of its own.
    openblas_full.openblas_set_num_threads(threads);
    return torch.show_config().getString();
  }

  static Tensor of(float[] values, int... shape) {
    long[] sizes = new long[shape.length];
    for (int i = 0; i < shape.length; i++) {
      sizes[i] = shape[i];
    }
    return Tensor.create(values, sizes);
  }

  /** [N,H,W,C] or [O,kh,kw,I], as Limbeck has it, turned into libtorch's axes. */
  static Tensor image(float[] values, Layout layout, int... shape) {
    return layout.of(of(values, shape).permute(0, 3, 1, 2));
  }

  /** Normal numbers of deviation 0.05; four axes are an image or a weight, in Limbeck's order. */
  static Tensor random(Layout layout, int... shape) {
    long[] sizes = new long[shape.length];
    for (int i = 0; i < shape.length; i++) {
      sizes[i] = shape[i];
    }
    Tensor t = torch.randn(sizes).mul_(new Scalar(0.05));
    if (shape.length < 4) {
      return t;
    }
    Tensor turned = layout.of(t.permute(0, 3, 1, 2));
    t.close();
    return turned;
  }

  static float[] floats(Tensor t) {
    Tensor whole = t.detach().contiguous();
    float[] values = new float[(int) whole.numel()];
    new FloatPointer(whole.data_ptr_float()).get(values);
    return values;
  }

  /** libtorch's axes turned back. */
  static float[] imageFloats(Tensor t) {
    return floats(t.permute(0, 2, 3, 1));
  }
}
