/** An operation as a user adds one, without a change to Limbeck. */
package dev.limbeck.bench.example;
