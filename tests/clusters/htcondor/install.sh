#!/bin/bash
# Usage: install.sh [DIR]     a real HTCondor 23.9.6 in DIR, about 20 s; nothing to do if it is there already.
# Unpacks Debian trixie's packages in DIR/root and gives every HTCondor program trixie's own loader and libraries,
# so that they run on this (older) host as they are: no chroot, no systemd, jobs are ordinary processes of the host.
set -euo pipefail
DIR=$(realpath -m "${1:-${B2LUIGI_TEST_CLUSTERS:-$HOME/.cache/b2luigi-test-clusters}/htcondor}")
ROOT=$DIR/root

cannot() { echo "install.sh: cannot install HTCondor here: $*" >&2; exit 3; }

if [ -e "$DIR/installed" ] && [ "$(cat "$DIR/installed")" = "$DIR" ]; then
  echo "$DIR"; exit 0
fi
[ "$(uname -m)" = x86_64 ] || cannot "this machine is $(uname -m), the script knows x86_64 only"
command -v apt-get >/dev/null || cannot "no apt-get (the packages come from a Debian mirror)"
if ! command -v mmdebstrap >/dev/null || ! command -v patchelf >/dev/null; then
  [ "$(id -u)" = 0 ] || cannot "mmdebstrap and patchelf are missing, and only root can install them"
  { apt-get update -qq && apt-get install -y -qq --no-install-recommends mmdebstrap patchelf; } >&2 \
    || cannot "apt-get install mmdebstrap patchelf failed"
fi

if [ ! -e "$ROOT/usr/sbin/condor_master" ]; then
  [ "$(id -u)" = 0 ] || cannot "unpacking the packages needs root"
  # the mirror this machine's apt uses already: it may be the only one that can be reached
  MIRROR=$(apt-get indextargets --format '$(REPO_URI)' 'Origin: Debian' | grep -v security | head -n 1)
  [ -n "$MIRROR" ] || cannot "apt knows no Debian mirror"
  mkdir -p "$DIR"
  # unpacked beside and renamed: an interrupted installation does not pass for a whole one
  rm -rf "$ROOT.part"
  mmdebstrap --quiet --variant=extract --mode=root --components=main --include=minicondor \
    --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/man/*' \
    --dpkgopt='path-exclude=/usr/share/locale/*' \
    trixie "$ROOT.part" "deb $MIRROR trixie main" >&2 || cannot "mmdebstrap failed"
  mv "$ROOT.part" "$ROOT"
fi

# The path of ROOT is written into the programs: a folder that was moved is simply done again.
LOADER=$ROOT/usr/lib64/ld-linux-x86-64.so.2
LIBRARIES=$ROOT/usr/lib/x86_64-linux-gnu:$ROOT/usr/lib
for program in "$ROOT"/usr/bin/{condor,classad}_* "$ROOT"/usr/sbin/condor_* "$ROOT"/usr/libexec/condor/*; do
  [ -f "$program" ] && [ ! -L "$program" ] || continue
  [ "$(head -c4 "$program" | tr -d '\0')" = $'\x7fELF' ] || continue
  loader=$(patchelf --print-interpreter "$program" 2>/dev/null) || continue
  [ "$loader" = "$LOADER" ] \
    || patchelf --set-interpreter "$LOADER" --force-rpath --set-rpath "$LIBRARIES" "$program"
done

# Only HTCondor's tools go on PATH: root/usr/bin also holds trixie's python3 and perl, which do not run here.
mkdir -p "$DIR/bin"
for program in "$ROOT"/usr/bin/condor_* "$ROOT"/usr/sbin/condor_{master,on,off,reconfig,restart}; do
  ln -sfn "$program" "$DIR/bin/"
done
echo "$DIR" > "$DIR/installed"
echo "$DIR"
