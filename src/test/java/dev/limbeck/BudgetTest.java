package dev.limbeck;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.sun.source.tree.ClassTree;
import com.sun.source.tree.CompilationUnitTree;
import com.sun.source.tree.LineMap;
import com.sun.source.tree.MethodTree;
import com.sun.source.util.JavacTask;
import com.sun.source.util.SourcePositions;
import com.sun.source.util.TreeScanner;
import com.sun.source.util.Trees;
import java.io.ByteArrayInputStream;
import java.io.DataInputStream;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.BitSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;
import javax.tools.JavaCompiler;
import javax.tools.StandardJavaFileManager;
import javax.tools.ToolProvider;
import org.junit.jupiter.api.Test;

/** Files and methods stay small enough to be read at a sitting, and to be compiled by HotSpot. */
class BudgetTest {
  private static final int FILE_LINES = 400;
  private static final int BIG_FILE_LINES = 900;
  private static final List<String> BIG_FILES = List.of("Tensor.java", "Var.java");
  private static final int CUDA_LINES = 300;
  private static final int PACKAGE_LINES = 15;
  private static final int METHOD_LINES = 60;
  private static final int SIMD_METHOD_LINES = 150;

  /** HotSpot's HugeMethodLimit: it never compiles a longer method. */
  private static final int BYTECODES = 8000;

  @Test
  void filesAreShort() {
    List<String> tooLong = new ArrayList<>();
    for (Path file : sources()) {
      int limit = BIG_FILES.contains(file.getFileName().toString()) ? BIG_FILE_LINES : FILE_LINES;
      int lines = codeLines(Project.text(file)).cardinality();
      if (lines > limit) {
        tooLong.add(Project.name(file) + ": " + lines + " lines of code, " + limit + " allowed");
      }
    }
    for (String module : Project.MODULES) {
      for (Path file : Project.files(Project.root().resolve(module + "/src/main/java"), ".cu")) {
        int lines = codeLines(Project.text(file)).cardinality();
        if (lines > CUDA_LINES) {
          tooLong.add(Project.name(file) + ": " + lines + " lines, " + CUDA_LINES + " allowed");
        }
      }
    }
    assertNone(tooLong);
  }

  @Test
  void everyPackageIntroducesItselfBriefly() {
    Set<Path> folders = new TreeSet<>();
    Project.mainSources().forEach(file -> folders.add(file.getParent()));
    List<String> wrong = new ArrayList<>();
    for (Path folder : folders) {
      Path info = folder.resolve("package-info.java");
      if (!Files.exists(info)) {
        wrong.add(Project.name(folder) + " has no package-info.java");
      } else if (Project.text(info).lines().count() > PACKAGE_LINES) {
        wrong.add(Project.name(info) + " has more than " + PACKAGE_LINES + " lines");
      }
    }
    assertNone(wrong);
  }

  @Test
  void methodsAreShort() throws IOException {
    JavaCompiler compiler = ToolProvider.getSystemJavaCompiler();
    List<String> tooLong = new ArrayList<>();
    int[] methods = new int[1];
    try (StandardJavaFileManager manager = compiler.getStandardFileManager(null, null, null)) {
      JavacTask task =
          (JavacTask)
              compiler.getTask(
                  null,
                  manager,
                  null,
                  List.of("-proc:none"),
                  null,
                  manager.getJavaFileObjectsFromPaths(sources()));
      SourcePositions positions = Trees.instance(task).getSourcePositions();
      for (CompilationUnitTree unit : task.parse()) {
        new MethodLengths(unit, positions, tooLong, methods).scan(unit, false);
      }
    }
    assertTrue(methods[0] > 100, "only " + methods[0] + " methods found");
    assertNone(tooLong);
  }

  /** Collects the methods of one file that are too long; the flag says "inside Simd". */
  private static final class MethodLengths extends TreeScanner<Void, Boolean> {
    private final CompilationUnitTree unit;
    private final SourcePositions positions;
    private final List<String> tooLong;
    private final int[] methods;
    private final BitSet code;

    MethodLengths(
        CompilationUnitTree unit, SourcePositions positions, List<String> tooLong, int[] methods)
        throws IOException {
      this.unit = unit;
      this.positions = positions;
      this.tooLong = tooLong;
      this.methods = methods;
      this.code = codeLines(unit.getSourceFile().getCharContent(true).toString());
    }

    @Override
    public Void visitClass(ClassTree node, Boolean simd) {
      return super.visitClass(node, simd || node.getSimpleName().contentEquals("Simd"));
    }

    @Override
    public Void visitMethod(MethodTree node, Boolean simd) {
      methods[0]++;
      LineMap map = unit.getLineMap();
      int first = (int) map.getLineNumber(positions.getStartPosition(unit, node));
      int last = (int) map.getLineNumber(positions.getEndPosition(unit, node));
      int lines = code.get(first, last + 1).cardinality();
      int limit = simd ? SIMD_METHOD_LINES : METHOD_LINES;
      if (lines > limit) {
        tooLong.add(
            Path.of(unit.getSourceFile().getName()).getFileName()
                + ", "
                + node.getName()
                + ": "
                + lines
                + " lines of code, "
                + limit
                + " allowed");
      }
      return super.visitMethod(node, simd);
    }
  }

