/* sparse_jacobian.c - the Jacobian of a known pattern, from one evaluation of f for each group of columns and point.
 *
 * A run goes through stages: steps of all components; evaluations, each into a row of its own; then one pass over the
 * stored entries that takes differences. The pass touches every row of the evaluations and every entry once, where going
 * colour by colour would touch the entries' cache lines once for each. Components that bounds push to another side than
 * the rest form groups of their own. What an entry comes to depends on its column and row alone, so the result is bitwise
 * the same for any number of workers. */
#include "sparse_run.h"

#include <stdlib.h>

#define CENTER (-1)           /* the unit that is f(x), where workers share it out like the others */
#define RANGE 8192            /* rows, columns or components a claim in the stages without evaluations */
#define RANGES_WORTH 100000   /* components or entries from which on those stages take threads */

void fdc_sparse_report(sparse_job *job, const fdc_failure *fail, ptrdiff_t place)
{
    fdc_mutex_lock(&job->base.lock);
    if (job->base.first.status == FDC_OK || place < job->failed) {
        job->base.first = *fail;
        job->failed = place;
    }
    fdc_mutex_unlock(&job->base.lock);
    fdc_atomic_store(&job->base.next, PTRDIFF_MAX / 2); /* nothing above what is claimed needs to start */
}

static void on_cancel(void *ctx)
{
    sparse_job *job = ctx;
    fdc_atomic_store_int(&job->base.cancelled, 1);
}

/* ---- stages over ranges -------------------------------------------------------------------------------------- */

static void range_task(void *ctx, int worker)
{
    (void)worker;
    sparse_job *job = ctx;
    for (;;) {
        const ptrdiff_t begin = fdc_atomic_fetch_add(&job->base.next, RANGE);
        if (begin >= job->range_end) {
            return;
        }
        job->range(job, begin, job->range_end - begin < RANGE ? job->range_end : begin + RANGE);
    }
}

void fdc_sparse_ranges(sparse_job *job, ptrdiff_t count, ptrdiff_t work,
                       void (*range)(sparse_job *, ptrdiff_t, ptrdiff_t))
{
    if (job->threads == 1 || work < RANGES_WORTH) {
        range(job, 0, count);
        return;
    }
    job->range = range;
    job->range_end = count;
    job->base.next = 0;
    (void)fdc_pool_run(job->base.o->pool, job->threads, range_task, job, NULL, NULL, on_cancel);
}

/* ---- evaluations --------------------------------------------------------------------------------------------- */

/* Where point k of component j is, in the row of x that the callback sees. */
static double coordinate(const sparse_job *job, const fdc_scheme *s, ptrdiff_t j, int k)
{
    if (job->base.p->is_complex) {
        return job->h[j];
    }
    const fdc_placement at = {s, job->h[j], FDC_AT_RULE};
    return fdc_point(&at, job->base.o, j, job->base.p->x[j], k);
}

/* Moves the members of a unit's group to its point, or back home. Whatever else they are found to be, the callback did. */
static fdc_status move(fdc_worker *w, ptrdiff_t unit, ptrdiff_t row, int back, fdc_failure *fail)
{
    const sparse_job *job = (const sparse_job *)w->job;
    const fdc_problem *p = job->base.p;
    const ptrdiff_t group = unit / job->points;
    const int k = (int)(unit % job->points);
    const fdc_scheme *s = scheme_of(job, group);
    const int32_t *member = job->members + job->start[group], *end = job->members + job->start[group + 1];
    double *x = *w->x + row * job->base.width;
    if (!p->is_complex && job->side == NULL) {
        const double offset = s->offset[k], *restrict home = p->x, *restrict h = job->h;
        if (!back) {
            for (const int32_t *t = member; t < end; t++) {
                if (!fdc_same_bits(x[*t], home[*t])) {
                    return fdc_fail(fail, FDC_ERR_MUTATED, *t, x[*t]);
                }
                x[*t] = home[*t] + offset * h[*t];
            }
            return FDC_OK;
        }
        /* An entry that was written to shows before it moves or in the end; where all move every time, it shows now. */
        for (const int32_t *t = member; job->groups == 1 && t < end; t++) {
            if (!fdc_same_bits(x[*t], home[*t] + offset * h[*t])) {
                return fdc_fail(fail, FDC_ERR_MUTATED, *t, x[*t]);
            }
        }
        for (const int32_t *t = member; t < end; t++) {
            x[*t] = home[*t];
        }
        return FDC_OK;
    }
    for (const int32_t *t = member; t < end; t++) {
        double *entry = x + (p->is_complex ? 2 * (ptrdiff_t)*t + 1 : *t);
        const double point = coordinate(job, s, *t, k), home = p->is_complex ? 0.0 : p->x[*t];
        if (!fdc_same_bits(*entry, back ? point : home)) {
            return fdc_fail(fail, FDC_ERR_MUTATED, *t, *entry);
        }
        *entry = back ? home : point;
    }
    return FDC_OK;
}

