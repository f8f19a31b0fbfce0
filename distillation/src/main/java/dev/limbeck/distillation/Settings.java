package dev.limbeck.distillation;

import dev.limbeck.nn.optim.LrSchedule;
import java.lang.reflect.RecordComponent;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.Collectors;

/**
 * Settings of methods by name: every component of a method's {@code Config} record is one, those of
 * records within it too, as in {@code critic.steps}. The end of a name will do where no other
 * setting ends so.
 *
 * <p>Made once for a run and given to its methods with {@link Preset#with}; it then knows what they
 * have.
 */
public final class Settings {
  private final Map<String, String> changes = new LinkedHashMap<>();

  /** The configurations that were asked for, as their methods would choose them, by their lists. */
  private final Map<String, Record> asked = new LinkedHashMap<>();

  /**
   * Changes to make.
   *
   * @param texts KEY=VALUE each; see {@link SettingText} for values
   * @throws IllegalArgumentException if one is not of that form, or a key is there twice
   */
  public static Settings of(List<String> texts) {
    Settings all = new Settings();
    for (String text : texts) {
      int equals = text.indexOf('=');
      if (equals <= 0) {
        throw new IllegalArgumentException("a setting is written KEY=VALUE, not \"" + text + "\"");
      }
      String key = text.substring(0, equals).strip();
      if (all.changes.put(key, text.substring(equals + 1).strip()) != null) {
        throw new IllegalArgumentException(
            "the setting " + key + " is given twice; once is enough");
      }
    }
    return all;
  }

  /** The changes as one text, or an empty one. */
  public String text() {
    return changes.entrySet().stream()
        .map(e -> e.getKey() + "=" + e.getValue())
        .collect(Collectors.joining("; "));
  }

  /**
   * A configuration with those of the changes that it has.
   *
   * @throws IllegalArgumentException if a value is not one of its setting, the settings do not go
   *     together, or a key is the end of several names
   */
  <C> C applied(C config) {
    if (!(config instanceof Record record)) {
      return config;
    }
    asked.put(list(record), record);
    Map<String, Object> all = names(record);
    Map<String, String> mine = new LinkedHashMap<>();
    changes.forEach(
        (key, value) -> {
          String name = named(all, key);
          if (name != null && mine.put(name, value) != null) {
            throw new IllegalArgumentException(
                "the setting " + name + " is given twice; once is enough");
          }
        });
    @SuppressWarnings("unchecked")
    C changed = mine.isEmpty() ? config : (C) changed(record, "", mine);
    return changed;
  }

  /**
   * Sees to it that every change has been one of some method's.
   *
   * @throws IllegalArgumentException if one has not: lists the settings that there are
   */
  public void checkKnown() {
    for (String key : changes.keySet()) {
      boolean known = asked.values().stream().anyMatch(record -> named(names(record), key) != null);
      if (!known) {
        throw new IllegalArgumentException(
            "no method of this run has a setting \"" + key + "\"; known are" + list());
      }
    }
  }

  /** One line for each setting of the methods that were made, with the value they would choose. */
  public String list() {
    return String.join("", asked.keySet());
  }

  private static String list(Record record) {
    Class<?> owner = record.getClass().getDeclaringClass();
    StringBuilder text = new StringBuilder();
    text.append(String.format("%n%s", owner == null ? "" : owner.getSimpleName()));
    Map<String, Object> all = names(record);
    all.forEach(
        (name, value) -> {
          boolean hasParts = all.keySet().stream().anyMatch(o -> o.startsWith(name + "."));
          if (!hasParts) {
            text.append(String.format("%n  %s=%s", name, SettingText.write(value)));
          }
        });
    return text.toString();
  }

  /** Names of all components, and their values. */
  private static Map<String, Object> names(Record record) {
    Map<String, Object> all = new LinkedHashMap<>();
    collect(record, "", all);
    return all;
  }

  private static void collect(Record record, String before, Map<String, Object> all) {
    for (RecordComponent component : record.getClass().getRecordComponents()) {
      Object value = SettingText.component(record, component);
      String name = before + component.getName();
      all.put(name, value);
      // A value that is one of several records is changed as a whole: others have other parts.
      if (value instanceof Record part && component.getType().isRecord()) {
        collect(part, name + ".", all);
      }
    }
  }

  /** The one name that a key means, or null. */
  private static String named(Map<String, Object> all, String key) {
    if (all.containsKey(key)) {
      return key;
    }
    List<String> found = new ArrayList<>();
    for (String name : all.keySet()) {
      if (name.endsWith("." + key)) {
        found.add(name);
      }
    }
    if (found.size() > 1) {
      throw new IllegalArgumentException(
          "the setting \"" + key + "\" may be " + String.join(" or ", found));
    }
    return found.isEmpty() ? null : found.get(0);
  }

  private static Record changed(Record record, String before, Map<String, String> mine) {
    RecordComponent[] components = record.getClass().getRecordComponents();
    checkLength(components, before, mine);
    Object[] values = new Object[components.length];
    for (int i = 0; i < values.length; i++) {
      Class<?> type = components[i].getType();
      String name = before + components[i].getName();
      values[i] = SettingText.component(record, components[i]);
      String text = mine.get(name);
      if (text != null) {
        try {
          values[i] = SettingText.read(type, text);
        } catch (IllegalArgumentException e) {
          throw new IllegalArgumentException("the setting " + name + " " + e.getMessage(), e);
        }
      }
      if (values[i] instanceof Record part && type.isRecord()) {
        values[i] = changed(part, name + ".", mine);
      }
    }
    return SettingText.record(record.getClass(), values);
  }

  /** Schedules of learning rates are made for the number of steps that stands beside them. */
  private static void checkLength(
      RecordComponent[] components, String before, Map<String, String> mine) {
    String steps = before + "steps";
    for (RecordComponent component : components) {
      String rate = before + component.getName();
      if (component.getType() == LrSchedule.class
          && mine.containsKey(steps)
          && !mine.containsKey(rate)) {
        throw new IllegalArgumentException(
            "the setting "
                + steps
                + " leaves the learning rate as it was for another length: use --steps, or change "
                + rate
                + " too");
      }
    }
  }
}
