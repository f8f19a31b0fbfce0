/** Networks: layers, the UNet, initialisation and optimizers. */
package dev.limbeck.nn;
