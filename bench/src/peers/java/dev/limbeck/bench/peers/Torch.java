package dev.limbeck.bench.peers;

import org.bytedeco.javacpp.FloatPointer;
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

    /** A tensor of four axes in this layout. */
    Tensor of(Tensor t) {
      return t.contiguous(format);
    }
  }

  private Torch() {}

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

  static double largest(float[] values) {
    double largest = 0;
    for (float value : values) {
      largest = Math.max(largest, Math.abs(value));
    }
    return largest;
  }

  /** The largest difference, relative to the largest value, or to the floor where that is more. */
  static double difference(float[] ours, float[] theirs, double floor) {
    if (ours.length != theirs.length) {
      throw new IllegalStateException(ours.length + " numbers against " + theirs.length);
    }
    double most = 0;
    for (int i = 0; i < ours.length; i++) {
      most = Math.max(most, Math.abs((double) ours[i] - theirs[i]));
    }
    return most / Math.max(floor, Math.max(1e-30, largest(theirs)));
  }
}
