/* check.h - assertions for the C tests. A test is a function; the first CHECK that does not hold ends it.
 *
 * Every test program ends with the line "N passed, N failed" and exits with 1 if any failed. */
#ifndef FDCORE_TESTS_CHECK_H
#define FDCORE_TESTS_CHECK_H

#include <math.h>
#include <setjmp.h>
#include <stdio.h>
#include <string.h>

static jmp_buf check_failed;
static int check_passes, check_failures;

/* For the test's own thread only. */
#define CHECK(condition)                                                                                               \
    do {                                                                                                               \
        if (!(condition)) {                                                                                            \
            printf("%s:%d: not so: %s\n", __FILE__, __LINE__, #condition);                                             \
            longjmp(check_failed, 1);                                                                                  \
        }                                                                                                              \
    } while (0)

#define CHECK_INT(actual, expected)                                                                                    \
    do {                                                                                                               \
        const long long actual_ = (long long)(actual), expected_ = (long long)(expected);                              \
        if (actual_ != expected_) {                                                                                    \
            printf("%s:%d: %s is %lld, not %lld\n", __FILE__, __LINE__, #actual, actual_, expected_);                  \
            longjmp(check_failed, 1);                                                                                  \
        }                                                                                                              \
    } while (0)

#define CHECK_CLOSE(actual, expected, tolerance)                                                                       \
    do {                                                                                                               \
        const double actual_ = (actual), expected_ = (expected);                                                       \
        if (!(fabs(actual_ - expected_) <= (tolerance))) {                                                             \
            printf("%s:%d: %s is %.17g, not %.17g +- %g\n", __FILE__, __LINE__, #actual, actual_, expected_,           \
                   (double)(tolerance));                                                                               \
            longjmp(check_failed, 1);                                                                                  \
        }                                                                                                              \
    } while (0)

#define RUN(test) check_run(#test, test)

static void check_run(const char *name, void (*test)(void)) {
    if (setjmp(check_failed) == 0) {
        test();
        ++check_passes;
    } else {
        printf("FAILED %s\n", name);
        ++check_failures;
    }
    (void)fflush(stdout);
}

static int check_summary(void) {
    printf("%d passed, %d failed\n", check_passes, check_failures);
    return check_failures != 0;
}

#endif
