package dev.limbeck.bench.peers;

import java.util.ArrayList;
import java.util.List;
import org.bytedeco.pytorch.CompilationUnit;
import org.bytedeco.pytorch.Function;
import org.bytedeco.pytorch.IValue;
import org.bytedeco.pytorch.IValueVector;
import org.bytedeco.pytorch.NoGradGuard;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.TensorVector;
import org.bytedeco.pytorch.global.torch;

/**
 * libtorch's fused AdamW and a moving average over all parameters in one call each.
 *
 * <p>The ops have no binding of their own; a script that names every parameter calls them.
 */
final class TorchAdamW {
  private final List<Tensor> parameters;
  private final List<Tensor> state = new ArrayList<>();
  private final CompilationUnit unit;
  private final Function step;

  TorchAdamW(List<Tensor> parameters, float rate, float decay, float ema) {
    this.parameters = parameters;
    for (Tensor p : parameters) {
      state.add(torch.zeros_like(p.detach()));
    }
    for (Tensor p : parameters) {
      state.add(torch.zeros_like(p.detach()));
    }
    for (int i = 0; i < parameters.size(); i++) {
      state.add(torch.zeros(1).reshape(new long[0]));
    }
    for (Tensor p : parameters) {
      state.add(p.detach().clone());
    }
    unit = torch.compile(script(parameters.size(), rate, decay, ema));
    step = unit.get_functions().get(0);
  }

  private static String names(String prefix, int count) {
    StringBuilder all = new StringBuilder();
    for (int i = 0; i < count; i++) {
      all.append(i == 0 ? "" : ", ").append(prefix).append(i);
    }
    return all.toString();
  }

  private static String script(int n, float rate, float decay, float ema) {
    StringBuilder arguments = new StringBuilder();
    for (String prefix : new String[] {"p", "g", "m", "v", "s", "e"}) {
      arguments.append(arguments.length() == 0 ? "" : ", ").append(names(prefix, n));
    }
    String empty = "[]"; // of tensors, as an empty list is in a script
    return "def step("
        + arguments
        + "):\n"
        + list("p", n)
        + list("g", n)
        + list("m", n)
        + list("v", n)
        + list("s", n)
        + list("e", n)
        + "  torch._foreach_add_(s, 1)\n"
        + "  torch._fused_adamw_(p, g, m, v, "
        + empty
        + ", s, lr="
        + rate
        + ", beta1=0.9, beta2=0.999, weight_decay="
        + decay
        + ", eps=1e-8, amsgrad=False, maximize=False)\n"
        + "  torch._foreach_lerp_(e, p, "
        + (1 - (double) ema)
        + ")\n"
        + "  return 0\n";
  }

  private static String list(String prefix, int n) {
    return "  " + prefix + " = [" + names(prefix, n) + "]\n";
  }

  void step(TensorVector gradients) {
    try (NoGradGuard guard = new NoGradGuard()) {
      IValueVector arguments = new IValueVector();
      for (Tensor p : parameters) {
        arguments.push_back(new IValue(p));
      }
      for (int i = 0; i < parameters.size(); i++) {
        arguments.push_back(new IValue(gradients.get(i)));
      }
      for (Tensor s : state) {
        arguments.push_back(new IValue(s));
      }
      step.apply(arguments);
    }
  }
}
