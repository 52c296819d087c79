/* compat.h - what differs between platforms: atomics, the clock, threads, processors.
 *
 * Include it before any system header: it asks Linux for its own extensions. Atomics are sequentially consistent; the
 * kernel uses them once per chunk of work, where their order costs nothing that can be measured. */
#ifndef FDCORE_COMPAT_H
#define FDCORE_COMPAT_H

#if defined(__linux__) && !defined(_GNU_SOURCE)
#define _GNU_SOURCE /* sched_getcpu, cpu_set_t, pthread_setaffinity_np */
#endif

#include <stddef.h>
#include <stdint.h>

#ifdef _WIN32
#define WIN32_LEAN_AND_MEAN
#define NOMINMAX
#include <windows.h>

#include <process.h>
#else
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <time.h>
#include <unistd.h>
#endif

/* ---- atomics -------------------------------------------------------------------------------------------------- */

#if defined(__GNUC__) || defined(__clang__)

static inline ptrdiff_t fdc_atomic_load(const ptrdiff_t *value) {
    return __atomic_load_n(value, __ATOMIC_SEQ_CST);
}

static inline void fdc_atomic_store(ptrdiff_t *value, ptrdiff_t desired) {
    __atomic_store_n(value, desired, __ATOMIC_SEQ_CST);
}

/* Returns what was there before. */
static inline ptrdiff_t fdc_atomic_fetch_add(ptrdiff_t *value, ptrdiff_t amount) {
    return __atomic_fetch_add(value, amount, __ATOMIC_SEQ_CST);
}

