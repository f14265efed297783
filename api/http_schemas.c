/* Shapes of bodies and results for /openapi.json; "@Name" stands for
 * "#/components/schemas/Name". */
#include "http_openapi.h"

static const akin_http_schema schemas[] = {
    {"Any", "{}"},
    {"Boolean", "{\"type\":\"boolean\"}"},
    {"Error", "{\"type\":\"object\",\"properties\":{\"status\":{\"type\":\"ob"
              "ject\",\"properties\":{\"error\":{\"type\":\"string\"}},\"requ"
              "ired\":[\"error\"]},\"time\":{\"type\":\"number\"}},\"required"
              "\":[\"status\",\"time\"]}"},
    {"PointId", "{\"description\":\"An unsigned integer, a UUID, or any other t"
                "ext.\",\"oneOf\":[{\"type\":\"integer\",\"minimum\":0},{\"type"
                "\":\"string\"}]}"},
    {"Filter", "{\"description\":\"must, should, must_not, min_should of condi"
               "tions; or an expression such as \\\".price < 10\\\".\",\"oneOf"
               "\":[{\"type\":\"object\"},{\"type\":\"string\"}]}"},
    {"Vector", "{\"description\":\"Numbers, or what the vector is to be made o"
               "f.\",\"oneOf\":[{\"type\":\"array\",\"items\":{\"type\":\"numb"
               "er\"}},{\"type\":\"object\",\"properties\":{\"text\":{\"type\""
               ":\"string\"},\"image\":{\"type\":\"string\",\"description\":\""
               "base64\"}}}]}"},
    {"Term", "{\"description\":\"A vector, an id, a text or a picture.\",\"o"
             "neOf\":[{\"type\":\"array\",\"items\":{\"type\":\"number\"}},{"
             "\"type\":\"integer\",\"minimum\":0},{\"type\":\"string\"},{\"t"
             "ype\":\"object\",\"properties\":{\"text\":{\"type\":\"string\""
             "},\"image\":{\"type\":\"string\"},\"id\":{\"$ref\":\"@PointId"
             "\"},\"vector\":{\"type\":\"array\",\"items\":{\"type\":\"numbe"
             "r\"}},\"weight\":{\"type\":\"number\"}}}]}"},
    {"CollectionNames",
     "{\"type\":\"object\",\"properties\":{\"collections\":{\"type\""
     ":\"array\",\"items\":{\"type\":\"object\",\"properties\":{\"na"
     "me\":{\"type\":\"string\"}},\"required\":[\"name\"]}}},\"requi"
     "red\":[\"collections\"]}"},
    {"Collection",
     "{\"type\":\"object\",\"properties\":{\"status\":{\"type\":\"st"
     "ring\"},\"points_count\":{\"type\":\"integer\"},\"indexed_vect"
     "ors_count\":{\"type\":\"integer\"},\"config\":{\"type\":\"obje"
     "ct\"},\"payload_schema\":{\"type\":\"object\"},\"akin\":{\"typ"
     "e\":\"object\"}},\"required\":[\"status\",\"points_count\",\"c"
     "onfig\"]}"},
    {"CreateCollection",
     "{\"type\":\"object\",\"properties\":{\"vectors\":{\"type\":\"o"
     "bject\",\"properties\":{\"size\":{\"type\":\"integer\",\"minim"
     "um\":1,\"maximum\":8192},\"distance\":{\"type\":\"string\",\"e"
     "num\":[\"Cosine\"]}}},\"payload_schema\":{\"type\":\"object\"}"
     "},\"description\":\"Without vectors: of the server's model.\"}"},
    {"CreateIndex", "{\"type\":\"object\",\"properties\":{\"field_name\":{"
                    "\"type\":\"string\"},\""
                    "field_schema\":{}},\"required\":[\"field_name\"]}"},
    {"Aliasing",
     "{\"type\":\"object\",\"properties\":{\"actions\":{\"type\":\"array\","
     "\"items\":{\"type\":\"object\",\"properties\":{\"create_alias\":{"
     "\"type\":\"object\",\"properties\":{\"collection_name\":{\"type\":"
     "\"string\"},\"alias_name\":{\"type\":\"string\"}},\"required\":["
     "\"collection_name\",\"alias_name\"]},\"delete_alias\":{\"type\":"
     "\"object\",\"properties\":{\"alias_name\":{\"type\":\"string\"}},"
     "\"required\":[\"alias_name\"]},\"rename_alias\":{\"type\":\"object\","
     "\"properties\":{\"old_alias_name\":{\"type\":\"string\"},"
     "\"new_alias_name\":{\"type\":\"string\"}},\"required\":["
     "\"old_alias_name\",\"new_alias_name\"]}}}}},\"required\":[\"actions\"]}"},
    {"Aliases",
     "{\"type\":\"object\",\"properties\":{\"aliases\":{\"type\":\"array\","
     "\"items\":{\"type\":\"object\",\"properties\":{\"alias_name\":{"
     "\"type\":\"string\"},\"collection_name\":{\"type\":\"string\"}},"
     "\"required\":[\"alias_name\",\"collection_name\"]}}},\"required\":["
     "\"aliases\"]}"},
    {"Snapshot",
     "{\"type\":\"object\",\"properties\":{\"name\":{\"type\":\"string\"},"
     "\"creation_time\":{\"type\":\"string\"},\"size\":{\"type\":\"integer\"},"
     "\"checksum\":{\"type\":[\"string\",\"null\"]}},\"required\":[\"name\","
     "\"size\"]}"},
    {"Recover",
     "{\"type\":\"object\",\"properties\":{\"location\":{\"type\":\"string\","
     "\"description\":\"The name of a snapshot of the collection, or file:// "
     "and a path below the data directory's snapshots.\"},\"checksum\":{"
     "\"type\":[\"string\",\"null\"]}},\"required\":[\"location\"]}"},
    {"Snapshots", "{\"type\":\"array\",\"items\":{\"$ref\":\"@Snapshot\"}}"},
    {"DeleteVectors",
     "{\"type\":\"object\",\"properties\":{\"points\":{\"type\":\"array\","
     "\"items\":{\"$ref\":\"@PointId\"}},\"filter\":{\"$ref\":\"@Filter\"},"
     "\"vector\":{\"type\":\"array\",\"items\":{\"type\":\"string\",\"enum\":"
     "[\"\",\"image\",\"caption\"]}}},\"required\":[\"vector\"]}"},
    {"Exists", "{\"type\":\"object\",\"properties\":{\"exists\":{\"type\":\"bo"
               "olean\"}},\"required\":[\"exists\"]}"},
    {"Point", "{\"type\":\"object\",\"properties\":{\"id\":{\"$ref\":\"@Point"
              "Id\"},\"vector\":{\"$ref\":\"@Vector\"},\"caption\":{\"type\":"
              "\"string\"},\"payload\":{\"type\":\"object\"}},\"required\":["
              "\"id\"]}"},
    {"Upsert", "{\"type\":\"object\",\"properties\":{\"points\":{\"type\":\"ar"
               "ray\",\"items\":{\"$ref\":\"@Point\"}},\"batch\":{\"type\":\"o"
               "bject\",\"properties\":{\"ids\":{\"type\":\"array\",\"items\":"
               "{\"$ref\":\"@PointId\"}},\"vectors\":{},\"payloads\":{\"type\""
               ":\"array\",\"items\":{}}},\"required\":[\"ids\"]}}}"},
    {"Update", "{\"type\":\"object\",\"properties\":{\"operation_id\":{\"type"
               "\":\"integer\"},\"status\":{\"type\":\"string\"}},\"required\""
               ":[\"status\"]}"},
    {"Updates", "{\"type\":\"array\",\"items\":{\"$ref\":\"@Update\"}}"},
    {"GetPoints",
     "{\"type\":\"object\",\"properties\":{\"ids\":{\"type\":\"array"
     "\",\"items\":{\"$ref\":\"@PointId\"}},\"with_payload\":{},\"wi"
     "th_vector\":{},\"with_details\":{\"type\":\"boolean\"}},\"requ"
     "ired\":[\"ids\"]}"},
    {"Record", "{\"type\":\"object\",\"properties\":{\"id\":{\"$ref\":\"@Point"
               "Id\"},\"payload\":{\"type\":\"object\"},\"vector\":{}},\"requi"
               "red\":[\"id\"]}"},
    {"Records", "{\"type\":\"array\",\"items\":{\"$ref\":\"@Record\"}}"},
    {"PointSelector",
     "{\"type\":\"object\",\"properties\":{\"points\":{\"type\":\"ar"
     "ray\",\"items\":{\"$ref\":\"@PointId\"}},\"filter\":{\"$ref\":"
     "\"@Filter\"}}}"},
    {"SetPayload",
     "{\"type\":\"object\",\"properties\":{\"payload\":{\"type\":\"o"
     "bject\"},\"key\":{\"type\":\"string\"},\"points\":{\"type\":\""
     "array\",\"items\":{\"$ref\":\"@PointId\"}},\"filter\":{\"$ref"
     "\":\"@Filter\"}},\"required\":[\"payload\"]}"},
    {"DeletePayload",
     "{\"type\":\"object\",\"properties\":{\"keys\":{\"type\":\"arra"
     "y\",\"items\":{\"type\":\"string\"}},\"points\":{\"type\":\"ar"
     "ray\",\"items\":{\"$ref\":\"@PointId\"}},\"filter\":{\"$ref\":"
     "\"@Filter\"}},\"required\":[\"keys\"]}"},
    {"Batch", "{\"type\":\"object\",\"properties\":{\"operations\":{\"type\":"
              "\"array\",\"items\":{\"type\":\"object\"}}},\"required\":[\"op"
              "erations\"]}"},
    {"Form", "{\"type\":\"object\",\"properties\":{\"id\":{\"type\":\"string"
             "\"},\"caption\":{\"type\":\"string\"},\"payload\":{\"type\":\""
             "string\"},\"file\":{\"type\":\"string\",\"format\":\"binary\"}"
             "}}"},
    {"Lines", "{\"type\":\"string\",\"description\":\"A point of JSON on each"
              " line.\"}"},
    {"Outcomes",
     "{\"type\":\"array\",\"items\":{\"type\":\"object\",\"propertie"
     "s\":{\"id\":{\"$ref\":\"@PointId\"},\"status\":{\"type\":\"str"
     "ing\",\"enum\":[\"added\",\"updated\",\"unchanged\",\"failed\""
     "]},\"error\":{\"type\":\"string\"}},\"required\":[\"id\",\"sta"
     "tus\"]}}"},
    {"Query", "{\"type\":\"object\",\"properties\":{\"query\":{},\"prefetch\""
              ":{},\"filter\":{\"$ref\":\"@Filter\"},\"limit\":{\"type\":\"in"
              "teger\",\"minimum\":1,\"maximum\":10000},\"offset\":{\"type\":"
              "\"integer\"},\"score_threshold\":{\"type\":\"number\"},\"param"
              "s\":{\"type\":\"object\",\"properties\":{\"exact\":{\"type\":"
              "\"boolean\"},\"nprobe\":{\"type\":\"integer\"},\"recall\":{\"t"
              "ype\":\"number\"}}},\"using\":{\"type\":\"string\",\"enum\":["
              "\"image\",\"caption\",\"both\"]},\"with_payload\":{},\"with_ve"
              "ctor\":{},\"with_details\":{\"type\":\"boolean\"}}}"},
    {"Queries", "{\"type\":\"object\",\"properties\":{\"searches\":{\"type\":\""
                "array\",\"items\":{\"type\":\"object\"}}},\"required\":[\"sear"
                "ches\"]}"},
    {"Search",
     "{\"type\":\"object\",\"properties\":{\"vector\":{},\"filter\":"
     "{\"$ref\":\"@Filter\"},\"limit\":{\"type\":\"integer\",\"minim"
     "um\":1,\"maximum\":10000},\"offset\":{\"type\":\"integer\"},\""
     "score_threshold\":{\"type\":\"number\"},\"params\":{\"type\":"
     "\"object\",\"properties\":{\"exact\":{\"type\":\"boolean\"},\""
     "nprobe\":{\"type\":\"integer\"},\"recall\":{\"type\":\"number"
     "\"}}},\"using\":{\"type\":\"string\",\"enum\":[\"image\",\"cap"
     "tion\",\"both\"]},\"with_payload\":{},\"with_vector\":{},\"wit"
     "h_details\":{\"type\":\"boolean\"}},\"required\":[\"vector\"]}"},
    {"Recommend",
     "{\"type\":\"object\",\"properties\":{\"positive\":{\"type\":\""
     "array\",\"items\":{\"$ref\":\"@Term\"}},\"negative\":{\"type\""
     ":\"array\",\"items\":{\"$ref\":\"@Term\"}},\"strategy\":{\"typ"
     "e\":\"string\",\"enum\":[\"average_vector\",\"best_score\",\"s"
     "um_scores\"]},\"filter\":{\"$ref\":\"@Filter\"},\"limit\":{\"t"
     "ype\":\"integer\",\"minimum\":1,\"maximum\":10000},\"offset\":"
     "{\"type\":\"integer\"},\"score_threshold\":{\"type\":\"number"
     "\"},\"params\":{\"type\":\"object\",\"properties\":{\"exact\":"
     "{\"type\":\"boolean\"},\"nprobe\":{\"type\":\"integer\"},\"rec"
     "all\":{\"type\":\"number\"}}},\"using\":{\"type\":\"string\","
     "\"enum\":[\"image\",\"caption\",\"both\"]},\"with_payload\":{}"
     ",\"with_vector\":{},\"with_details\":{\"type\":\"boolean\"}}}"},
    {"Discover",
     "{\"type\":\"object\",\"properties\":{\"target\":{\"$ref\":\"@T"
     "erm\"},\"context\":{\"type\":\"array\",\"items\":{\"type\":\"o"
     "bject\",\"properties\":{\"positive\":{\"$ref\":\"@Term\"},\"ne"
     "gative\":{\"$ref\":\"@Term\"}}}},\"filter\":{\"$ref\":\"@Filte"
     "r\"},\"limit\":{\"type\":\"integer\",\"minimum\":1,\"maximum\""
     ":10000},\"offset\":{\"type\":\"integer\"},\"score_threshold\":"
     "{\"type\":\"number\"},\"params\":{\"type\":\"object\",\"proper"
     "ties\":{\"exact\":{\"type\":\"boolean\"},\"nprobe\":{\"type\":"
     "\"integer\"},\"recall\":{\"type\":\"number\"}}},\"using\":{\"t"
     "ype\":\"string\",\"enum\":[\"image\",\"caption\",\"both\"]},\""
     "with_payload\":{},\"with_vector\":{},\"with_details\":{\"type"
     "\":\"boolean\"}}}"},
    {"Groups", "{\"type\":\"object\",\"properties\":{\"query\":{},\"vector\":{"
               "},\"positive\":{\"type\":\"array\",\"items\":{\"$ref\":\"@Term"
               "\"}},\"group_by\":{\"type\":\"string\"},\"group_size\":{\"type"
               "\":\"integer\"},\"filter\":{\"$ref\":\"@Filter\"},\"limit\":{"
               "\"type\":\"integer\",\"minimum\":1,\"maximum\":10000},\"offset"
               "\":{\"type\":\"integer\"},\"score_threshold\":{\"type\":\"numb"
               "er\"},\"params\":{\"type\":\"object\",\"properties\":{\"exact"
               "\":{\"type\":\"boolean\"},\"nprobe\":{\"type\":\"integer\"},\""
               "recall\":{\"type\":\"number\"}}},\"using\":{\"type\":\"string"
               "\",\"enum\":[\"image\",\"caption\",\"both\"]},\"with_payload\""
               ":{},\"with_vector\":{},\"with_details\":{\"type\":\"boolean\"}"
               "},\"required\":[\"group_by\"]}"},
    {"ScoredPoint",
     "{\"type\":\"object\",\"properties\":{\"id\":{\"$ref\":\"@Point"
     "Id\"},\"version\":{\"type\":\"integer\"},\"score\":{\"type\":"
     "\"number\"},\"payload\":{\"type\":\"object\"},\"vector\":{}},"
     "\"required\":[\"id\",\"version\",\"score\"]}"},
    {"ScoredPoints",
     "{\"type\":\"array\",\"items\":{\"$ref\":\"@ScoredPoint\"}}"},
    {"ScoredLists",
     "{\"type\":\"array\",\"items\":{\"$ref\":\"@ScoredPoints\"}}"},
    {"Points", "{\"type\":\"object\",\"properties\":{\"points\":{\"$ref\":\"@S"
               "coredPoints\"}},\"required\":[\"points\"]}"},
    {"PointLists", "{\"type\":\"array\",\"items\":{\"$ref\":\"@Points\"}}"},
    {"GroupList",
     "{\"type\":\"object\",\"properties\":{\"groups\":{\"type\":\"ar"
     "ray\",\"items\":{\"type\":\"object\",\"properties\":{\"id\":{}"
     ",\"hits\":{\"$ref\":\"@ScoredPoints\"}},\"required\":[\"id\","
     "\"hits\"]}}},\"required\":[\"groups\"]}"},
    {"Scroll", "{\"type\":\"object\",\"properties\":{\"filter\":{\"$ref\":\"@F"
               "ilter\"},\"limit\":{\"type\":\"integer\"},\"offset\":{\"$ref\""
               ":\"@PointId\"},\"order_by\":{},\"with_payload\":{},\"with_"
               "vector\":{},\"with_d"
               "etails\":{\"type\":\"boolean\"}}}"},
    {"Page", "{\"type\":\"object\",\"properties\":{\"points\":{\"$ref\":\"@R"
             "ecords\"},\"next_page_offset\":{}},\"required\":[\"points\"]}"},
    {"Count", "{\"type\":\"object\",\"properties\":{\"filter\":{\"$ref\":\"@F"
              "ilter\"},\"exact\":{\"type\":\"boolean\"}}}"},
    {"Counted", "{\"type\":\"object\",\"properties\":{\"count\":{\"type\":\"int"
                "eger\"}},\"required\":[\"count\"]}"},
    {"Facet", "{\"type\":\"object\",\"properties\":{\"key\":{\"type\":\"strin"
              "g\"},\"limit\":{\"type\":\"integer\"},\"filter\":{\"$ref\":\"@"
              "Filter\"}},\"required\":[\"key\"]}"},
    {"FacetHits",
     "{\"type\":\"object\",\"properties\":{\"hits\":{\"type\":\"arra"
     "y\",\"items\":{\"type\":\"object\",\"properties\":{\"value\":{"
     "},\"count\":{\"type\":\"integer\"}},\"required\":[\"value\",\""
     "count\"]}}},\"required\":[\"hits\"]}"},
    {"Fields",
     "{\"type\":\"object\",\"properties\":{\"fields\":{\"type\":\"array\","
     "\"items\""
     ":{\"type\":\"object\",\"properties\":{\"name\":{\"type\":\"string\"},"
     "\"typ"
     "e\":{\"type\":\"string\"},\"sampled\":{\"type\":\"integer\"}}}}}}"},
    {"Duplicates",
     "{\"type\":\"object\",\"properties\":{\"level\":{\"type\":\"string\","
     "\"enum\":[\"exact\",\"near\",\"similar\"]},\"limit\":{\"type\":"
     "\"integer\",\"minimum\":1,\"maximum\":1000},\"cursor\":{\"type\":"
     "\"integer\",\"description\":\"of the page before\"}}}"},
    {"DuplicateMember",
     "{\"type\":\"object\",\"properties\":{\"id\":{\"$ref\":\"@PointId\"},"
     "\"keep\":{\"type\":\"boolean\"},\"width\":{\"type\":\"integer\"},"
     "\"height\":{\"type\":\"integer\"},\"bytes\":{\"type\":\"integer\"},"
     "\"beside\":{\"$ref\":\"@PointId\"},\"level\":{\"type\":\"string\"},"
     "\"same\":{\"type\":[\"string\",\"null\"],\"description\":\"bytes, or "
     "pixels\"},\"distance\":{\"type\":\"integer\",\"description\":\"of "
     "perceptual hashes, 0 to 255\"},\"similarity\":{\"type\":[\"number\","
     "\"null\"]},\"cosine\":{\"type\":[\"number\",\"null\"]},\"turn\":{"
     "\"type\":\"integer\"}},\"required\":[\"id\",\"keep\"]}"},
    {"DuplicatePage",
     "{\"type\":\"object\",\"properties\":{\"cursor\":{\"type\":\"integer\","
     "\"description\":\"0: the last page\"},\"pending\":{\"type\":"
     "\"integer\",\"description\":\"pictures not looked at yet: ask "
     "again\"},\"groups\":{\"type\":\"array\",\"items\":{\"type\":\"object\","
     "\"properties\":{\"level\":{\"type\":\"string\"},\"keep\":{\"$ref\":"
     "\"@PointId\"},\"why\":{\"type\":\"string\"},\"members\":{\"type\":"
     "\"array\",\"items\":{\"$ref\":\"@DuplicateMember\"}}},\"required\":["
     "\"level\",\"keep\",\"members\"]}}},\"required\":[\"cursor\","
     "\"pending\",\"groups\"]}"},
    {"Dismiss",
     "{\"type\":\"object\",\"properties\":{\"points\":{\"type\":\"array\","
     "\"items\":{\"$ref\":\"@PointId\"}},\"undo\":{\"type\":\"boolean\"}},"
     "\"required\":[\"points\"]}"},
    {"Keep",
     "{\"type\":\"object\",\"properties\":{\"keep\":{\"$ref\":\"@PointId\"},"
     "\"points\":{\"type\":\"array\",\"items\":{\"$ref\":\"@PointId\"},"
     "\"description\":\"the others\"},\"merge\":{\"type\":\"boolean\","
     "\"description\":\"their captions and payloads go into the one kept; "
     "the default\"}},\"required\":[\"keep\",\"points\"]}"},
    {"Kept", "{\"type\":\"object\",\"properties\":{\"removed\":{\"type\":"
             "\"integer\"},\"merged\":{\"type\":\"boolean\"}},\"required\":["
             "\"removed\",\"merged\"]}"},
    {"Embed", "{\"type\":\"object\",\"properties\":{\"input\":{},\"model\":{"
              "\"type\":\"string\"},\"encoding_format\":{\"type\":\"string\","
              "\"enum\":[\"float\",\"base64\"]}},\"required\":[\"input\"]}"},
    {"Embeddings",
     "{\"type\":\"object\",\"properties\":{\"object\":{\"type\":\"st"
     "ring\"},\"data\":{\"type\":\"array\",\"items\":{\"type\":\"obj"
     "ect\",\"properties\":{\"object\":{\"type\":\"string\"},\"index"
     "\":{\"type\":\"integer\"},\"embedding\":{}}}},\"model\":{\"typ"
     "e\":\"string\"},\"usage\":{\"type\":\"object\"}},\"required\":"
     "[\"data\"]}"},
    {"Job", "{\"type\":\"object\",\"properties\":{\"id\":{\"type\":\"intege"
            "r\"},\"kind\":{\"type\":\"string\"},\"state\":{\"type\":\"stri"
            "ng\"},\"collection\":{\"type\":\"string\"},\"done\":{\"type\":"
            "\"integer\"},\"total\":{\"type\":\"integer\"},\"failed\":{\"ty"
            "pe\":\"integer\"}},\"required\":[\"id\",\"kind\",\"state\"]}"},
    {"Jobs", "{\"type\":\"array\",\"items\":{\"$ref\":\"@Job\"}}"},
};

const akin_http_schema *akin__http_schemas(size_t *n)
{
    *n = sizeof schemas / sizeof *schemas;
    return schemas;
}
