/* test_status.c - every status has its words. */
#include "fdcore/fdcore.h"

#include "check.h"

static void test_every_status_has_words_of_its_own(void) {
    for (int a = 0; a < FDC_STATUS_COUNT; ++a) {
        const char *message = fdc_status_message((fdc_status)a);
        CHECK(message != NULL && strlen(message) > 1);
        CHECK(strcmp(message, fdc_status_message(FDC_STATUS_COUNT)) != 0);
        for (int b = 0; b < a; ++b) {
            CHECK(strcmp(message, fdc_status_message((fdc_status)b)) != 0);
        }
    }
}

static void test_what_is_no_status_has_words_too(void) {
    const int others[] = {-1, FDC_STATUS_COUNT, FDC_STATUS_COUNT + 1, 1000};
    for (size_t k = 0; k < sizeof others / sizeof *others; ++k) {
        const char *message = fdc_status_message((fdc_status)others[k]);
        CHECK(message != NULL && strlen(message) > 1);
    }
}

static void test_the_default_options(void) {
    fdc_options o;
    memset(&o, 0xff, sizeof o);
    fdc_options_init(&o);
    CHECK_INT(o.version, FDC_ABI_VERSION);
    CHECK_INT(o.method, FDC_CENTRAL);
    CHECK_INT(o.accuracy, 2);
    CHECK_INT(o.workers, 1);
    CHECK(o.precision == 0 && o.step_scale == 0);
    CHECK(o.rel_step == NULL && o.abs_step == NULL && o.lower == NULL && o.upper == NULL && o.f0 == NULL);
    CHECK(o.pool == NULL && o.poll == NULL && o.poll_ctx == NULL);
}

int main(void) {
    RUN(test_every_status_has_words_of_its_own);
    RUN(test_what_is_no_status_has_words_too);
    RUN(test_the_default_options);
    return check_summary();
}
