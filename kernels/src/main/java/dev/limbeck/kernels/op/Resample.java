package dev.limbeck.kernels.op;

import dev.limbeck.kernels.Buffer;
import dev.limbeck.kernels.DType;
import dev.limbeck.kernels.Definition;
import dev.limbeck.kernels.Kernel;
import dev.limbeck.kernels.Launcher;
import dev.limbeck.kernels.Operands;
import dev.limbeck.kernels.Ranges;
import java.util.Arrays;
import java.util.List;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.VectorSpecies;

/**
 * Resamples images: every output pixel is a weighted sum of input pixels, separable in rows and
 * columns.
 *
 * <p>y[n,i,j,:] = Σₐ Σ_b rows(i,a)·columns(j,b)·x[n,a,b,:]. Pooling, nearest and bilinear resizing
 * are such sums, and so are their gradients: the same launch with {@linkplain Axis#transposed
 * transposed} axes.
 *
 * @shape x [N,rows.in,columns.in,C], y [N,rows.out,columns.out,C]
 */
@Definition(
    formula = "y = R·x·Cᵀ with sparse rows of weights for each axis",
    cost = "2 flops per output element and pair of taps")
public record Resample(int samples, int channels, Axis rows, Axis columns, Buffer x, Buffer y)
    implements Kernel {
  /** Output elements per chunk. */
  private static final int GRAIN = 8192;

  /**
   * One axis' weights: output i is Σ weight[t]·input[source[t]], t from start[i] to start[i+1].
   *
   * @param in size of the input
   */
  public record Axis(int in, int[] start, int[] source, float[] weight) {

    public int out() {
      return start.length - 1;
    }

    /** Means of {@code k} neighbours each; {@code k} divides {@code in}. */
    public static Axis average(int in, int k) {
      if (k < 1 || in % k != 0) {
        throw new IllegalArgumentException("resample: " + k + " does not divide " + in);
      }
      int[] source = new int[in];
      Arrays.setAll(source, i -> i);
      int[] start = new int[in / k + 1];
      Arrays.setAll(start, i -> i * k);
      float[] weight = new float[in];
      Arrays.fill(weight, 1f / k);
      return new Axis(in, start, source, weight);
    }

    /** The input at ⌊i·in/out⌋. */
    public static Axis nearest(int in, int out) {
      int[] start = new int[out + 1];
      Arrays.setAll(start, i -> i);
      int[] source = new int[out];
      Arrays.setAll(source, i -> (int) ((long) i * in / out));
      float[] weight = new float[out];
      Arrays.fill(weight, 1f);
      return new Axis(in, start, source, weight);
    }

    /** Linear interpolation at (i + ½)·in/out − ½, clamped to the first and last input. */
    public static Axis bilinear(int in, int out) {
      int[] start = new int[out + 1];
      int[] source = new int[2 * out];
      float[] weight = new float[2 * out];
      for (int i = 0; i < out; i++) {
        double at = Math.max(0, Math.min(in - 1, (i + 0.5) * in / out - 0.5));
        int low = (int) at;
        start[i] = 2 * i;
        source[2 * i] = low;
        source[2 * i + 1] = Math.min(low + 1, in - 1);
        weight[2 * i + 1] = (float) (at - low);
        weight[2 * i] = 1f - weight[2 * i + 1];
      }
      start[out] = 2 * out;
      return new Axis(in, start, source, weight);
    }

    /** Starts, sources and the bits of the weights, one after the other. */
    private int[] table() {
      int taps = source.length;
      int[] all = Arrays.copyOf(start, start.length + 2 * taps);
      System.arraycopy(source, 0, all, start.length, taps);
      for (int t = 0; t < taps; t++) {
        all[start.length + taps + t] = Float.floatToRawIntBits(weight[t]);
      }
      return all;
    }

    /** The map that takes output gradients to input gradients. */
    public Axis transposed() {
      int[] begin = new int[in + 1];
      for (int s : source) {
        begin[s + 1]++;
      }
      for (int i = 0; i < in; i++) {
        begin[i + 1] += begin[i];
      }
      int[] next = begin.clone();
      int[] from = new int[source.length];
      float[] weights = new float[source.length];
      for (int i = 0; i < out(); i++) {
        for (int t = start[i]; t < start[i + 1]; t++) {
          int at = next[source[t]]++;
          from[at] = i;
          weights[at] = weight[t];
        }
      }
      return new Axis(out(), begin, from, weights);
    }
  }

  public Resample {
    long in = (long) samples * channels * rows.in * columns.in;
    long out = (long) samples * channels * rows.out() * columns.out();
    if (x.length() != in || y.length() != out) {
      throw new IllegalArgumentException(
          "resample: x has " + x.length() + " elements, not " + in + ", or y not " + out);
    }
  }

  @Override
  public String name() {
    return "resample";
  }

  @Override
  public List<Buffer> buffers() {
    return List.of(x, y);
  }

  @Override
  public double flops() {
    return 2.0 * samples * channels * rows.source().length * columns.source().length;
  }

  @Override
  public boolean takesHalves(int ptx) {
    return ptx > 0 && channels % 4 == 0 && x.type() == y.type();
  }

  @Override
  public Kernel on(Operands by) {
    return new Resample(samples, channels, rows, columns, by.read(x), by.written(y));
  }

  @Override
  public void onCpu(Ranges ranges) {
    int perLine = Math.max(1, columns.out() * channels);
    ranges.split(
        samples * rows.out(),
        Math.max(1, GRAIN / perLine),
        (from, to) -> {
          for (int line = from; line < to; line++) {
            line(ranges.simd(), line);
          }
        });
  }

  @Override
  public void onCuda(Launcher cuda) {
    int unit = channels % 4 == 0 ? 4 : 1;
    int n = y.length() / unit;
    if (n == 0) {
      return;
    }
    boolean halves = x.type() == DType.BF16;
    String quads = halves ? "resample_bf16x4" : "resample_f32x4";
    cuda.kernel("resample", unit == 4 ? quads : "resample_f32").i32(n);
    Divisor.of(channels / unit).to(cuda);
    Divisor.of(columns.out()).to(cuda);
    Divisor.of(rows.out()).to(cuda).i32(rows.in).i32(columns.in);
    cuda.table(rows.table()).table(columns.table()).pointer(x).pointer(y);
    cuda.launch(cuda.blocks(n, Launcher.THREADS), Launcher.THREADS);
  }

  /** One row of pixels of y. */
  private void line(boolean simd, int line) {
    int sample = line / rows.out();
    int i = line % rows.out();
    int from = x.offset() + sample * rows.in * columns.in * channels;
    int to = y.offset() + line * columns.out() * channels;
    for (int j = 0; j < columns.out(); j++) {
      int done = simd ? Simd.pixel(this, from, i, j, to + j * channels) : 0;
      pixel(done, from, i, j, to + j * channels);
    }
  }

  private float weight(int row, int column) {
    return rows.weight[row] * columns.weight[column];
  }

  private void pixel(int done, int from, int i, int j, int to) {
    float[] xs = x.floats();
    float[] ys = y.floats();
    for (int c = done; c < channels; c++) {
      float sum = 0f;
      for (int a = rows.start[i]; a < rows.start[i + 1]; a++) {
        int row = from + rows.source[a] * columns.in * channels + c;
        for (int b = columns.start[j]; b < columns.start[j + 1]; b++) {
          sum = Math.fma(xs[row + columns.source[b] * channels], weight(a, b), sum);
        }
      }
      ys[to + c] = sum;
    }
  }

  /**
   * The same on vectors of channels. Sums start from a product and run over the taps outside the
   * loop over channels: a vector carried around a nest of short loops is boxed by the compiler, and
   * resizing was most of what a training step left to the garbage collector.
   */
  private static final class Simd {
    private static final VectorSpecies<Float> S = FloatVector.SPECIES_PREFERRED;

    /** Returns the first channel that is not done. */
    static int pixel(Resample k, int from, int i, int j, int to) {
      Axis rows = k.rows;
      Axis columns = k.columns;
      int a = rows.start[i];
      int b = columns.start[j];
      int high = rows.start[i + 1] - a;
      int wide = columns.start[j + 1] - b;
      float[] xs = k.x.floats();
      float[] ys = k.y.floats();
      int c = k.channels;
      int whole = S.loopBound(c);
      if (high == 2 && wide == 2) {
        int top = from + rows.source[a] * columns.in * c;
        int bottom = from + rows.source[a + 1] * columns.in * c;
        int left = columns.source[b] * c;
        int right = columns.source[b + 1] * c;
        pair(xs, top + left, k.weight(a, b), top + right, k.weight(a, b + 1), ys, to, whole);
        add(xs, bottom + left, k.weight(a + 1, b), ys, to, whole);
        add(xs, bottom + right, k.weight(a + 1, b + 1), ys, to, whole);
        return whole;
      }
      Arrays.fill(ys, to, to + (high * wide == 0 ? whole : 0), 0f);
      for (int t = 0; t < high * wide; t++) {
        int row = a + t / wide;
        int column = b + t % wide;
        int at = from + (rows.source[row] * columns.in + columns.source[column]) * c;
        if (t == 0) {
          first(xs, at, k.weight(row, column), ys, to, whole);
        } else {
          add(xs, at, k.weight(row, column), ys, to, whole);
        }
      }
      return whole;
    }

    private static void first(float[] x, int xo, float w, float[] y, int yo, int whole) {
      for (int c = 0; c < whole; c += S.length()) {
        FloatVector.fromArray(S, x, xo + c).mul(w).intoArray(y, yo + c);
      }
    }

    private static void add(float[] x, int xo, float w, float[] y, int yo, int whole) {
      FloatVector weight = FloatVector.broadcast(S, w);
      for (int c = 0; c < whole; c += S.length()) {
        FloatVector sum = FloatVector.fromArray(S, y, yo + c);
        FloatVector.fromArray(S, x, xo + c).fma(weight, sum).intoArray(y, yo + c);
      }
    }

    private static void pair(
        float[] x, int at, float v, int next, float w, float[] y, int yo, int whole) {
      FloatVector weight = FloatVector.broadcast(S, w);
      for (int c = 0; c < whole; c += S.length()) {
        FloatVector sum = FloatVector.fromArray(S, x, at + c).mul(v);
        FloatVector.fromArray(S, x, next + c).fma(weight, sum).intoArray(y, yo + c);
      }
    }
  }
}
