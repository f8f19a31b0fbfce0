package dev.limbeck.distillation;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.limbeck.distillation.MatchingConfig.Normaliser;
import dev.limbeck.kernels.Device;
import java.util.List;
import org.junit.jupiter.api.Test;

/** Settings of methods by name. */
class SettingsTest {
  private static final Preset PRESET = Preset.quick();

  private static Settings settings(String... texts) {
    return Settings.of(List.of(texts));
  }

  private static MatchingConfig dmd2(Settings settings) {
    return PRESET.with(settings).settings(Dmd2.Config.class, () -> Dmd2.Config.of(PRESET)).loop();
  }

  private static String refused(String... texts) {
    Settings settings = settings(texts);
    return assertThrows(IllegalArgumentException.class, () -> dmd2(settings)).getMessage();
  }

  /** Several at once, or the first alone would not fit the others. */
  @Test
  void namedPartsChangeAndNothingElse() {
    MatchingConfig own = Dmd2.Config.of(PRESET).loop();
    MatchingConfig changed =
        dmd2(
            settings(
                "generatorWeight=0.003",
                "classifierWeight = 0.01",
                "loop.levels=[4, 2]",
                "regression.weight=0.25",
                "regression.pairs=64",
                "regression.levels=4,1,0",
                "match.noise=Lognormal(-1.2,1.2)",
                "normaliser=expected",
                "vpFactor=true",
                "critic.steps=5"));
    assertEquals(new SigmaDraw.Lognormal(-1.2, 1.2), changed.match().noise());
    assertEquals(Normaliser.EXPECTED, changed.match().normaliser());
    assertTrue(changed.match().vpFactor());
    assertEquals(own.match().reduction(), changed.match().reduction());
    assertEquals(.003, changed.adversarial().generatorWeight());
    assertEquals(.01, changed.adversarial().classifierWeight());
    assertArrayEquals(new double[] {4, 2}, changed.levels());
    assertEquals(.25, changed.regression().weight());
    assertArrayEquals(new double[] {4, 1, 0}, changed.regression().levels());
    assertEquals(
        SettingText.write(own.critic().noise()), SettingText.write(changed.critic().noise()));
    assertEquals(5, changed.critic().steps());
    assertEquals(own.training(), changed.training());
    assertEquals(own.iterations(), changed.iterations());
  }

  /** The rate of a method whose schedule is made for a number of steps. */
  @Test
  void stepsAreNotChangedWithoutTheirRate() {
    Preset longer = PRESET.with(settings("training.steps=5000"));
    String said =
        assertThrows(
                IllegalArgumentException.class, () -> Methods.of("cd").create(longer, teacher()))
            .getMessage();
    assertTrue(said.contains("use --steps, or change training.rate too"), said);
  }

  /** Every setting that is printed with a text takes that text. */
  @Test
  void everySettingThatIsPrintedCanBeSet() {
    Teacher teacher = teacher();
    int tried = 0;
    for (String name : Methods.names()) {
      Settings none = settings();
      Methods.release(Methods.of(name).create(PRESET.with(none), teacher));
      List<String> printed =
          none.list()
              .lines()
              .map(String::strip)
              .filter(line -> line.contains("=") && !line.contains("…"))
              .filter(line -> !line.contains("(no text)") && !line.matches("(training.)?steps=.*"))
              .toList();
      Settings same = Settings.of(printed);
      Methods.release(Methods.of(name).create(PRESET.with(same), teacher));
      same.checkKnown();
      tried += printed.size();
    }
    assertTrue(tried > 100, tried + " settings");
  }

  private static Teacher teacher() {
    return Model.builtIn(Device.cpu(), PRESET).teacher();
  }

  /** A classifier that is switched on sees the levels that the critic does. */
  @Test
  void aClassifierIsSwitchedOnByItsWeights() {
    MatchingConfig on = dmd2(settings("generatorWeight=0.003", "classifierWeight=0.01"));
    assertTrue(on.adversarial().isOn());
    assertEquals(
        SettingText.write(on.critic().noise()), SettingText.write(on.adversarial().noise()));
  }

