/* The connection and the server: HELLO, AUTH, CLIENT, COMMAND, INFO ... as the
 * clients of Redis expect them. */
#include "commands.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "server.h"

akin_status akin_cmd_ping(akin_call *c, akin_error *err)
{
    if (c->argc > 2)
        return akin_fail(err, AKIN_INVALID,
                         "wrong number of arguments for 'ping' command");
    if (c->argc == 2)
        akin_reply_bulk(c->reply, c->argv[1].data, c->argv[1].size);
    else
        akin_reply_simple(c->reply, "PONG");
    return AKIN_OK;
}

akin_status akin_cmd_echo(akin_call *c, akin_error *err)
{
    (void)err;
    akin_reply_bulk(c->reply, c->argv[1].data, c->argv[1].size);
    return AKIN_OK;
}

akin_status akin_cmd_quit(akin_call *c, akin_error *err)
{
    (void)err;
    c->session->quit = true;
    akin_reply_simple(c->reply, "OK");
    return AKIN_OK;
}

akin_status akin_cmd_select(akin_call *c, akin_error *err)
{
    int64_t n;
    if (!akin_span_int(c->argv[1], &n))
        return akin_fail(err, AKIN_INVALID,
                         "value is not an integer or out of range");
    if (n) return akin_fail(err, AKIN_INVALID, "DB index is out of range");
    akin_reply_simple(c->reply, "OK");
    return AKIN_OK;
}

akin_status akin_cmd_reset(akin_call *c, akin_error *err)
{
    (void)err;
    c->session->proto = c->reply->proto = 2;
    c->session->name[0] = 0;
    c->session->authenticated = !c->service->password[0];
    akin_reply_simple(c->reply, "RESET");
    return AKIN_OK;
}

akin_status akin_cmd_shutdown(akin_call *c, akin_error *err)
{
    for (size_t i = 1; i < c->argc; i++)
        if (!akin_span_is(c->argv[i], "SAVE") &&
            !akin_span_is(c->argv[i], "NOSAVE") &&
            !akin_span_is(c->argv[i], "NOW") &&
            !akin_span_is(c->argv[i], "FORCE"))
            return akin_bad_option(c->argv[i], err);
    if (!c->service->server)
        return akin_fail(err, AKIN_UNSUPPORTED, "no server runs here");
    c->session->quit = true;
    akin_reply_simple(c->reply, "OK");
    akin_server_stop(c->service->server);
    return AKIN_OK;
}

/* ---- logging in -------------------------------------------------------------- */

/* The time taken does not tell how much of the password was right. */
static bool password_is(const akin_service *service, akin_span given)
{
    const volatile unsigned char *want =
        (const volatile unsigned char *)service->password;
    const unsigned char *got = given.data;
    size_t n = strlen(service->password);
    unsigned char differs = given.size != n;
    for (size_t i = 0; i < given.size; i++)
        differs |= (unsigned char)(got[i] ^ want[i % (n + 1)]);
    return !differs;
}

/* false: refused, and the error written. */
static bool log_in(akin_call *c, akin_span user, akin_span password)
{
    bool ok = !c->service->password[0] || password_is(c->service, password);
    if (!ok || !akin_span_is(user, "default")) {
        akin_reply_error(c->reply, "WRONGPASS",
                         "invalid username-password pair or user is disabled.");
        return false;
    }
    c->session->authenticated = true;
    return true;
}

akin_status akin_cmd_auth(akin_call *c, akin_error *err)
{
    if (c->argc > 3) return akin_fail(err, AKIN_INVALID, "syntax error");
    if (c->argc == 2 && !c->service->password[0])
        return akin_fail(err, AKIN_INVALID,
                         "AUTH <password> called without any password "
                         "configured for the default user. Are you sure your "
                         "configuration is correct?");
    akin_span user = c->argc == 3 ? c->argv[1] : akin_span_of("default");
    if (log_in(c, user, c->argv[c->argc - 1]))
        akin_reply_simple(c->reply, "OK");
    return AKIN_OK;
}

static akin_status set_word(char *out, akin_span text, akin_error *err,
                            const char *what)
{
    const unsigned char *s = text.data;
    if (text.size > AKIN_CLIENT_NAME_BYTES)
        return akin_fail(err, AKIN_INVALID, "%s is longer than %d bytes", what,
                         AKIN_CLIENT_NAME_BYTES);
    for (size_t i = 0; i < text.size; i++)
        if (s[i] < '!' || s[i] > '~')
            return akin_fail(err, AKIN_INVALID,
                             "%s cannot contain spaces, newlines or special "
                             "characters.",
                             what);
    memcpy(out, text.data, text.size);
    out[text.size] = 0;
    return AKIN_OK;
}

