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
#define RANGE 8192            /* rows, columns or components a claim in the stages without evaluations, at the most */
#define PARTS 16              /* claims there are at least, where that leaves some */
#define ALIGNED 512
#define RANGES_WORTH 100000   /* components or entries from which on those stages take threads */
#define SPINS 256             /* looks before a thread that waits for others reads the clock */
#define PATIENCE_NS 200000    /* ... before it sleeps */
#define NAP_NS 50000          /* ... at a time */
#define POLL_NS 50000000      /* between looks for signals */

void fdc_sparse_report(sparse_job *job, const fdc_failure *fail, ptrdiff_t place)
{
    fdc_mutex_lock(&job->base.lock);
    if (job->base.first.status == FDC_OK || place < job->failed) {
        job->base.first = *fail;
        job->failed = place;
    }
    fdc_mutex_unlock(&job->base.lock);
    fdc_atomic_store_int(&job->stopped, 1);
    fdc_atomic_store(&job->base.next, PTRDIFF_MAX / 2); /* nothing above what is claimed needs to start */
}

static void on_cancel(void *ctx)
{
    sparse_job *job = ctx;
    fdc_atomic_store_int(&job->base.cancelled, 1);
}

/* ---- stages over ranges -------------------------------------------------------------------------------------- */

void fdc_sparse_stage(sparse_job *job, ptrdiff_t count, void (*range)(sparse_job *, ptrdiff_t, ptrdiff_t))
{
    const ptrdiff_t even = (count / PARTS + ALIGNED) / ALIGNED * ALIGNED;
    job->stage[job->stages++] = (sparse_stage){range, count, even < RANGE ? even : RANGE, 0, 0};
}

static void take_part(sparse_job *job, sparse_stage *stage)
{
    for (;;) {
        const ptrdiff_t begin = fdc_atomic_fetch_add(&stage->next, stage->part);
        if (begin >= stage->count) {
            return;
        }
        const ptrdiff_t end = stage->count - begin < stage->part ? stage->count : begin + stage->part;
        stage->range(job, begin, end);
        fdc_atomic_fetch_add(&stage->done, end - begin);
    }
}

/* Until others have done what they claimed; 0 where something has failed. What is left takes some microseconds as a rule,
 * less than falling asleep and being woken; if it does not, this thread makes room. */
static int awaited(sparse_job *job, const ptrdiff_t *done, ptrdiff_t count, int polls)
{
    int64_t start = 0, polled = 0;
    for (int turn = 0; fdc_atomic_load(done) < count; turn++) {
        if (fdc_atomic_load_int(&job->stopped) || fdc_atomic_load_int(&job->base.cancelled)) {
            return 0;
        }
        if (turn < SPINS) {
            fdc_relax();
            continue;
        }
        if (fdc_process_id() != job->process) {
            on_cancel(job); /* the others stayed in the parent process */
            return 0;
        }
        const int64_t now = fdc_clock_ns();
        start = start == 0 ? now : start;
        polled = polled == 0 ? now : polled;
        fdc_pause(now - start < PATIENCE_NS ? 0 : NAP_NS);
        if (polls && now - polled > POLL_NS) {
            polled = now;
            if (fdc_poll(&job->base) != 0) {
                on_cancel(job);
            }
        }
    }
    return !fdc_atomic_load_int(&job->stopped);
}

static void share_stages(sparse_job *job, int first, int worker)
{
    for (int k = first; k < job->stages; k++) {
        take_part(job, &job->stage[k]);
        if (k + 1 < job->stages && !awaited(job, &job->stage[k].done, job->stage[k].count, worker == 0)) {
            return;
        }
    }
}

static void stages_task(void *ctx, int worker)
{
    share_stages(ctx, 0, worker);
}

/* All stages that are set. */
static void run_stages(sparse_job *job, ptrdiff_t work)
{
    if (job->range_threads == 1 || work < RANGES_WORTH) {
        for (int k = 0; k < job->stages; k++) {
            job->stage[k].range(job, 0, job->stage[k].count);
        }
    } else {
        (void)fdc_pool_run(job->base.o->pool, job->range_threads, stages_task, job, NULL, NULL, on_cancel);
    }
    job->stages = 0;
}

