/* The command line's commands and options. Parsing, help, completions, the man
 * page and docs/commands.md read this. */
#include "cli.h"

#define END                                                                    \
    {                                                                          \
        NULL, 0, NULL, NULL                                                    \
    }

const akin_cli_option akin_cli_common[] = {
    {"collection", 'c', "NAME", "the collection; default: default"},
    {"connect", 0, "WHERE",
     "ask the server at HOST:PORT or at the path of a socket (AKIN_CONNECT)"},
    {"config", 0, "FILE", "read options from a file (AKIN_CONFIG)"},
    {"json", 'j', NULL, "print JSON"},
    {"color", 0, "WHEN", "auto, always or never; NO_COLOR is respected"},
    {"quiet", 'q', NULL, "no progress, no remarks"},
    {"help", 'h', NULL, "help on the command"},
    END,
};

static const akin_cli_option no_options[] = {END};

static const akin_cli_option add_options[] = {
    {"captions", 0, "FROM",
     "captions of pictures: metadata (title and keywords in the file; "
     "default), filename, none"},
    {"flat", 0, NULL, "leave out folders below"},
    {"hidden", 0, NULL, "names beginning with a dot too"},
    {"follow", 0, NULL, "follow symbolic links"},
    {"force", 0, NULL, "read again what looks unchanged"},
    {"prune", 0, NULL, "remove items whose file is gone"},
    {"send", 0, NULL,
     "send the pictures' bytes, for a server that cannot read these files; "
     "what --connect HOST:PORT does by itself"},
    END,
};

#define QUESTION_OPTIONS                                                       \
    {"limit", 'k', "N", "matches wanted; default: 10"},                        \
        {"offset", 0, "N", "leave out the first N"},                           \
        {"filter", 'f', "EXPR",                                                \
         "only items whose attributes pass, as in '.price < 20 and .label == " \
         "\"shoes\"'"},                                                        \
        {"space", 0, "SPACE",                                                  \
         "compare with pictures (image), captions (caption), both, or auto"},  \
        {"min-score", 0, "S", "leave out matches below this score"},           \
        {"exact", 0, NULL, "look at every item"},                              \
        {"ids", 0, NULL, "print only the ids"},                                \
    {                                                                          \
        "html", 0, "FILE", "write a page with the pictures"                    \
    }

static const akin_cli_option search_options[] = {
    {"image", 'i', "FILE", "a picture to search with"},
    {"like", 'l', "ID", "an item to search with"},
    {"text", 't', "WORDS", "words; the same as operands"},
    {"not", 0, "WORDS", "away from these words"},
    {"not-image", 0, "FILE", "away from this picture"},
    {"not-like", 0, "ID", "away from this item"},
    {"weight", 'w', "W",
     "weight of what stands before it (behind a word: of all the words); "
     "default: 1"},
    QUESTION_OPTIONS,
    END,
};

static const akin_cli_option similar_options[] = {
    {"file", 0, NULL, "the operand is a picture file, not an id"},
    QUESTION_OPTIONS,
    END,
};

static const akin_cli_option sheet_options[] = {
    {"out", 'o', "FILE", "the page to write; default: sheet.html"},
    {"like", 'l', "ID", "a query: more like this item"},
    {"image", 'i', "FILE", "a query: this picture"},
    {"limit", 'k', "N", "pictures for each query; default: 10"},
    {"filter", 'f', "EXPR", "only items whose attributes pass"},
    {"space", 0, "SPACE", "image, caption, both or auto"},
    {"title", 0, "TEXT", "heading of the page"},
    {"link", 0, NULL,
     "link to the picture files instead of putting "
     "thumbnails into the page"},
    END,
};

static const akin_cli_option get_options[] = {
    {"thumbnail", 0, "FILE", "write the small picture there"},
    {"vector", 0, NULL, "print the vector too"},
    END,
};

static const akin_cli_option rm_options[] = {
    {"missing-ok", 0, NULL, "no complaint about ids that are not there"},
    END,
};

static const akin_cli_option embed_options[] = {
    {"image", 'i', "FILE", "a picture instead of words"},
    END,
};