static void hello_reply(akin_call *c)
{
    akin_reply *r = c->reply;
    r->proto = c->session->proto;
    akin_reply_map(r, 7);
    akin_reply_text(r, "server");
    akin_reply_text(r, "akin");
    akin_reply_text(r, "version");
    akin_reply_text(r, AKIN_VERSION);
    akin_reply_text(r, "proto");
    akin_reply_int(r, c->session->proto);
    akin_reply_text(r, "id");
    akin_reply_int(r, (int64_t)c->session->id);
    akin_reply_text(r, "mode");
    akin_reply_text(r, "standalone");
    akin_reply_text(r, "role");
    akin_reply_text(r, "master");
    akin_reply_text(r, "modules");
    akin_reply_array(r, 0);
}

akin_status akin_cmd_hello(akin_call *c, akin_error *err)
{
    akin_args args = akin_args_of(c, 2);
    int64_t proto = c->session->proto;
    akin_span user, password, name = {0};
    bool log = false;

    if (c->argc > 1 && !akin_span_int(c->argv[1], &proto))
        return akin_fail(err, AKIN_INVALID,
                         "Protocol version is not an integer or out of range");
    if (proto < 2 || proto > 3) {
        akin_reply_error(c->reply, "NOPROTO", "unsupported protocol version");
        return AKIN_OK;
    }
    while (args.at < args.n) {
        if (args.n - args.at > 2 && akin_args_word(&args, "AUTH")) {
            user = args.argv[args.at++];
            password = args.argv[args.at++];
            log = true;
        } else if (args.n - args.at > 1 && akin_args_word(&args, "SETNAME")) {
            name = args.argv[args.at++];
        } else {
            return akin_fail(err, AKIN_INVALID,
                             "Syntax error in HELLO option '%.*s'",
                             AKIN_SHOWN(args.argv[args.at]));
        }
    }
    if (log && !log_in(c, user, password)) return AKIN_OK;
    if (!c->session->authenticated) {
        akin_reply_error(
            c->reply, "NOAUTH",
            "HELLO must be called with the client already authenticated, "
            "otherwise the HELLO <proto> AUTH <user> <pass> option can be used "
            "to authenticate the client and select the RESP protocol version "
            "at the same time");
        return AKIN_OK;
    }
    if (name.data) {
        akin_status rc = set_word(c->session->name, name, err, "Client names");
        if (rc) return rc;
    }
    c->session->proto = (int)proto;
    hello_reply(c);
    return AKIN_OK;
}

/* ---- CLIENT ------------------------------------------------------------------ */

static akin_status client_lines(akin_call *c, uint64_t only)
{
    akin_buf text = {0};
    if (c->service->server)
        akin_server_client_list(c->service->server, only, &text);
    akin_reply_verbatim(c->reply, text.data ? (char *)text.data : "",
                        text.size);
    akin_buf_clear(&text);
    return AKIN_OK;
}

static akin_status client_set_info(akin_call *c, akin_error *err)
{
    akin_status rc;
    if (akin_span_is(c->argv[2], "LIB-NAME"))
        rc = set_word(c->session->library, c->argv[3], err, "lib-name");
    else if (akin_span_is(c->argv[2], "LIB-VER"))
        rc = set_word(c->session->library_version, c->argv[3], err, "lib-ver");
    else
        return akin_fail(err, AKIN_INVALID, "Unrecognized option '%.*s'",
                         AKIN_SHOWN(c->argv[2]));
    if (!rc) akin_reply_simple(c->reply, "OK");
    return rc;
}

static akin_status client_on_off(akin_call *c, akin_error *err)
{
    if (!akin_span_is(c->argv[2], "ON") && !akin_span_is(c->argv[2], "OFF"))
        return akin_fail(err, AKIN_INVALID, "syntax error");
    akin_reply_simple(c->reply, "OK");
    return AKIN_OK;
}

static akin_status client_set_name(akin_call *c, akin_error *err)
{
    akin_status rc =
        set_word(c->session->name, c->argv[2], err, "Client names");
    if (!rc) akin_reply_simple(c->reply, "OK");
    return rc;
}

static akin_status client_get_name(akin_call *c, akin_error *err)
{
    (void)err;
    akin_reply_text(c->reply, c->session->name[0] ? c->session->name : NULL);
    return AKIN_OK;
}

static akin_status client_id(akin_call *c, akin_error *err)
{
    (void)err;
    akin_reply_int(c->reply, (int64_t)c->session->id);
    return AKIN_OK;
}

static akin_status client_info(akin_call *c, akin_error *err)
{
    (void)err;
    return client_lines(c, c->session->id);
}

static akin_status client_list(akin_call *c, akin_error *err)
{
    (void)err;
    return client_lines(c, 0);
}

static const struct {
    const char *name;
    size_t argc;
    akin_handler *run;
} client_commands[] = {
    {"ID", 2, client_id},
    {"INFO", 2, client_info},
    {"LIST", 2, client_list},
    {"GETNAME", 2, client_get_name},
    {"SETNAME", 3, client_set_name},
    {"SETINFO", 4, client_set_info},
    {"NO-EVICT", 3, client_on_off},
    {"NO-TOUCH", 3, client_on_off},
};

