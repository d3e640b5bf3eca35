/*
 * OpaqueString, RFC 8265 section 4.2, over the FreeformClass of RFC 8264 section 4.3: what is
 * looked at is, code point by code point, valid UTF-8, unassigned, control, format, private use,
 * line and paragraph separators, noncharacters, default ignorables (zero width joiners included),
 * conjoining Hangul jamo, and the exceptions and CONTEXTO rules of RFC 5892. The Unicode version is
 * that of libunistring. Called by auth.c and users.c at start; of what the network sends
 * auth_check.c asks only whether it would be refused.
 */
#include "auth/opaque_string.h"

#include <errno.h>
#include <stdlib.h>
#include <unictype.h>
#include <unigbrk.h>
#include <uninorm.h>
#include <unistr.h>

/* Letters, marks, numbers, punctuation, symbols and spaces. */
#define ALLOWED_CATEGORIES                                                                         \
    (UC_CATEGORY_MASK_L | UC_CATEGORY_MASK_M | UC_CATEGORY_MASK_N | UC_CATEGORY_MASK_P |           \
        UC_CATEGORY_MASK_S | UC_CATEGORY_MASK_Zs)

static bool is_conjoining_jamo(ucs4_t c)
{
    int p = uc_graphemeclusterbreak_property(c);
    return p == GBP_L || p == GBP_V || p == GBP_T;
}

/* RFC 8264 section 9.6 (RFC 5892 section 2.6), the DISALLOWED ones. */
static bool is_disallowed_exception(ucs4_t c)
{
    return c == 0x0640 || c == 0x07fa || c == 0x302e || c == 0x302f ||
           (c >= 0x3031 && c <= 0x3035) || c == 0x303b;
}

static const char *fault_of(ucs4_t c)
{
    if (is_disallowed_exception(c))
        return "a character that RFC 5892 section 2.6 disallows";
    if (uc_is_general_category_withtable(c, UC_CATEGORY_MASK_Cc))
        return "a control character";
    if (uc_is_property_not_a_character(c))
        return "a noncharacter";
    if (uc_is_general_category_withtable(c, UC_CATEGORY_MASK_Cn))
        return "a code point that Unicode has not assigned";
    /* exception: RFC 8264 admits ZERO WIDTH (NON-)JOINER in the context of some scripts; in a name
     * it is only a trap. */
    if (uc_is_property_default_ignorable_code_point(c))
        return "an invisible character";
    if (is_conjoining_jamo(c))
        return "a conjoining Hangul jamo";
    if (!uc_is_general_category_withtable(c, ALLOWED_CATEGORIES))
        return "a format, separator or private use character";
    return NULL;
}

static bool in_script(ucs4_t c, const char *name)
{
    const uc_script_t *script = uc_script(c);
    return script && strcmp(script->name, name) == 0;
}

static bool is_kana_or_han(ucs4_t c)
{
    return in_script(c, "Hiragana") || in_script(c, "Katakana") || in_script(c, "Han");
}

/* What a rule of context asks about the whole text, so that each text is read once only. */
struct contents {
    bool kana_or_han, arabic_digits, extended_digits;
};

static bool is_arabic_digit(ucs4_t c)
{
    return c >= 0x0660 && c <= 0x0669;
}

static bool is_extended_digit(ucs4_t c)
{
    return c >= 0x06f0 && c <= 0x06f9;
}

static struct contents contents_of(const uint32_t *s, size_t len)
{
    struct contents in = {0};
    for (size_t i = 0; i < len; i++) {
        in.kana_or_han = in.kana_or_han || is_kana_or_han(s[i]);
        in.arabic_digits = in.arabic_digits || is_arabic_digit(s[i]);
        in.extended_digits = in.extended_digits || is_extended_digit(s[i]);
    }
    return in;
}

