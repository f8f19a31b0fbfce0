package dev.limbeck;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.limbeck.distillation.Model;
import dev.limbeck.distillation.diffusion.Samplers;
import dev.limbeck.distillation.diffusion.Samplers.Sampler;
import dev.limbeck.kernels.Device;
import dev.limbeck.nn.UNetConfig;
import java.io.File;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.concurrent.TimeUnit;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import java.util.zip.ZipEntry;
import java.util.zip.ZipFile;
import javax.imageio.ImageIO;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;

/**
 * An application embeds the packaged jars: the README's program compiles and runs, and nothing but
 * Limbeck, JCuda and Commons Math comes along.
 *
 * <p>The jars are installed into a local repository under {@code target}, whose other entries are
 * links to the local repository in use, so that nothing is downloaded twice and the user's own
 * repository receives nothing of Limbeck.
 */
class ConsumerIT {
  private static final List<String> JARS = Project.MODULES.subList(0, 5);
  private static final Pattern PROGRAM =
      Pattern.compile("```java\\n((?:(?!```).)*?public class (\\w+).*?)```", Pattern.DOTALL);
  private static final Pattern COORDINATES = Pattern.compile("([\\w.-]+):([\\w.-]+):jar:\\S+");

  private static final Path FOLDER = Project.root().resolve("target/consumer");
  private static final Path REPOSITORY = FOLDER.resolve("repository");
  private static String program;
  private static String programName;

  @BeforeAll
  static void buildTheApplication() throws Exception {
    deleteFolder(FOLDER);
    install();
    Matcher readme = PROGRAM.matcher(Project.text(Project.root().resolve("README.md")));
    assertTrue(readme.find(), "README.md shows no Java program");
    program = readme.group(1);
    programName = readme.group(2);
    Path source = FOLDER.resolve("src/main/java/" + programName + ".java");
    Files.createDirectories(source.getParent());
    Files.writeString(source, program);
    Path pom = Project.root().resolve("src/test/resources/consumer/pom.xml");
    Files.copy(pom, FOLDER.resolve("pom.xml"));
    run(
        Path.of(System.getProperty("limbeck.maven"), "bin", "mvn").toString(),
        "-B",
        "-q",
        "-Dmaven.repo.local=" + REPOSITORY,
        // Which remote repository an artifact once came from is no matter here.
        "-Dmaven.legacyLocalRepo=true",
        "compile",
        "dependency:tree",
        "-DoutputFile=tree",
        "dependency:build-classpath",
        "-Dmdep.outputFile=classpath");
  }

  /** The links go at once: nobody shall clean up through them. */
  @AfterAll
  static void removeTheRepository() throws IOException {
    deleteFolder(REPOSITORY);
  }

  @Test
  void theProgramOfTheReadmeRuns() throws Exception {
    long lines = program.lines().filter(line -> !line.isBlank()).count();
    assertTrue(lines <= 20, "the program of the README has " + lines + " lines");
    String classPath = "target/classes" + File.pathSeparator + text("classpath");
    String java = Path.of(System.getProperty("java.home"), "bin", "java").toString();
    String output = run(java, "-cp", classPath, programName, student().toString());
    assertTrue(output.contains("digits.png: 100 digits"), output);
    assertTrue(ImageIO.read(FOLDER.resolve("digits.png").toFile()).getWidth() > 10 * 8);
  }

  /** A student that has learnt nothing, but is drawn from like any other. */
  private static Path student() {
    Path file = FOLDER.resolve("student.safetensors");
    Sampler oneStep = Samplers.of(Samplers.Method.RENOISING, 80);
    UNetConfig config = UNetConfig.toy(1).withClasses(10);
    Model model = Model.create(config, 8, oneStep, Device.cpu(), 0);
    model.save(file, "nothing");
    model.network().close();
    return file;
  }

