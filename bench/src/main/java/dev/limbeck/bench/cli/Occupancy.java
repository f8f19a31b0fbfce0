package dev.limbeck.bench.cli;

import dev.limbeck.distillation.data.DataException;
import java.util.LinkedHashMap;
import java.util.Map;

/**
 * How many blocks of a kernel a multiprocessor holds at a time.
 *
 * <p>A block takes warps, registers (for each warp a multiple of 256, warps by fours) and shared
 * memory; what runs out first is the limit. Occupancy is resident warps over the most warps.
 *
 * @param blocks on one multiprocessor
 * @param percent of the warps that it could hold
 * @param limit what more blocks would exceed
 */
record Occupancy(int blocks, double percent, String limit) {
  private static final int WARP = 32;
  private static final int REGISTERS = 65536;

  /** A multiprocessor allots registers to warps in such lots, and warps to four schedulers. */
  private static final int REGISTER_LOT = 256;

  private static final int SCHEDULERS = 4;

  /**
   * What a multiprocessor has, from the table of compute capabilities in NVIDIA's programming
   * guide.
   *
   * @param shared bytes of shared memory
   * @param lot in which they are allotted
   * @param system bytes that the system keeps of each block's
   */
  private record Limits(int warps, int blocks, int shared, int lot, int system) {}

  private static final Map<String, Limits> KNOWN = known();

  private static Map<String, Limits> known() {
    Map<String, Limits> all = new LinkedHashMap<>();
    all.put("sm_75", new Limits(32, 16, 64 << 10, 256, 0));
    all.put("sm_80", new Limits(64, 32, 164 << 10, 128, 1024));
    all.put("sm_86", new Limits(48, 16, 100 << 10, 128, 1024));
    all.put("sm_89", new Limits(48, 24, 100 << 10, 128, 1024));
    all.put("sm_90", new Limits(64, 32, 228 << 10, 128, 1024));
    all.put("sm_100", new Limits(64, 32, 228 << 10, 128, 1024));
    return all;
  }

  /**
   * Of a kernel that is launched like this.
   *
   * @param architecture as in {@code sm_80}
   * @param registers of one thread
   * @param shared bytes of one block, static and dynamic
   * @throws DataException if the architecture's limits are not known here
   */
  static Occupancy of(String architecture, int registers, int threads, int shared) {
    Limits limits = KNOWN.get(architecture);
    if (limits == null) {
      throw new DataException(
          "the limits of "
              + architecture
              + " are not known; known are "
              + String.join(", ", KNOWN.keySet()));
    }
    int warps = (threads + WARP - 1) / WARP;
    int perWarp = roundedUp(registers * WARP, REGISTER_LOT);
    int warpsByRegisters =
        perWarp == 0 ? limits.warps : REGISTERS / perWarp / SCHEDULERS * SCHEDULERS;
    int perBlock = roundedUp(shared + limits.system, limits.lot);
    Map<String, Integer> blocks = new LinkedHashMap<>();
    blocks.put("warps", limits.warps / warps);
    blocks.put("blocks", limits.blocks);
    blocks.put("registers", warpsByRegisters / warps);
    blocks.put("shared memory", perBlock == 0 ? limits.blocks : limits.shared / perBlock);
    Map.Entry<String, Integer> least =
        blocks.entrySet().stream().min(Map.Entry.comparingByValue()).orElseThrow();
    int count = least.getValue();
    return new Occupancy(count, 100.0 * count * warps / limits.warps, least.getKey());
  }

  private static int roundedUp(int value, int lot) {
    return (value + lot - 1) / lot * lot;
  }
}
