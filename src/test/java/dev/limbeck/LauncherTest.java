package dev.limbeck;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/**
 * What the launcher says before it can run anything. It is run from a copy, so that it finds no
 * build of its own.
 */
class LauncherTest {
  @TempDir private Path folder;

  @Test
  void aWrongJavaHomeIsNamed() throws Exception {
    assertTrue(refusal(folder.resolve("nowhere")).contains("nowhere"));
  }

  @Test
  void anOldJavaIsRefused() throws Exception {
    Path home = java("JAVA_VERSION=\"11.0.2\"\nMODULES=\"java.base\"\n");
    String said = refusal(home);
    assertTrue(said.contains("11.0.2") && said.contains("17"), said);
  }

  @Test
  void aRuntimeWithoutCompilerCannotBuild() throws Exception {
    String said = refusal(java("JAVA_VERSION=\"17.0.1\"\nMODULES=\"java.base\"\n"));
    assertTrue(said.contains("needs a JDK") || said.contains("needs Maven"), said);
  }

  private Path java(String release) throws IOException {
    Path home = Files.createDirectories(folder.resolve("home"));
    Path java = Files.createDirectories(home.resolve("bin")).resolve("java");
    Files.writeString(java, "#!/bin/sh\nexit 0\n");
    assertTrue(java.toFile().setExecutable(true));
    Files.writeString(home.resolve("release"), release);
    return home;
  }

  private String refusal(Path javaHome) throws Exception {
    Path launcher = folder.resolve("limbeck");
    Files.copy(Project.root().resolve("limbeck"), launcher);
    ProcessBuilder builder =
        new ProcessBuilder(List.of("bash", launcher.toString(), "info")).redirectErrorStream(true);
    builder.environment().put("JAVA_HOME", javaHome.toString());
    Process process = builder.start();
    String said = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
    assertEquals(1, process.waitFor(), said);
    assertEquals(1, said.lines().count(), said);
    assertTrue(said.startsWith("limbeck: "), said);
    return said;
  }
}