  /** A metric is one of several records; an average is made by a static method. */
  @Test
  void recordsAndFactoriesByName() {
    Settings settings =
        settings("metric=Huber(0.5)", "average=halfLife(100,0.05)", "training.rate=constant()");
    EasyConsistencyTuning.Config changed =
        PRESET
            .with(settings)
            .settings(
                EasyConsistencyTuning.Config.class, () -> EasyConsistencyTuning.Config.of(PRESET));
    assertEquals(new ConsistencyMetric.Huber(.5), changed.metric());
    assertEquals(1, changed.training().rate().scale(999_999));
    // 100 samples are one half-life; the share of those seen so far is no shorter.
    assertEquals(.5, changed.training().average().beta(1_000_000, 1e8, 100), 1e-12);
  }

  @Test
  void whatIsGivenForAMethodIsChangedToo() {
    Preset given = PRESET.with(Dmd2.Config.paper()).with(settings("critic.steps=7"));
    Dmd2.Config config = given.settings(Dmd2.Config.class, () -> Dmd2.Config.of(PRESET));
    assertEquals(7, config.loop().critic().steps());
    assertEquals(200_000, config.loop().iterations());
  }

  @Test
  void whatIsNoSettingOrNoValue() {
    assertTrue(
        refused("normaliser=foo").contains("loop.match.normaliser takes one of NONE, PER_SAMPLE"));
    assertTrue(
        refused("match.noise=Lognormal(1)").contains("takes Lognormal(mean, deviation) or Table("));
    assertTrue(refused("critic.steps=many").contains("takes an integer, not \"many\""));
    assertTrue(refused("generatorWeight=much").contains("takes a number"));
    assertTrue(refused("vpFactor=1").contains("takes true or false"));
    assertTrue(refused("levels=a").contains("loop.levels or loop.regression.levels"));
    assertTrue(refused("loop.levels=a,b").contains("numbers with commas"));
    assertTrue(refused("critic.steps=0").contains("at least 1 iterations"));
    assertTrue(refused("generatorWeight=1").contains("both above 0 or both 0, not 1.0 and 0.0"));
    assertTrue(refused("classifierWeight=1").contains("both above 0 or both 0"));
    assertTrue(refused("decay=.5", "loop.training.decay=1").contains("decay is given twice"));
    assertTrue(
        assertThrows(IllegalArgumentException.class, () -> settings("steps"))
            .getMessage()
            .contains("KEY=VALUE"));
    assertTrue(
        assertThrows(IllegalArgumentException.class, () -> settings("a=1", "a=2"))
            .getMessage()
            .contains("twice"));
  }

  /** Names are known once methods have asked; a run's methods need not all have a setting. */
  @Test
  void unknownNamesListTheKnownOnes() {
    Settings settings = settings("critic.steps=4", "fall=0.5");
    dmd2(settings);
    String said = assertThrows(IllegalArgumentException.class, settings::checkKnown).getMessage();
    assertTrue(said.startsWith("no method of this run has a setting \"fall\"; known are"), said);
    assertTrue(said.contains("loop.critic.steps=3"), said);
    PRESET.with(settings).settings(Ddil.Config.class, () -> Ddil.Config.of(PRESET));
    settings.checkKnown();
  }

  /** One of each kind. */
  @Test
  void textsAreReadBack() {
    for (Object value :
        List.of(3, 4L, -1e-3, true, Normaliser.NONE, new SigmaDraw.Lognormal(-1.2, 1.2))) {
      Class<?> type = value instanceof SigmaDraw ? SigmaDraw.class : primitive(value.getClass());
      assertEquals(value, SettingText.read(type, SettingText.write(value)));
    }
    double[] levels = {80, 2.5, 0};
    assertArrayEquals(
        levels, (double[]) SettingText.read(double[].class, SettingText.write(levels)));
  }

  private static Class<?> primitive(Class<?> type) {
    return type == Integer.class
        ? int.class
        : type == Long.class
            ? long.class
            : type == Double.class ? double.class : type == Boolean.class ? boolean.class : type;
  }

  @Test
  void aCheckpointOfOtherSettingsIsAnother() {
    assertEquals("", PRESET.changes());
    assertEquals("", PRESET.with(settings()).changes());
    Preset changed = PRESET.with(settings("a=1", "b = [2,3]"));
    assertEquals("a=1; b=[2,3]", changed.changes());
    assertEquals("teacher", PRESET.changed("teacher"));
    assertEquals("teacher with a=1; b=[2,3]", changed.changed("teacher"));
  }
}
