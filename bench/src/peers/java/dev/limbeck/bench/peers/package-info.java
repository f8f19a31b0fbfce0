/** The same work in libtorch, timed beside Limbeck's; built with {@code -Ppeers} only. */
package dev.limbeck.bench.peers;
