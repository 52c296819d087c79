/* Must fail under the undefined-behaviour sanitizer: the sum of two ints does not fit. */
#include <limits.h>

int main(int argc, char **argv) {
    (void)argv;
    volatile int sum = INT_MAX;
    sum = sum + argc;
    return 0;
}
