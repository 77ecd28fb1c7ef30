#!/usr/bin/env bash
# Type-checks the app's library for the handheld's target, so that nothing grows which it cannot take.
# No NDK is needed: a stand-in C compiler makes empty objects, and nothing is linked.
set -euo pipefail
cd "$(dirname "$0")/.."
target=aarch64-linux-android
if ! rustup target list --installed 2>/dev/null | grep -qx "$target" && ! rustup target add "$target" >/dev/null 2>&1; then
  printf '\n*** apk-check SKIPPED: the Rust target %s cannot be added here ***\n\n' "$target"
  exit 0
fi
compiler=$PWD/.ci/android-cc.sh
export CC_aarch64_linux_android=$compiler CXX_aarch64_linux_android=$compiler AR_aarch64_linux_android=ar
cargo check --quiet -p hanout-app --lib --features sqlcipher --target "$target"
printf 'apk-check: the app type-checks for %s\n' "$target"
