package dev.limbeck;

import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.file.FileVisitResult;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.SimpleFileVisitor;
import java.nio.file.attribute.BasicFileAttributes;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.junit.jupiter.api.Test;

/** What the text of the project must not contain. */
class SourceTextTest {
  private static final Set<String> TEXT =
      Set.of(
          "java", "md", "xml", "json", "properties", "cu", "sh", "py", "limbeck", "run", "config");
  private static final Set<String> NOT_OURS = Set.of("target", "runs", ".git", ".idea", ".vscode");

  /** Folders that exist on somebody's machine only. */
  private static final Pattern MACHINE_PATH =
      Pattern.compile("(?<![\\w.$}>*-])/(work|root|home|Users|farm|tmp|opt|mnt)/[A-Za-z0-9_.$-]");

  private static final Pattern UNFINISHED =
      Pattern.compile("\\b(TO" + "DO|FIX" + "ME|XX" + "X)\\b|@Disa" + "bled|assume" + "True");

  @Test
  void noFileNamesAFolderOfSomebodysMachine() throws IOException {
    assertNowhere(MACHINE_PATH);
  }

  @Test
  void nothingIsLeftUnfinishedOrSkipped() throws IOException {
    assertNowhere(UNFINISHED);
  }

  @Test
  void thePatternsFindWhatTheyLookFor() {
    assertTrue(MACHINE_PATH.matcher("read(\"/ho" + "me/me/data\")").find());
    assertTrue(UNFINISHED.matcher("// TO" + "DO later").find());
    assertTrue(!MACHINE_PATH.matcher("https://example.org/home/x and a/tmp/b").find());
  }

  private static void assertNowhere(Pattern pattern) throws IOException {
    List<String> found = new ArrayList<>();
    List<Path> files = texts();
    assertTrue(files.size() > 40, "only " + files.size() + " text files found");
    for (Path file : files) {
      String text = Project.text(file);
      Matcher matcher = pattern.matcher(text);
      while (matcher.find()) {
        long line = text.substring(0, matcher.start()).lines().count();
        found.add(Project.name(file) + ", line " + line + ": " + matcher.group());
      }
    }
    assertTrue(found.isEmpty(), () -> String.join("\n", found));
  }

  private static List<Path> texts() throws IOException {
    List<Path> files = new ArrayList<>();
    Files.walkFileTree(
        Project.root(),
        new SimpleFileVisitor<>() {
          @Override
          public FileVisitResult preVisitDirectory(Path folder, BasicFileAttributes attributes) {
            boolean skip = NOT_OURS.contains(folder.getFileName().toString());
            return skip ? FileVisitResult.SKIP_SUBTREE : FileVisitResult.CONTINUE;
          }

          @Override
          public FileVisitResult visitFile(Path file, BasicFileAttributes attributes) {
            String name = file.getFileName().toString();
            if (TEXT.contains(name.substring(name.lastIndexOf('.') + 1))) {
              files.add(file);
            }
            return FileVisitResult.CONTINUE;
          }
        });
    return files;
  }
}
