package dev.limbeck;

import static com.tngtech.archunit.base.DescribedPredicate.describe;
import static com.tngtech.archunit.core.domain.JavaClass.Predicates.resideInAPackage;
import static com.tngtech.archunit.lang.syntax.ArchRuleDefinition.noClasses;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.tngtech.archunit.base.DescribedPredicate;
import com.tngtech.archunit.core.domain.JavaClass;
import com.tngtech.archunit.core.domain.JavaClasses;
import com.tngtech.archunit.core.importer.ClassFileImporter;
import com.tngtech.archunit.lang.EvaluationResult;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;

/** Who may use whom. Every rule says over how many classes it ran, so that none passes on air. */
class ArchitectureTest {
  private static final JavaClasses CLASSES =
      new ClassFileImporter()
          .importPaths(Project.MODULES.stream().map(Project::classes).toArray(Path[]::new));

  /** A lower bound on the classes of each module: fewer means that the import went wrong. */
  private static final Map<String, Integer> AT_LEAST = new LinkedHashMap<>();

  static {
    AT_LEAST.put("kernels", 20);
    AT_LEAST.put("tensor", 3);
    AT_LEAST.put("autograd", 4);
    AT_LEAST.put("nn", 0);
    AT_LEAST.put("distillation", 5);
    AT_LEAST.put("bench", 1);
  }

  private static final DescribedPredicate<JavaClass> NESTED_SIMD =
      describe(
          "in a nested class named Simd",
          c -> List.of(c.getName().split("\\$")).indexOf("Simd") >= 1);

  @Test
  void everyModuleIsLookedAt() {
    assertEquals(Project.MODULES, List.copyOf(AT_LEAST.keySet()));
    for (String module : Project.MODULES) {
      long found = CLASSES.stream().filter(in(module)::test).count();
      assertTrue(
          found >= AT_LEAST.get(module),
          module + ": " + found + " classes found, " + AT_LEAST.get(module) + " expected or more");
    }
  }

  @Test
  void modulesDependOneWay() {
    for (int low = 0; low < Project.MODULES.size(); low++) {
      for (int high = low + 1; high < Project.MODULES.size(); high++) {
        EvaluationResult result =
            noClasses()
                .that(in(Project.MODULES.get(low)))
                .should()
                .dependOnClassesThat(in(Project.MODULES.get(high)))
                .allowEmptyShould(true)
                .evaluate(CLASSES);
        assertTrue(!result.hasViolation(), () -> result.getFailureReport().toString());
      }
    }
  }

  @Test
  void classesLieInTheirModulesPackage() {
    for (String module : Project.MODULES) {
      JavaClasses own = new ClassFileImporter().importPaths(Project.classes(module));
      for (JavaClass c : own) {
        assertTrue(in(module).test(c), c.getName() + " lies in module " + module);
      }
    }
  }

  @Test
  void onlyTheCudaBackendKnowsJcuda() {
    noClasses()
        .that()
        .resideOutsideOfPackage("dev.limbeck.kernels.cuda..")
        .should()
        .dependOnClassesThat()
        .resideInAPackage("jcuda..")
        .check(CLASSES);
  }

  @Test
  void vectorCodeSitsInNestedClassesNamedSimd() {
    noClasses()
        .that(DescribedPredicate.not(NESTED_SIMD))
        .should()
        .dependOnClassesThat()
        .resideInAPackage("jdk.incubator.vector..")
        .check(CLASSES);
    long simd = CLASSES.stream().filter(NESTED_SIMD::test).count();
    assertTrue(simd >= 2, "only " + simd + " Simd classes found");
  }

  @Test
  void optionalLibrariesStayInTheirCorner() {
    noClasses()
        .that()
        .resideOutsideOfPackages("dev.limbeck.distillation.cli..", "dev.limbeck.bench..")
        .should()
        .dependOnClassesThat()
        .resideInAnyPackage("picocli..", "org.knowm.xchart..")
        .check(CLASSES);
    noClasses()
        .that()
        .resideOutsideOfPackage("dev.limbeck.distillation..")
        .should()
        .dependOnClassesThat()
        .resideInAPackage("org.apache.commons.math3..")
        .check(CLASSES);
  }

  @Test
  void nothingButTheCommandLineKnowsTheCommandLine() {
    noClasses()
        .that()
        .resideOutsideOfPackages("dev.limbeck.distillation.cli..", "dev.limbeck.bench.cli..")
        .should()
        .dependOnClassesThat()
        .resideInAPackage("dev.limbeck.distillation.cli..")
        .check(CLASSES);
  }

  private static DescribedPredicate<JavaClass> in(String module) {
    return resideInAPackage("dev.limbeck." + module + "..");
  }
}
