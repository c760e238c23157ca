#!/bin/bash
# Usage: stop.sh [DIR [STATE]]     ends the pool of STATE and its jobs; nothing to do if none runs.
DIR=$(realpath -m "${1:-${B2LUIGI_TEST_CLUSTERS:-$HOME/.cache/b2luigi-test-clusters}/htcondor}")
STATE=$(realpath -m "${2:-$DIR/pool}")
pid=$(cat "$STATE/master.pid" 2>/dev/null) || exit 0

# the number may have been given to somebody else's process since
runs() { tr '\0' ' ' < "/proc/$pid/cmdline" 2>/dev/null | grep -q "^$DIR/root/usr/sbin/condor_master"; }

if runs; then
  kill -QUIT "$pid"   # fast: jobs are killed (TERM would be polite to them)
  for _ in $(seq 150); do runs || break; sleep 0.1; done
  ! runs || kill -KILL -- "-$pid"
fi
rm -f "$STATE/master.pid"
