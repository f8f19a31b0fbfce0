package dev.limbeck.kernels.cuda;

import java.lang.annotation.ElementType;
import java.lang.annotation.Retention;
import java.lang.annotation.RetentionPolicy;
import java.lang.annotation.Target;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.extension.ExtendWith;
import org.junit.jupiter.params.ParameterizedTest;

/** As {@link CudaTest}, once for each of a source's arguments. */
@Target(ElementType.METHOD)
@Retention(RetentionPolicy.RUNTIME)
@ParameterizedTest
@Tag("cuda")
@Tag("cuda-only")
@ExtendWith(CudaTest.Condition.class)
public @interface CudaTestOfEach {}
