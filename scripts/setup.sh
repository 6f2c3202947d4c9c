#!/bin/sh
# Everything that `npm start` and `npm test` need before their own work, from nothing, and nothing twice:
# the npm packages (Node 26 among them), the library that Node needs, the API model, kubectl and helm.
# With --for-tests also the Debian packages that the tests of real containers, of real backup targets and of the dashboard
# need; without them those are skipped.
set -eu
cd "$(dirname "$0")/.."
umask 022

say() { printf 'setup: %s\n' "$1" >&2; }

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

# The npm package carries the official Node binary, which needs libatomic; minimal Debian lacks it.
node=node_modules/.bin/node
if ! "$node" --version >/dev/null 2>&1; then
  if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
    say 'installing libatomic1'
    apt-get update -qq >&2
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq libatomic1 >&2
  fi
  "$node" --version >/dev/null || {
    say 'Node 26 does not start on this machine; on Debian: apt-get install libatomic1'
    exit 1
  }
fi

container_programs='containerd ctr runc crun conmon nft iptables conntrack ip busybox skopeo'
if [ "${1:-}" = --for-tests ] && [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
  missing=
  for program in $container_programs; do
    command -v "$program" >/dev/null 2>&1 || missing="$missing $program"
  done
  [ -d /usr/lib/cni ] || missing="$missing cni"
  if [ -n "$missing" ]; then
    say "installing what the tests of containers need:$missing"
    {
      apt-get update -qq
      DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
        containerd runc crun conmon perl-base containernetworking-plugins nftables iptables conntrack iproute2 busybox-static skopeo
    } >&2 || say 'they cannot be installed here; the tests of containers will be skipped'
  fi
fi

if [ "${1:-}" = --for-tests ] && [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
  missing=
  for program in sshd ssh ssh-keygen rsync; do
    command -v "$program" >/dev/null 2>&1 || missing="$missing $program"
  done
  # A real S3 server. Debian's own Python sees Debian's packages.
  /usr/bin/python3 -c 'import swift.common.middleware.s3api.s3api' >/dev/null 2>&1 || missing="$missing swift"
  if [ -n "$missing" ]; then
    say "installing what the tests of backup targets need:$missing"
    {
      apt-get update -qq
      DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
        openssh-server openssh-client rsync python3-swift
    } >&2 || say 'they cannot be installed here; the tests of backup targets will be skipped'
  fi
fi

if [ "${1:-}" = --for-tests ] && [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
  if ! command -v chromium >/dev/null 2>&1; then
    say 'installing what the tests of the dashboard need: chromium'
    {
      apt-get update -qq
      DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends chromium
    } >&2 || say 'it cannot be installed here; the tests of the dashboard will be skipped'
  fi
fi

if [ "${1:-}" = --for-tests ] && [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
  missing=
  for program in gnome-keyring-daemon dbus-run-session secret-tool; do
    command -v "$program" >/dev/null 2>&1 || missing="$missing $program"
  done
  if [ -n "$missing" ]; then
    say "installing what the test of the keychain needs:$missing"
    {
      apt-get update -qq
      DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
        gnome-keyring dbus-x11 dbus libsecret-tools
    } >&2 || say 'they cannot be installed here; the test of the keychain will be skipped'
  fi
fi

if [ "${1:-}" = --for-tests ] && [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
  if ! command -v rpm >/dev/null 2>&1; then
    say 'installing what the test of the packages needs: rpm'
    {
      apt-get update -qq
      DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends rpm
    } >&2 || say 'it cannot be installed here; the test of the rpm package will be skipped'
  fi
fi

PATH=$PWD/node_modules/.bin:$PATH
export PATH
node scripts/prepare.ts
