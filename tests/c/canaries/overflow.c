/* Must fail under the address sanitizer: writes one past the end of a heap block. Through a pointer whose block the
 * compiler cannot know, or the undefined-behaviour sanitizer would be the one to find it. */
#include <stdlib.h>

int main(int argc, char **argv) {
    (void)argv;
    char *volatile block = malloc(8);
    volatile char *const unknown = block;
    if (unknown != NULL) {
        unknown[7 + argc] = 1;
    }
    free(block);
    return 0;
}
