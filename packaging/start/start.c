/*
 * What a Linux executable begins with, in place of the dynamic loader. It puts the two libraries that the executable
 * carries into files in memory, has the list of needed libraries name those, maps the system's dynamic loader as the
 * kernel would, and goes on there. Where that cannot work (an older glibc than the libraries were made for, files in
 * memory that must not be executed, no /proc) the loader looks for the system's own libraries, as if nothing were here.
 * It runs before everything: no C library, no writable data of its own, nothing but system calls.
 */
typedef unsigned long u64;
typedef unsigned int u32;
typedef unsigned short u16;
typedef unsigned char u8;

#define LIBRARIES 2

/* Behind the code; `carried-libraries.ts` fills it. All addresses are those of the loaded executable. */
struct info {
  u64 entry;
  u64 headers;
  u64 header_count;
  u64 loader;
  u64 glibc_minor;
  u64 string_table;
  struct {
    u64 packed;
    u64 packed_size;
    u64 size;
    u64 name;
    u64 needed;
  } library[LIBRARIES];
};
extern const struct info info __attribute__((visibility("hidden")));

#ifdef __x86_64__
enum { OPENAT = 257, CLOSE = 3, PREAD = 17, WRITE = 1, MMAP = 9, MUNMAP = 11, MEMFD = 319, FCNTL = 72, FTRUNCATE = 77, EXIT = 60 };
static long call(long n, u64 a, u64 b, u64 c, u64 d, u64 e, u64 f) {
  long result;
  register u64 r10 __asm__("r10") = d;
  register u64 r8 __asm__("r8") = e;
  register u64 r9 __asm__("r9") = f;
  __asm__ volatile("syscall"
                   : "=a"(result)
                   : "a"(n), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
                   : "rcx", "r11", "memory");
  return result;
}
/* A dynamic loader that was started with this file as its argument has run already, and gives rdx; the kernel 0. */
__asm__(".section .start,\"ax\"\n"
        ".globl _start\n"
        "_start:\n"
        "  test %rdx, %rdx\n"
        "  jnz 1f\n"
        "  mov %rsp, %rdi\n"
        "  mov %rsp, %rbx\n"
        "  and $-16, %rsp\n"
        "  call start\n"
        "  mov %rbx, %rsp\n"
        "  xor %edx, %edx\n"
        "  xor %ebp, %ebp\n"
        "  jmp *%rax\n"
        "1: jmp *info(%rip)\n"
        ".text\n");
