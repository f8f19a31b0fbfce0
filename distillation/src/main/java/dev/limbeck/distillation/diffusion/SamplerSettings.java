package dev.limbeck.distillation.diffusion;

import dev.limbeck.distillation.diffusion.Samplers.Method;
import java.util.Collections;
import java.util.EnumMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.stream.Collectors;

/**
 * A sampler's method and what it is tuned to, without its grid.
 *
 * <p>As text: {@code dpmpp_2m_sde}, or {@code dpmpp_2m_sde:eta=0.5,solver=heun} with whatever
 * differs from the method's defaults.
 */
public final class SamplerSettings {
  private final Method method;
  private final Map<Tuning, Double> changed;

  private SamplerSettings(Method method, Map<Tuning, Double> changed) {
    this.method = method;
    this.changed = changed;
  }

  /** A method as it is by default. */
  static SamplerSettings of(Method method) {
    return new SamplerSettings(method, Map.of());
  }

  public Method method() {
    return method;
  }

  /**
   * The same with another value.
   *
   * @throws IllegalArgumentException if the method has no such tuning, or not with this value
   */
  public SamplerSettings with(Tuning tuning, double value) {
    Tuned tuned = method.tuned(tuning);
    if (tuned == null) {
      throw new IllegalArgumentException(
          method.text() + " has no " + tuning.key() + ", it has " + keys());
    }
    boolean fits = value >= tuned.least && value <= tuned.most;
    if (!fits || (tuning.isWhole() && value != Math.rint(value))) {
      throw new IllegalArgumentException(
          method.text() + ": " + tuning.key() + " is " + range(tuning, tuned) + ", not " + value);
    }
    Map<Tuning, Double> all = new EnumMap<>(Tuning.class);
    all.putAll(changed);
    if (value == tuned.usual) {
      all.remove(tuning);
    } else {
      all.put(tuning, value);
    }
    return new SamplerSettings(method, Collections.unmodifiableMap(all));
  }

  /** The same with another choice. */
  public SamplerSettings with(Tuning tuning, String value) {
    double read = tuning.read(value);
    if (!tuning.words().isEmpty() && method.tuned(tuning) != null) {
      int most = (int) method.tuned(tuning).most;
      if (read > most) {
        throw new IllegalArgumentException(
            method.text()
                + ": "
                + tuning.key()
                + " is one of "
                + String.join(", ", tuning.words().subList(0, most + 1))
                + ", not "
                + value);
      }
    }
    return with(tuning, read);
  }

  private static String range(Tuning tuning, Tuned tuned) {
    return tuned.most == Double.POSITIVE_INFINITY
        ? "at least " + tuning.write(tuned.least)
        : "between " + tuning.write(tuned.least) + " and " + tuning.write(tuned.most);
  }

  private String keys() {
    return method.tunings().stream().map(Tuning::key).collect(Collectors.joining(", "));
  }

  /** A value, changed or the method's own; 0 if the method has no such tuning. */
  public double get(Tuning tuning) {
    Double value = changed.get(tuning);
    if (value != null) {
      return value;
    }
    Tuned tuned = method.tuned(tuning);
    return tuned == null ? 0 : tuned.usual;
  }

  int whole(Tuning tuning) {
    return (int) get(tuning);
  }

  /** Whether a choice is this word. */
  boolean is(Tuning tuning, String word) {
    return tuning.words().get(whole(tuning)).equals(word);
  }

  /** What {@link #parse} reads. */
  public String text() {
    if (changed.isEmpty()) {
      return method.text();
    }
    return method.text()
        + ":"
        + changed.entrySet().stream()
            .map(e -> e.getKey().key() + "=" + e.getKey().write(e.getValue()))
            .collect(Collectors.joining(","));
  }

  /**
   * Reads {@code name} or {@code name:key=value,key=value}; upper case and hyphens are understood.
   *
   * @throws IllegalArgumentException if there is no such sampler, tuning or value
   */
  public static SamplerSettings parse(String text) {
    String[] parts = text.trim().split(":", 2);
    SamplerSettings settings = Method.named(parts[0]).settings();
    if (parts.length == 1) {
      return settings;
    }
    for (String each : parts[1].split(",", -1)) {
      String[] pair = each.split("=", -1);
      if (pair.length != 2) {
        throw new IllegalArgumentException(
            "\"" + each + "\" in \"" + text + "\" is not of the form key=value");
      }
      settings = settings.with(tuning(settings, pair[0]), pair[1].trim());
    }
    return settings;
  }

  private static Tuning tuning(SamplerSettings settings, String key) {
    String wanted = key.trim().toLowerCase(Locale.ROOT);
    for (Tuning tuning : settings.method.tunings()) {
      if (tuning.key().equals(wanted)) {
        return tuning;
      }
    }
    throw new IllegalArgumentException(
        settings.method.text() + " has no \"" + wanted + "\", it has " + settings.keys());
  }

  @Override
  public boolean equals(Object other) {
    return other instanceof SamplerSettings s && s.method == method && s.changed.equals(changed);
  }

  @Override
  public int hashCode() {
    return 31 * method.hashCode() + changed.hashCode();
  }

  @Override
  public String toString() {
    return text();
  }

  /** A method's tuning with its default and its limits. */
  record Tuned(Tuning tuning, double usual, double least, double most) {
    static Tuned usually(Tuning tuning, double usual) {
      return upTo(tuning.most(), tuning, usual);
    }

    static Tuned upTo(double most, Tuning tuning, double usual) {
      return new Tuned(tuning, usual, tuning.least(), most);
    }

    static List<Tuned> churn() {
      return List.of(
          usually(Tuning.S_CHURN, 0),
          usually(Tuning.S_TMIN, 0),
          usually(Tuning.S_TMAX, Double.POSITIVE_INFINITY),
          usually(Tuning.S_NOISE, 1));
    }

    static List<Tuned> noisy() {
      return List.of(upTo(1, Tuning.ETA, 1), usually(Tuning.S_NOISE, 1));
    }

    static List<Tuned> withR() {
      return List.of(upTo(1, Tuning.ETA, 1), usually(Tuning.S_NOISE, 1), usually(Tuning.R, 0.5));
    }

    static List<Tuned> adaptive() {
      return List.of(
          new Tuned(Tuning.ORDER, 3, 2, 3),
          usually(Tuning.RTOL, 0.05),
          usually(Tuning.ATOL, 0.0078),
          usually(Tuning.H_INIT, 0.05),
          usually(Tuning.PCOEFF, 0),
          usually(Tuning.ICOEFF, 1),
          usually(Tuning.DCOEFF, 0),
          usually(Tuning.SAFETY, 0.81),
          upTo(1, Tuning.ETA, 0),
          usually(Tuning.S_NOISE, 1));
    }
  }
}
