package dev.limbeck.kernels;

import java.lang.annotation.ElementType;
import java.lang.annotation.Retention;
import java.lang.annotation.RetentionPolicy;
import java.lang.annotation.Target;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.TestTemplate;
import org.junit.jupiter.api.extension.ExtendWith;

/**
 * A test that takes a {@link Device} and runs once on each device present: {@code cpu-scalar},
 * {@code cpu-simd}, and in the process of the CUDA tests ({@code -Dlimbeck.test.devices=cuda})
 * {@code cuda}.
 *
 * <p>The test runs inside a scope; a buffer that outlives it fails the test. The environment
 * variable {@code REQUIRE_DEVICES} (names, comma-separated) turns an absence into a failure.
 */
@Target(ElementType.METHOD)
@Retention(RetentionPolicy.RUNTIME)
@TestTemplate
@Tag("cuda")
@ExtendWith(DevicesUnderTest.class)
public @interface DeviceTest {}
