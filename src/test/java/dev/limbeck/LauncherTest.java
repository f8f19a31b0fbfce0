package dev.limbeck;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.ArrayList;
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

  /** Maven and Java are stand-ins that write down what they were asked for. */
  @Test
  void theLibrariesOfNvidiaComeOntoTheClassPath() throws Exception {
    Path home = java("JAVA_VERSION=\"17.0.1\"\nMODULES=\"java.base\"\n");
    program(home.resolve("bin/java"), "printf '%s\\n' \"$@\"");
    program(home.resolve("bin/javac"), "exit 0");
    Path jar = Files.writeString(folder.resolve("nvidia.jar"), "");
    program(
        Files.createDirectories(folder.resolve("tools")).resolve("mvn"),
        "echo mvn \"$@\" >>\"$0.log\"",
        "for word; do",
        "  case $word in",
        "    -Dmdep.outputFile=*) printf %s '" + jar + "' >\"${word#*=}\" ;;",
        "    package)",
        "      mkdir -p distillation/target",
        "      touch distillation/target/limbeck-distillation-0.1.0.jar",
        "      printf %s \"$PWD/nvidia.jar\" >distillation/target/classpath ;;",
        "  esac",
        "done");
    String plain = launch(home, 0, "info");
    assertTrue(!plain.contains("nvidia.jar") && !plain.contains("cuda.redist"), plain);
    String first = launch(home, 0, "--cuda-redist", "info", "FILE");
    Path lib = folder.toRealPath().resolve("target/launcher");
    assertTrue(first.contains(lib + "/lib/*:" + jar + "\n"), first);
    assertTrue(first.contains("-Dlimbeck.cuda.redist=" + lib + "/cuda-redist\n"), first);
    assertTrue(first.endsWith("cli.Main\ninfo\nFILE\n"), first);
    launch(home, 0, "--cuda-redist", "info");
    String maven = Files.readString(folder.resolve("tools/mvn.log"));
    assertEquals(2, maven.lines().count(), "built once, fetched once: " + maven);
    assertTrue(maven.contains("-Pcuda-redist") && maven.contains("build-classpath"), maven);
  }

  private static void program(Path file, String... lines) throws IOException {
    Files.writeString(file, "#!/bin/bash\n" + String.join("\n", lines) + "\n");
    assertTrue(file.toFile().setExecutable(true));
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
    String said = launch(javaHome, 1, "info");
    assertEquals(1, said.lines().count(), said);
    assertTrue(said.startsWith("limbeck: "), said);
    return said;
  }

  private String launch(Path javaHome, int status, String... arguments) throws Exception {
    Path launcher = folder.resolve("limbeck");
    Files.copy(
        Project.root().resolve("limbeck"),
        launcher,
        StandardCopyOption.REPLACE_EXISTING,
        StandardCopyOption.COPY_ATTRIBUTES);
    List<String> command = new ArrayList<>(List.of("bash", launcher.toString()));
    command.addAll(List.of(arguments));
    ProcessBuilder builder = new ProcessBuilder(command).redirectErrorStream(true);
    builder.environment().put("JAVA_HOME", javaHome.toString());
    builder.environment().merge("PATH", folder + "/tools", (old, own) -> own + ":" + old);
    Process process = builder.start();
    String said = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
    assertEquals(status, process.waitFor(), said);
    return said;
  }
}
