package dev.limbeck.distillation;

import java.lang.reflect.Constructor;
import java.lang.reflect.Executable;
import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Method;
import java.lang.reflect.Modifier;
import java.lang.reflect.RecordComponent;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.stream.Collectors;

/**
 * Values of settings as text: numbers, {@code true} and {@code false}, names of enums, lists {@code
 * [80,2]}, and whatever a type offers by a record or a static method, as in {@code
 * Lognormal(-1.2,1.2)}.
 */
final class SettingText {
  /** Longer lists are written by their ends. */
  private static final int SHOWN = 8;

  private SettingText() {}

  // ---- reading ----

  /**
   * The value that a text means.
   *
   * @throws IllegalArgumentException if it means none of this type: says what would
   */
  static Object read(Class<?> type, String text) {
    String given = text.strip();
    try {
      if (type == int.class) {
        return Integer.parseInt(given);
      }
      if (type == long.class) {
        return Long.parseLong(given);
      }
      if (type == double.class) {
        return Double.parseDouble(given);
      }
      if (type == double[].class) {
        return list(given).stream().mapToDouble(Double::parseDouble).toArray();
      }
    } catch (NumberFormatException e) {
      throw new IllegalArgumentException("takes " + expected(type) + ", not \"" + given + "\"", e);
    }
    if (type == boolean.class && (given.equals("true") || given.equals("false"))) {
      return given.equals("true");
    }
    if (type.isEnum()) {
      String name = given.toUpperCase(Locale.ROOT).replace('-', '_');
      for (Object constant : type.getEnumConstants()) {
        if (((Enum<?>) constant).name().equals(name)) {
          return constant;
        }
      }
    }
    Executable maker = makers(type).get(given.replaceFirst("\\(.*", ""));
    if (maker == null || given.contains("(") != given.endsWith(")")) {
      throw new IllegalArgumentException("takes " + expected(type) + ", not \"" + given + "\"");
    }
    return make(type, maker, given);
  }

  private static List<String> list(String text) {
    String inner = text.startsWith("[") && text.endsWith("]") ? strip(text) : text;
    return split(inner);
  }

  private static String strip(String text) {
    return text.substring(1, text.length() - 1);
  }

  private static Object make(Class<?> type, Executable maker, String given) {
    int open = given.indexOf('(');
    List<String> texts =
        open < 0 ? List.of() : split(given.substring(open + 1, given.length() - 1));
    Class<?>[] types = maker.getParameterTypes();
    if (texts.size() != types.length) {
      throw new IllegalArgumentException("takes " + expected(type) + ", not \"" + given + "\"");
    }
    Object[] values = new Object[types.length];
    for (int i = 0; i < types.length; i++) {
      values[i] = read(types[i], texts.get(i));
    }
    return call(maker, values);
  }

  /** Texts between commas that no brackets enclose. */
  private static List<String> split(String text) {
    List<String> parts = new ArrayList<>();
    int depth = 0;
    int start = 0;
    for (int i = 0; i < text.length(); i++) {
      char c = text.charAt(i);
      depth += c == '(' || c == '[' ? 1 : c == ')' || c == ']' ? -1 : 0;
      if (c == ',' && depth == 0) {
        parts.add(text.substring(start, i));
        start = i + 1;
      }
    }
    if (!text.isBlank()) {
      parts.add(text.substring(start));
    }
    return parts;
  }

  // ---- how values are made ----

  /** A record with these components. */
  static Record record(Class<?> type, Object[] values) {
    return (Record) call(canonical(type), values);
  }

  private static Constructor<?> canonical(Class<?> type) {
    Class<?>[] types =
        Arrays.stream(type.getRecordComponents())
            .map(RecordComponent::getType)
            .toArray(Class<?>[]::new);
    try {
      return type.getDeclaredConstructor(types);
    } catch (NoSuchMethodException e) {
      throw new IllegalStateException(e);
    }
  }

