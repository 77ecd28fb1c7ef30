#!/usr/bin/env bash
# Stands in for the NDK's C compiler in a type check: an empty object for every one that is asked for.
set -euo pipefail
for argument in "$@"; do
  # Build scripts ask what compiler this is by a flag of another make and by preprocessing a probe: the NDK's is clang.
  case $argument in
    '-?') exit 1 ;;
    -E)
      echo '"clang"'
      exit 0
      ;;
  esac
  object=${argument#-o}
  case $object in
    *.o)
      mkdir -p -- "$(dirname -- "$object")"
      : >"$object"
      ;;
  esac
done