/* Units begin..end in one call (one unit, unless the callback takes batches). */
static fdc_status evaluate(fdc_worker *w, ptrdiff_t begin, ptrdiff_t end, fdc_failure *fail)
{
    sparse_job *job = (sparse_job *)w->job;
    const ptrdiff_t member = job->members[job->start[begin / job->points]];
    fdc_status status = FDC_OK;
    for (ptrdiff_t unit = begin; unit < end && status == FDC_OK; unit++) {
        status = move(w, unit, unit - begin, 0, fail);
    }
    if (status == FDC_OK) {
        status = fdc_evaluate(w, end - begin, job->y + begin * job->base.p->m, fail);
        if (status != FDC_OK) {
            const double offset = scheme_of(job, begin / job->points)->offset[begin % job->points];
            return fdc_fail(fail, status, member, end - begin == 1 ? offset * job->h[member] : 0.0);
        }
    }
    for (ptrdiff_t unit = begin; unit < end && status == FDC_OK; unit++) {
        status = move(w, unit, unit - begin, 1, fail);
    }
    return status;
}

static void work(fdc_worker *w, ptrdiff_t end)
{
    sparse_job *job = (sparse_job *)w->job;
    fdc_failure fail = {FDC_OK, -1, 0.0, 0};
    for (;;) {
        const ptrdiff_t begin = fdc_atomic_fetch_add(&job->base.next, job->base.chunk);
        if (begin >= end) {
            break;
        }
        const ptrdiff_t stop = end - begin < job->base.chunk ? end : begin + job->base.chunk;
        const fdc_status status =
            begin == CENTER ? fdc_base_value(w, job->center, &fail) : evaluate(w, begin, stop, &fail);
        if (status != FDC_OK) {
            fdc_sparse_report(job, &fail, begin);
            return;
        }
    }
}

/* Rows of x for a worker; `slot` is the caller's, if it has one. */
static fdc_status worker_init(fdc_worker *w, sparse_job *job, double **slot, double *row)
{
    const fdc_job *jb = &job->base;
    memset(w, 0, sizeof *w);
    w->job = &job->base;
    w->countdown = w->interval = 1;
    if (slot == NULL) {
        w->own_x = row != NULL ? row : malloc((size_t)(jb->rows * jb->width + 1) * sizeof(double));
        if (w->own_x == NULL) {
            return FDC_ERR_MEMORY;
        }
    }
    w->x = slot != NULL ? slot : &w->own_x;
    for (ptrdiff_t r = 0; r < jb->rows; r++) {
        fdc_fill_row(jb, *w->x + r * jb->width);
    }
    return FDC_OK;
}

static void evaluation_task(void *ctx, int index)
{
    sparse_job *job = ctx;
    fdc_worker w;
    if (index == 0) {
        work(job->base.caller, job->groups * job->points);
        return;
    }
    double *row = index <= job->helper_rows ? job->rows + index * job->base.rows * job->base.width : NULL;
    fdc_failure fail = {FDC_ERR_MEMORY, -1, 0.0, 0};
    if (worker_init(&w, job, NULL, row) != FDC_OK) {
        fdc_sparse_report(job, &fail, -1);
        return;
    }
    work(&w, job->groups * job->points);
    if (fdc_unchanged(&w, &fail) != FDC_OK) {
        fdc_sparse_report(job, &fail, PTRDIFF_MAX);
    }
    fdc_atomic_fetch_add(&job->base.nfev, w.nfev);
    if (row == NULL) {
        free(w.own_x);
    }
}

/* ---- retreat ------------------------------------------------------------------------------------------------- */