void fdc_sparse_ranges(sparse_job *job, ptrdiff_t count, ptrdiff_t work,
                       void (*range)(sparse_job *, ptrdiff_t, ptrdiff_t))
{
    fdc_sparse_stage(job, count, range);
    run_stages(job, work);
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

fdc_status fdc_sparse_evaluate(fdc_worker *w, ptrdiff_t begin, ptrdiff_t end, fdc_failure *fail)
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
            begin == CENTER ? fdc_base_value(w, job->center, &fail) : fdc_sparse_evaluate(w, begin, stop, &fail);
        if (status != FDC_OK) {
            fdc_sparse_report(job, &fail, begin);
            return;
        }
        fdc_atomic_fetch_add(&job->finished, stop - begin);
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

/* What each thread does: its share of the evaluations, then of the stages that follow. */
static void evaluation_task(void *ctx, int index)
{
    sparse_job *job = ctx;
    fdc_worker own, *w = index == 0 ? job->base.caller : &own;
    fdc_failure fail = {FDC_ERR_MEMORY, -1, 0.0, 0};
    double *row = index <= job->helper_rows ? job->rows + index * job->base.rows * job->base.width : NULL;
    if (index != 0 && worker_init(w, job, NULL, row) != FDC_OK) {
        fdc_sparse_report(job, &fail, -1);
        return;
    }
    const int steps = job->steps_are_due;
    if (steps) {
        take_part(job, &job->stage[0]);
    }
    if (!steps || awaited(job, &job->stage[0].done, job->stage[0].count, index == 0)) {
        work(w, job->units);
        if (fdc_unchanged(w, &fail) != FDC_OK) {
            fdc_sparse_report(job, &fail, PTRDIFF_MAX);
        }
    }
    if (index != 0) {
        fdc_atomic_fetch_add(&job->base.nfev, w->nfev);
        if (row == NULL) {
            free(w->own_x);
        }
    }
    if (awaited(job, &job->finished, job->units, index == 0)) {
        share_stages(job, steps, index);
    }
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

/* All units, on the calling thread alone or with helpers, and then the entries. */
static void run_units(fdc_worker *w, double *f0, fdc_failure *fail)
{
    sparse_job *job = (sparse_job *)w->job;
    fdc_job *jb = &job->base;
    const int64_t start = fdc_clock_ns();
    ptrdiff_t done = 0;
    job->units = job->groups * job->points;
    jb->next = 0;
    if (jb->f0 == NULL && needs_center(job)) {
        jb->f0 = job->center = f0;
        if (job->threads > 1 && jb->o->workers > 0 && jb->chunk == 1) {
            jb->next = CENTER;
            job->finished = CENTER;
        } else if (fdc_base_value(w, f0, fail) != FDC_OK) {
            fdc_sparse_report(job, fail, CENTER);
            return;
        } else {
            done = 1;
        }
    }
    if (job->threads > 1 && jb->o->workers <= 0) { /* as many as the work is worth: time an evaluation */
        if (done == 0 && job->units > 0) {
            work(w, jb->chunk);
            if (jb->first.status != FDC_OK) {
                return;
            }
            done = jb->chunk;
            jb->next = done;
        }
        const double each = (double)(fdc_clock_ns() - start) / (double)(done > 0 ? done : 1);
        if (each * (double)job->units < FDC_WORTH_THREADS_NS) {
            job->threads = 1;
        }
    }
    jb->caller = w;
    fdc_sparse_pass(job);
    if (job->threads > 1) {
        const int took = fdc_pool_run(jb->o->pool, job->threads, evaluation_task, job, fdc_poll, jb, on_cancel);
        job->most = took > job->most ? took : job->most;
        return;
    }
    work(w, job->units);
    if (jb->first.status == FDC_OK && fdc_unchanged(w, fail) != FDC_OK) {
        fdc_sparse_report(job, fail, PTRDIFF_MAX);
    }
    if (jb->first.status == FDC_OK && !fdc_atomic_load_int(&jb->cancelled)) {
        run_stages(job, job->s->columns.start[jb->p->n]);
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
    job.process = fdc_process_id();
    job.s = s;
    job.points = p->scheme[0].npoints;
    job.groups = s->colors;
    job.start = s->group_start;
    job.members = s->group;
    job.group_of = s->color;
    job.entry_group = s->entry_color;
    job.most = 1;
    const int serial = o->pool == NULL || o->workers == 1 || p->xslot != NULL || !(p->f->flags & FDC_REENTRANT);
    const int most = o->workers > 0 ? o->workers : fdc_most_workers(o->workers);
    job.threads = serial ? 1 : most;
    job.range_threads = o->pool == NULL ? 1 : most;
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
    if (status == FDC_OK && fdc_atomic_load_int(&job.bad)) {
        status = fdc_sparse_retreat(&w, f0, &fail);
    }
    if (info != NULL && info->step != NULL) {
        memcpy(info->step, job.h, (size_t)p->n * sizeof *info->step);
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
