package dev.limbeck.distillation;

import java.util.List;
import java.util.stream.Collectors;

/** The methods of distillation; a further one is a class and its line here. */
public final class Methods {
  private static final List<Method> ALL = List.of(ProgressiveDistillation.METHOD, Dmd2.METHOD);

  private Methods() {}

  /** Every method's name, in the order in which a run without a choice takes them. */
  public static List<String> names() {
    return ALL.stream().map(Method::name).collect(Collectors.toList());
  }

  /**
   * The method of a name.
   *
   * @throws IllegalArgumentException if there is none
   */
  public static Method of(String name) {
    for (Method method : ALL) {
      if (method.name().equals(name)) {
        return method;
      }
    }
    throw new IllegalArgumentException(
        "there is no method \"" + name + "\"; known are " + String.join(", ", names()));
  }
}
