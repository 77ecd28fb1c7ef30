#!/usr/bin/env bash
# `make run`: the demo chain's server and one till, until Ctrl-C. Data stay under .demo/ between runs.
set -euo pipefail
# Passwords, PINs and tokens are in there.
umask 077
cd "$(dirname "$0")/.."
bin=${CARGO_TARGET_DIR:-target}/debug
demo=$PWD/.demo
mkdir -p "$demo/receipts"
# The demo leaves nothing outside of its folder, so its ledger's witness is in there too.
export HANOUT_WITNESS_DIR=$demo/witness

# One run at a time: a second one would fight for the same files.
exec 9>"$demo/lock"
if ! flock -n 9; then
  printf 'The demo is running already:\n'
  cat "$demo/urls" 2>/dev/null || true
  exit 1
fi
rm -f "$demo/server.json" "$demo/till.json"
: >"$demo/urls"

children=()
stop() {
  trap - EXIT INT TERM
  for pid in "${children[@]}"; do kill "$pid" 2>/dev/null || true; done
  for pid in "${children[@]}"; do wait "$pid" 2>/dev/null || true; done
  printf '\nStopped. Data are kept in .demo/; `make demo-reset` starts over.\n'
}
trap stop EXIT
trap 'exit 0' INT TERM

# The till remembers its server's address, so the server keeps its port.
port=$(cat "$demo/port" 2>/dev/null || echo 0)
facts=$demo/server.json
"$bin/hanout-server" --data "$demo/server" --json demo --listen "127.0.0.1:$port" --ui ui/dist >"$facts" 2>"$demo/server.log" 9>&- &
server=$!
children+=("$server")
for _ in $(seq 600); do
  [ -s "$facts" ] && break
  if ! kill -0 "$server" 2>/dev/null; then
    cat "$demo/server.log" >&2
    printf 'The server did not start. If port %s is taken, free it or run `make demo-reset`.\n' "$port" >&2
    exit 1
  fi
  sleep 0.1
done
field() { node -p 'const d = JSON.parse(require("fs").readFileSync(process.argv[1])); eval("d." + process.argv[2]) ?? ""' "$facts" "$1"; }
url=$(field server_url)
printf '%s' "${url##*:}" >"$demo/port"
code=$(field 'codes[0].code')

{
  printf '  Head office   %s   (%s / %s)\n' "$(field office_url)" "$(field admin)" "$(field password)"
  node -e 'const d = JSON.parse(require("fs").readFileSync(process.argv[1]));
    for (const u of d.users) console.log(`  ${u.store}  ${u.role.padEnd(8)} ${u.name.padEnd(12)} PIN ${u.pin}`);' "$facts"
} >"$demo/urls"
printf '\nHanout demo: Atlas Sport\n'
cat "$demo/urls"

if [ -n "${DISPLAY:-}${WAYLAND_DISPLAY:-}" ]; then
  printf '  Till          opens in a window\n'
  HANOUT_DATA_DIR="$demo/till" HANOUT_RECEIPTS_DIR="$demo/receipts" HANOUT_SERVER="$url" HANOUT_CODE="$code" \
    "${CARGO_TARGET_DIR:-target}/sqlcipher/debug/hanout-app" 9>&- &
else
  "$bin/hanout-till" serve --data "$demo/till" --receipts "$demo/receipts" --listen 127.0.0.1:0 \
    --server "$url" --code "$code" --ui ui/dist >"$demo/till.json" 2>"$demo/till.log" 9>&- &
fi
till=$!
children+=("$till")
if [ -z "${DISPLAY:-}${WAYLAND_DISPLAY:-}" ]; then
  for _ in $(seq 600); do
    [ -s "$demo/till.json" ] && break
    if ! kill -0 "$till" 2>/dev/null; then cat "$demo/till.log" >&2; exit 1; fi
    sleep 0.1
  done
  node -e 'const t = JSON.parse(require("fs").readFileSync(process.argv[1], "utf8").split("\n")[0]);
    console.log(`  Till          ${t.url}/#token=${t.token}`);' "$demo/till.json" | tee -a "$demo/urls"
fi
printf '  Receipts      .demo/receipts/*.png\n\nCtrl-C stops everything.\n'
# Whichever ends first ends the demo. `wait -n` does not see a child that ended before it.
status=0
if ! kill -0 "$till" 2>/dev/null; then
  wait "$till" || status=$?
elif kill -0 "$server" 2>/dev/null; then
  wait -n "$server" "$till" || status=$?
fi
if ! kill -0 "$server" 2>/dev/null; then
  printf 'The server ended by itself; see .demo/server.log.\n' >&2
  status=1
elif [ "$status" != 0 ]; then
  printf 'The till ended by itself (exit %s); see .demo/till.log, or above.\n' "$status" >&2
fi
exit "$status"
