#!/bin/sh
# Installs mk8s on Linux or macOS: checks the executable's SHA-256, puts it into PREFIX/bin, and completion and man
# page beside it. Works without a network from a local file.
#   sh install.sh --from FILE|DIRECTORY|URL [--prefix DIR] [--sha256 SUM]
set -eu

from=${MK8S_RELEASES:-}
prefix=/usr/local
sum=

say() { printf '%s\n' "$*" >&2; }
fail() {
  say "Error: $1"
  [ $# -lt 2 ] || say "  next   $2"
  exit 1
}
usage() {
  say 'usage: sh install.sh --from FILE|DIRECTORY|URL [--prefix DIR] [--sha256 SUM]'
  exit 2
}

while [ $# -gt 0 ]; do
  case $1 in
    --from) [ $# -ge 2 ] || usage; from=$2; shift 2 ;;
    --prefix) [ $# -ge 2 ] || usage; prefix=$2; shift 2 ;;
    --sha256) [ $# -ge 2 ] || usage; sum=$2; shift 2 ;;
    *) usage ;;
  esac
done
[ -n "$from" ] || usage

case $(uname -s) in
  Linux) system=linux ;;
  Darwin) system=macos ;;
  *) fail "there is no mk8s for $(uname -s)" 'on Windows: install.ps1' ;;
esac
case $(uname -m) in
  x86_64 | amd64) machine=x64 ;;
  aarch64 | arm64) machine=arm64 ;;
  *) fail "there is no mk8s for processors of the kind $(uname -m)" ;;
esac
name=mk8s-$system-$machine

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT TERM

fetch() {
  if command -v curl >/dev/null 2>&1; then
    curl -fsSL --retry 3 -o "$2" "$1"
  elif command -v wget >/dev/null 2>&1; then
    wget -q -O "$2" "$1"
  else
    fail 'neither curl nor wget is installed' 'download the files and give their directory with --from'
  fi
}

case $from in
  http://* | https://*)
    say "- download $name"
    fetch "${from%/}/$name" "$work/mk8s" || fail "${from%/}/$name cannot be downloaded"
    [ -n "$sum" ] || fetch "${from%/}/SHA256SUMS" "$work/SHA256SUMS" || fail "${from%/}/SHA256SUMS cannot be downloaded"
    ;;
  *)
    if [ -d "$from" ]; then from=$from/$name; fi
    [ -f "$from" ] || fail "$from does not exist"
    name=$(basename "$from")
    cp "$from" "$work/mk8s"
    if [ -z "$sum" ]; then
      [ -f "$(dirname "$from")/SHA256SUMS" ] ||
        fail "there is no SHA256SUMS beside $from" 'put it there, or give the checksum with --sha256'
      cp "$(dirname "$from")/SHA256SUMS" "$work/SHA256SUMS"
    fi
    ;;
esac

if [ -z "$sum" ]; then
  sum=$(awk -v name="$name" '{ file = $2; sub(/^\*/, "", file); if (file == name) print $1 }' "$work/SHA256SUMS")
  [ -n "$sum" ] || fail "SHA256SUMS says nothing of $name"
fi
if command -v sha256sum >/dev/null 2>&1; then
  found=$(sha256sum "$work/mk8s")
else
  found=$(shasum -a 256 "$work/mk8s")
fi
found=${found%% *}
[ "$found" = "$sum" ] || fail "the checksum of $name is wrong: it was cut or changed on its way" 'get it again'

chmod 755 "$work/mk8s"
version=$("$work/mk8s" --version) || fail "$name does not run on this machine"

put() {
  mkdir -p "$(dirname "$2")" 2>/dev/null && cp "$1" "$2.new" 2>/dev/null ||
    fail "$(dirname "$2") cannot be written" 'run this as root, or choose another place with --prefix'
  chmod "$3" "$2.new"
  mv -f "$2.new" "$2"
}
beside() {
  if "$work/mk8s" completion "$1" >"$work/text" 2>/dev/null; then put "$work/text" "$prefix/share/$2" 644; fi
}

say "- install $version into $prefix/bin"
put "$work/mk8s" "$prefix/bin/mk8s" 755
beside bash bash-completion/completions/mk8s
beside zsh zsh/site-functions/_mk8s
beside fish fish/vendor_completions.d/mk8s.fish
beside man man/man1/mk8s.1

say "$version is installed."
case :$PATH: in
  *":$prefix/bin:"*) command=mk8s ;;
  *) command=$prefix/bin/mk8s ;;
esac
if [ "$(id -u)" = 0 ]; then say "  next   $command install"; else say "  next   sudo $command install"; fi
