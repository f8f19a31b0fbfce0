/** JMH benchmarks of the engine. */
package dev.limbeck.bench;
