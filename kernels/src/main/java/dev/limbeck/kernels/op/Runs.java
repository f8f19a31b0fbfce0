package dev.limbeck.kernels.op;

import dev.limbeck.kernels.Buffer;
import dev.limbeck.kernels.DType;
import dev.limbeck.kernels.Launcher;

/**
 * How a CUDA device cuts long rows into runs, one team of threads for each, so that few rows occupy
 * it too; a second launch adds the runs' results. It follows from the shape alone.
 */
record Runs(int outer, int count, int run) {
  /** Elements of a run, 16 float4 in each of 256 threads, and the fewest rows that stay whole. */
  private static final int RUN = 16384;

  private static final int MANY = 1024;

  private static final int THREADS = 256;

  static Runs of(int outer, int count) {
    if (outer >= MANY) {
      return new Runs(outer, count, Math.max(1, count));
    }
    // At most 1,024 runs, which the second launch takes whole; multiples of 4 keep them aligned.
    return new Runs(outer, count, Math.max(RUN, (count / MANY + 4) / 4 * 4));
  }

  int perRow() {
    return Math.max(1, (count + run - 1) / run);
  }

  /** Where the first launch writes: the result itself, if there is one run a row. */
  Buffer partial(Launcher cuda, Buffer result) {
    return perRow() == 1 ? result : cuda.scratch(DType.F32, outer * perRow());
  }

  /** Passes the arguments of a function of {@code reduce.cu} and launches it. */
  void launch(Launcher named, float scale, Buffer from, Buffer other, Buffer to) {
    Team team = Team.of(Math.min(run, count), THREADS);
    named.i32(outer).i32(count).i32(team.size()).i32(run).i32(perRow());
    named.f32(perRow() == 1 ? scale : 1f).pointer(from);
    if (other != null) {
      named.pointer(other);
    }
    named.pointer(to).launch(team.blocks(outer * perRow()), team.threads());
  }

  /** Reduces the runs' results to the rows', if there are several a row. */
  void finish(Launcher cuda, Reduce.Op op, float scale, Buffer partial, Buffer result) {
    if (perRow() > 1) {
      new Runs(outer, perRow(), perRow())
          .launch(cuda.kernel("reduce", Reduce.rowsOf(op)), scale, partial, null, result);
    }
  }
}
