package dev.limbeck.distillation.cli;

import dev.limbeck.distillation.Codec;
import dev.limbeck.distillation.PatchCodec;
import dev.limbeck.distillation.data.Dataset;
import dev.limbeck.kernels.Device;
import java.util.function.Supplier;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Spec;

/** The latent space that a teacher is trained in. */
final class LatentOption {
  private static final String FORM = "it is no patch's side and a number of components, as in 2x3";

  @Spec(Spec.Target.MIXEE)
  private CommandSpec command;

  @Option(
      names = "--latent",
      paramLabel = "SIDExN",
      description =
          "Train the teacher on latents, the N principal components of patches of SIDE×SIDE pixels,"
              + " as in 2x3: students, samples and edits follow it (default: on the pixels).")
  private String latent;

  boolean isGiven() {
    return latent != null;
  }

  /** The codec, fitted to images, which are asked for only if there is something to fit. */
  Codec codec(Device device, Supplier<Dataset> images) {
    if (latent == null) {
      return Codec.IDENTITY;
    }
    String[] sizes = latent.split("x");
    try {
      if (sizes.length == 2) {
        return PatchCodec.fit(
            device, images.get(), Integer.parseInt(sizes[0]), Integer.parseInt(sizes[1]));
      }
    } catch (NumberFormatException e) {
      throw refused(FORM);
    } catch (IllegalArgumentException e) {
      throw refused(e.getMessage());
    }
    throw refused(FORM);
  }

  private ParameterException refused(String reason) {
    return new ParameterException(
        command.commandLine(), "--latent is \"" + latent + "\": " + reason);
  }
}
