package dev.limbeck.bench.peers;

import dev.limbeck.bench.MemoryCase;
import dev.limbeck.bench.PeerSuite;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.function.Consumer;
import java.util.regex.Pattern;

/** libtorch, through the bindings of Bytedeco. */
public final class TorchPeers implements PeerSuite {
  @Override
  public String peer() {
    return "libtorch 2.10";
  }

  @Override
  public List<String> names() {
    return List.copyOf(PeerCases.all().keySet());
  }

  @Override
  public String open(int threads) {
    return Torch.open(threads);
  }

  @Override
  public List<Map<String, Object>> time(Pattern only, int threads, Consumer<String> progress) {
    return new Turns(peer(), threads, progress).rows(only, PeerCases.all());
  }

  @Override
  public Map<String, MemoryCase> memory() {
    Map<String, MemoryCase> all = new LinkedHashMap<>();
    PeerCases.trainings().forEach((name, work) -> all.put(name, new TrainingMemory(work)));
    return all;
  }
}
