#!/bin/sh
# Everything that `npm start` and `npm test` need before their own work, from nothing, and nothing twice:
# the npm packages (Node 26 among them), the library that Node needs, the API model, kubectl and helm.
# With --for-packaging also the libraries that executables for arm64 carry. With --for-tests those, and the Debian
# packages that the tests of real containers, of real backup targets and of the dashboard need; without them those are
# skipped.
set -eu
cd "$(dirname "$0")/.."
umask 022

say() { printf 'setup: %s\n' "$1" >&2; }

# add PACKAGE...: installs packages of Debian; what goes wrong is told, how it goes on is not.
add() {
  {
    apt-get update -qq &&
      DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@"
  } >/dev/null
}

# The npm package of Node 26 carries the official binary, which needs libatomic; minimal Debian lacks it. It comes first:
# scripts of other packages are run by that Node already while npm installs them.
if [ "$(uname)" = Linux ] && ! ldconfig -p 2>/dev/null | grep -q 'libatomic\.so\.1' &&
  [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
  say 'installing libatomic1'
  add libatomic1 || say 'it cannot be installed here'
fi

lock_sum=$(cat package.json package-lock.json | cksum)
stamp=node_modules/.mk8s-setup
# npm would empty what the link leads to.
if [ -L node_modules ]; then
  say 'node_modules is a symbolic link; remove it and run this again'
  exit 1
fi
if [ ! -f "$stamp" ] || [ "$(cat "$stamp")" != "$lock_sum" ]; then
  say 'installing the npm packages'
  npm ci --no-audit --no-fund --loglevel=error >&2
  printf '%s' "$lock_sum" >"$stamp"
fi

node_modules/.bin/node --version >/dev/null || {
  say 'Node 26 does not start on this machine; on Debian: apt-get install libatomic1'
  exit 1
}

# need WHAT PROGRAMS FLAWS PACKAGE...: installs the packages where one of the programs is missing, or a flaw is named.
need() {
  what=$1 missing=$3
  for program in $2; do
    command -v "$program" >/dev/null 2>&1 || missing="$missing $program"
  done
  shift 3
  [ -n "$missing" ] || return 0
  say "installing for $what:$missing"
  add "$@" || say "it cannot be installed here; $what will be skipped"
}

if [ "${1:-}" = --for-tests ] && [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
  flaw=
  [ -d /usr/lib/cni ] || flaw=' cni'
  need 'the tests of containers' 'containerd ctr runc crun conmon nft iptables conntrack ip busybox skopeo' "$flaw" \
    containerd runc crun conmon perl-base containernetworking-plugins nftables iptables conntrack iproute2 busybox-static skopeo
  # A real S3 server. Debian's own Python sees Debian's packages.
  flaw=
  /usr/bin/python3 -c 'import swift.common.middleware.s3api.s3api' >/dev/null 2>&1 || flaw=' swift'
  need 'the tests of backup targets' 'sshd ssh ssh-keygen rsync' "$flaw" \
    openssh-server openssh-client rsync python3-swift
  need 'the tests of the dashboard' chromium '' chromium
  need 'the test of the keychain' 'gnome-keyring-daemon dbus-run-session secret-tool' '' \
    gnome-keyring dbus-x11 dbus libsecret-tools
  need 'the test of the rpm package' rpm '' rpm
  need 'the test of the executable for arm64' qemu-aarch64-static '' qemu-user-static
fi

# The executables carry the libraries of C++; those for arm64 are no part of any npm package.
if [ "${1:-}" != '' ] && [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
  flaw=
  [ -e /usr/aarch64-linux-gnu/lib/libstdc++.so.6 ] || flaw=' libraries'
  need 'executables for arm64' '' "$flaw" libstdc++6-arm64-cross libgcc-s1-arm64-cross libc6-arm64-cross
fi

PATH=$PWD/node_modules/.bin:$PATH
export PATH
node scripts/prepare.ts
