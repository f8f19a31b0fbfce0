package dev.limbeck.bench;

import dev.limbeck.autograd.Tape;
import dev.limbeck.autograd.Var;
import dev.limbeck.bench.example.SquaredRelu;
import dev.limbeck.tensor.Rng;
import dev.limbeck.tensor.Shape;
import dev.limbeck.tensor.Tensor;
import java.util.List;
import java.util.function.UnaryOperator;
import org.openjdk.jmh.annotations.Benchmark;
import org.openjdk.jmh.annotations.Param;

/** An operation of a user's own beside the same from built-in ones, forward and backward. */
public class ExampleBench extends DeviceBench {
  /** Elements. */
  @Param({"65536", "4194304"})
  public int elements;

  private Tensor x;
  private Tensor gradient;

  @Override
  protected void build() {
    x = Rng.of(1).normal(device(), Shape.of(elements));
    gradient = Rng.of(2).normal(device(), Shape.of(elements));
  }

  private void run(UnaryOperator<Var> operation) {
    try (Tape tape = Tape.open(List.of())) {
      tape.backward(operation.apply(tape.inputWithGradient(x)), gradient);
    }
  }

  /** One kernel each way. */
  @Benchmark
  public void fused() {
    run(SquaredRelu::of);
  }

  /** Two kernels each way. */
  @Benchmark
  public void composed() {
    run(v -> v.leakyRelu(0).square());
  }
}
