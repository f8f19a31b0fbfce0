#!/usr/bin/env bash
# On a real GPU the tests of the CUDA device, then the benchmarks of kernels, networks and methods;
# one JSON file, which is written even if some of that fails.
#   bench/gpu.sh [--device cuda:N] [--quick] [--smoke] [--out FILE]      FILE: bench-gpu.json
# It needs an NVIDIA driver from 525 on, a JDK, Maven, and what an earlier `mvn verify` fetched; no
# network. --smoke tries the script itself: one test, one small product, the smallest network and
# method, short. Without a GPU it runs on the software device,
# LD_LIBRARY_PATH=target/cuda bench/gpu.sh --smoke, which says so in the file.
set -euo pipefail

fail() {
  printf 'gpu.sh: %s\n' "$1" >&2
  exit 1
}

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
device=cuda:0 out=bench-gpu.json
# Without those that need the CUDA toolkit, or the software device to fail on demand.
tests='*Test,!PtxTest,!FaultTest,!SoftwareDeviceTest,!CudaFaultsTest'
bench=()
while [ $# -gt 0 ]; do
  case $1 in
    --device | --out)
      [ $# -ge 2 ] || fail "$1 needs a value"
      if [ "$1" = --out ]; then out=$2; else device=$2; fi
      shift
      ;;
    --quick) bench+=(--quick) ;;
    --smoke)
      tests=SquaredReluTest
      bench+=(--quick --smallest --only 'MatMul|Network|Method')
      ;;
    *) fail "$1 is no option of this script; its head says what is" ;;
  esac
  shift
done
case $out in /*) ;; *) out=$PWD/$out ;; esac
: >>"$out" || fail "$out cannot be written"
command -v mvn >/dev/null || fail "no mvn found: the tests run by Maven, offline"
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
cd "$root"
export LIMBECK_OFFLINE=1
problems=()

printf 'gpu.sh: tests\n' >&2
rm -f target/surefire-reports/*-cuda.xml target/surefire-reports/*-cuda.txt
REQUIRE_DEVICES=cuda mvn -o -q -B test -Dlimbeck.checks=off -Dlimbeck.test.cuda=real \
  -Dlimbeck.test.cpu.skip=true -Dmaven.test.failure.ignore=true -Dtest="$tests" \
  -Dsurefire.failIfNoSpecifiedTests=false >&2 || problems+=("Maven could not run the tests")
counts=$({ cat target/surefire-reports/*-cuda.txt 2>/dev/null || true; } | awk '
  /^Tests run:/ {
    gsub(",", "")
    run += $3; failures += $5; errors += $7; skipped += $9
  }
  END {
    printf "{\"run\": %d, \"failures\": %d, \"errors\": %d, \"skipped\": %d}", run, failures, errors, skipped
  }')
case $counts in
  *'"run": 0,'*) problems+=("no test of the CUDA device ran") ;;
  *'"failures": 0, "errors": 0'*) ;;
  *) problems+=("tests failed: their reports are in target/surefire-reports") ;;
esac

printf 'gpu.sh: benchmarks\n' >&2
./limbeck bench --device "$device" ${bench[@]+"${bench[@]}"} --format json \
  --out "$scratch/bench.json" >&2 || problems+=("benchmarks failed")
[ -s "$scratch/bench.json" ] || printf 'null\n' >"$scratch/bench.json"
{
  printf '{\n"tests": %s,\n"problems": [' "$counts"
  separator=''
  for problem in ${problems[@]+"${problems[@]}"}; do
    printf '%s"%s"' "$separator" "$problem"
    separator=', '
  done
  printf '],\n"benchmarks":\n'
  cat "$scratch/bench.json"
  printf '}\n'
} >"$out"
printf 'gpu.sh: %s\n' "tests $counts" "$out" ${problems[@]+"${problems[@]}"} >&2
[ ${#problems[@]} -eq 0 ]
