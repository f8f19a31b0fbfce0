package dev.limbeck.distillation.cli;

import dev.limbeck.distillation.Generation;
import dev.limbeck.distillation.Model;
import dev.limbeck.distillation.diffusion.NoiseLevels;
import dev.limbeck.distillation.diffusion.Samplers;
import dev.limbeck.distillation.diffusion.Samplers.Method;
import dev.limbeck.distillation.diffusion.Samplers.Sampler;
import java.util.Locale;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Spec;

/** How a checkpoint is sampled: as it was made to be, or otherwise. */
final class SamplerOption {
  /** Steps where a sampler is named and their number is not: 35 evaluations of Heun's method. */
  private static final int STEPS = 18;

  @Spec(Spec.Target.MIXEE)
  private CommandSpec command;

  @Option(
      names = "--sampler",
      paramLabel = "NAME",
      description =
          "euler, heun, dpm_solver_2m, or renoising for one-step and few-step generators"
              + " (default: what the checkpoint was made for).")
  private Method method;

  @Option(
      names = "--steps",
      paramLabel = "N",
      description =
          "Steps on Karras et al.'s grid (default: what the checkpoint was made for, or 18 if a"
              + " sampler is named).")
  private Integer steps;

  @Option(
      names = "--guidance",
      paramLabel = "SCALE",
      defaultValue = "1",
      description = "Scale of classifier-free guidance (default: ${DEFAULT-VALUE}, none).")
  private double guidance;

  /** The model's images, drawn as asked for. */
  Generation generation(Model model) {
    Generation own = model.generation();
    if (guidance != 1 && own.classes() == 0) {
      throw refused("--guidance needs a model of several classes, this one has none");
    }
    return new Generation(
        own.denoiser().guided(guidance),
        sampler(own.sampler()),
        own.height(),
        own.width(),
        own.channels(),
        own.classes());
  }

  private Sampler sampler(Sampler own) {
    if (method == null && steps == null) {
      return own;
    }
    if (steps != null && steps < 1) {
      throw refused("--steps is " + steps + "; at least 1 is needed");
    }
    Method chosen = method;
    if (chosen == null) {
      String name = own.text().substring(0, own.text().indexOf(' '));
      chosen = Method.valueOf(name.toUpperCase(Locale.ROOT));
    }
    int n = steps == null ? STEPS : steps;
    if (chosen == Method.RENOISING) {
      // Every level is denoised fully: the grid has no final 0.
      return Samplers.of(chosen, grid(n));
    }
    return Samplers.of(chosen, NoiseLevels.toZero(grid(n)));
  }

  private static double[] grid(int n) {
    // A grid of one level has no second end: it starts where every grid does.
    return n == 1 ? new double[] {NoiseLevels.SIGMA_MAX} : NoiseLevels.karras(n);
  }

  private ParameterException refused(String message) {
    return new ParameterException(command.commandLine(), message);
  }
}