static const akin_cli_option classify_options[] = {
    {"labels", 0, "LABEL,LABEL", "what it may be (repeatable)"},
    {"labels-file", 0, "FILE", "the same, one a line"},
    {"template", 0, "TEXT",
     "what is said of a label, which goes where {} is; repeated: the mean of "
     "them (default: " AKIN_TEMPLATE ")"},
    {"limit", 'k', "N", "labels shown of each picture; default: 5"},
    {"flat", 0, NULL, "leave out folders below"},
    {"hidden", 0, NULL, "names beginning with a dot too"},
    END,
};

static const akin_cli_option dedup_options[] = {
    {"level", 0, "LEVEL", "exact, near or similar; default: near"},
    {"keep", 0, "RULE[,RULE]",
     "which picture of a group to keep: the first rule that tells two apart "
     "decides; the rules are below"},
    {"prefer", 0, "PATH",
     "the rule path:PATH, before those of --keep (repeatable)"},
    {"html", 0, "FILE", "write a page with the pictures side by side"},
    {"review", 0, NULL,
     "go through the groups on the terminal: keep another, no duplicates, "
     "skip; then apply"},
    {"apply", 0, NULL, "do it; without, only say what would be done"},
    {"trash", 0, "DIR",
     "apply: move what goes there; default: a folder in "
     "the data directory"},
    {"hardlink", 0, NULL,
     "apply: replace files with equal bytes by hard links"},
    {"delete", 0, NULL, "apply: delete what goes"},
    {"undo", 0, NULL, "take the last --apply back"},
    {"flat", 0, NULL, "not into folders below"},
    {"hidden", 0, NULL, "names beginning with a dot too"},
    END,
};

static const akin_cli_option bench_options[] = {
    {"label", 0, "NAME",
     "the attribute that says what a picture shows; default: label, class, "
     "category, else the name of its folder"},
    {"template", 0, "TEXT",
     "what is said of a label, which goes where {} is; repeated: the mean of "
     "them (default: a photo of a {})"},
    {"captions", 0, "FROM",
     "captions of a folder's pictures: metadata (default), filename, none"},
    {"queries", 0, "EXPR",
     "only pictures whose attributes pass ask; all can be found"},
    {"sample", 0, "N", "at most so many pictures; default: 10000"},
    END,
};

static const akin_cli_option collections_options[] = {
    {"dim", 0, "N", "create: raw vectors of this width, no model"},
    {"field", 0, "NAME:TYPE",
     "create: an attribute that filters use often (number, string, bool, "
     "tags, datetime)"},
    {"yes", 'y', NULL, "drop: do not ask"},
    END,
};

static const akin_cli_option info_options[] = {
    {"server", 0, NULL, "counters of the server instead"},
    END,
};

static const akin_cli_option reindex_options[] = {
    {"embed", 0, NULL,
     "embed everything again with the model of --model, then swap"},
    END,
};

static const akin_cli_option index_options[] = {
    {"index", 0, "INDEX",
     "rebuild: so many lists and code bytes, as IVF4096,PQ64; default: by "
     "size"},
    {"space", 0, "SPACE", "recall: only image, or only caption"},
    {"sample", 0, "N", "recall: queries to measure with; default: 256"},
    END,
};

static const akin_cli_option check_options[] = {
    {"repair", 0, NULL, "rebuild what is derived and damaged"},
    END,
};

static const akin_cli_option backup_options[] = {
    {"force", 0, NULL, "replace a file of that name"},
    END,
};

static const akin_cli_option restore_options[] = {
    {"data", 0, "DIR", "the directory (AKIN_DATA)"},
    {"force", 0, NULL,
     "also in the place of a directory that is not empty, which is kept as "
     "DIR.old-DATE; with -c: replace the collection"},
    END,
};

static const akin_cli_option jobs_options[] = {
    {"timeout", 0, "SECONDS", "wait: at most so long"},
    END,
};

static const akin_cli_option demo_options[] = {
    {"keep", 0, NULL, "leave the server running"},
    {"out", 0, "FILE",
     "the page with the answers; default: akin-demo.html here"},
    END,
};

static const akin_cli_option help_options[] = {
    {"man", 0, NULL, "the manual page, in roff"},
    {"markdown", 0, NULL, "docs/commands.md"},
    END,
};

