/** Reverse-mode differentiation: variables that may carry a tape, and the tape. */
package dev.limbeck.autograd;