/* RFC 5892 appendix A.3 to A.9: characters that are allowed in some neighbourhoods only. */
static bool fits_context(const uint32_t *s, size_t len, size_t i, const struct contents *in)
{
    ucs4_t c = s[i], before = i > 0 ? s[i - 1] : 0, after = i + 1 < len ? s[i + 1] : 0;
    if (c == 0x00b7)
        return before == 'l' && after == 'l';
    if (c == 0x0375)
        return after != 0 && in_script(after, "Greek");
    if (c == 0x05f3 || c == 0x05f4)
        return before != 0 && in_script(before, "Hebrew");
    if (c == 0x30fb)
        return in->kana_or_han;
    if (is_arabic_digit(c))
        return !in->extended_digits;
    return !is_extended_digit(c) || !in->arabic_digits;
}

/* Why it is refused, or NULL. */
static const char *judge(const uint32_t *s, size_t len)
{
    const struct contents in = contents_of(s, len);
    for (size_t i = 0; i < len; i++) {
        const char *fault = fault_of(s[i]);
        if (fault)
            return fault;
        if (!fits_context(s, len, i, &in))
            return "a character that RFC 5892 does not allow in this place";
    }
    return NULL;
}

/* RFC 8265 section 4.2.1: "any instances of non-ASCII space MUST be mapped to SPACE (U+0020)" */
static void map_spaces(uint32_t *s, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (uc_is_general_category_withtable(s[i], UC_CATEGORY_MASK_Zs))
            s[i] = ' ';
}

static int normalize(struct secret *out, const uint32_t *s, size_t len)
{
    /* RFC 8265 section 4.2.1: "Unicode Normalization Form C (NFC) MUST be applied to all strings."
     */
    size_t nfc_len = 0, utf8_len = 0;
    uint32_t *nfc = u32_normalize(UNINORM_NFC, s, len, NULL, &nfc_len);
    uint8_t *utf8 = nfc ? u32_to_u8(nfc, nfc_len, NULL, &utf8_len) : NULL;
    int rc = utf8 ? secret_set(out, slice_of(utf8, utf8_len)) : -ENOMEM;
    if (nfc)
        secret_cleanse(nfc, nfc_len * sizeof(*nfc));
    if (utf8)
        secret_cleanse(utf8, utf8_len);
    free(nfc);
    free(utf8);
    return rc;
}

int opaque_string(struct secret *out, struct slice text, const char **why)
{
    /* RFC 8265 section 4.2.1: "a password MUST NOT be zero bytes in length" */
    if (text.len == 0) {
        *why = "it is empty";
        return -EINVAL;
    }
    if (u8_check(text.data, text.len)) {
        *why = "it is not UTF-8";
        return -EINVAL;
    }
    size_t len = 0;
    uint32_t *s = u8_to_u32(text.data, text.len, NULL, &len);
    if (!s) {
        *why = "out of memory";
        return -ENOMEM;
    }
    const char *fault = judge(s, len);
    map_spaces(s, len);
    int rc = fault ? -EINVAL : normalize(out, s, len);
    if (rc < 0)
        *why = fault ? fault : "out of memory";
    secret_cleanse(s, len * sizeof(*s));
    free(s);
    return rc;
}

bool opaque_string_admits(struct slice text)
{
    bool plain = true;
    for (size_t i = 0; i < text.len; i++)
        plain &= text.data[i] >= 0x20 && text.data[i] < 0x7f;
    if (text.len == 0 || text.len > OPAQUE_STRING_ADMITS_MAX || plain)
        return text.len > 0 && text.len <= OPAQUE_STRING_ADMITS_MAX;
    if (u8_check(text.data, text.len))
        return false;
    uint32_t s[OPAQUE_STRING_ADMITS_MAX];
    size_t len = OPAQUE_STRING_ADMITS_MAX;
    /* It fits: a code point has one byte at least. */
    return u8_to_u32(text.data, text.len, s, &len) == s && judge(s, len) == NULL;
}