  @Test
  void methodsAreShortEnoughForHotSpot() throws IOException {
    List<String> tooLong = new ArrayList<>();
    int methods = 0;
    for (String module : Project.MODULES) {
      for (Path file : Project.files(Project.classes(module), ".class")) {
        Map<String, Integer> sizes = bytecodes(Files.readAllBytes(file));
        methods += sizes.size();
        sizes.forEach(
            (method, size) -> {
              if (size >= BYTECODES) {
                tooLong.add(file.getFileName() + ", " + method + ": " + size + " bytecodes");
              }
            });
      }
    }
    assertTrue(methods > 100, "only " + methods + " methods found");
    assertNone(tooLong);
  }

  @Test
  void bytecodesAreCountedAsJavapCounts() throws IOException {
    byte[] self = BudgetTest.class.getResourceAsStream("BudgetTest$Sample.class").readAllBytes();
    // iload_0, iload_1, iadd, ireturn
    assertEquals(4, bytecodes(self).get("sum(II)I"));
  }

  static final class Sample {
    private Sample() {}

    static int sum(int a, int b) {
      return a + b;
    }
  }

  @Test
  void linesOfCodeAreNeitherBlankNorComment() {
    String text =
        "/** Doc. */\nclass A { // x\n\n  /* a\n b */ int i = 1;\n  String s = \"/*\";\n  // no\n"
            + "  char c = '\"'; /* d */\n}\n";
    BitSet expected = new BitSet();
    for (int line : new int[] {2, 5, 6, 8, 9}) {
      expected.set(line);
    }
    assertEquals(expected, codeLines(text));
  }

  private static List<Path> sources() {
    List<Path> all = new ArrayList<>(Project.mainSources());
    all.addAll(Project.testSources());
    return all;
  }

  private static void assertNone(List<String> findings) {
    assertTrue(findings.isEmpty(), () -> String.join("\n", findings));
  }

  /** The numbers, from 1, of the lines that hold code: not blank, not only comment. */
  static BitSet codeLines(String text) {
    BitSet lines = new BitSet();
    int line = 1;
    int i = 0;
    while (i < text.length()) {
      char c = text.charAt(i);
      int end = i + 1;
      if (text.startsWith("//", i)) {
        end = until(text, "\n", i, 0);
      } else if (text.startsWith("/*", i)) {
        end = until(text, "*/", i + 2, 2);
      } else if (text.startsWith("\"\"\"", i)) {
        end = until(text, "\"\"\"", i + 3, 3);
        markLines(lines, line, text.substring(i, end));
      } else if (c == '"' || c == '\'') {
        end = endOfLiteral(text, i);
        lines.set(line);
      } else if (!Character.isWhitespace(c)) {
        lines.set(line);
      }
      for (; i < end; i++) {
        if (text.charAt(i) == '\n') {
          line++;
        }
      }
    }
    return lines;
  }

  private static int until(String text, String mark, int from, int length) {
    int at = text.indexOf(mark, from);
    return at < 0 ? text.length() : at + length;
  }

  private static void markLines(BitSet lines, int first, String literal) {
    int line = first;
    for (String each : literal.split("\n", -1)) {
      if (!each.isBlank()) {
        lines.set(line);
      }
      line++;
    }
  }

  private static int endOfLiteral(String text, int start) {
    int i = start + 1;
    while (text.charAt(i) != text.charAt(start)) {
      i += text.charAt(i) == '\\' ? 2 : 1;
    }
    return i + 1;
  }

  /** Bytes of code of each method in a class file, by name and descriptor. */
  private static Map<String, Integer> bytecodes(byte[] classFile) throws IOException {
    DataInputStream in = new DataInputStream(new ByteArrayInputStream(classFile));
    in.skipBytes(8);
    String[] texts = constantPool(in);
    in.skipBytes(6);
    in.skipBytes(2 * in.readUnsignedShort());
    Map<String, Integer> sizes = new TreeMap<>();
    for (int kind = 0; kind < 2; kind++) { // fields, then methods
      int members = in.readUnsignedShort();
      for (int m = 0; m < members; m++) {
        in.skipBytes(2);
        String name = texts[in.readUnsignedShort()] + texts[in.readUnsignedShort()];
        int attributes = in.readUnsignedShort();
        for (int a = 0; a < attributes; a++) {
          String attribute = texts[in.readUnsignedShort()];
          byte[] content = in.readNBytes(in.readInt());
          if (attribute.equals("Code")) {
            DataInputStream code = new DataInputStream(new ByteArrayInputStream(content));
            code.skipBytes(4);
            sizes.put(name, code.readInt());
          }
        }
      }
    }
    return sizes;
  }

  private static String[] constantPool(DataInputStream in) throws IOException {
    int count = in.readUnsignedShort();
    String[] texts = new String[count];
    for (int i = 1; i < count; i++) {
      int tag = in.readUnsignedByte();
      switch (tag) {
        case 1 -> texts[i] = in.readUTF();
        case 7, 8, 16, 19, 20 -> in.skipBytes(2);
        case 15 -> in.skipBytes(3);
        case 5, 6 -> {
          in.skipBytes(8);
          i++; // eight-byte constants take two places
        }
        default -> in.skipBytes(4);
      }
    }
    return texts;
  }
}
