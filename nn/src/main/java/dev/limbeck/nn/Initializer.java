package dev.limbeck.nn;

/** How a layer's weight and bias are drawn, as a function of the layer's size. */
public interface Initializer {
  /** The distribution of a weight that each output sums over {@code fanIn} inputs. */
  Init weight(int fanIn, int fanOut);

  /** The distribution of the bias beside it. */
  default Init bias(int fanIn) {
    return Init.constant(0f);
  }

  /** Uniform in ±1/√fan-in for weight and bias. */
  static Initializer torch() {
    return new Initializer() {
      @Override
      public Init weight(int fanIn, int fanOut) {
        return Init.uniform((float) (1 / Math.sqrt(fanIn)));
      }

      @Override
      public Init bias(int fanIn) {
        return weight(fanIn, 0);
      }
    };
  }

  /** Uniform with variance 2/(fan-in + fan-out), times a gain; zero bias. */
  static Initializer xavier(float gain) {
    return (fanIn, fanOut) -> Init.uniform(gain * (float) Math.sqrt(6.0 / (fanIn + fanOut)));
  }

  /** All zeros. */
  static Initializer zero() {
    return (fanIn, fanOut) -> Init.constant(0f);
  }

  /** For layers inside a network. */
  static Initializer inner(UNetConfig.Initial initial) {
    return initial == UNetConfig.Initial.DDPM ? xavier(1f) : torch();
  }

  /** For the projections to queries, keys and values. */
  static Initializer attention(UNetConfig.Initial initial) {
    // DDPM++ damps attention at the start: init_attn in EDM's code, gain √0.2.
    return initial == UNetConfig.Initial.DDPM ? xavier((float) Math.sqrt(0.2)) : torch();
  }

  /** For the last layer of a residual branch or of the network. */
  static Initializer last(UNetConfig.Initial initial) {
    return switch (initial) {
      case TORCH -> torch();
      case DDPM -> xavier(1e-5f);
      case ADM -> zero();
    };
  }
}
