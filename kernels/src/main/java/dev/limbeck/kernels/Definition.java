package dev.limbeck.kernels;

import java.lang.annotation.Documented;
import java.lang.annotation.ElementType;
import java.lang.annotation.Retention;
import java.lang.annotation.RetentionPolicy;
import java.lang.annotation.Target;

/** What a kernel computes and what that costs, where programs can read it. */
@Documented
@Retention(RetentionPolicy.RUNTIME)
@Target(ElementType.TYPE)
public @interface Definition {
  /** As in {@code y ← a·x + y}. */
  String formula();

  /** Operations and bytes, as in {@code 2n flops, 12n bytes}. */
  String cost();
}
