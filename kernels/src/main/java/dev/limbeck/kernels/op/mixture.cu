// The mean of clean data given noisy data, for mixtures of normal distributions, in double.
//
// mixture_mean: out[r,:] = Σ_k g_k (m_k + V_k diag(λ_k/(λ_k + σ²)) y), y = V_kᵀ (x − m_k),
// g_k ∝ exp(ln π_k − Σ_j ½ y_j²/(λ_kj + σ²) − ½ ln Π_j (λ_kj + σ²)), Σ g_k = 1. One thread per row,
// grid-stride; scratch holds n·(d + 1) doubles a row, row by row. 4 d² + 8 d flops per row and
// component, one exponential and d/8 logarithms. table = ln π [n], m [n,d], λ [n,d], V [n,d,d].

extern "C" __global__ void __launch_bounds__(256) mixture_mean_f32(
    int rows, int d, int n, int classes, int turned, long long negligible_bits,
    const int* __restrict__ table, const int* __restrict__ component_labels,
    const float* __restrict__ x, const float* __restrict__ sigma, const int* __restrict__ labels,
    int* scratch, float* __restrict__ out) {
  const double* log_weights = reinterpret_cast<const double*>(table);
  const double* means = log_weights + n;
  const double* variances = means + static_cast<size_t>(n) * d;
  const double* axes = variances + static_cast<size_t>(n) * d;
  double negligible = __longlong_as_double(negligible_bits);
  double infinity = __longlong_as_double(0x7FF0000000000000ll);
  for (unsigned row = grid_first(); row < rows; row += grid_stride()) {
    double* logs = reinterpret_cast<double*>(scratch) + static_cast<size_t>(row) * n * (d + 1);
    double* rotated = logs + n;
    const float* at = x + static_cast<size_t>(row) * d;
    double square = static_cast<double>(sigma[row]) * sigma[row];
    int label = labels == nullptr ? -1 : labels[row];
    bool all = label < 0 || label >= classes;
    double best = -infinity;
    for (int k = 0; k < n; k++) {
      double distance = 0;
      double determinant = 0;
      double product = 1;
      for (int j = 0; j < d; j++) {
        double y = 0;
        if (turned == 0) {
          y = at[j] - means[k * d + j];
        } else {
          for (int i = 0; i < d; i++) {
            y += axes[(k * d + i) * d + j] * (at[i] - means[k * d + i]);
          }
        }
        double variance = variances[k * d + j] + square;
        rotated[k * d + j] = y;
        distance += y * y * (1 / variance);
        product *= variance;
        if (j % 8 == 7 || j == d - 1) {
          determinant += ::log(product);
          product = 1;
        }
      }
      bool counts = all || component_labels[k] == label;
      logs[k] = counts ? log_weights[k] - determinant / 2 - distance / 2 : -infinity;
      best = logs[k] > best ? logs[k] : best;
    }
    double total = 0;
    for (int k = 0; k < n; k++) {
      double log = logs[k] - best;
      logs[k] = log > negligible ? ::exp(log) : 0;
      total += logs[k];
    }
    for (int i = 0; i < d; i++) {
      double sum = 0;
      for (int k = 0; k < n; k++) {
        if (logs[k] == 0) {
          continue;
        }
        double value = means[k * d + i];
        for (int j = turned ? 0 : i; j < (turned ? d : i + 1); j++) {
          double variance = variances[k * d + j];
          double inverse = 1 / (variance + square);
          double shrunk = variance == 0 ? 0 : variance * inverse * rotated[k * d + j];
          value += turned ? axes[(k * d + i) * d + j] * shrunk : shrunk;
        }
        sum += logs[k] * value;
      }
      out[static_cast<size_t>(row) * d + i] = static_cast<float>(sum / total);
    }
  }
}