  private static Object call(Executable maker, Object[] values) {
    try {
      maker.setAccessible(true);
      return maker instanceof Constructor<?> constructor
          ? constructor.newInstance(values)
          : ((Method) maker).invoke(null, values);
    } catch (InvocationTargetException e) {
      if (e.getCause() instanceof IllegalArgumentException refused) {
        throw refused;
      }
      throw new IllegalStateException(e);
    } catch (ReflectiveOperationException e) {
      throw new IllegalStateException(e);
    }
  }

  /** Records and public static methods by which a value of a type is named. */
  private static Map<String, Executable> makers(Class<?> type) {
    Map<String, Executable> all = new LinkedHashMap<>();
    List<Class<?>> kinds = new ArrayList<>(List.of(type));
    kinds.addAll(List.of(type.getDeclaredClasses()));
    if (type.isSealed()) {
      kinds.addAll(List.of(type.getPermittedSubclasses()));
    }
    for (Class<?> kind : kinds) {
      if (kind.isRecord() && type.isAssignableFrom(kind) && readable(canonical(kind))) {
        all.put(kind.getSimpleName(), canonical(kind));
      }
    }
    for (Method method : type.getDeclaredMethods()) {
      if (Modifier.isStatic(method.getModifiers())
          && Modifier.isPublic(method.getModifiers())
          && type.isAssignableFrom(method.getReturnType())
          && readable(method)) {
        all.put(method.getName(), method);
      }
    }
    return all;
  }

  private static boolean readable(Executable maker) {
    return Arrays.stream(maker.getParameterTypes())
        .allMatch(t -> t.isPrimitive() || t.isEnum() || t == double[].class);
  }

  /** What a text of a type looks like. */
  private static String expected(Class<?> type) {
    if (type == double.class) {
      return "a number";
    }
    if (type == int.class || type == long.class) {
      return "an integer";
    }
    if (type == boolean.class) {
      return "true or false";
    }
    if (type == double[].class) {
      return "numbers with commas between them";
    }
    if (type.isEnum()) {
      return "one of "
          + Arrays.stream(type.getEnumConstants())
              .map(c -> ((Enum<?>) c).name())
              .collect(Collectors.joining(", "));
    }
    String all =
        makers(type).entrySet().stream()
            .map(e -> e.getKey() + "(" + parameters(e.getValue()) + ")")
            .sorted()
            .collect(Collectors.joining(" or "));
    return all.isEmpty() ? "no text" : all;
  }

  private static String parameters(Executable maker) {
    if (maker instanceof Constructor<?> constructor) {
      return Arrays.stream(constructor.getDeclaringClass().getRecordComponents())
          .map(RecordComponent::getName)
          .collect(Collectors.joining(", "));
    }
    return Arrays.stream(maker.getParameterTypes())
        .map(SettingText::expected)
        .collect(Collectors.joining(", "));
  }

  // ---- writing ----

  /** The text of a value, which {@link #read} takes; long lists and what has no text aside. */
  static String write(Object value) {
    if (value instanceof double[] numbers) {
      List<String> texts = new ArrayList<>();
      for (double number : numbers) {
        texts.add(Double.toString(number));
      }
      int n = texts.size();
      return n <= SHOWN
          ? "[" + String.join(",", texts) + "]"
          : "[" + texts.get(0) + ", … " + n + " numbers …, " + texts.get(n - 1) + "]";
    }
    if (value instanceof Record) {
      List<String> texts = new ArrayList<>();
      for (RecordComponent component : value.getClass().getRecordComponents()) {
        texts.add(write(component(value, component)));
      }
      return value.getClass().getSimpleName() + "(" + String.join(",", texts) + ")";
    }
    boolean plain = value instanceof Number || value instanceof Boolean || value instanceof Enum;
    return plain ? value.toString() : "(no text)";
  }

  static Object component(Object record, RecordComponent component) {
    try {
      Method accessor = component.getAccessor();
      accessor.setAccessible(true);
      return accessor.invoke(record);
    } catch (ReflectiveOperationException e) {
      throw new IllegalStateException(e);
    }
  }
}
