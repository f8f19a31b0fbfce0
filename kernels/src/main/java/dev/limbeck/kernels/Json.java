package dev.limbeck.kernels;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * Reads and writes JSON (RFC 8259): tensor-file headers, model configurations, metrics.
 *
 * <p>Objects are {@link LinkedHashMap}s in the order of the text, arrays {@link List}s, numbers
 * {@link Long} where the text is an integer that fits and {@link Double} otherwise; then {@link
 * String}, {@link Boolean} and {@code null}. Duplicate keys are an error.
 */
public final class Json {
  /** Deeper nesting than any file of ours has; it bounds the reader's stack. */
  private static final int MAX_DEPTH = 64;

  private final String text;
  private int at;

  private Json(String text) {
    this.text = text;
  }

  /**
   * The value that a text holds.
   *
   * @throws IllegalArgumentException naming the first violated rule and its position
   */
  public static Object parse(String text) {
    Json reader = new Json(text);
    Object value = reader.value(0);
    reader.skipSpace();
    if (reader.at < text.length()) {
      throw reader.wrong("nothing may follow the value");
    }
    return value;
  }

  /** The object that a text holds, by key. */
  public static Map<String, Object> parseObject(String text) {
    return object(parse(text), "the text");
  }

  /** A parsed value as an object; {@code what} names it in the error. */
  @SuppressWarnings("unchecked") // parse makes objects of this type only
  public static Map<String, Object> object(Object value, String what) {
    if (value instanceof Map<?, ?> map) {
      return (Map<String, Object>) map;
    }
    throw new IllegalArgumentException(what + " is not a JSON object");
  }

  /** A parsed value as a list; {@code what} names it in the error. */
  public static List<?> list(Object value, String what) {
    if (value instanceof List<?> list) {
      return list;
    }
    throw new IllegalArgumentException(what + " is not a JSON array");
  }

  // ---- reading ----

  private IllegalArgumentException wrong(String rule) {
    return new IllegalArgumentException("JSON: " + rule + " (at character " + at + ")");
  }

  private void skipSpace() {
    while (at < text.length() && " \t\r\n".indexOf(text.charAt(at)) >= 0) {
      at++;
    }
  }

  private char peek() {
    skipSpace();
    if (at >= text.length()) {
      throw wrong("the text ends early");
    }
    return text.charAt(at);
  }

  private void expect(char c) {
    if (peek() != c) {
      throw wrong("'" + c + "' is missing");
    }
    at++;
  }

  private Object value(int depth) {
    if (depth > MAX_DEPTH) {
      throw wrong("nested deeper than " + MAX_DEPTH);
    }
    return switch (peek()) {
      case '{' -> map(depth);
      case '[' -> array(depth);
      case '"' -> string();
      case 't' -> literal("true", true);
      case 'f' -> literal("false", false);
      case 'n' -> literal("null", null);
      default -> number();
    };
  }

  private Object literal(String word, Object value) {
    if (!text.startsWith(word, at)) {
      throw wrong("a value must start here");
    }
    at += word.length();
    return value;
  }

  private Map<String, Object> map(int depth) {
    Map<String, Object> map = new LinkedHashMap<>();
    expect('{');
    if (peek() == '}') {
      at++;
      return map;
    }
    while (true) {
      if (peek() != '"') {
        throw wrong("a key must be a string");
      }
      String key = string();
      expect(':');
      Object value = value(depth + 1);
      if (map.containsKey(key)) {
        throw wrong("the key \"" + key + "\" appears twice");
      }
      map.put(key, value);
      if (peek() == '}') {
        at++;
        return map;
      }
      expect(',');
    }
  }

  private List<Object> array(int depth) {
    List<Object> list = new ArrayList<>();
    expect('[');
    if (peek() == ']') {
      at++;
      return list;
    }
    while (true) {
      list.add(value(depth + 1));
      if (peek() == ']') {
        at++;
        return list;
      }
      expect(',');
    }
  }

  private String string() {
    StringBuilder out = new StringBuilder();
    at++;
    while (at < text.length()) {
      char c = text.charAt(at++);
      if (c == '"') {
        return out.toString();
      }
      if (c < ' ') {
        throw wrong("a control character stands in a string");
      }
      out.append(c == '\\' ? escape() : c);
    }
    throw wrong("a string does not end");
  }

