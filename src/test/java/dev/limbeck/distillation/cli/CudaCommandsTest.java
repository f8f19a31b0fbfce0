package dev.limbeck.distillation.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.limbeck.distillation.Model;
import dev.limbeck.distillation.diffusion.Samplers;
import dev.limbeck.distillation.diffusion.Samplers.Sampler;
import dev.limbeck.kernels.Device;
import dev.limbeck.kernels.Json;
import dev.limbeck.kernels.cpu.CpuDevice;
import dev.limbeck.kernels.cuda.CudaTest;
import dev.limbeck.nn.UNetConfig;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.io.TempDir;

/** The commands that train, from end to end on a CUDA device, as short as can be. */
class CudaCommandsTest {
  @TempDir private Path folder;

  /** A later test may lose the device; this process must have no context of it left then. */
  @AfterEach
  void closeTheSharedDevice() {
    Device.of("cuda").close();
  }

  private static MainTest.Run run(String... line) {
    MainTest.Run run = MainTest.run(line);
    assertEquals(0, run.status(), run.err());
    return run;
  }

  private static void assertFinite(Path model) {
    try (CpuDevice cpu = CpuDevice.open(true, 1)) {
      Model read = Model.load(model, cpu);
      read.network()
          .params()
          .list()
          .forEach(
              p -> {
                for (float each : p.value().toFloats()) {
                  assertTrue(Float.isFinite(each), p.name());
                }
              });
      read.network().close();
    }
  }

  @CudaTest
  void aTeacherIsTrained() {
    run(
        "train",
        "--device=cuda",
        "--steps=3",
        "--batch=1",
        "--samples=1",
        "--out=" + folder.resolve("t"));
    assertFinite(folder.resolve("t/teacher.safetensors"));
    assertTrue(Files.exists(folder.resolve("t/samples.png")));
  }

  @CudaTest
  void aTeacherIsDistilled() throws IOException {
    Path teacher = folder.resolve("teacher.safetensors");
    UNetConfig config = UNetConfig.toy(1).withClasses(10);
    Sampler sampler = Samplers.of(Samplers.Method.HEUN, 80, 2, 0.002);
    try (CpuDevice cpu = CpuDevice.open(true, 1)) {
      Model model = Model.create(config, 16, sampler, cpu, 0);
      model.save(teacher, "nothing");
      model.network().close();
    }
    Path out = folder.resolve("d");
    run(
        "distill",
        "--device=cuda",
        "--teacher=" + teacher,
        "--steps=3",
        "--batch=2",
        "--samples=10",
        "--out=" + out);
    Map<String, Object> metrics = Json.parseObject(Files.readString(out.resolve("metrics.json")));
    assertEquals(Device.of("cuda").description(), metrics.get("device"));
    for (String method : List.of("pd", "dmd2")) {
      assertFinite(out.resolve("student-" + method + ".safetensors"));
    }
    run(
        "evaluate",
        "--device=cuda",
        "--samples=10",
        "--checkpoint=" + out.resolve("student-pd.safetensors"));
  }

  @CudaTest
  void featuresAreTrained() throws IOException {
    TrainFeaturesCommandTest.write(folder, "train", 0, 48);
    TrainFeaturesCommandTest.write(folder, "t10k", 1000, 16);
    Path out = folder.resolve("f");
    MainTest.Run run =
        run("train-features", "--device=cuda", "--data=" + folder, "--epochs=4", "--out=" + out);
    assertTrue(run.out().contains("of 16 test digits"), run.out());
  }
}
