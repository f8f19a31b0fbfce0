package dev.limbeck.kernels;

import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.function.Supplier;

/**
 * A run of elements on one device.
 *
 * <p>On the host the storage is a typed Java array and an offset, the one storage whose vector
 * loads exist on every supported JDK; kernels read it through {@link #floats()} and {@link
 * #offset()}. The array may be longer than the buffer, because it comes from a pool.
 *
 * <p>A buffer that owns its memory gives it back on {@link #close()}; a {@link #slice} never does.
 */
public final class Buffer implements AutoCloseable {
  /** Slices start at multiples of this many elements, so that vector access stays aligned. */
  public static final int SLICE_ALIGNMENT = 64;

  private final Device device;
  private final DType type;
  private final Object memory;
  private final int offset;
  private final int length;
  private final Buffer owner;
  private final AtomicBoolean closed;

  /** The scope that closes this buffer, or null; guarded by the scope's thread. */
  Scope scope;

  /** On an owner: says which frozen contents these are; null while they may change. */
  private volatile Object version;

  private volatile Derived derived;

  /** What was made from the contents of a version. */
  private record Derived(Object version, Map<Object, Object> values) {}

  /** How many recorded operations still need this buffer's contents. */
  private int holds;

  /**
   * A buffer over memory that {@code device} handed out; for device implementations.
   *
   * @param memory what the device stores elements in: {@code float[]}, {@code short[]} or {@code
   *     int[]} on the host
   */
  public Buffer(Device device, DType type, Object memory, int offset, int length) {
    this.device = device;
    this.type = type;
    this.memory = memory;
    this.offset = offset;
    this.length = length;
    this.owner = this;
    this.closed = new AtomicBoolean();
  }

  private Buffer(Buffer owner, int from, int length) {
    this.device = owner.device;
    this.type = owner.type;
    this.memory = owner.memory;
    this.offset = owner.offset + from;
    this.length = length;
    this.owner = owner.owner;
    this.closed = owner.closed;
  }

  public Device device() {
    return device;
  }

  public DType type() {
    return type;
  }

  /** Number of elements. */
  public int length() {
    return length;
  }

  /** Number of bytes. */
  public long bytes() {
    return (long) length * type.bytes();
  }

  /** Index of the first element in the array that {@link #floats()} (or its like) returns. */
  public int offset() {
    return offset;
  }

  /** The device's own storage, whatever it is; for device implementations. */
  public Object memory() {
    checkOpen();
    return memory;
  }

  /** The array behind an F32 buffer in host memory. */
  public float[] floats() {
    checkOpen();
    if (memory instanceof float[] array) {
      return array;
    }
    throw wrongStorage("float[]");
  }

  /** The array behind an I32 buffer in host memory. */
  public int[] ints() {
    checkOpen();
    if (memory instanceof int[] array) {
      return array;
    }
    throw wrongStorage("int[]");
  }

  /** The array behind a BF16 buffer in host memory. */
  public short[] shorts() {
    checkOpen();
    if (memory instanceof short[] array) {
      return array;
    }
    throw wrongStorage("short[]");
  }

  private IllegalStateException wrongStorage(String wanted) {
    return new IllegalStateException(
        "a " + type + " buffer on " + device.id() + " is not stored in a " + wanted);
  }

  /**
   * Elements {@code [from, from + length)} of this buffer, sharing its memory.
   *
   * @throws IllegalArgumentException if {@code from} is not a multiple of {@link #SLICE_ALIGNMENT}
   *     or the range leaves the buffer
   */
  public Buffer slice(int from, int length) {
    if (from % SLICE_ALIGNMENT != 0) {
      throw new IllegalArgumentException(
          "slice: starts at " + from + ", which is not a multiple of " + SLICE_ALIGNMENT);
    }
    if (from < 0 || length < 0 || from > this.length - length) {
      throw new IllegalArgumentException(
          "slice: [" + from + ", +" + length + ") leaves a buffer of " + this.length + " elements");
    }
    return new Buffer(this, from, length);
  }

