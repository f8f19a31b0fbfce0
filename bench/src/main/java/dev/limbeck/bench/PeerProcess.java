package dev.limbeck.bench;

import dev.limbeck.kernels.Json;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.ServiceLoader;
import java.util.regex.Pattern;

/**
 * The main class of the processes in which peers are measured. It reads one request from standard
 * input and writes to standard output: lines of progress, then {@link #REPORT} and the answer, both
 * as JSON.
 */
public final class PeerProcess {
  /** What the line of the answer begins with. */
  public static final String REPORT = "limbeck-report ";

  private PeerProcess() {}

  /** Every engine on the class path. */
  public static List<PeerSuite> suites() {
    List<PeerSuite> all = new ArrayList<>();
    ServiceLoader.load(PeerSuite.class).forEach(all::add);
    return all;
  }

  /** A request for what has a match of the expression in its name; answered with rows. */
  public static Map<String, Object> timing(String peer, Pattern only, int threads) {
    Map<String, Object> request = request("time", peer, threads);
    request.put("only", only.pattern());
    return request;
  }

  /** A request for the memory of Limbeck's side; answered with its report. */
  public static Map<String, Object> limbeckMemory(String peer, String name, int threads) {
    Map<String, Object> request = request("limbeck", peer, threads);
    request.put("name", name);
    return request;
  }

  /** A request for the memory of the peer's side; answered with its report. */
  public static Map<String, Object> peerMemory(
      String peer, String name, int layout, int threads, Map<String, Object> ofLimbeck) {
    Map<String, Object> request = request("peer", peer, threads);
    request.put("name", name);
    request.put("layout", layout);
    request.put("limbeck", ofLimbeck);
    return request;
  }

  private static Map<String, Object> request(String what, String peer, int threads) {
    Map<String, Object> request = new LinkedHashMap<>();
    request.put("what", what);
    request.put("peer", peer);
    request.put("threads", threads);
    return request;
  }

  /** Answers the request on standard input. */
  public static void main(String[] args) throws IOException {
    String text = new String(System.in.readAllBytes(), StandardCharsets.UTF_8);
    Object answer = answer(Json.parseObject(text));
    System.out.println(REPORT + Json.write(answer));
    System.out.flush();
    // Threads of the other engine may not end by themselves.
    System.exit(0);
  }

  private static Map<String, Object> answer(Map<String, Object> request) {
    String peer = (String) request.get("peer");
    PeerSuite suite =
        suites().stream()
            .filter(s -> s.peer().equals(peer))
            .findFirst()
            .orElseThrow(() -> new IllegalArgumentException("there is no peer " + peer));
    int threads = number(request, "threads");
    String what = (String) request.get("what");
    if (what.equals("time")) {
      String configuration = suite.open(threads);
      Pattern only = Pattern.compile((String) request.get("only"));
      return Map.of(
          "configuration", configuration, "rows", suite.time(only, threads, System.out::println));
    }
    MemoryCase work = suite.memory().get((String) request.get("name"));
    return what.equals("limbeck")
        ? work.limbeck(threads)
        : work.peer(
            number(request, "layout"), threads, Json.object(request.get("limbeck"), "limbeck"));
  }

  private static int number(Map<String, Object> request, String key) {
    return ((Number) request.get(key)).intValue();
  }
}
