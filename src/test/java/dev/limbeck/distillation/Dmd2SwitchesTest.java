package dev.limbeck.distillation;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.limbeck.autograd.Tape;
import dev.limbeck.autograd.Var;
import dev.limbeck.distillation.MatchingConfig.Adversarial;
import dev.limbeck.distillation.MatchingConfig.Critic;
import dev.limbeck.distillation.MatchingConfig.Features;
import dev.limbeck.distillation.MatchingConfig.Rhythm;
import dev.limbeck.distillation.diffusion.NetworkDenoiser;
import dev.limbeck.distillation.diffusion.Preconditioning;
import dev.limbeck.distillation.diffusion.Samplers;
import dev.limbeck.kernels.Device;
import dev.limbeck.kernels.Scope;
import dev.limbeck.kernels.cpu.CpuDevice;
import dev.limbeck.nn.Condition;
import dev.limbeck.nn.Init;
import dev.limbeck.nn.Network;
import dev.limbeck.nn.Params;
import dev.limbeck.tensor.Dropout;
import dev.limbeck.tensor.Rng;
import dev.limbeck.tensor.Shape;
import dev.limbeck.tensor.Tensor;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import org.junit.jupiter.api.Test;

/** What DMD2's switches change: which samples, which weights, which gradients reach whom. */
class Dmd2SwitchesTest {
  private static final int BATCH = 8;
  private static final Shape POINT = Shape.of(2);
  private static final SigmaDraw ONE_LEVEL = new SigmaDraw.Table(new double[] {.3}, 0);

  private static MatchingConfig plain() {
    return Dmd2.Config.paper()
        .loop()
        .withIterations(9)
        .withAdversarial(Adversarial.none())
        .withTraining(Matchings.quick(0));
  }

  private static MatchingConfig with(Features features, double penalty) {
    return plain().withAdversarial(new Adversarial(.7, .4, features, ONE_LEVEL, penalty, .01));
  }

  private static MatchingConfig with(SigmaDraw noise, boolean weighted, Rhythm rhythm) {
    return plain().withCritic(new Critic(noise, weighted, rhythm, 2));
  }

  private static DistributionMatching method(CpuDevice device, MatchingConfig config) {
    DistributionMatching method =
        new DistributionMatching("test", config, Matchings.points(device, 0), BATCH);
    Matchings.disturb(method, "critic");
    return method;
  }

  private static StepInput input(Device device, long step) {
    Tensor real = Rng.of(6).split(step).normal(device, Shape.of(BATCH, 2)).mul(.5f);
    return new StepInput(step, Rng.of(7).split(step), real, null);
  }

  private static Objective objective(DistributionMatching method, String name) {
    return method.objectives().stream().filter(o -> o.name().equals(name)).findFirst().get();
  }

  /** An objective's loss, and the gradients of all that its optimizers train. */
  private record Found(double loss, Map<String, float[]> gradients) {
    float[] of(String name) {
      return Objects.requireNonNull(gradients.get(name), name);
    }
  }

  private static Found found(DistributionMatching method, String name, StepInput in) {
    Objective objective = objective(method, name);
    List<Params> trained = objective.optimizers().stream().map(o -> o.params()).toList();
    trained.forEach(Params::zeroGradients);
    try (Tape tape = Tape.open(trained.stream().flatMap(p -> p.list().stream()).toList())) {
      Var loss = objective.loss(tape, in);
      tape.retain(loss);
      tape.backward(loss);
      Map<String, float[]> gradients = new LinkedHashMap<>();
      for (Params params : trained) {
        params.list().forEach(p -> gradients.put(p.name(), p.gradient().toFloats()));
      }
      return new Found(loss.value().item(), gradients);
    }
  }

  /** What a fresh method finds in its first iteration. */
  private static Found first(CpuDevice device, MatchingConfig config, String objective) {
    DistributionMatching method = method(device, config);
    method.begin(0);
    return found(method, objective, input(device, 0));
  }

