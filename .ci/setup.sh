#!/usr/bin/env bash
# Installs what is missing on Debian 12, says what it does, and is silent when nothing is missing.
#   .ci/setup.sh run    what building and running needs
#   .ci/setup.sh build  that, and what the window's app is built with, even where there is no display
#   .ci/setup.sh test   that, and what the tests drive: browser, window, printer's codes, clock
set -euo pipefail
cd "$(dirname "$0")/.."
purpose=${1:-run}

say() { printf 'setup: %s\n' "$*"; }
fail() { printf 'setup: %s\n' "$*" >&2; exit 1; }

command -v cargo >/dev/null || fail "Rust is needed (cargo); install the stable toolchain first"
command -v node >/dev/null || fail "Node.js is needed (20.19 or later)"
command -v npm >/dev/null || fail "npm is needed"

packages=()
want_command() { command -v "$1" >/dev/null 2>&1 || packages+=("$2"); }
want_library() { pkg-config --exists "$1" 2>/dev/null || packages+=("$2"); }
want_file() { [ -e "$1" ] || packages+=("$2"); }

want_command cc build-essential
want_command pkg-config pkg-config
# SQLCipher's cipher, in what is built encrypted: the system's library, because OpenSSL from source takes minutes.
want_file /usr/include/openssl/crypto.h libssl-dev
# Only the window needs them, and without a display there is none.
if [ "$purpose" != run ] || [ -n "${DISPLAY:-}${WAYLAND_DISPLAY:-}" ]; then
  want_library webkit2gtk-4.1 libwebkit2gtk-4.1-dev
  want_library gtk+-3.0 libgtk-3-dev
fi
if [ "$purpose" = test ]; then
  want_command Xvfb xvfb
  want_command xvfb-run xvfb
  want_command dbus-launch dbus-x11
  want_command WebKitWebDriver webkit2gtk-driver
  want_command chromium chromium
  want_command import imagemagick
  want_command zbarimg zbar-tools
  want_command faketime faketime
fi

if [ ${#packages[@]} -gt 0 ]; then
  [ "$(id -u)" = 0 ] && sudo=() || sudo=(sudo)
  [ ${#sudo[@]} = 0 ] || command -v sudo >/dev/null || fail "packages are missing (${packages[*]}) and there is neither root nor sudo"
  say "installing Debian packages: ${packages[*]}"
  "${sudo[@]}" apt-get update -q >/dev/null
  "${sudo[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -qy --no-install-recommends "${packages[@]}" >/dev/null
fi

# node_modules is as old as the lockfile it was made from.
if [ ! -e ui/node_modules/.made-from ] || ! cmp -s ui/package-lock.json ui/node_modules/.made-from; then
  say "installing the npm packages of ui/"
  (cd ui && npm ci --no-audit --no-fund --loglevel=error)
  cp ui/package-lock.json ui/node_modules/.made-from
fi

if [ "$purpose" = test ]; then
  tools=${XDG_CACHE_HOME:-$HOME/.cache}/hanout/tools
  if [ ! -x "$tools/bin/tauri-driver" ]; then
    say "building tauri-driver 2.1.0 into $tools"
    cargo install tauri-driver@2.1.0 --locked --quiet --root "$tools"
  fi
fi