  /** Copies {@code length()} elements of {@code source}, starting at {@code from}, into here. */
  public void upload(float[] source, int from) {
    checkRange(source.length, from);
    device.upload(source, from, this);
  }

  /** Copies {@code length()} elements of {@code source}, starting at {@code from}, into here. */
  public void upload(int[] source, int from) {
    checkRange(source.length, from);
    device.upload(source, from, this);
  }

  /** Copies every element into {@code target}, starting at {@code from}. */
  public void download(float[] target, int from) {
    checkRange(target.length, from);
    device.download(this, target, from);
  }

  /** Copies every element into {@code target}, starting at {@code from}. */
  public void download(int[] target, int from) {
    checkRange(target.length, from);
    device.download(this, target, from);
  }

  /** Copies every element of a buffer of the same type and length, from whichever device. */
  public void copyFrom(Buffer source) {
    checkOpen();
    source.checkOpen();
    if (source.type != type || source.length != length) {
      throw new IllegalArgumentException("copy: " + source + " into " + this);
    }
    device.copy(source, this);
  }

  private void checkRange(int hostLength, int from) {
    checkOpen();
    if (from < 0 || from > hostLength - length) {
      throw new IllegalArgumentException(
          "copy: [" + from + ", +" + length + ") leaves a host array of " + hostLength);
    }
  }

  /** True for a part of another buffer; closing it does nothing. */
  public boolean isSlice() {
    return owner != this;
  }

  /** True once the memory has gone back to the device. */
  public boolean isClosed() {
    return closed.get();
  }

  private void checkOpen() {
    if (closed.get()) {
      throw new IllegalStateException(
          "this buffer of "
              + length
              + " elements was closed: its scope ended, or backward freed it; keep or retain what"
              + " you read later");
    }
  }

  /**
   * Says that the contents, those of all slices of this buffer's memory included, stay as they are
   * until {@link #changed}: kernels may keep what they derive from them.
   */
  public void freeze() {
    owner.version = new Object();
  }

  /** Ends {@link #freeze}; whoever writes to memory that may be frozen calls it. */
  public void changed() {
    owner.version = null;
  }

  /**
   * What a kernel makes from these contents, made once while they are frozen and each time while
   * they are not. Several threads may ask; then two may make it, and one result is kept.
   *
   * @param key says what is made; equal keys mean equal results
   */
  @SuppressWarnings("unchecked")
  public <T> T derive(Object key, Supplier<T> maker) {
    Object frozen = owner.version;
    if (frozen == null) {
      return maker.get();
    }
    Derived all = derived;
    if (all == null || all.version != frozen) {
      all = new Derived(frozen, new ConcurrentHashMap<>());
      derived = all;
    }
    Object value = all.values.get(key);
    if (value == null) {
      value = maker.get();
      all.values.put(key, value);
    }
    return (T) value;
  }

  /** What {@link #derive} made under this key from the frozen contents, or null. */
  public Object derived(Object key) {
    Derived all = derived;
    return all == null || all.version != owner.version ? null : all.values.get(key);
  }

  /** True while the contents are frozen. */
  public boolean isFrozen() {
    return owner.version != null;
  }

  /** Says that a recorded operation needs the contents until {@link #unhold}. */
  public void hold() {
    owner.holds++;
  }

  /** Ends one {@link #hold}; true when nobody holds the contents any more. */
  public boolean unhold() {
    owner.holds--;
    return owner.holds == 0;
  }

  boolean isHeld() {
    return owner.holds > 0;
  }

  /** The buffer that owns the memory: this one, or the one it was sliced from. */
  public Buffer owner() {
    return owner;
  }

  /** Type and length, as in {@code F32[4096]}. */
  @Override
  public String toString() {
    return type + "[" + length + "]";
  }

  /** Gives the memory back; a second call, and a call on a slice, does nothing. */
  @Override
  public void close() {
    if (owner == this && closed.compareAndSet(false, true)) {
      device.release(this, memory);
    }
  }
}