  @Test
  void theCriticsErrorMayHaveNoWeight() {
    try (CpuDevice device = CpuDevice.open(true, 1);
        Scope scope = Scope.open()) {
      double weighted = first(device, with(ONE_LEVEL, true, Rhythm.STALE_BATCH), "critic").loss();
      double plain = first(device, with(ONE_LEVEL, false, Rhythm.STALE_BATCH), "critic").loss();
      // (σ² + ¼)/(σ/2)².
      assertEquals((.09 + .25) / (.09 * .25), weighted / plain, 1e-4);
    }
  }

  /** One step's generator samples, from noise that is drawn under this name. */
  private static Tensor made(DistributionMatching method, StepInput in, String stream) {
    Tensor start = in.noise(stream).mul(80f);
    return method.generator().denoise(start, Samplers.level(start, 80), null);
  }

  /** Though the generator has moved on by then. */
  @Test
  void theCriticTrainsOnTheSamplesOfTheGeneratorsStep() {
    try (CpuDevice device = CpuDevice.open(true, 1);
        Scope scope = Scope.open()) {
      SigmaDraw noise = plain().critic().noise();
      DistributionMatching method = method(device, with(noise, true, Rhythm.STALE_BATCH));
      StepInput in = input(device, 0);
      method.begin(0);
      double expected = Matchings.denoisingLoss(method, in, made(method, in, "generator"));
      found(method, "generator", in);
      Matchings.disturb(method, "generator");
      assertEquals(expected, found(method, "critic", in).loss(), 1e-5 * expected);
      double later = Matchings.denoisingLoss(method, in, made(method, in, "generator"));
      assertTrue(Math.abs(later - expected) > 1e-3 * expected, "the generator has moved");
    }
  }

  @Test
  void aFreshCriticTrainsOnSamplesOfItsOwn() {
    try (CpuDevice device = CpuDevice.open(true, 1);
        Scope scope = Scope.open()) {
      SigmaDraw noise = plain().critic().noise();
      DistributionMatching method = method(device, with(noise, true, Rhythm.FRESH));
      StepInput in = input(device, 0);
      method.begin(0);
      assertEquals("critic", method.objectives().get(0).name());
      double expected = Matchings.denoisingLoss(method, in, made(method, in, "generatorCritic"));
      assertEquals(expected, found(method, "critic", in).loss(), 1e-5 * expected);
      double others = Matchings.denoisingLoss(method, in, made(method, in, "generator"));
      assertTrue(Math.abs(others - expected) > 1e-3 * expected, "samples differ");
    }
  }

  /** mean ln(1 + e^(sign · l)). */
  private static double softplus(float[] logits, int sign) {
    double sum = 0;
    for (float l : logits) {
      sum += Math.log1p(Math.exp(sign * l)) / logits.length;
    }
    return sum;
  }

  /** Points with noise of the level of {@link #ONE_LEVEL}. */
  private static Tensor noised(StepInput in, Tensor clean, String stream) {
    return clean.add(in.noise(stream).mul(.3f));
  }

  /** The classifier with the method's weights. */
  private static Discriminator classifier(DistributionMatching method) {
    Discriminator same = new Discriminator(method.critic(), POINT);
    same.params().copyFrom(method.networks().get("discriminator"));
    return same;
  }

  private static float[] logits(Discriminator classifier, Tensor x) {
    return classifier.logits(Var.constant(x), Samplers.level(x, .3), null).value().toFloats();
  }

  /**
   * The generator pays g_w E ln(1 + e^−l) on its own samples, the critic d_w times the same on real
   * ones and E ln(1 + e^l) on generated ones, and λ E (l(x) − l(x + s n))² on the real ones.
   */
  @Test
  void theClassifiersLossesAreWhatTheyShouldBe() {
    try (CpuDevice device = CpuDevice.open(true, 1);
        Scope scope = Scope.open()) {
      StepInput in = input(device, 0);
      DistributionMatching method = method(device, with(Features.CRITIC, 0));
      Tensor made = made(method, in, "generator");
      Discriminator classifier = classifier(method);
      double plainGenerator = first(device, plain(), "generator").loss();
      double generator = first(device, with(Features.CRITIC, 0), "generator").loss();
      double fooled = softplus(logits(classifier, noised(in, made, "fool")), -1);
      assertEquals(.7 * fooled, generator - plainGenerator, 1e-5);

      double plainCritic = first(device, plain(), "critic").loss();
      double critic = first(device, with(Features.CRITIC, 0), "critic").loss();
      Tensor real = noised(in, in.images(), "tellReal");
      float[] before = logits(classifier, real);
      double told =
          softplus(logits(classifier, noised(in, made, "tellFake")), 1) + softplus(before, -1);
      assertEquals(.4 * told, critic - plainCritic, 1e-5 * critic);

      double penalised = first(device, with(Features.CRITIC, 1e5), "critic").loss();
      float[] after = logits(classifier, real.add(in.noise("penalty").mul(.01f)));
      double steepness = 0;
      for (int i = 0; i < BATCH; i++) {
        steepness += (after[i] - before[i]) * (after[i] - before[i]) / BATCH;
      }
      assertTrue(1e5 * steepness > .01 * critic, "the penalty is seen: " + steepness);
      assertEquals(1e5 * steepness, penalised - critic, 1e-4 * penalised);
    }
  }

