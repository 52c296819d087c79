/* color_order.h - vertex orders and the work space that the colourings share; not for other files. */
#ifndef FDCORE_COLOR_ORDER_H
#define FDCORE_COLOR_ORDER_H

#include "color.h"

/* malloc for count items, overflow-checked; never NULL for want of a size. */
void *fdc_array(size_t count, size_t size);

/* What makes vertices neighbours: columns that share a row, or (rows == NULL) the off-diagonal entries of a line of
 * a symmetric `columns`. */
typedef struct fdc_orderer fdc_orderer;

/* NULL when out of memory. */
fdc_orderer *fdc_orderer_create(const fdc_pattern *columns, const fdc_pattern *rows);
void fdc_orderer_destroy(fdc_orderer *o);

/* The vertices in that order (neither NATURAL nor BEST); valid until the next call. */
const int32_t *fdc_orderer_make(fdc_orderer *o, fdc_order order);

/* The vertices class by class, the last class first. */
const int32_t *fdc_orderer_by_class(fdc_orderer *o, const int32_t *color, int32_t colors);

#endif
