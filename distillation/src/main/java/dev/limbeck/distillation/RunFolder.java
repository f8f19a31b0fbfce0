package dev.limbeck.distillation;

import dev.limbeck.distillation.data.SafeFiles;
import dev.limbeck.kernels.Json;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Set;
import java.util.regex.Pattern;
import java.util.stream.Stream;

/**
 * The folder of a job: results of one set of settings, which may come about in several runs of a
 * method each.
 */
public final class RunFolder {
  private static final String SETTINGS = "run.json";
  private static final Pattern RESULT =
      Pattern.compile("(student-|checkpoint-(?!teacher)).*|(metrics|V\\d)\\.json");
  private static final String STUDENT = "student-";
  private static final String MODEL = ".safetensors";
  private static final String TEACHER = "teacher" + MODEL;
  private static final String TRAINING = "checkpoint-teacher" + MODEL;

  private RunFolder() {}

  /**
   * Makes the folder one of these settings.
   *
   * @param settings values that JSON has
   * @throws TrainingException if it holds results of others: names what differs
   */
  public static void claim(Path folder, Map<String, ?> settings) {
    TrainJob.prepare(folder);
    String differences = differences(folder, settings);
    if (!differences.isEmpty()) {
      throw new TrainingException(
          folder + " holds results of another run (" + differences + "): choose another --out");
    }
    SafeFiles.write(folder.resolve(SETTINGS), Json.writePretty(settings) + "\n");
  }

  /** The folder, or where it holds results of other settings one with a number after its name. */
  public static Path free(Path folder, Map<String, ?> settings) {
    Path free = folder;
    for (int number = 2; !differences(free, settings).isEmpty(); number++) {
      free = folder.resolveSibling(folder.getFileName() + "-" + number);
    }
    return free;
  }

  /** How a folder's results came about otherwise than by these settings; or nothing. */
  private static String differences(Path folder, Map<String, ?> settings) {
    if (!hasResults(folder)) {
      return "";
    }
    Path file = folder.resolve(SETTINGS);
    if (!Files.exists(file)) {
      return "its settings are not known";
    }
    Map<String, Object> found = read(file);
    List<String> differences = new ArrayList<>();
    Map<String, Object> wanted = Json.parseObject(Json.write(settings));
    Set<String> keys = new LinkedHashSet<>(wanted.keySet());
    keys.addAll(found.keySet());
    for (String key : keys) {
      if (!Objects.equals(wanted.get(key), found.get(key))) {
        differences.add(key + " " + text(found.get(key)) + ", not " + text(wanted.get(key)));
      }
    }
    return String.join("; ", differences);
  }

  private static Object text(Object value) {
    return value == null ? "none" : value;
  }

  /** Whether there is what a run leaves behind; a teacher alone may be one that was trained. */
  private static boolean hasResults(Path folder) {
    if (!Files.isDirectory(folder)) {
      return false;
    }
    try (Stream<Path> files = Files.list(folder)) {
      return files
          .map(file -> file.getFileName().toString())
          .anyMatch(name -> RESULT.matcher(name).matches());
    } catch (IOException e) {
      throw new TrainingException(folder + " cannot be read: " + e.getMessage(), e);
    }
  }

  /** What a JSON file of the folder holds; nothing if there is no such file. */
  static Map<String, Object> read(Path file) {
    if (!Files.exists(file)) {
      return new LinkedHashMap<>();
    }
    try {
      return Json.parseObject(Files.readString(file));
    } catch (IOException | IllegalArgumentException e) {
      throw new TrainingException(
          file + " cannot be read (" + e.getMessage() + "): choose another --out, or remove it", e);
    }
  }

  static Path student(Path folder, String name) {
    return folder.resolve(STUDENT + name + MODEL);
  }

  /** Methods whose students lie in the folder, without some. */
  static List<String> methods(Path folder, List<String> without) {
    List<String> all = new ArrayList<>(Methods.allNames());
    all.removeAll(without);
    all.removeIf(method -> !Files.exists(student(folder, method)));
    return all;
  }

  /**
   * Whether a run's teacher is one that was, or is to be, trained in the folder.
   *
   * @param teacher the run's own; or null if it is to be trained here
   */
  static boolean trains(Path folder, Model teacher) {
    return teacher == null
        || Files.exists(folder.resolve(TRAINING)) && isTeacherOf(folder, teacher);
  }

  /**
   * Sees to it that a teacher that lies in the folder is not replaced by another.
   *
   * @param teacher the run's own; or null if it is to be trained here
   */
  static void keepTeacher(Path folder, Model teacher) {
    Path file = folder.resolve(TEACHER);
    boolean same =
        teacher == null
            ? Files.exists(folder.resolve(TRAINING))
            : Files.exists(file) && isTeacherOf(folder, teacher);
    if (Files.exists(file) && !same) {
      throw new TrainingException(
          file + " is another teacher than this run's: choose another --out, or --teacher " + file);
    }
  }

  private static boolean isTeacherOf(Path folder, Model teacher) {
    Path file = folder.resolve(TEACHER);
    if (!Files.exists(file)) {
      return false;
    }
    Model found = Model.load(file, teacher.network().params().device(), teacher.codec());
    boolean same = found.hash().equals(teacher.hash());
    found.network().close();
    return same;
  }
}
