#!/bin/sh
# Makes the code at an executable's start: sh make.sh COMPILER PREFIX, in hexadecimal on standard output. PREFIX is that
# of the binary utilities. x64.hex is what Debian 12's gcc 12 makes with no prefix; arm64.hex that of
# @napi-rs/cross-toolchain-x64-target-aarch64 1.0.3 from npm (gcc 4.8.5) with aarch64-linux-gnu-.
set -eu
compiler=$1 prefix=${2:-}
cd "$(dirname "$0")"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
case $("$compiler" -dumpmachine) in
  x86_64*) own='-fcf-protection=none -mgeneral-regs-only' ;;
  *) own= ;;
esac
# shellcheck disable=SC2086
"$compiler" -Os -std=gnu99 -Wall -Wextra -Werror -ffreestanding -fno-builtin -fPIC -fvisibility=hidden \
  -fno-stack-protector -fno-asynchronous-unwind-tables -fno-tree-loop-distribute-patterns $own \
  -S -o "$work/start.s" start.c
"${prefix}as" -o "$work/start.o" "$work/start.s"
"${prefix}ld" --build-id=none -T start.ld -o "$work/start" "$work/start.o"
"${prefix}objcopy" -O binary -j .text "$work/start" "$work/start.bin"
od -An -v -tx1 "$work/start.bin" | tr -d ' \n' | fold -w 110
echo