  /** Its hidden feature is the first coordinate of its input. */
  private record FirstCoordinate(Params params) implements Network {
    FirstCoordinate(Device device) {
      this(Params.builder().add("unused", Shape.of(1), Init.zeros()).build(device, Rng.of(0)));
    }

    @Override
    public Var forward(Var x, Condition condition, Dropout dropout) {
      return x;
    }

    @Override
    public Var features(Var x, Condition condition, Dropout dropout) {
      return x.slice(1, 0, 1);
    }

    @Override
    public Answer forwardWithFeatures(Var x, Condition condition, Dropout dropout) {
      return new Answer(forward(x, condition, dropout), features(x, condition, dropout));
    }

    @Override
    public void close() {
      params.close();
    }
  }

  private static void set(Discriminator classifier, String name, float... values) {
    classifier.params().get(name).value().buffer().upload(values, 0);
    classifier.params().touch();
  }

  /**
   * For a feature f, hidden values a f (1, 1, −1, −1) have the mean 0 and the variance a² f², and
   * are normalised to ±u, u = a f/√(a² f² + ε); SiLU(u) − SiLU(−u) = u, so that the logit with last
   * weights (c, c, −c, −c)/2 is c u + b.
   */
  @Test
  void steepnessIsTheMeanSquaredRiseOfTheLogit() {
    double a = .02;
    double c = 3;
    double[] sigma = {.1, .5, 2};
    float[] x = {.3f, 9, -.1f, 9, .25f, 9};
    float[] d = {.02f, 5, .1f, 5, -.3f, 5};
    try (CpuDevice device = CpuDevice.open(true, 1);
        Scope scope = Scope.open()) {
      Preconditioning edm = new Preconditioning.Edm();
      Discriminator classifier =
          new Discriminator(new NetworkDenoiser(new FirstCoordinate(device), edm), POINT);
      float h = (float) a;
      float w = (float) c / 2;
      set(classifier, "hidden.weight", h, h, -h, -h);
      set(classifier, "hidden.bias", 0, 0, 0, 0);
      set(classifier, "logit.weight", w, w, -w, -w);
      set(classifier, "logit.bias", .5f);
      double[] logit = new double[3];
      double expected = 0;
      for (int i = 0; i < 3; i++) {
        double[] u = new double[2];
        for (int k = 0; k < 2; k++) {
          double f = a * (x[2 * i] + k * d[2 * i]) / Math.sqrt(sigma[i] * sigma[i] + .25);
          u[k] = f / Math.sqrt(f * f + 1e-5);
        }
        logit[i] = c * u[0] + .5;
        expected += c * c * (u[1] - u[0]) * (u[1] - u[0]) / 3;
      }
      Tensor levels = Tensor.of(device, Shape.of(3), new float[] {.1f, .5f, 2});
      Var points = Var.constant(Tensor.of(device, Shape.of(3, 2), x));
      Var logits = classifier.logits(points, levels, null);
      for (int i = 0; i < 3; i++) {
        assertEquals(logit[i], logits.value().toFloats()[i], 1e-4);
      }
      Tensor moved = Tensor.of(device, Shape.of(3, 2), d);
      Var steepness = classifier.steepness(logits, points, moved, levels, null);
      assertEquals(expected, steepness.value().item(), 1e-4 * expected);
    }
  }