/* Where the value of row i and column j goes, which is entry k of `columns`. */
static double *entry_of(const sparse_job *job, int32_t i, int32_t j, int32_t k)
{
    const fdc_pattern *rows = &job->s->rows;
    if (rows->start == NULL) {
        return job->base.p->jac + k;
    }
    int32_t low = rows->start[i], high = rows->start[i + 1] - 1;
    while (low < high) {
        const int32_t middle = low + (high - low) / 2;
        if (rows->index[middle] < j) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return job->base.p->jac + low;
}

static int is_bad(const sparse_job *job, int32_t j)
{
    const fdc_pattern *columns = &job->s->columns;
    for (int32_t k = columns->start[j]; k < columns->start[j + 1]; k++) {
        if (!fdc_finite(1, entry_of(job, columns->index[k], j, k), 1)) {
            return 1;
        }
    }
    return 0;
}

/* Tries one scheme at shrunk steps for the components of `pending`, all of one colour; keeps in it those that gave NaN
 * or inf, or had no room. Returns how many. */
static ptrdiff_t retry(fdc_worker *w, int32_t *pending, ptrdiff_t count, int side, double shrink, fdc_status *status,
                       fdc_failure *fail)
{
    sparse_job *job = (sparse_job *)w->job;
    const fdc_problem *p = job->base.p;
    const fdc_options *o = job->base.o;
    const fdc_scheme *s = &p->scheme[side];
    ptrdiff_t tried = 0;
    for (ptrdiff_t t = 0; t < count; t++) {
        const int32_t j = pending[t];
        fdc_placement first;
        (void)fdc_place(p, o, j, &first);
        fdc_placement at = {s, first.h * shrink, FDC_AT_SHRUNK};
        const double factor = fdc_sparse_factor(p, o, j, &at), x = p->x[j];
        if (factor == 0.0 || (shrink == 1.0 && s == first.scheme) ||
            (o->lower != NULL && x + s->lowest * at.h < o->lower[j]) ||
            (o->upper != NULL && x + s->highest * at.h > o->upper[j])) {
            continue;
        }
        job->h[j] = at.h;
        job->factor[j] = factor;
        pending[t] = pending[tried]; /* those that are tried come first */
        pending[tried++] = j;
    }
    if (tried == 0) {
        return count;
    }
    /* A group of its own, in place of the first. */
    const int32_t start[2] = {0, (int32_t)tried};
    uint8_t group_side = (uint8_t)side;
    job->start = start;
    job->members = pending;
    job->groups = 1;
    job->group_side = &group_side;
    for (ptrdiff_t unit = 0; unit < job->points && *status == FDC_OK; unit++) {
        *status = evaluate(w, unit, unit + 1, fail);
    }
    if (*status == FDC_OK) {
        fdc_sparse_combine(job, 0, p->m);
        ptrdiff_t left = 0;
        for (ptrdiff_t t = 0; t < count; t++) {
            const int32_t j = pending[t];
            const fdc_pattern *columns = &job->s->columns;
            for (int32_t k = columns->start[j]; t < tried && k < columns->start[j + 1]; k++) {
                *entry_of(job, columns->index[k], j, k) = job->y[columns->index[k]] * job->factor[j];
            }
            if (t >= tried || is_bad(job, j)) {
                pending[left++] = j;
            } else if (job->base.component != NULL) {
                job->base.component[j] = side == 1   ? FDC_AT_FORWARD
                                         : side == 2 ? FDC_AT_BACKWARD
                                                     : FDC_AT_SHRUNK;
            }
        }
        count = left;
    }
    job->group_side = NULL;
    return count;
}

/* Columns with NaN or inf: the other side, then smaller and smaller steps, all of a colour together. */
static fdc_status retreat(fdc_worker *w, double *f0, fdc_failure *fail)
{
    static const double shrink[] = {1.0, 0.125, 1.0 / 64, 1.0 / 512, 1.0 / 4096};
    sparse_job *job = (sparse_job *)w->job;
    const fdc_problem *p = job->base.p;
    const fdc_sparsity *s = job->s;
    fdc_status status = FDC_OK;
    if (job->base.f0 == NULL) {
        status = fdc_base_value(w, f0, fail);
        job->base.f0 = f0;
    } else if (!fdc_finite(p->m, job->base.f0, 1)) {
        status = fdc_fail(fail, FDC_ERR_NONFINITE, -1, 0.0);
    }
    if (status != FDC_OK) {
        return status;
    }
    int32_t *pending = malloc(((size_t)p->n + 1) * sizeof *pending);
    uint8_t *group_side = job->group_side;
    if (pending == NULL) {
        return fdc_fail(fail, FDC_ERR_MEMORY, -1, 0.0);
    }
    for (int32_t c = 0; c < s->colors && status == FDC_OK; c++) {
        ptrdiff_t count = 0;
        for (int32_t t = s->group_start[c]; t < s->group_start[c + 1]; t++) {
            if (is_bad(job, s->group[t])) {
                pending[count++] = s->group[t];
            }
        }
        for (size_t level = 0; level < sizeof shrink / sizeof *shrink; level++) {
            for (int side = 0; side < p->nschemes && count > 0 && status == FDC_OK; side++) {
                count = retry(w, pending, count, side, shrink[level], &status, fail);
            }
        }
        if (status == FDC_OK && count > 0) {
            int32_t least = pending[0];
            for (ptrdiff_t t = 1; t < count; t++) {
                least = pending[t] < least ? pending[t] : least;
            }
            status = fdc_fail(fail, FDC_ERR_NONFINITE, least, job->h[least]);
        }
    }
    free(pending);
    job->group_side = group_side;
    return status;
}

/* ---- a run --------------------------------------------------------------------------------------------------- */

static ptrdiff_t work_size(const fdc_problem *p, ptrdiff_t groups, ptrdiff_t rows, ptrdiff_t workers)
{
    const ptrdiff_t width = p->is_complex ? 2 * p->n : p->n;
    const double size = 2.0 * (double)p->n + (double)p->m * (double)(groups * p->scheme[0].npoints + 1) +
                        (double)width * (double)rows * (double)workers + 8.0;
    return size < (double)(PTRDIFF_MAX / 16) ? (ptrdiff_t)size : -1;
}

ptrdiff_t fdc_sparse_work(const fdc_problem *p, int workers)
{
    return work_size(p, p->sparsity->colors, p->block_rows > 0 ? p->block_rows : 1, workers > 0 ? workers : 1);
}

static int needs_center(const sparse_job *job)
{
    const fdc_problem *p = job->base.p;
    for (ptrdiff_t g = 0; job->group_side != NULL && g < job->groups; g++) {
        if (p->scheme[job->group_side[g]].uses_center) {
            return 1;
        }
    }
    return p->scheme[0].uses_center;
}

/* All units, on the calling thread alone or with helpers. */
static void run_units(fdc_worker *w, double *f0, fdc_failure *fail)
{
    sparse_job *job = (sparse_job *)w->job;
    fdc_job *jb = &job->base;
    const ptrdiff_t units = job->groups * job->points;
    const int64_t start = fdc_clock_ns();
    ptrdiff_t done = 0;
    jb->next = 0;
    if (jb->f0 == NULL && needs_center(job)) {
        jb->f0 = job->center = f0;
        if (job->threads > 1 && jb->o->workers > 0 && jb->chunk == 1) {
            jb->next = CENTER;
        } else if (fdc_base_value(w, f0, fail) != FDC_OK) {
            fdc_sparse_report(job, fail, CENTER);
            return;
        } else {
            done = 1;
        }
    }
    if (job->threads > 1 && jb->o->workers <= 0) { /* as many as the work is worth: time an evaluation */
        if (done == 0 && units > 0) {
            work(w, jb->chunk);
            if (jb->first.status != FDC_OK) {
                return;
            }
            done = jb->chunk;
            jb->next = done;
        }
        const double each = (double)(fdc_clock_ns() - start) / (double)(done > 0 ? done : 1);
        if (each * (double)units < FDC_WORTH_THREADS_NS) {
            job->threads = 1;
        }
    }
    jb->caller = w;
    if (job->threads == 1) {
        work(w, units);
    } else {
        const int took = fdc_pool_run(jb->o->pool, job->threads, evaluation_task, job, fdc_poll, jb, on_cancel);
        job->most = took > job->most ? took : job->most;
    }
    if (jb->first.status == FDC_OK && fdc_unchanged(w, fail) != FDC_OK) {
        fdc_sparse_report(job, fail, PTRDIFF_MAX);
    }
}

fdc_status fdc_run_sparse(const fdc_problem *p, const fdc_options *o, fdc_info *info)
{
    const fdc_sparsity *s = p->sparsity;
    sparse_job job;
    fdc_worker w;
    fdc_failure fail = {FDC_OK, -1, 0.0, 0};
    const int batched = (p->f->flags & FDC_BATCHED) != 0;
    memset(&job, 0, sizeof job);
    memset(&w, 0, sizeof w);
    job.base.p = p;
    job.base.o = o;
    job.base.f0 = o->f0;
    job.base.first = fail;
    job.base.width = p->is_complex ? 2 * p->n : p->n;
    job.base.rows = batched && p->block_rows > 0 ? p->block_rows : 1;
    job.base.chunk = job.base.rows;
    job.s = s;
    job.points = p->scheme[0].npoints;
    job.groups = s->colors;
    job.start = s->group_start;
    job.members = s->group;
    job.group_of = s->color;
    job.entry_group = s->entry_color;
    job.most = 1;
    const int serial = o->pool == NULL || o->workers == 1 || p->xslot != NULL || !(p->f->flags & FDC_REENTRANT);
    job.threads = serial ? 1 : o->workers > 0 ? o->workers : fdc_most_workers(o->workers);
    if (info != NULL) {
        job.base.component = info->component;
        info->nfev = 0;
        info->column = -1;
        info->displacement = 0.0;
        info->callback_status = 0;
        info->workers = 1;
    }
    const ptrdiff_t nnz = s->columns.start[p->n];
    if (p->n == 0 || nnz == 0) {
        return FDC_OK;
    }

    double *own = NULL, *steps = NULL;
    fdc_mutex_init(&job.base.lock);
    fdc_status status = FDC_ERR_MEMORY;
    const ptrdiff_t kept = work_size(p, s->colors, job.base.rows, 1);
    if (kept < 0) {
        goto cleanup;
    }
    double *work_area = s->work;
    if (s->work == NULL || s->work_size < kept) {
        work_area = own = malloc((size_t)kept * sizeof *own);
        if (own == NULL) {
            goto cleanup;
        }
    } else {
        job.helper_rows = (s->work_size - kept) / (job.base.rows * job.base.width);
    }
    job.h = work_area;
    job.factor = job.h + p->n;
    double *f0 = job.factor + p->n;
    job.y = f0 + p->m;
    job.rows = job.y + job.groups * job.points * p->m;

    status = fdc_sparse_steps(&job);
    if (status != FDC_OK) {
        fail = job.base.first;
        goto cleanup;
    }
    if (job.groups > s->colors) { /* more rows of values than were reckoned with */
        const ptrdiff_t size = work_size(p, job.groups, job.base.rows, 1);
        steps = size < 0 ? NULL : malloc((size_t)size * sizeof *steps);
        if (steps == NULL) {
            status = FDC_ERR_MEMORY;
            goto cleanup;
        }
        job.y = steps;
    }
    if (info != NULL && info->step != NULL) {
        memcpy(info->step, job.h, (size_t)p->n * sizeof *info->step);
    }
    status = worker_init(&w, &job, p->xslot, job.rows);
    if (status != FDC_OK) {
        goto cleanup;
    }
    w.polls = o->poll != NULL;
    w.last_poll = w.polls ? fdc_clock_ns() : 0;
    run_units(&w, f0, &fail);
    fail = job.base.first;
    status = fail.status;
    if (status == FDC_OK && fdc_atomic_load_int(&job.base.cancelled)) {
        status = FDC_ERR_CANCELLED;
    }
    if (status == FDC_OK) {
        fdc_sparse_pass(&job);
        if (fdc_atomic_load_int(&job.bad)) {
            status = retreat(&w, f0, &fail);
            if (info != NULL && info->step != NULL) {
                memcpy(info->step, job.h, (size_t)p->n * sizeof *info->step);
            }
        }
    }

cleanup:
    if (info != NULL) {
        info->nfev = fdc_atomic_load(&job.base.nfev) + w.nfev;
        info->column = fail.column;
        info->displacement = fail.displacement;
        info->callback_status = fail.callback_status;
        info->workers = job.most;
    }
    free(steps);
    free(own);
    free(job.side);
    free(job.split);
    free(job.group_side);
    fdc_mutex_destroy(&job.base.lock);
    return status;
}
