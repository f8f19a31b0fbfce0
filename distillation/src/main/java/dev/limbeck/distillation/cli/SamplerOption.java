package dev.limbeck.distillation.cli;

import dev.limbeck.distillation.Codec;
import dev.limbeck.distillation.Generation;
import dev.limbeck.distillation.GuidanceWeights;
import dev.limbeck.distillation.Model;
import dev.limbeck.distillation.diffusion.Denoiser;
import dev.limbeck.distillation.diffusion.NetworkDenoiser;
import dev.limbeck.distillation.diffusion.NoiseGrid;
import dev.limbeck.distillation.diffusion.NoiseLevels;
import dev.limbeck.distillation.diffusion.SamplerSettings;
import dev.limbeck.distillation.diffusion.Samplers;
import dev.limbeck.distillation.diffusion.Samplers.Sampler;
import dev.limbeck.distillation.diffusion.Thresholding;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import picocli.CommandLine.ITypeConverter;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Spec;
import picocli.CommandLine.TypeConversionException;

/** How a checkpoint is sampled: as it was made to be, or otherwise. */
final class SamplerOption {
  /** Steps where a sampler is named and their number is not: 35 evaluations of Heun's method. */
  private static final int STEPS = 18;

  @Spec(Spec.Target.MIXEE)
  private CommandSpec command;

  @Option(
      names = "--sampler",
      paramLabel = "NAME[:KEY=VALUE,...]",
      converter = SettingsConverter.class,
      description =
          "A sampler, as in euler, dpmpp_2m_sde or ddim:eta=0.5; \"--sampler list\" tells all"
              + " (default: what the checkpoint was made for).")
  private SamplerSettings settings;

  @Option(
      names = "--steps",
      paramLabel = "N",
      description =
          "Steps on the grid (default: what the checkpoint was made for, or 18 if a sampler or a"
              + " grid is named).")
  private Integer steps;

  @Option(
      names = "--grid",
      paramLabel = "NAME",
      converter = GridConverter.class,
      description =
          "Noise levels: karras, exponential, polyexponential, linear, vp, cosine, ddpm, simple or"
              + " lcm (default: karras).")
  private NoiseGrid grid;

  @Option(
      names = "--sigma-max",
      paramLabel = "SIGMA",
      description = "Largest noise level of the grid (default: 80).")
  private Double sigmaMax;

  @Option(
      names = "--sigma-min",
      paramLabel = "SIGMA",
      description = "Smallest noise level of the grid above 0 (default: 0.002).")
  private Double sigmaMin;

  @Option(
      names = "--threshold",
      paramLabel = "RULE",
      defaultValue = "none",
      description =
          "Keeps estimates of clean images in [-1, 1]: clip, dynamic, reflect or none (default:"
              + " ${DEFAULT-VALUE}).")
  private Threshold threshold;

  @Option(
      names = "--guidance",
      paramLabel = "SCALE",
      defaultValue = "1",
      description = "Scale of classifier-free guidance (default: ${DEFAULT-VALUE}, none).")
  private double guidance;

  @Option(
      names = "--guidance-weight",
      paramLabel = "W",
      description =
          "Weight w of guidance that a student of guided or lcm is told: the scale less 1, 0 for none"
              + " (default: what the checkpoint was made for).")
  private Double guidanceWeight;

  /** Rules of {@link Thresholding} by name. */
  private enum Threshold {
    NONE,
    CLIP,
    DYNAMIC,
    REFLECT;

    Denoiser around(Denoiser denoiser) {
      return switch (this) {
        case NONE -> denoiser;
        case CLIP -> Thresholding.clipped(denoiser, -1, 1);
        case DYNAMIC ->
            Thresholding.dynamic(denoiser, Thresholding.QUANTILE, 1, Double.POSITIVE_INFINITY);
        case REFLECT -> Thresholding.reflected(denoiser, -1, 1);
      };
    }
  }

  /** Whether a command line has {@code --sampler list}, which needs nothing else. */
  static boolean asksForList(String... arguments) {
    String all = " " + String.join(" ", arguments) + " ";
    return all.contains(" --sampler list ") || all.contains(" --sampler=list ");
  }