  /**
   * The classifier's loss trains the critic's layers up to the features, and not the last one, with
   * the critic's features; with the teacher's none of them.
   */
  @Test
  void theClassifiersLossReachesTheLayersItSees() {
    try (CpuDevice device = CpuDevice.open(true, 1);
        Scope scope = Scope.open()) {
      Found plain = first(device, plain(), "critic");
      Found seen = first(device, with(Features.CRITIC, 0), "critic");
      assertTrue(apart(plain.of("first.weight"), seen.of("first.weight")) > 1e-3);
      assertArrayEquals(plain.of("last.weight"), seen.of("last.weight"), 1e-6f);
      Found unseen = first(device, with(Features.TEACHER, 10), "critic");
      for (String name : plain.gradients.keySet()) {
        assertArrayEquals(plain.of(name), unseen.of(name), name);
      }
      assertTrue(apart(unseen.of("logit.weight"), new float[64]) > 1e-3, "it is trained itself");
    }
  }

  private static double apart(float[] a, float[] b) {
    double most = 0;
    for (int i = 0; i < a.length; i++) {
      most = Math.max(most, Math.abs(a[i] - b[i]));
    }
    return most;
  }

  /** What the classifier adds to the critic's loss, the critic's weights being these. */
  private static double told(CpuDevice device, MatchingConfig config, int disturbed) {
    double[] loss = new double[2];
    for (int i = 0; i < 2; i++) {
      DistributionMatching method = method(device, i == 0 ? plain() : config);
      for (int k = 0; k < disturbed; k++) {
        Matchings.disturb(method, "critic");
      }
      method.begin(0);
      loss[i] = found(method, "critic", input(device, 0)).loss();
    }
    return loss[1] - loss[0];
  }

  /**
   * Then the critic's weights do not matter to it, and through the frozen features its gradient
   * reaches the generator.
   */
  @Test
  void aClassifierMaySeeTheTeachersFeatures() {
    try (CpuDevice device = CpuDevice.open(true, 1);
        Scope scope = Scope.open()) {
      MatchingConfig teachers = with(Features.TEACHER, 0);
      assertEquals(told(device, teachers, 0), told(device, teachers, 3), 1e-5);
      MatchingConfig critics = with(Features.CRITIC, 0);
      assertTrue(Math.abs(told(device, critics, 0) - told(device, critics, 3)) > 1e-3);
      Found plain = first(device, plain(), "generator");
      for (MatchingConfig config : List.of(teachers, critics)) {
        Found fooling = first(device, config, "generator");
        assertTrue(apart(plain.of("first.weight"), fooling.of("first.weight")) > 1e-3);
      }
    }
  }

  private record Points(CpuDevice device) implements Batches {
    @Override
    public int size() {
      return BATCH;
    }

    @Override
    public Rng random(long step) {
      return Rng.of(7).split(step);
    }

    @Override
    public StepInput at(long step) {
      return input(device, step);
    }
  }

  /** Which networks an iteration changes. */
  private static String changed(DistributionMatching method, CpuDevice device, long step) {
    Map<String, float[]> before = new LinkedHashMap<>();
    method.networks().forEach((name, params) -> before.put(name, Matchings.values(params)));
    Trainer.Options quiet = Trainer.Options.watchedBy((d, at, losses) -> {});
    new Trainer(method, new Points(device), "test", quiet).run(step, step + 1);
    StringBuilder changed = new StringBuilder();
    method
        .networks()
        .forEach(
            (name, params) -> {
              if (apart(before.get(name), Matchings.values(params)) > 0) {
                changed.append(name).append(' ');
              }
            });
    return changed.toString().trim();
  }

  @Test
  void eachLossMovesItsOwnNetworksAlone() {
    try (CpuDevice device = CpuDevice.open(true, 1)) {
      MatchingConfig config =
          with(Features.CRITIC, 1)
              .withCritic(new Critic(plain().critic().noise(), true, Rhythm.EITHER, 2));
      DistributionMatching method = method(device, config);
      assertEquals("generator", changed(method, device, 0));
      assertEquals("critic discriminator", changed(method, device, 1));
    }
  }
}
