package dev.limbeck.distillation;

import dev.limbeck.distillation.data.SafeFiles;
import dev.limbeck.kernels.Json;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;

/**
 * The folder of a job: results of one set of settings, which may come about in several runs of a
 * method each.
 */
public final class RunFolder {
  private static final String SETTINGS = "run.json";
  private static final String STUDENT = "student-";
  private static final String MODEL = ".safetensors";

  private RunFolder() {}

  /**
   * Makes the folder one of these settings.
   *
   * @param settings numbers and texts
   * @throws TrainingException if it is one of others: names what differs
   */
  public static void claim(Path folder, Map<String, Object> settings) {
    TrainJob.prepare(folder);
    Path file = folder.resolve(SETTINGS);
    Map<String, Object> own = Json.parseObject(Json.write(settings));
    if (!Files.exists(file)) {
      SafeFiles.write(file, Json.writePretty(own) + "\n");
      return;
    }
    Map<String, Object> found = read(file);
    List<String> differences = new ArrayList<>();
    own.forEach(
        (key, value) -> {
          if (!Objects.equals(value, found.get(key))) {
            differences.add(key + " " + found.get(key) + ", not " + value);
          }
        });
    if (!differences.isEmpty()) {
      throw new TrainingException(
          folder
              + " holds the results of another run ("
              + String.join("; ", differences)
              + "): choose another --out");
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
   * Sees to it that a teacher that lies in the folder is not replaced by another.
   *
   * @param teacher the run's own; or null if it is to be trained here
   */
  static void keepTeacher(Path folder, Model teacher) {
    Path file = folder.resolve("teacher" + MODEL);
    if (!Files.exists(file)) {
      return;
    }
    boolean same;
    if (teacher == null) {
      same = Files.exists(folder.resolve("checkpoint-teacher" + MODEL));
    } else {
      Model found = Model.load(file, teacher.network().params().device());
      same = found.hash().equals(teacher.hash());
      found.network().close();
    }
    if (!same) {
      throw new TrainingException(
          file
              + " is another teacher than this run's: choose another --out, or name it by"
              + " --teacher");
    }
  }
}