akin_status akin_cmd_client(akin_call *c, akin_error *err)
{
    size_t n = sizeof client_commands / sizeof *client_commands;
    for (size_t i = 0; i < n; i++) {
        if (!akin_span_is(c->argv[1], client_commands[i].name)) continue;
        if (c->argc != client_commands[i].argc)
            return akin_fail(
                err, AKIN_INVALID,
                "wrong number of arguments for 'client|%s' command",
                client_commands[i].name);
        return client_commands[i].run(c, err);
    }
    return akin_fail(err, AKIN_INVALID,
                     "unknown subcommand '%.*s'. Try AKIN.HELP CLIENT.",
                     AKIN_SHOWN(c->argv[1]));
}

/* ---- COMMAND ----------------------------------------------------------------- */

static void lower_name(akin_reply *r, const char *name)
{
    char lower[AKIN_COMMAND_BYTES];
    akin_reply_text(r, akin_lower_name(name, lower));
}

static void flag_set(akin_reply *r, unsigned flags)
{
    static const struct {
        unsigned flag;
        const char *word;
    } words[] = {
        {AKIN_CMD_READ, "readonly"}, {AKIN_CMD_WRITE, "write"},
        {AKIN_CMD_ADMIN, "admin"},   {AKIN_CMD_LOOP, "fast"},
        {AKIN_CMD_SLOW, "blocking"}, {AKIN_CMD_OPEN, "no_auth"},
    };
    size_t n = 0, all = sizeof words / sizeof *words;
    for (size_t i = 0; i < all; i++)
        n += (flags & words[i].flag) != 0;
    akin_reply_set(r, n);
    for (size_t i = 0; i < all; i++)
        if (flags & words[i].flag) akin_reply_simple(r, words[i].word);
}

static void command_row(akin_reply *r, const akin_command *row)
{
    if (!row) {
        akin_reply_null_array(r);
        return;
    }
    int key = row->flags & AKIN_CMD_KEY ? 1 : 0;
    akin_reply_array(r, 10);
    lower_name(r, row->name);
    akin_reply_int(r, row->arity);
    flag_set(r, row->flags);
    akin_reply_int(r, key); /* first key, last key, step */
    akin_reply_int(r, key);
    akin_reply_int(r, key);
    akin_reply_set(r, 1); /* ACL categories */
    akin_reply_simple(r, row->flags & AKIN_CMD_WRITE ? "@write" : "@read");
    akin_reply_array(r, 0); /* tips */
    akin_reply_array(r, 0); /* key specifications */
    akin_reply_array(r, 0); /* subcommands */
}

static void command_docs(akin_reply *r, const akin_command *row)
{
    lower_name(r, row->name);
    akin_reply_map(r, 4);
    akin_reply_text(r, "summary");
    akin_reply_text(r, row->summary);
    akin_reply_text(r, "since");
    akin_reply_text(r, "0.1.0");
    akin_reply_text(r, "group");
    akin_reply_text(r, row->group);
    akin_reply_text(r, "syntax");
    akin_reply_text(r, row->syntax);
}

akin_status akin_cmd_command(akin_call *c, akin_error *err)
{
    size_t n;
    const akin_command *rows = akin_commands(&n);
    akin_args args = akin_args_of(c, 1);
    akin_reply *r = c->reply;

    if (akin_args_word(&args, "COUNT")) {
        akin_reply_int(r, (int64_t)n);
    } else if (akin_args_word(&args, "LIST")) {
        akin_reply_set(r, n);
        for (size_t i = 0; i < n; i++)
            lower_name(r, rows[i].name);
    } else if (akin_args_word(&args, "DOCS")) {
        size_t known = 0;
        for (size_t i = args.at; i < args.n; i++)
            known += akin_command_find(args.argv[i]) != NULL;
        akin_reply_map(r, args.at == args.n ? n : known);
        for (size_t i = 0; i < n && args.at == args.n; i++)
            command_docs(r, &rows[i]);
        for (size_t i = args.at; i < args.n; i++) {
            const akin_command *row = akin_command_find(args.argv[i]);
            if (row) command_docs(r, row);
        }
    } else if (akin_args_word(&args, "INFO") || args.at == args.n) {
        bool all = args.at == args.n;
        akin_reply_array(r, all ? n : args.n - args.at);
        for (size_t i = 0; i < n && all; i++)
            command_row(r, &rows[i]);
        for (size_t i = args.at; i < args.n; i++)
            command_row(r, akin_command_find(args.argv[i]));
    } else {
        return akin_fail(err, AKIN_INVALID,
                         "unknown subcommand '%.*s'. Try AKIN.HELP COMMAND.",
                         AKIN_SHOWN(args.argv[args.at]));
    }
    return AKIN_OK;
}

akin_status akin_cmd_info(akin_call *c, akin_error *err)
{
    akin_buf text = {0};
    (void)err;
    if (c->argc == 1) akin_info_text(c->service, NULL, &text);
    for (size_t i = 1; i < c->argc; i++)
        akin_info_text(c->service, c->argv[i].data, &text);
    if (text.failed) c->reply->out.failed = true;
    akin_reply_verbatim(c->reply, text.data ? (char *)text.data : "",
                        text.size);
    akin_buf_clear(&text);
    return AKIN_OK;
}
