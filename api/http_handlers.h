/* The handlers that the table of routes names, by file. */
#ifndef AKIN_API_HTTP_HANDLERS_H
#define AKIN_API_HTTP_HANDLERS_H

#include "http_internal.h"

akin_http_handler akin__http_healthz, akin__http_readyz, akin__http_metrics,
    akin__http_openapi; /* http_service.c, http_openapi.c */
akin_http_handler akin__http_collections, akin__http_collection,
    akin__http_create_collection, akin__http_update_collection,
    akin__http_delete_collection, akin__http_create_index,
    akin__http_delete_index,
    akin__http_collection_exists; /* http_collections.c */
akin_http_handler akin__http_change_aliases, akin__http_aliases,
    akin__http_collection_aliases; /* http_aliases.c */
akin_http_handler akin__http_create_snapshot, akin__http_snapshots,
    akin__http_delete_snapshot, akin__http_get_snapshot,
    akin__http_recover_snapshot; /* http_snapshots.c */
akin_http_handler akin__http_put_vectors, akin__http_delete_vectors,
    akin__http_put_points, akin__http_get_points, akin__http_get_point,
    akin__http_delete_points, akin__http_set_payload,
    akin__http_overwrite_payload, akin__http_delete_payload,
    akin__http_clear_payload, akin__http_batch; /* http_points.c */
akin_http_handler akin__http_query_points, akin__http_query_batch,
    akin__http_search_points, akin__http_search_batch; /* http_query.c */
akin_http_handler akin__http_groups;                   /* http_groups.c */
akin_http_handler akin__http_scroll, akin__http_count; /* http_scroll.c */
akin_http_handler akin__http_facet, akin__http_fields; /* http_facet.c */
akin_http_handler akin__http_upload, akin__http_bulk;  /* http_upload.c */
akin_http_handler akin__http_embeddings;               /* http_embed.c */
akin_http_handler akin__http_jobs, akin__http_job_events, akin__http_job,
    akin__http_job_cancel, akin__http_job_resume,
    akin__http_rebuild; /* http_jobs.c */
akin_http_handler akin__http_duplicates, akin__http_dismiss,
    akin__http_keep; /* http_dupes.c */
akin_http_handler akin__http_root, akin__http_gallery_file,
    akin__http_thumbnail; /* http_gallery.c */

#endif
