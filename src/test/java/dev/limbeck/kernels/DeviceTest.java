package dev.limbeck.kernels;

import java.lang.annotation.ElementType;
import java.lang.annotation.Retention;
import java.lang.annotation.RetentionPolicy;
import java.lang.annotation.Target;
import org.junit.jupiter.api.TestTemplate;
import org.junit.jupiter.api.extension.ExtendWith;

/**
 * A test that takes a {@link Device} and runs once on each device present: {@code cpu-scalar},
 * {@code cpu-simd} and whatever else a provider offers.
 *
 * <p>The test runs inside a scope; a buffer that outlives it fails the test. The environment
 * variable {@code REQUIRE_DEVICES} (names, comma-separated) turns an absence into a failure.
 */
@Target(ElementType.METHOD)
@Retention(RetentionPolicy.RUNTIME)
@TestTemplate
@ExtendWith(DevicesUnderTest.class)
public @interface DeviceTest {}
