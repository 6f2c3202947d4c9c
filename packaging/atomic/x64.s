# bool __atomic_compare_exchange(size_t size, void *p, void *expected, void *desired, int, int) for x86-64.
# as x64.s -o x64.o && objcopy -O binary -j .text x64.o x64.bin; the bytes are in ../compare-exchange.ts
.intel_syntax noprefix
.text
  endbr64
  cmp rdi, 8
  je 8f
  cmp rdi, 4
  je 4f
  cmp rdi, 16
  je 6f
  ud2
4:
  mov eax, [rdx]
  mov ecx, [rcx]
  lock cmpxchg [rsi], ecx
  je 1f
  mov [rdx], eax
  xor eax, eax
  ret
8:
  mov rax, [rdx]
  mov rcx, [rcx]
  lock cmpxchg [rsi], rcx
  je 1f
  mov [rdx], rax
  xor eax, eax
  ret
6:
  push rbx
  mov r10, rdx
  mov rax, [r10]
  mov rdx, [r10 + 8]
  mov rbx, [rcx]
  mov rcx, [rcx + 8]
  lock cmpxchg16b [rsi]
  pop rbx
  je 1f
  mov [r10], rax
  mov [r10 + 8], rdx
  xor eax, eax
  ret
1:
  mov eax, 1
  ret
