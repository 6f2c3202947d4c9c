/**
 * The kernel's calls that programs in containers make, for every architecture that we run on (data). What is in none
 * of these lists is closed, so that calls of later kernels start closed.
 */

const listed = (text: string): string[] => text.trim().split(/\s+/)

export const OPEN_CALLS: readonly string[] = [
  // Files, directories and what is written of them.
  ...listed(`
    access arm_fadvise64_64 arm_sync_file_range chdir chmod chown chown32 close close_range
    copy_file_range creat dup dup2 dup3 faccessat faccessat2 fadvise64 fadvise64_64 fallocate fchdir
    fchmod fchmodat fchmodat2 fchown fchown32 fchownat fcntl fcntl64 fdatasync flock fstat fstat64
    fstatat64 fstatfs fstatfs64 fsync ftruncate ftruncate64 futimesat getcwd getdents getdents64
    lchown lchown32 link linkat _llseek lseek lstat lstat64 mkdir mkdirat mknod mknodat
    name_to_handle_at newfstatat oldfstat oldlstat oldstat open openat openat2 pread64 preadv
    preadv2 pwrite64 pwritev pwritev2 read readahead readdir readlink readlinkat readv rename
    renameat renameat2 rmdir sendfile sendfile64 splice stat stat64 statfs statfs64 statx symlink
    symlinkat sync sync_file_range sync_file_range2 syncfs tee truncate truncate64 umask unlink
    unlinkat utime utimensat utimensat_time64 utimes vmsplice write writev`),
  // Extended attributes.
  ...listed(`
    fgetxattr flistxattr fremovexattr fsetxattr getxattr getxattrat lgetxattr listxattr listxattrat
    llistxattr lremovexattr lsetxattr removexattr removexattrat setxattr setxattrat`),
  // Waiting for files, for changes of them, and for events.
  ...listed(`
    epoll_create epoll_create1 epoll_ctl epoll_ctl_old epoll_pwait epoll_pwait2 epoll_wait
    epoll_wait_old eventfd eventfd2 fanotify_mark inotify_add_watch inotify_init inotify_init1
    inotify_rm_watch io_cancel io_destroy io_getevents io_pgetevents io_pgetevents_time64 io_setup
    io_submit ioctl _newselect pipe pipe2 poll ppoll ppoll_time64 pselect6 pselect6_time64 select
    signalfd signalfd4`),
  // Memory.
  ...listed(`
    brk cachestat madvise map_shadow_stack membarrier memfd_create memfd_secret mincore mlock mlock2
    mlockall mmap mmap2 mprotect mremap mseal msync munlock munlockall munmap pkey_alloc pkey_free
    pkey_mprotect process_mrelease remap_file_pages`),
  // Processes and threads.
  ...listed(`
    arch_prctl breakpoint cacheflush capget capset execve execveat exit exit_group fork futex
    futex_requeue futex_time64 futex_wait futex_waitv futex_wake get_robust_list get_thread_area
    getcpu getpgid getpgrp getpid getppid getpriority getrandom getrlimit getrusage getsid gettid
    ioprio_get ioprio_set kill landlock_add_rule landlock_create_ruleset landlock_restrict_self
    modify_ldt nice oldolduname olduname pause pidfd_open pidfd_send_signal prctl prlimit64
    process_vm_readv process_vm_writev ptrace restart_syscall rseq sched_get_priority_max
    sched_get_priority_min sched_getaffinity sched_getattr sched_getparam sched_getscheduler
    sched_rr_get_interval sched_rr_get_interval_time64 sched_setaffinity sched_setattr
    sched_setparam sched_setscheduler sched_yield seccomp set_robust_list set_thread_area
    set_tid_address set_tls setpgid setpriority setrlimit setsid sysinfo tgkill times tkill
    ugetrlimit uname vfork wait4 waitid waitpid`),
  // Users and groups.
  ...listed(`
    getegid getegid32 geteuid geteuid32 getgid getgid32 getgroups getgroups32 getresgid getresgid32
    getresuid getresuid32 getuid getuid32 setfsgid setfsgid32 setfsuid setfsuid32 setgid setgid32
    setgroups setgroups32 setregid setregid32 setresgid setresgid32 setresuid setresuid32 setreuid
    setreuid32 setuid setuid32`),
  // Signals.
  ...listed(`
    rt_sigaction rt_sigpending rt_sigprocmask rt_sigqueueinfo rt_sigreturn rt_sigsuspend
    rt_sigtimedwait rt_sigtimedwait_time64 rt_tgsigqueueinfo sgetmask sigaction sigaltstack signal
    sigpending sigprocmask sigreturn sigsuspend ssetmask`),
  // Time.
  ...listed(`
    adjtimex alarm clock_getres clock_getres_time64 clock_gettime clock_gettime64 clock_nanosleep
    clock_nanosleep_time64 getitimer gettimeofday nanosleep setitimer time timer_create timer_delete
    timer_getoverrun timer_gettime timer_gettime64 timer_settime timer_settime64 timerfd_create
    timerfd_gettime timerfd_gettime64 timerfd_settime timerfd_settime64`),
  // Sockets; which families, a rule of its own says.
  ...listed(`
    accept accept4 bind connect getpeername getsockname getsockopt listen recv recvfrom recvmmsg
    recvmmsg_time64 recvmsg send sendmmsg sendmsg sendto setsockopt shutdown socketcall socketpair`),
  // Messages, semaphores and shared memory of the pod.
  ...listed(`
    ipc mq_getsetattr mq_notify mq_open mq_timedreceive mq_timedreceive_time64 mq_timedsend
    mq_timedsend_time64 mq_unlink msgctl msgget msgrcv msgsnd semctl semget semop semtimedop
    semtimedop_time64 shmat shmctl shmdt shmget`),
]
