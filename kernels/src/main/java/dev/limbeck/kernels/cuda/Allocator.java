package dev.limbeck.kernels.cuda;

import dev.limbeck.kernels.DeviceException;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import jcuda.driver.CUresult;
import jcuda.driver.JCudaDriver;

/**
 * Device memory by size classes, kept for the next request of the same class.
 *
 * <p>Everything on a device is queued on one stream, so a block may be handed out again while the
 * work that last used it is still waiting there: what follows comes after it. Requests below a
 * mebibyte are cut from larger pieces; larger ones are allocations of their own. When the device is
 * full, pieces that nobody uses go back to it and the request is tried again.
 */
final class Allocator implements AutoCloseable {
  /** What is cut into small blocks. */
  private static final long PIECE = 8L << 20;

  private static final long LARGE = 1L << 20;

  /** Alignment of every block; cuMemAlloc's own. */
  private static final long GRAIN = 256;

  private final boolean exact;
  private final Map<Long, ArrayDeque<Block>> free = new HashMap<>();
  private final List<Piece> pieces = new ArrayList<>();
  private Piece open;
  private boolean sealed;
  private long heldBytes;
  private long usedBytes;
  private long calls;

  /** One allocation of the driver, cut into blocks from its start. */
  private static final class Piece {
    final Address address;
    final long bytes;
    long cut;
    int used;

    Piece(Address address, long bytes) {
      this.address = address;
      this.bytes = bytes;
    }
  }

  /** Memory of one buffer; {@code bytes} may be more than was asked for. */
  static final class Block {
    final long address;
    final long bytes;
    private final Piece piece;
    private final Allocator home;

    private Block(long address, long bytes, Piece piece, Allocator home) {
      this.address = address;
      this.bytes = bytes;
      this.piece = piece;
      this.home = home;
    }

    /** Gives the block back to where it came from. */
    void release() {
      home.give(this);
    }
  }

  /**
   * An allocator without memory.
   *
   * @param exact every request is an allocation of exactly its bytes and goes back at once, so that
   *     a memory checker sees where each buffer ends
   */
  Allocator(boolean exact) {
    this.exact = exact;
  }

  /** Bytes that buffers use, bytes held from the driver, calls of cuMemAlloc so far. */
  record Statistics(long usedBytes, long heldBytes, long calls) {}

  synchronized Statistics statistics() {
    return new Statistics(usedBytes, heldBytes, calls);
  }

  /** From now on only memory that is already held is handed out: a capture must not allocate. */
  synchronized void seal(boolean value) {
    sealed = value;
  }

  synchronized Block take(long bytes) {
    long size = exact ? Math.max(bytes, 4) : sizeClass(bytes);
    Block block = exact ? whole(size) : reuse(size);
    if (block == null) {
      block = size < LARGE ? cut(size) : whole(size);
    }
    block.piece.used++;
    usedBytes += block.bytes;
    return block;
  }

  private Block reuse(long size) {
    ArrayDeque<Block> ready = free.get(size);
    return ready == null ? null : ready.poll();
  }

  private Block whole(long size) {
    Piece piece = hold(size);
    piece.cut = size;
    return new Block(piece.address.value(), size, piece, this);
  }

  private Block cut(long size) {
    if (open == null || open.bytes - open.cut < size) {
      open = hold(PIECE);
    }
    Block block = new Block(open.address.value() + open.cut, size, open, this);
    open.cut += size;
    return block;
  }

  private Piece hold(long bytes) {
    if (sealed) {
      throw new DeviceException(
          "cuMemAlloc",
          CUresult.stringFor(CUresult.CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED),
          "the recorded step needs more memory than its rehearsal did");
    }
    Address address = new Address();
    int status = JCudaDriver.cuMemAlloc(address, bytes);
    calls++;
    if (status == CUresult.CUDA_ERROR_OUT_OF_MEMORY) {
      trim();
      address = new Address();
      status = JCudaDriver.cuMemAlloc(address, bytes);
      calls++;
    }
    if (status != CUresult.CUDA_SUCCESS) {
      Driver.check("cuMemAlloc", status, full(bytes));
    }
    heldBytes += bytes;
    Piece piece = new Piece(address, bytes);
    pieces.add(piece);
    return piece;
  }

  private String full(long asked) {
    long[] left = new long[1];
    long[] total = new long[1];
    String device = "";
    if (JCudaDriver.cuMemGetInfo(left, total) == CUresult.CUDA_SUCCESS) {
      device = String.format(", %,d of the device's %,d bytes are free", left[0], total[0]);
    }
    return String.format(
        "%,d bytes asked for; buffers of this program use %,d, its cache keeps %,d more%s",
        asked, usedBytes, heldBytes - usedBytes, device);
  }

  /** Brings what is free into the order of addresses, so that equal requests get equal blocks. */
  synchronized void tidy() {
    for (ArrayDeque<Block> blocks : free.values()) {
      List<Block> sorted = new ArrayList<>(blocks);
      sorted.sort(Comparator.comparingLong(block -> block.address));
      blocks.clear();
      blocks.addAll(sorted);
    }
  }

  private synchronized void give(Block block) {
    usedBytes -= block.bytes;
    block.piece.used--;
    if (exact) {
      pieces.remove(block.piece);
      drop(block.piece);
    } else {
      free.computeIfAbsent(block.bytes, size -> new ArrayDeque<>()).push(block);
    }
  }

  /** Gives pieces without a used block back to the driver, which waits for the device first. */
  synchronized void trim() {
    free.values().forEach(blocks -> blocks.removeIf(block -> block.piece.used == 0));
    if (open != null && open.used == 0) {
      open = null;
    }
    pieces.removeIf(
        piece -> {
          if (piece.used == 0) {
            drop(piece);
          }
          return piece.used == 0;
        });
  }

  private void drop(Piece piece) {
    heldBytes -= piece.bytes;
    // A status here belongs to work that failed before; whoever waits for that work is told.
    JCudaDriver.cuMemFree(piece.address);
  }

  /** Eighths of powers of two, at least one grain: at most an eighth of a block is unused. */
  static long sizeClass(long bytes) {
    if (bytes <= GRAIN) {
      return GRAIN;
    }
    long step = Math.max(GRAIN, Long.highestOneBit(bytes - 1) >> 3);
    return (bytes + step - 1) / step * step;
  }

  @Override
  public synchronized void close() {
    pieces.forEach(this::drop);
    pieces.clear();
    free.clear();
    open = null;
  }
}
