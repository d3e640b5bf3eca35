/*
 * turnpikectl top: what passes, a second, refreshed a second, the busiest allocation first. However
 * it ends, the terminal is as it was. Called by main.c.
 */
#include "cli/top.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include "base/clock.h"
#include "cli/command.h"
#include "cli/progress.h"
#include "cli/session_pages.h"

#define PERIOD_MS 1000
#define ENTER     "\033[?1049h\033[?25l" /* another screen, without a cursor */
#define LEAVE     "\033[?25h\033[?1049l"
#define HOME      "\033[H"
#define LINE_END  "\033[K\r\n" /* and nothing of an older, longer line */
#define REST      "\033[J"

static volatile sig_atomic_t stopped;

static void on_stop(int signal)
{
    stopped = 1;
}

/* That it came ends the waiting, and the next picture has the new size. */
static void on_resize(int signal)
{
}

/* All pages. CLI_DONE, or the exit code with the line said. */
static int take_sample(const struct cli_options *options, struct top_sample *out)
{
    json_t *asked = json_pack("{s:i}", "cursor", 0);
    int code = asked ? CLI_GOES_ON : CLI_REFUSED;
    out->at_us = clock_now().mono_us;
    while (code == CLI_GOES_ON) {
        json_t *page = NULL;
        code = cli_session_page(options, asked, &page);
        if (page && top_sample_add(out, page) < 0) {
            fputs("turnpikectl: out of memory\n", stderr);
            code = CLI_REFUSED;
        }
        json_decref(page);
        if (out->cut) {
            code = CLI_DONE;
        }
    }
    json_decref(asked);
    return code;
}

/* The next sample takes the place of the last, with its rates. */
static int refresh(const struct cli_options *options, struct top_sample *last)
{
    struct top_sample next = {0};
    const int code = take_sample(options, &next);
    if (code != CLI_DONE) {
        top_sample_deinit(&next);
        return code;
    }
    top_sample_compare(&next, last);
    top_sample_deinit(last);
    *last = next;
    return CLI_DONE;
}

static void draw(const struct top_sample *sample)
{
    struct winsize size = {0};
    const bool known = ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_row > 1;
    fputs(HOME, stdout);
    top_print(stdout, sample, known ? size.ws_row - 2u : 22, known ? size.ws_col : 80, LINE_END);
    fputs("q: quit" REST, stdout);
    fflush(stdout);
}

/* Until the period is over. False: somebody wants to go. */
static bool wait_period(const struct top_sample *sample)
{
    const uint64_t end = sample->at_us + PERIOD_MS * US_PER_MS;
    for (;;) {
        struct pollfd p = {.fd = STDIN_FILENO, .events = POLLIN};
        const uint64_t now = clock_now().mono_us;
        char key;
        if (stopped) {
            return false;
        }
        if (now >= end) {
            return true;
        }
        const int n = poll(&p, 1, (int)((end - now) / US_PER_MS) + 1);
        if (n > 0 && (read(STDIN_FILENO, &key, 1) != 1 || key == 'q' || key == 'Q')) {
            return false;
        }
        if (n < 0 && errno == EINTR && !stopped) {
            draw(sample);
        }
    }
}

static int show(const struct cli_options *options, struct top_sample *sample)
{
    struct termios before, raw;
    int code = take_sample(options, sample);
    if (code != CLI_DONE || tcgetattr(STDIN_FILENO, &before) < 0) {
        return code;
    }
    raw = before;
    raw.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
    tcsetattr(STDIN_FILENO, TCSAFLUSH, &raw);
    fputs(ENTER, stdout);
    do {
        draw(sample);
    } while (wait_period(sample) && (code = refresh(options, sample)) == CLI_DONE);
    fputs(LEAVE, stdout);
    fflush(stdout);
    tcsetattr(STDIN_FILENO, TCSAFLUSH, &before);
    if (code != CLI_DONE) {
        fputs("turnpikectl: the daemon answers no more\n",
            stderr); /* the reason is gone with the screen */
    }
    return code;
}

static int show_once(const struct cli_options *options, struct top_sample *sample)
{
    struct cli_progress progress;
    int code = take_sample(options, sample);
    cli_progress_begin(&progress);
    if (code == CLI_DONE) {
        (void)poll(NULL, 0, PERIOD_MS);
        cli_progress_say(&progress, "a second passes");
        code = refresh(options, sample);
        cli_progress_end(&progress);
    }
    if (code == CLI_DONE && options->json) {
        top_print_json(stdout, sample);
    } else if (code == CLI_DONE) {
        top_print(stdout, sample, SIZE_MAX, 0, "\n");
    }
    return code;
}

static void handle(int number, void (*handler)(int))
{
    struct sigaction action = {.sa_handler = handler}; /* without SA_RESTART: poll ends */
    (void)sigaction(number, &action, NULL);
}

int cli_top(const struct cli_options *common, int argc, char **argv)
{
    struct cli_options options = *common;
    struct top_sample sample = {0};
    bool once = false;
    const struct cli_flag flags[] = {{"once", NULL, &once}, {NULL, NULL, NULL}};
    int code = cli_read_options(&options, argc, argv, flags);
    if (code != CLI_GOES_ON) {
        return code;
    }
    if (!once && (options.json || !isatty(STDIN_FILENO) || !isatty(STDOUT_FILENO))) {
        fputs("turnpikectl: top needs a terminal, or --once\n", stderr);
        return CLI_USAGE;
    }
    if (!once) {
        static const int ends[] = {SIGINT, SIGTERM, SIGQUIT, SIGHUP};
        for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++) {
            handle(ends[i], on_stop);
        }
        handle(SIGTSTP, SIG_IGN); /* the shell would have a terminal without echo */
        handle(SIGWINCH, on_resize);
    }
    code = once ? show_once(&options, &sample) : show(&options, &sample);
    top_sample_deinit(&sample);
    return code;
}
