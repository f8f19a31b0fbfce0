package dev.limbeck.distillation.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.limbeck.tensor.ShapeException;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.AccessDeniedException;
import java.nio.file.FileSystemException;
import java.nio.file.NoSuchFileException;
import java.util.concurrent.ExecutionException;
import org.junit.jupiter.api.Test;

class FailureTest {
  @Test
  void filesAreNamedWithTheReason() {
    assertEquals("no such file: a.png", Failure.sentence(new NoSuchFileException("a.png")));
    assertEquals("permission denied: out", Failure.sentence(new AccessDeniedException("out")));
    assertEquals(
        "out/x: no space left on device",
        Failure.sentence(new FileSystemException("out/x", null, "No space left on device")));
  }

  @Test
  void aWrapperWithoutWordsStepsAside() {
    IOException cause = new NoSuchFileException("a.png");
    assertEquals("no such file: a.png", Failure.sentence(new UncheckedIOException(cause)));
    assertEquals("no such file: a.png", Failure.sentence(new ExecutionException(cause)));
    assertEquals(
        "while reading", Failure.sentence(new UncheckedIOException("while reading", cause)));
  }

  @Test
  void theProjectsOwnExceptionsSpeakForThemselves() {
    assertEquals("x has 3 axes", Failure.sentence(new ShapeException("x has 3 axes.")));
    assertEquals("a b", Failure.sentence(new IllegalArgumentException("a\n  b\n")));
  }

  @Test
  void aMistakeInTheProgramIsCalledOne() {
    String said = Failure.sentence(new NullPointerException());
    assertTrue(said.startsWith("internal error: NullPointerException; "), said);
    assertTrue(Failure.sentence(new IllegalStateException("x")).contains("(x)"));
  }

  @Test
  void tooLittleMemorySaysWhatToDo() {
    String said = Failure.sentence(new OutOfMemoryError("Java heap space"));
    assertTrue(said.contains("JAVA_OPTS=-Xmx"), said);
  }
}
