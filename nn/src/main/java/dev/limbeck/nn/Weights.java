package dev.limbeck.nn;

import dev.limbeck.autograd.Parameter;
import dev.limbeck.autograd.Var;
import dev.limbeck.kernels.Device;
import dev.limbeck.tensor.Rng;
import dev.limbeck.tensor.Shape;

/**
 * The parameters of a network under construction: layers declare theirs, then one arena is built
 * for all of them, and each layer's {@link Weight} finds its own.
 */
public final class Weights {
  private final Params.Builder builder = Params.builder();
  private Params params;

  /** One declared parameter. */
  public final class Weight {
    private final String name;
    private Parameter parameter;

    private Weight(String name) {
      this.name = name;
    }

    /** The parameter as an operand. */
    public Var var() {
      return parameter().var();
    }

    Parameter parameter() {
      if (parameter == null) {
        // Threads that race here find the same parameter.
        parameter = params.get(name);
      }
      return parameter;
    }
  }

  /** Declares a parameter; layers call it while they are constructed. */
  public Weight declare(String name, Shape shape, Init init) {
    builder.add(name, shape, init);
    return new Weight(name);
  }

  /** Allocates and draws everything declared; nothing may be declared afterwards. */
  public Params build(Device device, Rng rng) {
    params = builder.build(device, rng);
    return params;
  }
}
