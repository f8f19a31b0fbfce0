package dev.limbeck.kernels.cuda;

import java.lang.annotation.ElementType;
import java.lang.annotation.Retention;
import java.lang.annotation.RetentionPolicy;
import java.lang.annotation.Target;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ConditionEvaluationResult;
import org.junit.jupiter.api.extension.ExecutionCondition;
import org.junit.jupiter.api.extension.ExtendWith;
import org.junit.jupiter.api.extension.ExtensionContext;

/**
 * A test of the CUDA device alone. It runs in the process of the CUDA tests, and is skipped with a
 * reason where there is no such device, unless {@code REQUIRE_DEVICES} names {@code cuda}.
 */
@Target(ElementType.METHOD)
@Retention(RetentionPolicy.RUNTIME)
@Test
@Tag("cuda")
@Tag("cuda-only")
@ExtendWith(CudaTest.Condition.class)
public @interface CudaTest {
  /** Asks whether there is a device. */
  final class Condition implements ExecutionCondition {
    @Override
    public ConditionEvaluationResult evaluateExecutionCondition(ExtensionContext context) {
      String whyNot = SoftwareCuda.whyNot();
      if (whyNot.isEmpty()) {
        return ConditionEvaluationResult.enabled("there is a CUDA device");
      }
      if (SoftwareCuda.required()) {
        throw new IllegalStateException("REQUIRE_DEVICES names cuda, but " + whyNot);
      }
      return ConditionEvaluationResult.disabled(whyNot);
    }
  }
}