  @Test
  void theDependencyTreeShowsNothingElse() throws IOException {
    List<String> others = new ArrayList<>();
    int limbeck = 0;
    Matcher matcher = COORDINATES.matcher(text("tree"));
    while (matcher.find()) {
      String group = matcher.group(1);
      String artifact = group + ":" + matcher.group(2);
      if (group.equals("dev.limbeck")) {
        limbeck++;
      } else if (!group.equals("org.jcuda")
          && !artifact.equals("org.apache.commons:commons-math3")
          && !artifact.equals("org.example:consumer")) {
        others.add(artifact);
      }
    }
    assertEquals(JARS.size(), limbeck, text("tree"));
    assertEquals(List.of(), others);
  }

  @Test
  void theJarsAreSmall() throws IOException {
    long bytes = 0;
    for (String module : JARS) {
      try (ZipFile zip = new ZipFile(jar(module).toFile())) {
        for (ZipEntry entry : Collections.list(zip.entries())) {
          bytes += isData(entry.getName()) ? 0 : entry.getCompressedSize();
        }
      }
    }
    assertTrue(bytes > 10_000, "only " + bytes + " bytes in the jars");
    assertTrue(bytes < 2_000_000, bytes + " bytes in the jars, without data");
  }

  private static boolean isData(String name) {
    return name.endsWith(".gz") || name.endsWith(".safetensors");
  }

  private static Path jar(String module) {
    return Project.root().resolve(module + "/target/limbeck-" + module + "-0.1.0.jar");
  }

  private static void install() throws IOException {
    Path local = Path.of(System.getProperty("localRepository"));
    link(local, REPOSITORY, "dev");
    link(local.resolve("dev"), REPOSITORY.resolve("dev"), "limbeck");
    Path group = REPOSITORY.resolve("dev/limbeck");
    installed(Project.root().resolve("pom.xml"), group, "limbeck", "pom");
    for (String module : JARS) {
      installed(Project.root().resolve(module + "/pom.xml"), group, "limbeck-" + module, "pom");
      installed(jar(module), group, "limbeck-" + module, "jar");
    }
  }

  /** Links to every entry of a folder but one, which is made afresh. */
  private static void link(Path from, Path to, String but) throws IOException {
    Files.createDirectories(to);
    if (Files.isDirectory(from)) {
      try (Stream<Path> entries = Files.list(from)) {
        for (Path entry : entries.collect(Collectors.toList())) {
          if (!entry.getFileName().toString().equals(but)) {
            Files.createSymbolicLink(to.resolve(entry.getFileName()), entry);
          }
        }
      }
    }
  }

  private static void installed(Path file, Path group, String artifact, String type)
      throws IOException {
    Path folder = group.resolve(artifact + "/0.1.0");
    Files.createDirectories(folder);
    Path target = folder.resolve(artifact + "-0.1.0." + type);
    Files.copy(file, target, StandardCopyOption.REPLACE_EXISTING);
  }

  private static String text(String name) {
    return Project.text(FOLDER.resolve(name)).strip();
  }

  private static String run(String... command) throws IOException, InterruptedException {
    Path log = FOLDER.resolve("log");
    ProcessBuilder builder =
        new ProcessBuilder(command)
            .directory(FOLDER.toFile())
            .redirectErrorStream(true)
            .redirectOutput(log.toFile());
    builder.environment().put("JAVA_HOME", System.getProperty("java.home"));
    Process process = builder.start();
    boolean ended = process.waitFor(5, TimeUnit.MINUTES);
    process.destroyForcibly();
    assertTrue(ended, () -> command[0] + " does not end:\n" + Project.text(log));
    assertEquals(0, process.exitValue(), () -> command[0] + " failed:\n" + Project.text(log));
    return Project.text(log);
  }

  /** Deletes a folder without following links out of it. */
  private static void deleteFolder(Path folder) throws IOException {
    if (!Files.exists(folder)) {
      return;
    }
    try (Stream<Path> walk = Files.walk(folder)) {
      List<Path> deepestFirst = walk.collect(Collectors.toList());
      Collections.reverse(deepestFirst);
      for (Path path : deepestFirst) {
        Files.delete(path);
      }
    }
  }
}