const akin_cli_command akin_cli_commands[] = {
    {"serve", "", "answer over sockets: RESP, which Redis clients speak",
     "Serves the data directory on --port of --bind and on the socket --unix "
     "(default: akin.sock in the data directory, where the other commands "
     "find it by themselves). SIGTERM or Ctrl-C lets running commands finish "
     "and ends it; a second one ends it at once. Nothing acknowledged is lost "
     "either way.",
     AKIN_CLI_SERVE, 0, 0, NULL, akin_cli_serve, no_options},
    {"add", "PATH ...", "add pictures: files, folders, catalogues",
     "A folder's pictures get their path below it as id; a single file its "
     "name. A catalogue (.csv, .tsv, .jsonl) has columns id, image and "
     "caption (or title, text); its other columns become attributes. What is "
     "unchanged is skipped, so after an interruption the same command goes "
     "on where it stopped. Files that cannot be read are listed with their "
     "reason and end nothing.",
     AKIN_CLI_WRITE, 1, -1, akin_cli_add_check, akin_cli_add, add_options},
    {"search", "[WORDS ...]", "find items by words, by pictures, by both",
     "Words, pictures (--image) and items (--like) may be mixed; what comes "
     "with --not pushes away. The score is between 0 and 1.",
     AKIN_CLI_READ, 0, -1, NULL, akin_cli_search, search_options},
    {"similar", "ID|FILE", "more like this item, or like this picture file",
     "The operand is an item's id; when there is none of that name, a file.",
     AKIN_CLI_READ, 1, 1, NULL, akin_cli_similar, similar_options},
    {"sheet", "[QUERY ...]", "write a page of pictures for several queries",
     "Each operand is a query in words; --like and --image add more. The page "
     "stands alone: the pictures are in it.",
     AKIN_CLI_READ, 0, -1, NULL, akin_cli_sheet, sheet_options},
    {"get", "ID ...", "print items whole", NULL, AKIN_CLI_READ, 1, -1, NULL,
     akin_cli_get, get_options},
    {"rm", "ID ...", "remove items", NULL, AKIN_CLI_WRITE, 1, -1, NULL,
     akin_cli_rm, rm_options},
    {"dedup", "[PATH ... | -c COLLECTION]", "find duplicate pictures",
     "Reads the pictures in folders (what it has read before it knows, from a "
     "directory of its own in the user's cache, or --data), or takes those of "
     "a "
     "collection (-c), prints groups of duplicates "
     "and which picture of each to keep, and why. Nothing is touched without "
     "--apply, which moves "
     "the others to a trash folder, or with --hardlink or --delete does that "
     "instead; a file that has changed meanwhile is left alone, and the one "
     "that stays is looked at again before each step. --undo takes the last "
     "--apply back, also one that was killed. Of a collection, captions, tags "
     "and attributes of what goes are merged into the item that stays, and "
     "--undo parts them again.",
     AKIN_CLI_NONE, 0, -1, akin_cli_dedup_check, akin_cli_dedup, dedup_options},
    {"collections", "[list | create NAME | drop NAME]",
     "list, make and remove collections",
     "A collection comes into being when something is added to it; create "
     "gives it another model (--model), plain vectors (--dim) or fields.",
     AKIN_CLI_WRITE, 0, 2, NULL, akin_cli_collections, collections_options},
    {"info", "[COLLECTION]", "about a collection", NULL, AKIN_CLI_READ, 0, 1,
     NULL, akin_cli_info, info_options},
    {"embed", "[WORDS ...]", "print the embedding of words or of a picture",
     NULL, AKIN_CLI_READ, 0, -1, NULL, akin_cli_embed, embed_options},
    {"classify", "PICTURE|FOLDER|- ...", "which of some labels pictures show",
     "Compares each picture with each label put into words (zero-shot): no "
     "training, any labels. The probability is the label's share among those "
     "that were given, so give one for what is none of them. \"-\" is a "
     "picture "
     "on standard input. Neither data nor a server is needed: the model is "
     "that of --model, or with -c the collection's, or with --connect the "
     "server's.",
     AKIN_CLI_NONE, 1, -1, akin_cli_classify_check, akin_cli_classify,
     classify_options},
    {"model", "[DIR]", "about a model, and whether it can be read",
     "Opens the model in DIR, or that of --model, and prints what it is, what "
     "it computes in here, its fingerprint, its licence and where its card is. "
     "With -c that of the collection, with --connect the server's. Models are "
     "used as they are published: there is nothing to import.",
     AKIN_CLI_NONE, 0, 1, akin_cli_model_check, akin_cli_model, no_options},
    {"index", "[tune | recall | rebuild] [COLLECTION]",
     "what index suits a collection, what it delivers, build it anew",
     "tune prints what index is chosen for each space and why, what recall "
     "needs which settings, memory and time. recall measures against exact "
     "search: recall@10 with its 95% interval and queries a second at each "
     "setting, for the vectors' own kind and for words; the planner goes by "
     "it from then on. rebuild trains and builds anew while searches go on; "
     "Ctrl-C cancels and leaves the old index.",
     AKIN_CLI_WRITE, 0, 2, NULL, akin_cli_index, index_options},
    {"reindex", "[COLLECTION]", "build the indexes anew",
     "With --embed, computes all embeddings again with another model; queries "
     "see the old ones until that is done.",
     AKIN_CLI_WRITE, 0, 1, NULL, akin_cli_reindex, reindex_options},
    {"check", "[COLLECTION]", "check store and indexes against each other",
     NULL, AKIN_CLI_READ, 0, 1, NULL, akin_cli_check, check_options},
    {"backup", "FILE|FOLDER", "copy all data, or a collection, into one file",
     "Copies the data directory, or with -c one collection, as of one moment, "
     "while a server or another command goes on writing. In a folder the file "
     "is named by date and time. It gets its name when it is whole and on "
     "disk, and FILE.sha256 beside it holds its digest. Indexes are not in it; "
     "they are built again from what is. The file is a tar of a data "
     "directory, the same that /snapshots serves over HTTP.",
     AKIN_CLI_READ, 1, 1, NULL, akin_cli_backup, backup_options},
    {"restore", "FILE", "make a data directory, or a collection, of a backup",
     "Unpacks the file, compares it with the digest in FILE.sha256 if that is "
     "there, reads the database through, and only then gives it the place of "
     "the data directory, which must be missing or empty, or put aside with "
     "--force. With -c the backup of one collection, of whatever name, becomes "
     "that collection of the data directory or server, in one step.",
     AKIN_CLI_NONE, 1, 1, akin_cli_restore_check, akin_cli_restore,
     restore_options},
    {"jobs", "[list | wait ID | cancel ID | resume ID | failures ID]",
     "long work: what runs, what ran",
     "resume goes on with a job that failed, was cancelled or was interrupted: "
     "the server does, and resume ends at once; without a server the job runs "
     "here, and resume ends with it.",
     AKIN_CLI_READ, 0, 2, NULL, akin_cli_jobs, jobs_options},
    {"audit", "[COUNT]", "who removed what, and when",
     "The newest COUNT entries (100): items and collections removed, indexes "
     "and embeddings made anew, snapshots recovered, over any door. A run of "
     "the same command by one client is one entry, with its last words.",
     AKIN_CLI_READ, 0, 1, NULL, akin_cli_audit, no_options},
    {"bench", "retrieval [FOLDER|CATALOGUE]",
     "how well a model finds your pictures",
     "Reads a labelled folder (a folder for each label) or a catalogue with "
     "--model, or takes the collection as it is, and asks for every caption "
     "and every picture once, exactly. R@k: queries with something right among "
     "the first k; P@10: share of right ones among the first 10; nDCG@10 "
     "counts "
     "early ones more. Right is a picture of that caption or label.",
     AKIN_CLI_NONE, 1, 2, akin_cli_bench_check, akin_cli_bench, bench_options},
    {"demo", "[FOLDER]", "see what akin does, on 8,121 drawings",
     "Adds the drawings of the Debian package openclipart-svg, or the pictures "
     "of FOLDER, starts a server, asks it in words and in pictures, and writes "
     "a page with the answers. Its data are in a directory of its own below "
     "the user's cache; run again, it does only what is missing.",
     AKIN_CLI_NONE, 0, 1, NULL, akin_cli_demo, demo_options},
    {"completion", "bash|zsh|fish", "print completions for a shell",
     "For bash: eval \"$(akin completion bash)\"", AKIN_CLI_NONE, 1, 1, NULL,
     akin_cli_completion, no_options},
    {"version", "", "print the version", NULL, AKIN_CLI_NONE, 0, 0, NULL,
     akin_cli_version, no_options},
    {"help", "[COMMAND]", "this list, or help on a command", NULL,
     AKIN_CLI_NONE, 0, 1, NULL, akin_cli_help, help_options},
    {NULL, NULL, NULL, NULL, AKIN_CLI_NONE, 0, 0, NULL, NULL, NULL},
};
