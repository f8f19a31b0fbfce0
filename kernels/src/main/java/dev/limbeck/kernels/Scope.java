package dev.limbeck.kernels;

import java.util.ArrayList;
import java.util.List;

/**
 * An arena in time: closes every buffer that its thread allocated since it was opened, except those
 * {@linkplain #keep kept}, which move to the enclosing scope.
 *
 * <p>Scopes nest and belong to the thread that opened them; the innermost one adopts each new
 * buffer. Without an open scope a buffer lives until it is closed by hand. The thread's stack of
 * scopes is the one thread-local of the engine: it lets a plain expression such as {@code
 * x.mul(y).sum()} free its intermediate results without naming an arena at each call, and lets many
 * threads run one model.
 *
 * <pre>{@code
 * try (Scope scope = Scope.open()) {
 *   Tensor y = x.mul(x).add(x);
 *   return scope.keep(y.sum());
 * }
 * }</pre>
 */
public class Scope implements AutoCloseable {
  private static final ThreadLocal<Scope> CURRENT = new ThreadLocal<>();

  private final Scope parent;
  private final Thread thread;
  private final List<Buffer> buffers = new ArrayList<>();
  private boolean open = true;

  /** Opens a scope inside the calling thread's current one. */
  protected Scope() {
    parent = CURRENT.get();
    thread = Thread.currentThread();
    CURRENT.set(this);
  }

  /** Opens a scope inside the calling thread's current one. */
  public static Scope open() {
    return new Scope();
  }

  /** Hands a new buffer to the calling thread's innermost scope, if any; called by devices. */
  static void adopt(Buffer buffer) {
    Scope scope = CURRENT.get();
    if (scope != null) {
      scope.add(buffer);
    }
  }

  private void add(Buffer buffer) {
    buffer.scope = this;
    buffers.add(buffer);
  }

  /** Moves a result to the enclosing scope (or out of all scopes), so that it survives this one. */
  public final <T extends HasBuffer> T keep(T result) {
    keepBuffer(result.buffer());
    Buffer companion = result.companion();
    if (companion != null) {
      keepBuffer(companion);
    }
    return result;
  }

  /**
   * Moves a buffer to the enclosing scope (or out of all scopes), so that it survives this one.
   *
   * <p>A buffer that this scope does not own stays where it is.
   */
  public final void keepBuffer(Buffer buffer) {
    Buffer owner = buffer.owner();
    if (owner.scope == this) {
      remove(owner);
      moveUp(owner);
    }
  }

  private void remove(Buffer owner) {
    int last = buffers.size() - 1;
    // What is kept or freed was usually made last.
    for (int i = last; i >= 0; i--) {
      if (buffers.get(i) == owner) {
        buffers.set(i, buffers.get(last));
        buffers.remove(last);
        break;
      }
    }
    owner.scope = null;
  }

  private void moveUp(Buffer owner) {
    owner.scope = null;
    if (parent != null) {
      parent.add(owner);
    }
  }

  /** Closes a buffer of this scope now; leaves a buffer of any other scope, or of none, alone. */
  public final void free(Buffer buffer) {
    Buffer owner = buffer.owner();
    if (owner.scope == this && !owner.isHeld()) {
      remove(owner);
      owner.close();
    }
  }

  /** Closes now what this scope owns of a tensor or variable, as {@link #free(Buffer)}. */
  public final void free(HasBuffer unneeded) {
    free(unneeded.buffer());
    Buffer companion = unneeded.companion();
    if (companion != null) {
      free(companion);
    }
  }

  /** Closes every buffer still owned, except those a recorded operation holds: they move up. */
  @Override
  public void close() {
    if (!open) {
      return;
    }
    if (Thread.currentThread() != thread) {
      throw new IllegalStateException("a scope is closed by the thread that opened it");
    }
    if (CURRENT.get() != this) {
      throw new IllegalStateException("a scope inside this one is still open: close it first");
    }
    open = false;
    if (parent == null) {
      CURRENT.remove();
    } else {
      CURRENT.set(parent);
    }
    for (Buffer buffer : buffers) {
      if (buffer.isHeld()) {
        moveUp(buffer);
      } else {
        buffer.scope = null;
        buffer.close();
      }
    }
    buffers.clear();
  }
}
