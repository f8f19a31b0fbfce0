package dev.limbeck.distillation;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.limbeck.distillation.diffusion.Denoiser;
import dev.limbeck.distillation.diffusion.NetworkDenoiser;
import dev.limbeck.distillation.diffusion.Samplers;
import dev.limbeck.kernels.Scope;
import dev.limbeck.kernels.cpu.CpuDevice;
import dev.limbeck.nn.Params;
import dev.limbeck.tensor.Rng;
import dev.limbeck.tensor.Shape;
import dev.limbeck.tensor.Tensor;
import dev.limbeck.tensor.TensorFile;
import dev.limbeck.tensor.TensorFileException;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Where the recorded weights are kept, and when each of them is the teacher. */
class DisBackNodesTest {
  private static final int STEPS = 14;

  /** Two nodes on the way, after 4 and 8 steps; stage two begins at step 12. */
  private static final DisBack.Config WAY = new DisBack.Config(3, 4, 5, 1e-3);

  private static final String NODE_1 = "node-1-disback+dmd2.safetensors";
  private static final String NODE_2 = "node-2-disback+dmd2.safetensors";

  /** DMD2's rhythm and classifier, or Diff-Instruct's. */
  private static Distiller create(String method, CpuDevice device, DisBack.Config config) {
    MatchingConfig dmd2 =
        Dmd2.Config.paper()
            .loop()
            .withIterations(STEPS)
            .withLevels(.5)
            .withTraining(Matchings.quick(0));
    MatchingConfig.Critic c = dmd2.critic();
    dmd2 = dmd2.withCritic(new MatchingConfig.Critic(c.noise(), true, c.rhythm(), 3));
    Preset preset =
        Preset.points()
            .withBatch(8)
            .with(new Dmd2.Config(dmd2))
            .with(
                new DiffInstruct.Config(
                    DiffInstruct.Config.paper()
                        .loop()
                        .withIterations(STEPS)
                        .withTraining(Matchings.quick(0))))
            .with(config);
    return Methods.of(method).create(preset, Matchings.points(device, 0));
  }

  private static DisBack disback(CpuDevice device) {
    return (DisBack) create("disback+dmd2", device, WAY);
  }

  private record Points(CpuDevice device) implements Batches {
    @Override
    public int size() {
      return 8;
    }

    @Override
    public Rng random(long step) {
      return Rng.of(31).split(step);
    }

    @Override
    public StepInput at(long step) {
      Tensor x = random(step).split(1).normal(device, Shape.of(8, 2)).mul(.5f);
      return new StepInput(step, random(step), x, null);
    }
  }

  private static Trainer trainer(Distiller method, CpuDevice device, Path folder) {
    if (folder != null) {
      method.keepIn(folder);
    }
    Path checkpoint = folder == null ? null : folder.resolve("checkpoint.safetensors");
    Trainer.Options options =
        new Trainer.Options(checkpoint, Long.MAX_VALUE, (d, step, losses) -> {});
    return new Trainer(method, new Points(device), "test", options);
  }

  private static void assertSame(Distiller expected, Distiller actual) {
    for (String name : List.of("generator", "critic", "discriminator")) {
      assertArrayEquals(
          Matchings.values(expected.networks().get(name)),
          Matchings.values(actual.networks().get(name)),
          name);
    }
  }

  @ParameterizedTest
  @ValueSource(strings = {"diff-instruct", "dmd2"})
  void withoutNodesItIsTheBaseMethodBitForBit(String name) {
    try (CpuDevice device = CpuDevice.open(true, 1)) {
      Distiller base = create(name, device, WAY);
      Distiller same = create("disback+" + name, device, new DisBack.Config(0, 0, 0, 0));
      assertEquals(base.steps(), same.steps());
      float[] start = Matchings.values(base.networks().get("generator"));
      trainer(base, device, null).run();
      trainer(same, device, null).run();
      assertEquals(base.networks().keySet(), same.networks().keySet());
      base.networks()
          .forEach(
              (key, p) ->
                  assertArrayEquals(
                      Matchings.values(p), Matchings.values(same.networks().get(key)), key));
      boolean moved = false;
      float[] end = Matchings.values(base.networks().get("generator"));
      for (int i = 0; i < end.length; i++) {
        moved |= end[i] != start[i];
      }
      assertTrue(moved, "the generator was trained");
    }
  }

  /** What a denoiser answers to some points. */
  private static float[] answers(CpuDevice device, Denoiser denoiser) {
    try (Scope scope = Scope.open()) {
      Tensor x = Rng.of(8).normal(device, Shape.of(5, 2));
      return denoiser.denoise(x, Samplers.level(x, .7), null).toFloats();
    }
  }

