// bool __atomic_compare_exchange(size_t size, void *p, void *expected, void *desired, int, int) for AArch64.
// as arm64.s -o arm64.o && objcopy -O binary -j .text arm64.o arm64.bin; the bytes are in ../compare-exchange.ts
.text
  hint #34
  cmp x0, #8
  b.eq 8f
  cmp x0, #4
  b.eq 4f
  cmp x0, #16
  b.eq 6f
  brk #0
4:
  ldr w4, [x2]
  ldr w5, [x3]
1:
  ldaxr w6, [x1]
  cmp w6, w4
  b.ne 2f
  stlxr w7, w5, [x1]
  cbnz w7, 1b
  b 9f
2:
  clrex
  str w6, [x2]
  b 0f
8:
  ldr x4, [x2]
  ldr x5, [x3]
1:
  ldaxr x6, [x1]
  cmp x6, x4
  b.ne 2f
  stlxr w7, x5, [x1]
  cbnz w7, 1b
  b 9f
2:
  clrex
  str x6, [x2]
  b 0f
6:
  ldp x4, x5, [x2]
  ldp x6, x7, [x3]
// A pair is only known to have been read at once when a store to it succeeds, so the old one is stored back.
1:
  ldaxp x8, x9, [x1]
  cmp x8, x4
  ccmp x9, x5, #0, eq
  b.ne 2f
  stlxp w10, x6, x7, [x1]
  cbnz w10, 1b
  b 9f
2:
  stlxp w10, x8, x9, [x1]
  cbnz w10, 1b
  stp x8, x9, [x2]
0:
  mov w0, #0
  ret
9:
  mov w0, #1
  ret