  /** Reads a sampler; its name may be followed by what it is tuned to. */
  private static final class SettingsConverter implements ITypeConverter<SamplerSettings> {
    @Override
    public SamplerSettings convert(String value) {
      try {
        return SamplerSettings.parse(value);
      } catch (IllegalArgumentException e) {
        throw new TypeConversionException(e.getMessage() + "; --sampler list tells more");
      }
    }
  }

  /** Reads a grid. */
  private static final class GridConverter implements ITypeConverter<NoiseGrid> {
    @Override
    public NoiseGrid convert(String value) {
      List<String> known = new ArrayList<>();
      for (NoiseGrid each : NoiseGrid.values()) {
        if (each.text().equals(value.toLowerCase(Locale.ROOT))) {
          return each;
        }
        known.add(each.text() + " (" + each.summary() + ")");
      }
      throw new TypeConversionException(
          "there is no grid \"" + value + "\", there are " + String.join(", ", known));
    }
  }

  /** The model's images, drawn as asked for. */
  Generation generation(Model model) {
    Generation own = model.generation();
    if (model.isEncoder()) {
      throw refused(
          "the checkpoint is an encoder, which takes images to their noise: edit --encoder uses it");
    }
    AtLeast.check(command, "--guidance", guidance, 0);
    if (guidance != 1 && own.classes() == 0) {
      throw refused("--guidance needs a model of several classes, this one has none");
    }
    if (threshold != Threshold.NONE && model.codec() != Codec.IDENTITY) {
      throw refused("--threshold is for images in [-1, 1]; this checkpoint draws latents");
    }
    return own.by(threshold.around(denoiser(model).guided(guidance)), sampler(own.sampler()));
  }

  /** The model, told the weight of guidance that was asked for. */
  Denoiser denoiser(Model model) {
    boolean told = model.network().takesGuidance();
    if (guidanceWeight != null && !told) {
      throw refused(
          "--guidance-weight is for students that are told a weight of guidance (guided, lcm); this"
              + " checkpoint is told none, --guidance guides it");
    }
    GuidanceWeights learnt = model.guidance();
    if (guidanceWeight != null && learnt == null) {
      throw refused(
          "--guidance-weight is for students of guided and lcm; what this checkpoint is told is no"
              + " weight of guidance");
    }
    if (guidanceWeight != null
        && (guidanceWeight < learnt.low() || guidanceWeight > learnt.high())) {
      throw refused(
          "--guidance-weight is one that the student learnt, from "
              + learnt.low()
              + " to "
              + learnt.high()
              + ", not "
              + guidanceWeight);
    }
    if (guidance != 1 && told) {
      throw refused(
          "--guidance is for checkpoints that are told no weight of guidance; this one is, by"
              + " --guidance-weight "
              + (guidance - 1));
    }
    NetworkDenoiser own = model.denoiser();
    return guidanceWeight == null
        ? own
        : new NetworkDenoiser(own.network(), own.preconditioning(), guidanceWeight);
  }

  private Sampler sampler(Sampler own) {
    boolean gridAsked = steps != null || grid != null || sigmaMin != null || sigmaMax != null;
    if (settings == null && !gridAsked) {
      return own;
    }
    if (steps != null && steps < 1) {
      throw refused("--steps is " + steps + "; at least 1 is needed");
    }
    SamplerSettings chosen = settings == null ? Samplers.settings(own) : settings;
    NoiseGrid levels = grid == null ? NoiseGrid.KARRAS : grid;
    try {
      return Samplers.of(
          chosen,
          levels.levels(
              steps == null ? STEPS : steps,
              sigmaMin == null ? NoiseLevels.SIGMA_MIN : sigmaMin,
              sigmaMax == null ? NoiseLevels.SIGMA_MAX : sigmaMax));
    } catch (IllegalArgumentException e) {
      throw refused(e.getMessage());
    }
  }

  private ParameterException refused(String message) {
    return new ParameterException(command.commandLine(), message);
  }
}
