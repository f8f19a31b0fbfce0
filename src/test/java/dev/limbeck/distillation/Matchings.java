package dev.limbeck.distillation;

import dev.limbeck.autograd.Tape;
import dev.limbeck.autograd.Var;
import dev.limbeck.distillation.DistributionMatching.GeneratorInput;
import dev.limbeck.distillation.diffusion.Denoiser;
import dev.limbeck.distillation.diffusion.NetworkDenoiser;
import dev.limbeck.distillation.diffusion.Preconditioning;
import dev.limbeck.distillation.diffusion.Samplers;
import dev.limbeck.kernels.Device;
import dev.limbeck.kernels.Scope;
import dev.limbeck.nn.Mlp;
import dev.limbeck.nn.Params;
import dev.limbeck.tensor.Rng;
import dev.limbeck.tensor.Shape;
import dev.limbeck.tensor.Tensor;
import java.util.List;

/** Settings of distribution matching for tests, and what its loss is on given samples. */
final class Matchings {
  private Matchings() {}

  /** Learning rates for small networks, and an average of this half-life in samples. */
  static MatchingConfig.Training quick(double emaHalfLife) {
    return new MatchingConfig.Training(1e-3, 2e-3, 0.9, 0.01, 10, 10, 1, emaHalfLife, 1, 0);
  }

  /** DMD2's settings with another match, and nothing besides it. */
  static MatchingConfig only(MatchingConfig.Match match) {
    return Dmd2.Config.paper()
        .loop()
        .withAdversarial(MatchingConfig.Adversarial.none())
        .withMatch(match);
  }

  /** A teacher for points, a fresh network, whose layers all drop out. */
  static Teacher points(Device device, int classes) {
    Teacher.Blueprint blueprint =
        guided -> new Mlp(Mlp.Config.toy(2, classes).withGuidanceInput(guided), device, Rng.of(4));
    NetworkDenoiser model = new NetworkDenoiser(blueprint.create(false), new Preconditioning.Edm());
    return Teacher.of(model, blueprint, Shape.of(2), classes);
  }

  /** Lets a network differ from the teacher that it starts as. */
  static void disturb(Distiller method, String network) {
    Params params = method.networks().get(network);
    params.list().forEach(p -> p.value().addInPlace(.1f, p.value()));
    params.touch();
  }

  static float[] values(Params params) {
    float[] all = new float[params.values().length()];
    params.values().download(all, 0);
    return all;
  }

  /** mean λ(σ) (D_f(x + σ n, σ) − x)² on these samples, at the step's levels and noise. */
  static double denoisingLoss(DistributionMatching method, StepInput in, Tensor made) {
    double[] sigma = method.config().critic().noise().draw(in, "critic");
    double loss = 0;
    for (int i = 0; i < sigma.length; i++) {
      Tensor one = made.slice(0, i, i + 1);
      Tensor noisy = one.add(in.noise("critic").slice(0, i, i + 1).mul((float) sigma[i]));
      Tensor error = method.critic().denoise(noisy, Samplers.level(one, sigma[i]), null).sub(one);
      loss += new Preconditioning.Edm().lossWeight(sigma[i]) * meanSquare(error) / sigma.length;
    }
    return loss;
  }

  static double meanSquare(Tensor x) {
    double sum = 0;
    for (float v : x.toFloats()) {
      sum += v * v / (double) x.size();
    }
    return sum;
  }

  /** A loss, and its gradient with respect to the generated samples. */
  @SuppressWarnings("ArrayRecordComponent") // Compared number by number.
  record Found(double loss, float[] gradient) {}

  /**
   * The generator's loss where it made x.
   *
   * @param given what it made them of
   */
  static Found found(
      MatchingConfig config,
      StepInput in,
      Tensor given,
      Tensor x,
      Denoiser teacher,
      Denoiser critic) {
    MatchingGradient gradient = new MatchingGradient(config, teacher, critic);
    try (Scope scope = Scope.open();
        Tape tape = Tape.open(List.of())) {
      Var made = tape.inputWithGradient(x);
      Tensor level = Samplers.level(x, config.levels()[0]);
      Var loss = gradient.loss(in, made, new GeneratorInput(given, level, null, null));
      tape.backward(loss);
      return new Found(loss.value().item(), made.gradient().toFloats());
    }
  }
}