#else
enum { OPENAT = 56, CLOSE = 57, PREAD = 67, WRITE = 64, MMAP = 222, MUNMAP = 215, MEMFD = 279, FCNTL = 25, FTRUNCATE = 46, EXIT = 93 };
static long call(long n, u64 a, u64 b, u64 c, u64 d, u64 e, u64 f) {
  register u64 x8 __asm__("x8") = n;
  register u64 x0 __asm__("x0") = a;
  register u64 x1 __asm__("x1") = b;
  register u64 x2 __asm__("x2") = c;
  register u64 x3 __asm__("x3") = d;
  register u64 x4 __asm__("x4") = e;
  register u64 x5 __asm__("x5") = f;
  __asm__ volatile("svc 0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4), "r"(x5) : "memory");
  return (long)x0;
}
/* As above; here x0 is what tells. */
__asm__(".section .start,\"ax\"\n"
        ".globl _start\n"
        "_start:\n"
        "  cbnz x0, 1f\n"
        "  mov x0, sp\n"
        "  bl start\n"
        "  mov x16, x0\n"
        "  mov x0, xzr\n"
        "  mov x29, xzr\n"
        "  mov x30, xzr\n"
        "  br x16\n"
        "1: adr x16, info\n"
        "  ldr x16, [x16]\n"
        "  br x16\n"
        ".text\n");
#endif

struct elf {
  u8 ident[16];
  u16 type, machine;
  u32 version;
  u64 entry, headers, sections;
  u32 flags;
  u16 size, header_size, header_count;
};
struct header {
  u32 type, flags;
  u64 offset, address, physical, file_size, memory_size, align;
};
struct auxiliary {
  u64 type, value;
};

enum { PT_LOAD = 1, AT_PHDR = 3, AT_PHNUM = 5, AT_PAGESZ = 6, AT_BASE = 7, AT_ENTRY = 9 };
enum { READ = 1, WRITABLE = 2, EXECUTE = 4, SHARED = 1, PRIVATE = 2, FIXED = 16, ANONYMOUS = 32 };
enum { O_CLOEXEC = 02000000, MFD_CLOEXEC = 1, MFD_ALLOW_SEALING = 2, MFD_EXEC = 16 };
enum { F_ADD_SEALS = 1033, SEALS = 2 | 4 | 8, F_DUPFD_CLOEXEC = 1030, FIRST_NUMBER = 100, LATEST_STANDARD = 2 };
#define HERE ((u64)-100)
#define MOST_HEADERS 32

static int failed(long result) { return result < 0 && result > -4096; }
static long open_file(const char *path) { return call(OPENAT, HERE, (u64)path, O_CLOEXEC, 0, 0, 0); }
static void close_file(long file) { call(CLOSE, file, 0, 0, 0, 0, 0); }
static long map(u64 at, u64 size, int allow, int flags, long file, u64 offset) {
  return call(MMAP, at, size, allow, flags, file, offset);
}

static void end(const char *why) {
  const char *loader = (const char *)info.loader;
  u64 length = 0;
  while (loader[length]) length++;
  call(WRITE, 2, (u64)loader, length, 0, 0, 0);
  for (length = 0; why[length];) length++;
  call(WRITE, 2, (u64)why, length, 0, 0, 0);
  call(EXIT, 127, 0, 0, 0, 0, 0);
}

/* A block in the format of LZ4. What it reads was checked when the executable was made. */
static void unpack(const u8 *from, u64 packed_size, u8 *to) {
  const u8 *last = from + packed_size;
  for (;;) {
    u32 token = *from++;
    u64 length = token >> 4;
    if (length == 15) {
      u8 more;
      do length += more = *from++;
      while (more == 255);
    }
    while (length--) *to++ = *from++;
    if (from >= last) return;
    const u8 *match = to - (from[0] | from[1] << 8);
    from += 2;
    length = (token & 15) + 4;
    if (length == 19) {
      u8 more;
      do length += more = *from++;
      while (more == 255);
    }
    while (length--) *to++ = *match++;
  }
}

/* "/proc/self/fd/N" */
static void name_file(char *name, u32 file) {
  const char *directory = "/proc/self/fd/";
  while (*directory) *name++ = *directory++;
  u32 unit = 1;
  while (file / unit > 9) unit *= 10;
  for (; unit > 0; unit /= 10) *name++ = '0' + file / unit % 10;
  *name = 0;
}

/* A file in memory with the library, or less than 0. */
static long keep(int index) {
  u64 size = info.library[index].size;
  u64 flags = MFD_CLOEXEC | MFD_ALLOW_SEALING;
  long file = call(MEMFD, (u64) "mk8s-library", flags | MFD_EXEC, 0, 0, 0, 0);
  if (failed(file)) file = call(MEMFD, (u64) "mk8s-library", flags, 0, 0, 0, 0);
  if (failed(file)) return file;
  /* Out of the way, above all when the standard files are closed. */
  long high = call(FCNTL, file, F_DUPFD_CLOEXEC, FIRST_NUMBER, 0, 0, 0);
  if (failed(high) && file <= LATEST_STANDARD)
    high = call(FCNTL, file, F_DUPFD_CLOEXEC, LATEST_STANDARD + 1, 0, 0, 0);
  if (!failed(high)) {
    close_file(file);
    file = high;
  }
  long bytes = failed(call(FTRUNCATE, file, size, 0, 0, 0, 0)) ? -1 : map(0, size, READ | WRITABLE, SHARED, file, 0);
  if (failed(bytes)) {
    close_file(file);
    return -1;
  }
  unpack((const u8 *)info.library[index].packed, info.library[index].packed_size, (u8 *)bytes);
  call(MUNMAP, bytes, size, 0, 0, 0, 0);
  call(FCNTL, file, F_ADD_SEALS, SEALS, 0, 0, 0);
  return file;
}

/* Whether the loader will be able to do what it does with libraries. */
static int can_be_loaded(const char *name, u64 page) {
  long file = open_file(name);
  if (failed(file)) return 0;
  long bytes = map(0, page, READ | EXECUTE, PRIVATE, file, 0);
  if (!failed(bytes)) call(MUNMAP, bytes, page, 0, 0, 0, 0);
  close_file(file);
  return !failed(bytes);
}

static void carry_libraries(u64 page) {
  long file[LIBRARIES];
  int index, made = 0, good = 1;
  for (; good && made < LIBRARIES; made += good) {
    good = !failed(file[made] = keep(made));
    if (good) {
      name_file((char *)info.library[made].name, file[made]);
      if (!can_be_loaded((char *)info.library[made].name, page)) {
        close_file(file[made]);
        good = 0;
      }
    }
  }
  if (!good) {
    while (made > 0) close_file(file[--made]);
    return;
  }
  for (index = 0; index < LIBRARIES; index++)
    *(u64 *)info.library[index].needed = info.library[index].name - info.string_table;
}

/* The second number of glibc's version, out of what the loader says of itself since 2.33; 0 for older ones. */
static u64 minor_version(const u8 *bytes, u64 size) {
  const char *words = "release version 2.";
  u64 at, length = 18;
  for (at = 0; at + length + 2 < size; at++) {
    u64 same = 0;
    while (same < length && bytes[at + same] == (u8)words[same]) same++;
    if (same < length) continue;
    u64 number = 0;
    const u8 *digit = bytes + at + length;
    for (; *digit >= '0' && *digit <= '9'; digit++) number = number * 10 + *digit - '0';
    return number;
  }
  return 0;
}

static int allowed(u32 flags) {
  return (flags & 4 ? READ : 0) | (flags & 2 ? WRITABLE : 0) | (flags & 1 ? EXECUTE : 0);
}

/* Maps the loader as the kernel does; its address less that in its headers. */
static u64 map_loader(u64 page, u64 *entry, u64 *minor) {
  struct elf elf;
  struct header headers[MOST_HEADERS];
  long file = open_file((const char *)info.loader);
  u64 lowest = ~0ul, highest = 0, bias = 0;
  int index;
  if (failed(file)) end(" is missing: mk8s needs glibc, from 2.28 on\n");
  if (call(PREAD, file, (u64)&elf, sizeof elf, 0, 0, 0) != sizeof elf || elf.header_count > MOST_HEADERS ||
      call(PREAD, file, (u64)headers, elf.header_count * sizeof *headers, elf.headers, 0, 0) !=
          (long)(elf.header_count * sizeof *headers))
    end(" is no dynamic loader\n");
  for (index = 0; index < elf.header_count; index++) {
    struct header *header = headers + index;
    if (header->type != PT_LOAD) continue;
    if (header->address < lowest) lowest = header->address & -page;
    if (header->address + header->memory_size > highest) highest = header->address + header->memory_size;
  }
  *minor = 0;
  for (index = 0; index < elf.header_count; index++) {
    struct header *header = headers + index;
    if (header->type != PT_LOAD) continue;
    u64 begin = header->address & -page;
    u64 file_end = header->address + header->file_size;
    u64 memory_end = header->address + header->memory_size;
    int allow = allowed(header->flags), first = bias == 0;
    long mapped = first ? map(0, highest - lowest, allow, PRIVATE, file, header->offset & -page)
                        : map(bias + begin, file_end - begin, allow, PRIVATE | FIXED, file, header->offset & -page);
    if (failed(mapped)) end(" cannot be mapped\n");
    if (first) bias = mapped - begin;
    if (!*minor) *minor = minor_version((u8 *)bias + header->address, header->file_size);
    if (memory_end > file_end) {
      u64 full = (file_end + page - 1) & -page;
      u64 at = file_end;
      /* To the page's end: the loader takes what is left there for itself, and counts on zeros. */
      for (; at < full; at++) *(volatile u8 *)(bias + at) = 0;
      if (memory_end > full &&
          failed(map(bias + full, memory_end - full, allow, PRIVATE | FIXED | ANONYMOUS, -1, 0)))
        end(" cannot be mapped\n");
    }
  }
  close_file(file);
  *entry = bias + elf.entry;
  return bias;
}

/* Gets the first stack pointer, returns where to go on. */
__attribute__((used, visibility("hidden"))) u64 start(u64 *stack) {
  u64 *at = stack + 1 + stack[0] + 1;
  while (*at) at++;
  struct auxiliary *first = (struct auxiliary *)(at + 1), *value;
  u64 page = 4096, entry, minor;
  for (value = first; value->type; value++)
    if (value->type == AT_PAGESZ) page = value->value;
  u64 base = map_loader(page, &entry, &minor);
  if (minor >= info.glibc_minor) carry_libraries(page);
  for (value = first; value->type; value++) {
    if (value->type == AT_BASE) value->value = base;
    if (value->type == AT_ENTRY) value->value = info.entry;
    if (value->type == AT_PHDR) value->value = info.headers;
    if (value->type == AT_PHNUM) value->value = info.header_count;
  }
  return entry;
}
