package dev.limbeck.tensor;

import dev.limbeck.kernels.Json;
import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.RecordComponent;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;

/**
 * Configurations as JSON: a record's components by name, nested records as objects, enumerations by
 * their constants' names.
 */
public final class JsonRecord {
  private JsonRecord() {}

  /** The components of a record, ready for {@link Json#write}. */
  public static Map<String, Object> fields(Record record) {
    Map<String, Object> fields = new LinkedHashMap<>();
    for (RecordComponent component : record.getClass().getRecordComponents()) {
      fields.put(component.getName(), plain(get(record, component)));
    }
    return fields;
  }

  private static Object plain(Object value) {
    if (value instanceof Record nested) {
      return fields(nested);
    }
    if (value instanceof List<?> list) {
      return list.stream().map(JsonRecord::plain).toList();
    }
    return value instanceof Enum<?> constant ? constant.name() : value;
  }

  /**
   * A copy of {@code defaults} with the components that {@code json} names.
   *
   * @throws IllegalArgumentException naming an unknown component, a wrong type, or the rule that
   *     the record's constructor found violated
   */
  @SuppressWarnings("unchecked") // the constructor is that of the defaults' own class
  public static <R extends Record> R read(Map<String, ?> json, R defaults) {
    RecordComponent[] components = defaults.getClass().getRecordComponents();
    Set<String> unknown = new java.util.LinkedHashSet<>(json.keySet());
    Class<?>[] types = new Class<?>[components.length];
    Object[] values = new Object[components.length];
    for (int i = 0; i < components.length; i++) {
      String name = components[i].getName();
      types[i] = components[i].getType();
      values[i] = get(defaults, components[i]);
      if (unknown.remove(name)) {
        values[i] = convert(json.get(name), values[i], name);
      }
    }
    if (!unknown.isEmpty()) {
      throw new IllegalArgumentException(
          defaults.getClass().getSimpleName() + " has no component " + unknown.iterator().next());
    }
    try {
      var constructor = defaults.getClass().getDeclaredConstructor(types);
      constructor.setAccessible(true);
      return (R) constructor.newInstance(values);
    } catch (InvocationTargetException e) {
      if (e.getCause() instanceof RuntimeException cause) {
        throw cause;
      }
      throw new IllegalStateException(e);
    } catch (ReflectiveOperationException e) {
      throw new IllegalStateException(e);
    }
  }

  private static Object get(Record record, RecordComponent component) {
    try {
      component.getAccessor().setAccessible(true);
      return component.getAccessor().invoke(record);
    } catch (ReflectiveOperationException e) {
      throw new IllegalStateException(e);
    }
  }

  /** A JSON value as the type of an example. */
  private static Object convert(Object value, Object example, String name) {
    if (example instanceof List<?> examples && value instanceof List<?> list) {
      List<Object> converted = new ArrayList<>();
      for (Object item : list) {
        converted.add(examples.isEmpty() ? item : convert(item, examples.get(0), name));
      }
      return converted;
    }
    if (example instanceof Record nested && value instanceof Map<?, ?>) {
      return read(Json.object(value, name), nested);
    }
    if (example instanceof Enum<?> constant) {
      for (Object known : constant.getDeclaringClass().getEnumConstants()) {
        if (known == value || ((Enum<?>) known).name().equals(value)) {
          return known;
        }
      }
    } else if (value instanceof Number number && example instanceof Number) {
      if (example instanceof Float) {
        return number.floatValue();
      }
      if (example instanceof Double) {
        return number.doubleValue();
      }
      if (number.doubleValue() == number.longValue()) {
        return example instanceof Long ? number.longValue() : toInt(number, name);
      }
    } else if (value != null && example != null && value.getClass() == example.getClass()) {
      return value;
    }
    throw new IllegalArgumentException(name + " cannot be " + Json.write(value));
  }

  private static Object toInt(Number number, String name) {
    if (number.longValue() != number.intValue()) {
      throw new IllegalArgumentException(name + " cannot be " + number);
    }
    return number.intValue();
  }
}