/* Stores desired where expected was, and says whether it was. */
static inline int fdc_atomic_replace(ptrdiff_t *value, ptrdiff_t expected, ptrdiff_t desired) {
    return __atomic_compare_exchange_n(value, &expected, desired, 0, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
}

static inline int fdc_atomic_load_int(const int *value) {
    return __atomic_load_n(value, __ATOMIC_SEQ_CST);
}

static inline void fdc_atomic_store_int(int *value, int desired) {
    __atomic_store_n(value, desired, __ATOMIC_SEQ_CST);
}

static inline void *fdc_atomic_load_ptr(void *const *value) {
    return __atomic_load_n(value, __ATOMIC_SEQ_CST);
}

static inline int fdc_atomic_replace_ptr(void **value, void *expected, void *desired) {
    return __atomic_compare_exchange_n(value, &expected, desired, 0, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
}

#else /* MSVC. Its interlocked functions want volatile pointers, and its `long` is an int. */

#ifdef _WIN64
#define FDC_WORD LONG64
#define FDC_WORD_ADD InterlockedExchangeAdd64
#define FDC_WORD_SWAP InterlockedExchange64
#define FDC_WORD_REPLACE InterlockedCompareExchange64
#else
#define FDC_WORD LONG
#define FDC_WORD_ADD InterlockedExchangeAdd
#define FDC_WORD_SWAP InterlockedExchange
#define FDC_WORD_REPLACE InterlockedCompareExchange
#endif

static inline ptrdiff_t fdc_atomic_load(const ptrdiff_t *value) {
    return (ptrdiff_t)FDC_WORD_ADD((volatile FDC_WORD *)value, 0);
}

static inline void fdc_atomic_store(ptrdiff_t *value, ptrdiff_t desired) {
    (void)FDC_WORD_SWAP((volatile FDC_WORD *)value, (FDC_WORD)desired);
}

static inline ptrdiff_t fdc_atomic_fetch_add(ptrdiff_t *value, ptrdiff_t amount) {
    return (ptrdiff_t)FDC_WORD_ADD((volatile FDC_WORD *)value, (FDC_WORD)amount);
}

static inline int fdc_atomic_replace(ptrdiff_t *value, ptrdiff_t expected, ptrdiff_t desired) {
    return FDC_WORD_REPLACE((volatile FDC_WORD *)value, (FDC_WORD)desired, (FDC_WORD)expected) == (FDC_WORD)expected;
}

static inline int fdc_atomic_load_int(const int *value) {
    return (int)InterlockedExchangeAdd((volatile LONG *)value, 0);
}

static inline void fdc_atomic_store_int(int *value, int desired) {
    (void)InterlockedExchange((volatile LONG *)value, (LONG)desired);
}

static inline void *fdc_atomic_load_ptr(void *const *value) {
    return InterlockedCompareExchangePointer((PVOID volatile *)value, NULL, NULL);
}

static inline int fdc_atomic_replace_ptr(void **value, void *expected, void *desired) {
    return InterlockedCompareExchangePointer((PVOID volatile *)value, desired, expected) == expected;
}

#endif

/* Lowers *value to candidate unless it is lower already: the error that counts is the first column's, not the first
 * in time. */
static inline void fdc_atomic_min(ptrdiff_t *value, ptrdiff_t candidate) {
    ptrdiff_t seen = fdc_atomic_load(value);
    while (candidate < seen && !fdc_atomic_replace(value, seen, candidate)) {
        seen = fdc_atomic_load(value);
    }
}

/* ---- clock, process, threads ---------------------------------------------------------------------------------- */

/* What a main thread has on Linux: a callback that works serially must not overflow a helper's stack (musl gives 128
 * KiB, macOS 512). Only address space, until it is touched. */
#define FDC_THREAD_STACK (8u << 20)

#ifdef _WIN32

/* Nanoseconds since some moment, never set back. */
static inline int64_t fdc_clock_ns(void) {
    LARGE_INTEGER ticks, per_second;
    QueryPerformanceCounter(&ticks);
    QueryPerformanceFrequency(&per_second);
    return ticks.QuadPart / per_second.QuadPart * 1000000000 +
           ticks.QuadPart % per_second.QuadPart * 1000000000 / per_second.QuadPart;
}

static inline int64_t fdc_process_id(void) {
    return (int64_t)GetCurrentProcessId();
}

static inline void fdc_relax(void) {
    YieldProcessor();
}

static inline void fdc_pause(int64_t ns) {
    if (ns == 0) {
        (void)SwitchToThread();
    } else {
        Sleep((DWORD)((ns + 999999) / 1000000));
    }
}

typedef SRWLOCK fdc_mutex;
typedef CONDITION_VARIABLE fdc_cond;
typedef HANDLE fdc_thread;
#define FDC_THREAD_RESULT unsigned __stdcall
typedef unsigned(__stdcall *fdc_thread_fn)(void *);

static inline int fdc_mutex_init(fdc_mutex *mutex) {
    InitializeSRWLock(mutex);
    return 0;
}
static inline void fdc_mutex_destroy(fdc_mutex *mutex) {
    (void)mutex;
}
static inline void fdc_mutex_lock(fdc_mutex *mutex) {
    AcquireSRWLockExclusive(mutex);
}
static inline void fdc_mutex_unlock(fdc_mutex *mutex) {
    ReleaseSRWLockExclusive(mutex);
}

static inline int fdc_cond_init(fdc_cond *cond) {
    InitializeConditionVariable(cond);
    return 0;
}
static inline void fdc_cond_destroy(fdc_cond *cond) {
    (void)cond;
}
static inline void fdc_cond_signal(fdc_cond *cond) {
    WakeConditionVariable(cond);
}
static inline void fdc_cond_broadcast(fdc_cond *cond) {
    WakeAllConditionVariable(cond);
}
static inline void fdc_cond_wait(fdc_cond *cond, fdc_mutex *mutex) {
    (void)SleepConditionVariableSRW(cond, mutex, INFINITE, 0);
}
static inline void fdc_cond_wait_ms(fdc_cond *cond, fdc_mutex *mutex, int milliseconds) {
    (void)SleepConditionVariableSRW(cond, mutex, (DWORD)milliseconds, 0);
}

static inline int fdc_thread_start(fdc_thread *thread, fdc_thread_fn run, void *arg) {
    *thread = (HANDLE)_beginthreadex(NULL, FDC_THREAD_STACK, run, arg, STACK_SIZE_PARAM_IS_A_RESERVATION, NULL);
    return *thread == NULL;
}
static inline void fdc_thread_join(fdc_thread thread) {
    (void)WaitForSingleObject(thread, INFINITE);
    (void)CloseHandle(thread);
}

#else /* POSIX */

/* Nanoseconds since some moment, never set back. */
static inline int64_t fdc_clock_ns(void) {
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + (int64_t)now.tv_nsec;
}

static inline int64_t fdc_process_id(void) {
    return (int64_t)getpid();
}

/* Between two looks at what another thread is about to do. */
static inline void fdc_relax(void) {
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#endif
}

/* Lets other threads run, for so long at least. */
static inline void fdc_pause(int64_t ns) {
    if (ns == 0) {
        (void)sched_yield();
    } else {
        const struct timespec nap = {(time_t)(ns / 1000000000), (long)(ns % 1000000000)};
        (void)nanosleep(&nap, NULL);
    }
}

typedef pthread_mutex_t fdc_mutex;
typedef pthread_cond_t fdc_cond;
typedef pthread_t fdc_thread;
#define FDC_THREAD_RESULT void *
typedef void *(*fdc_thread_fn)(void *);

static inline int fdc_mutex_init(fdc_mutex *mutex) {
    return pthread_mutex_init(mutex, NULL);
}
static inline void fdc_mutex_destroy(fdc_mutex *mutex) {
    (void)pthread_mutex_destroy(mutex);
}
static inline void fdc_mutex_lock(fdc_mutex *mutex) {
    (void)pthread_mutex_lock(mutex);
}
static inline void fdc_mutex_unlock(fdc_mutex *mutex) {
    (void)pthread_mutex_unlock(mutex);
}

/* Timed waits must not notice when somebody sets the wall clock; macOS has relative waits instead. */
static inline int fdc_cond_init(fdc_cond *cond) {
#ifdef __APPLE__
    return pthread_cond_init(cond, NULL);
#else
    pthread_condattr_t attributes;
    if (pthread_condattr_init(&attributes) != 0) {
        return -1;
    }
    int failed = pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    if (!failed) {
        failed = pthread_cond_init(cond, &attributes);
    }
    (void)pthread_condattr_destroy(&attributes);
    return failed;
#endif
}
static inline void fdc_cond_destroy(fdc_cond *cond) {
    (void)pthread_cond_destroy(cond);
}
static inline void fdc_cond_signal(fdc_cond *cond) {
    (void)pthread_cond_signal(cond);
}
static inline void fdc_cond_broadcast(fdc_cond *cond) {
    (void)pthread_cond_broadcast(cond);
}
static inline void fdc_cond_wait(fdc_cond *cond, fdc_mutex *mutex) {
    (void)pthread_cond_wait(cond, mutex);
}
static inline void fdc_cond_wait_ms(fdc_cond *cond, fdc_mutex *mutex, int milliseconds) {
#ifdef __APPLE__
    const struct timespec span = {milliseconds / 1000, milliseconds % 1000 * 1000000L};
    (void)pthread_cond_timedwait_relative_np(cond, mutex, &span);
#else
    struct timespec until;
    (void)clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += milliseconds / 1000;
    until.tv_nsec += milliseconds % 1000 * 1000000L;
    if (until.tv_nsec >= 1000000000L) {
        until.tv_nsec -= 1000000000L;
        until.tv_sec += 1;
    }
    (void)pthread_cond_timedwait(cond, mutex, &until);
#endif
}

/* The thread takes no signals meant for the process, so Ctrl-C interrupts the threads that expect it. Faults are left:
 * a blocked SIGSEGV kills without the trace that a handler would have printed. */
static inline int fdc_thread_start(fdc_thread *thread, fdc_thread_fn run, void *arg) {
    pthread_attr_t attributes;
    if (pthread_attr_init(&attributes) != 0) {
        return -1;
    }
    int failed = pthread_attr_setstacksize(&attributes, FDC_THREAD_STACK);
    if (!failed) {
        sigset_t blocked, before;
        sigfillset(&blocked);
        sigdelset(&blocked, SIGSEGV);
        sigdelset(&blocked, SIGBUS);
        sigdelset(&blocked, SIGFPE);
        sigdelset(&blocked, SIGILL);
        sigdelset(&blocked, SIGABRT);
        (void)pthread_sigmask(SIG_SETMASK, &blocked, &before);
        failed = pthread_create(thread, &attributes, run, arg);
        (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    }
    (void)pthread_attr_destroy(&attributes);
    return failed;
}
static inline void fdc_thread_join(fdc_thread thread) {
    (void)pthread_join(thread, NULL);
}

#endif

/* ---- processors ----------------------------------------------------------------------------------------------- */

/* Where the calling thread is, and where it may be. Known on Linux only; elsewhere these do nothing. */
#if defined(__linux__) && !defined(__ANDROID__)

typedef struct fdc_cpus {
    cpu_set_t allowed;
    int current;
} fdc_cpus;

/* How many processors the calling thread may use, or 0: not known. */
static inline int fdc_cpus_read(fdc_cpus *cpus) {
    cpus->current = sched_getcpu();
    if (cpus->current < 0 || cpus->current >= CPU_SETSIZE) {
        return 0;
    }
    return sched_getaffinity(0, sizeof cpus->allowed, &cpus->allowed) == 0 ? CPU_COUNT(&cpus->allowed) : 0;
}

static inline int fdc_cpus_equal(const fdc_cpus *a, const fdc_cpus *b) {
    return a->current == b->current && CPU_EQUAL(&a->allowed, &b->allowed);
}

/* Lets `thread` run wherever the caller may run, except where it runs now. */
static inline void fdc_thread_avoid(fdc_thread thread, const fdc_cpus *caller) {
    cpu_set_t others = caller->allowed;
    CPU_CLR((size_t)caller->current, &others);
    (void)pthread_setaffinity_np(thread, sizeof others, &others);
}

#else

typedef struct fdc_cpus {
    int current;
} fdc_cpus;

static inline int fdc_cpus_read(fdc_cpus *cpus) {
    cpus->current = 0;
    return 0;
}
static inline int fdc_cpus_equal(const fdc_cpus *a, const fdc_cpus *b) {
    return a->current == b->current;
}
static inline void fdc_thread_avoid(fdc_thread thread, const fdc_cpus *caller) {
    (void)thread;
    (void)caller;
}

#endif

#endif