  /** In steps 12 to 16 the second node, in 17 to 21 the first, before and after the teacher. */
  @Test
  void eachNodeIsTheTeacherInItsTurn() {
    try (CpuDevice device = CpuDevice.open(true, 1)) {
      DisBack method = disback(device);
      float[] own = answers(device, method.switched());
      Trainer trainer = trainer(method, device, null);
      trainer.run(0, 12);
      List<float[]> all = new ArrayList<>(List.of(own));
      NetworkDenoiser network = Matchings.points(device, 0).student();
      for (int node = 1; node <= 2; node++) {
        network.network().params().copyFrom(method.networks().get("path" + node));
        all.add(answers(device, network));
        assertFalse(all.get(node)[0] == all.get(node - 1)[0], "nodes differ");
      }
      StringBuilder due = new StringBuilder();
      for (int step = 12; step < 12 + STEPS; step++) {
        trainer.run(step, step + 1);
        int node = step < 17 ? 2 : step < 22 ? 1 : 0;
        assertArrayEquals(all.get(node), answers(device, method.switched()), "step " + step);
        for (Objective objective : method.objectives()) {
          due.append(objective.due(step) ? objective.name().charAt(0) : '-');
        }
        due.append(' ');
      }
      // No degradation; DMD2's own rhythm from the beginning of stage two on.
      assertEquals("-gc --c --c ".repeat(5).substring(0, 4 * STEPS), due.toString());
    }
  }

  @Test
  void nodesAreFilesOfTheRunsFolder(@TempDir Path folder) throws TensorFileException {
    try (CpuDevice device = CpuDevice.open(true, 1)) {
      DisBack remembered = disback(device);
      trainer(remembered, device, null).run();
      DisBack kept = disback(device);
      trainer(kept, device, folder).run();
      for (int node = 1; node <= 2; node++) {
        Params expected = remembered.networks().get("path" + node);
        try (TensorFile file = TensorFile.open(folder.resolve(node == 1 ? NODE_1 : NODE_2))) {
          assertEquals(expected.list().size(), file.names().size());
          for (var p : expected.list()) {
            assertArrayEquals(p.value().toFloats(), file.floats(p.name()), p.name());
          }
        }
      }
      assertSame(remembered, kept);
      // Neither the device nor the checkpoint holds what the files do.
      long numbers = kept.networks().get("path").count();
      assertEquals(2 * 2, numbers);
      assertFalse(kept.networks().containsKey("path1"));
    }
  }

  @ParameterizedTest
  @ValueSource(longs = {3, 4, 6, 12, 15, 19, 23})
  void aRunGoesOnWithItsFiles(long stopped, @TempDir Path folder) {
    try (CpuDevice device = CpuDevice.open(true, 1)) {
      DisBack whole = disback(device);
      trainer(whole, device, null).run();
      Trainer first = trainer(disback(device), device, folder);
      first.run(0, stopped);
      first.save(stopped);
      DisBack second = disback(device);
      trainer(second, device, folder).run();
      assertSame(whole, second);
    }
  }

  private static String refusal(CpuDevice device, Path folder) {
    Trainer trainer = trainer(disback(device), device, folder);
    assertEquals(14, trainer.resume());
    TrainingException e = assertThrows(TrainingException.class, () -> trainer.run(14, 15));
    return e.getMessage();
  }

  @Test
  void aNodeThatIsMissingOrNotTheRunsIsNamed(@TempDir Path folder) throws IOException {
    try (CpuDevice device = CpuDevice.open(true, 1)) {
      Trainer first = trainer(disback(device), device, folder);
      first.run(0, 14);
      first.save(14);
      Path file = folder.resolve(NODE_2);
      byte[] own = Files.readAllBytes(file);
      String advice = ": put its own file back, or choose another --out";

      Files.delete(file);
      assertEquals(
          "weights that this run recorded cannot be read: "
              + file
              + ": there is no such file"
              + advice,
          refusal(device, folder));

      String foreign = file + " does not hold the weights that this run recorded" + advice;
      Files.copy(folder.resolve(NODE_1), file);
      assertEquals(foreign, refusal(device, folder));

      try (Scope scope = Scope.open()) {
        Tensor other = Tensor.zeros(device, Shape.of(3));
        TensorFile.write(file, Map.of("other", other), Map.of());
      }
      assertEquals(foreign, refusal(device, folder));

      Files.write(file, new byte[] {1, 2, 3});
      String damaged = refusal(device, folder);
      assertTrue(damaged.contains(file.toString()) && damaged.endsWith(advice), damaged);

      Files.write(file, own);
      Trainer again = trainer(disback(device), device, folder);
      again.run(again.resume(), 15);
    }
  }
}
