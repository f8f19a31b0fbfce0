package dev.limbeck.distillation.diffusion;

import dev.limbeck.distillation.diffusion.Samplers.Sampler;
import dev.limbeck.kernels.Scope;
import dev.limbeck.tensor.Rng;
import dev.limbeck.tensor.Tensor;

/** A tuned method of {@link Samplers} on a fixed grid of noise levels. */
final class GridSampler implements Sampler {
  private final SamplerSettings settings;
  private final double[] sigmas;

  /** Evaluations of the last batch, where they are not known before. */
  private volatile int counted;

  GridSampler(SamplerSettings settings, double[] sigmas) {
    this.settings = settings;
    this.sigmas = sigmas;
    boolean oneLevel = settings.method().solvesOneLevel();
    if (sigmas.length < (oneLevel ? 1 : 2)) {
      throw new IllegalArgumentException(
          "a sampler needs at least one step, a grid of " + sigmas.length + " has none");
    }
    for (int i = 0; i < sigmas.length; i++) {
      boolean fits = i == 0 ? sigmas[0] > 0 : sigmas[i] < sigmas[i - 1] && sigmas[i] >= 0;
      if (!fits || Double.isInfinite(sigmas[i])) {
        throw new IllegalArgumentException(
            "noise levels have to fall, from above 0 to no less than 0; number "
                + (i + 1)
                + " is "
                + sigmas[i]
                + (i == 0 ? "" : " after " + sigmas[i - 1]));
      }
    }
  }

  @Override
  public Tensor sample(Denoiser denoiser, Tensor noise, Tensor labels, Rng rng, long firstRow) {
    boolean preserving = settings.is(Tuning.START, "vp");
    double scale = preserving ? Math.hypot(1, sigmas[0]) : sigmas[0];
    SamplingRun run = new SamplingRun(settings, sigmas, denoiser, labels, rng, firstRow);
    try (Scope scope = Scope.open()) {
      Tensor x = noise.mul((float) scale);
      Tensor made = scope.keep(settings.method().solver.solve(run, x));
      counted = run.evaluations();
      return made;
    }
  }

  @Override
  public int evaluations() {
    Samplers.Cost cost = settings.method().cost;
    return cost == null ? counted : cost.of(sigmas, settings);
  }

  @Override
  public boolean isRecordable() {
    return settings.method().cost != null;
  }

  @Override
  public String text() {
    StringBuilder text = new StringBuilder(settings.text());
    for (double sigma : sigmas) {
      text.append(' ').append(sigma);
    }
    return text.toString();
  }
}
