package dev.limbeck.distillation;

import dev.limbeck.autograd.Var;
import dev.limbeck.distillation.diffusion.Preconditioning;
import dev.limbeck.kernels.Device;
import dev.limbeck.nn.Condition;
import dev.limbeck.nn.Init;
import dev.limbeck.nn.Network;
import dev.limbeck.nn.Params;
import dev.limbeck.tensor.Dropout;
import dev.limbeck.tensor.Rng;
import dev.limbeck.tensor.Shape;
import dev.limbeck.tensor.Tensor;

/**
 * A network of EDM's preconditioning whose denoiser is, for a normal distribution N(m, v), D(x, σ)
 * = m + (v/(v + σ²))^a (x − m): the map to data for a = ½, the denoiser for a = 1.
 *
 * <p>With an input r it is the mean velocity's D(x, σ; r) = z − t u(z, r, t), for a = ½ exactly.
 */
final class ExactFlow implements Network {
  static final double[] MEAN = FlowToys.GAUSSIAN[0].mean();
  static final double[] VARIANCE = FlowToys.GAUSSIAN[0].variance();

  private static final Preconditioning.Edm EDM = new Preconditioning.Edm();
  private static final float SIGMA_DATA = (float) EDM.sigmaData();

  private final boolean toAnyTime;
  private final Params params;

  ExactFlow(Device device, double exponent, boolean toAnyTime) {
    this.toAnyTime = toAnyTime;
    params =
        Params.builder()
            .add("exponent", Shape.of(1), Init.constant((float) exponent))
            .build(device, Rng.of(0));
  }

  @Override
  public Var forward(Var input, Condition condition, Dropout dropout) {
    Device device = input.value().device();
    int n = input.dim(0);
    Var sigma = condition.noise().mul(4).exp().reshape(n, 1);
    Var square = sigma.square();
    Var radius = square.add(SIGMA_DATA * SIGMA_DATA).sqrt();
    Var x = input.mul(radius);
    Var mean = numbers(device, MEAN);
    Var variance = numbers(device, VARIANCE);
    Var exponent = params.get("exponent").var().beside(input);
    Var from = variance.add(square);
    Var d;
    if (toAnyTime) {
      // With r = t times what is told, σ_r = r/(1 − r) and z = x/(1 + σ):
      // x_r = m + √((v + σ_r²)/(v + σ²)) (x − m), u = (z − z_r)/(t − r), D = z − t u.
      Var t = sigma.div(sigma.add(1f));
      Var r = condition.guidance().reshape(n, 1).mul(t);
      Var rest = r.neg().add(1f);
      Var level = r.div(rest);
      Var end = variance.add(level.square()).div(from).log().mul(exponent).exp();
      Var z = x.div(sigma.add(1f));
      Var zr = x.sub(mean).mul(end).add(mean).mul(rest);
      d = z.sub(z.sub(zr).div(t.sub(r)).mul(t));
    } else {
      d = x.sub(mean).mul(variance.div(from).log().mul(exponent).exp()).add(mean);
    }
    Var skip = Var.constant(Tensor.full(device, Shape.of(), SIGMA_DATA)).div(radius).square();
    return d.sub(x.mul(skip)).div(sigma.div(radius).mul(SIGMA_DATA));
  }

  private static Var numbers(Device device, double[] values) {
    return Var.constant(Tensor.of(device, Shape.of(2), (float) values[0], (float) values[1]));
  }

  @Override
  public Var features(Var x, Condition condition, Dropout dropout) {
    throw new UnsupportedOperationException("no test asks for features");
  }

  @Override
  public Answer forwardWithFeatures(Var x, Condition condition, Dropout dropout) {
    throw new UnsupportedOperationException("no test asks for features");
  }

  @Override
  public boolean takesGuidance() {
    return toAnyTime;
  }

  @Override
  public Params params() {
    return params;
  }

  @Override
  public void close() {
    params.close();
  }
}