  private char escape() {
    if (at >= text.length()) {
      throw wrong("a string does not end");
    }
    char c = text.charAt(at++);
    return switch (c) {
      case '"', '\\', '/' -> c;
      case 'b' -> '\b';
      case 'f' -> '\f';
      case 'n' -> '\n';
      case 'r' -> '\r';
      case 't' -> '\t';
      case 'u' -> unicode();
      default -> throw wrong("\\" + c + " is no escape");
    };
  }

  private char unicode() {
    int code = 0;
    for (int i = 0; i < 4; i++, at++) {
      int digit = at < text.length() ? Character.digit(text.charAt(at), 16) : -1;
      if (digit < 0) {
        throw wrong("\\u needs four hexadecimal digits");
      }
      code = code * 16 + digit;
    }
    return (char) code;
  }

  private Object number() {
    int from = at;
    boolean integer = true;
    if (at < text.length() && text.charAt(at) == '-') {
      at++;
    }
    int first = at;
    digits();
    if (at - first > 1 && text.charAt(first) == '0') {
      throw wrong("a number starts with 0");
    }
    if (at < text.length() && text.charAt(at) == '.') {
      integer = false;
      at++;
      digits();
    }
    if (at < text.length() && "eE".indexOf(text.charAt(at)) >= 0) {
      integer = false;
      at++;
      if (at < text.length() && "+-".indexOf(text.charAt(at)) >= 0) {
        at++;
      }
      digits();
    }
    String digits = text.substring(from, at);
    // 18 digits always fit a long.
    return integer && digits.length() <= 18
        ? (Object) Long.valueOf(digits)
        : (Object) Double.valueOf(digits);
  }

  private void digits() {
    int from = at;
    while (at < text.length() && text.charAt(at) >= '0' && text.charAt(at) <= '9') {
      at++;
    }
    if (at == from) {
      throw wrong("a value must start here");
    }
  }

  // ---- writing ----

  /**
   * The text of a value made of maps, iterables, arrays of numbers, strings, numbers, booleans and
   * nulls, on one line. Numbers that JSON cannot hold (NaN, infinities) become null.
   */
  public static String write(Object value) {
    StringBuilder out = new StringBuilder();
    write(value, out, -1);
    return out.toString();
  }

  /** As {@link #write}, one entry a line, for people. */
  public static String writePretty(Object value) {
    StringBuilder out = new StringBuilder();
    write(value, out, 0);
    return out.append('\n').toString();
  }

  private static void write(Object value, StringBuilder out, int indent) {
    if (value == null || value instanceof Boolean) {
      out.append(value);
    } else if (value instanceof Number number) {
      out.append(Double.isFinite(number.doubleValue()) ? number.toString() : "null");
    } else if (value instanceof Map<?, ?> map) {
      writeMap(map, out, indent);
    } else if (value instanceof Iterable<?> items) {
      writeList(items, out);
    } else if (value instanceof int[] ints) {
      writeList(java.util.Arrays.stream(ints).boxed().toList(), out);
    } else if (value instanceof double[] doubles) {
      writeList(java.util.Arrays.stream(doubles).boxed().toList(), out);
    } else {
      writeString(value.toString(), out);
    }
  }

  private static void writeMap(Map<?, ?> map, StringBuilder out, int indent) {
    out.append('{');
    String separator = "";
    for (Map.Entry<?, ?> entry : map.entrySet()) {
      out.append(separator);
      separator = ",";
      if (indent >= 0) {
        out.append('\n').append("  ".repeat(indent + 1));
      }
      writeString(String.valueOf(entry.getKey()), out);
      out.append(indent >= 0 ? ": " : ":");
      write(entry.getValue(), out, indent >= 0 ? indent + 1 : -1);
    }
    if (indent >= 0 && !map.isEmpty()) {
      out.append('\n').append("  ".repeat(indent));
    }
    out.append('}');
  }

  private static void writeList(Iterable<?> items, StringBuilder out) {
    out.append('[');
    String separator = "";
    for (Object item : items) {
      out.append(separator);
      separator = ",";
      write(item, out, -1);
    }
    out.append(']');
  }

  private static void writeString(String s, StringBuilder out) {
    out.append('"');
    for (int i = 0; i < s.length(); i++) {
      char c = s.charAt(i);
      switch (c) {
        case '"' -> out.append("\\\"");
        case '\\' -> out.append("\\\\");
        case '\n' -> out.append("\\n");
        case '\r' -> out.append("\\r");
        case '\t' -> out.append("\\t");
        default -> {
          if (c < ' ') {
            out.append(String.format("\\u%04x", (int) c));
          } else {
            out.append(c);
          }
        }
      }
    }
    out.append('"');
  }
}
