/*
 * THREATS row 3: a mistyped configuration stops the start. Each case is one bad file; it must be
 * refused with one line that names the file, the right line and the reason, and must leave the
 * configuration that was there as it was.
 */
#include "tests/unit/config_bad.h"

#define TLS "tls: { cert: /c, key: /k }\n"
/* Rows of what is no rate, and no bandwidth. */
#define BAD_RATE(name, value)                                                                      \
    {                                                                                              \
        name, "limits: { allocation_rate_per_prefix: " value " }\n", 1, "a rate such as"           \
    }
#define BAD_BANDWIDTH(name, value)                                                                 \
    {                                                                                              \
        name, "limits: { bandwidth_per_user: " value " }\n", 1, "bits a second"                    \
    }

static const struct bad cases[] = {
    /* what is no document of ours */
    {"threat_03_file_empty_refused", "", 1, "the file is empty"},
    {"threat_03_file_of_comments_refused", "# nothing\n\n", 1, "the file is empty"},
    {"threat_03_file_null_refused", "---\n", 2, "the file must be a mapping"},
    {"threat_03_file_scalar_refused", "hello\n", 1, "the file must be a mapping"},
    {"threat_03_file_list_refused", "- realm\n", 1, "the file must be a mapping"},
    {"threat_03_second_document_refused", USERS "---\nrealm: b\n", 2, "second YAML document"},
    {"threat_03_trailing_garbage_refused", USERS "}\n", 2, "not YAML"},
    {"threat_03_unclosed_quote_refused", USERS "realm: \"a\n", 3, "not YAML"},
    {"threat_03_unclosed_list_refused", "public_ip: [auto\nrealm: b\n", 2, "not YAML"},
    {"threat_03_tab_indent_refused", "log:\n\tlevel: info\n", 2, "not YAML"},
    {"threat_03_bad_utf8_refused", USERS "realm: \"\xff\"\n", 2, "UTF-8"},
    {"threat_03_control_character_refused", USERS "realm: \"a\x01\"\n", 2, "control characters"},
    {"threat_03_escaped_nul_refused", USERS "realm: \"a\\0b\"\n", 2, "NUL"},
    {"threat_03_anchor_refused", "realm: &r a\n", 1, "anchors"},
    {"threat_03_anchor_on_list_refused", "public_ip: &l [auto]\n", 1, "anchors"},
    {"threat_03_alias_refused", "\nrealm: *r\n", 2, "aliases"},
    {"threat_25_unquoted_password_is_not_shown",
        "auth: { users: [{ name: a, password: !hunter2 }] }\n", 1, "tags (!...)"},
    {"threat_03_tag_refused", "realm: !!str a\n", 1, "tags"},
    {"threat_03_tag_on_mapping_refused", "log: !x { level: info }\n", 1, "tags"},
    {"threat_03_deep_nesting_refused", "realm: [[[[[[[[[[[[[[a]]]]]]]]]]]]]]\n", 1, "levels deep"},
    {"threat_03_merge_key_refused", "<<: { realm: a }\n", 1, "unknown key"},

    /* keys */
    {"threat_03_unknown_key_refused", USERS "relm: a\n", 2, "'relm', did you mean 'realm'?"},
    {"threat_03_swapped_letters_refused", USERS "wokrers: 2\n", 2, "did you mean 'workers'?"},
    {"threat_03_unknown_key_in_section_refused", USERS "relay:\n  prots: 50000-50010\n", 3,
        "did you mean 'ports'?"},
    {"threat_03_key_of_other_section_refused", USERS "max_ttl: 1h\n", 2,
        "did you mean 'auth.max_ttl'?"},
    {"threat_03_key_of_the_top_level_refused", USERS "relay:\n  realm: a\n", 3,
        "unknown key 'realm' here: it stands at the top level, not within another"},
    {"threat_03_absurd_key_refused", USERS "quux: a\n", 2, "valid here: realm, public_ip, listen"},
    {"threat_03_key_of_a_later_version_refused", USERS "mobility: { url: a }\n", 2,
        "unknown key 'mobility'"},
    {"threat_03_key_in_user_refused", "auth:\n  users:\n    - { name: a, pasword: b }\n", 3,
        "did you mean 'password'?"},
    {"threat_03_key_twice_refused", "realm: a\nworkers: 1\nrealm: b\n", 3,
        "'realm' appears twice, first in line 1"},
    {"threat_03_section_twice_refused", "log: { level: info }\nlog: { format: json }\n", 2,
        "'log' appears twice"},
    {"threat_03_key_twice_in_user_refused", "auth:\n  users: [{ name: a,\n    name: b }]\n", 3,
        "appears twice"},
    {"threat_03_list_as_key_refused", "[a]: b\n", 1, "a key must be a word"},
    {"threat_03_key_without_value_refused", "realm:\n" USERS, 1, "'realm' has no value"},
    {"threat_03_null_value_refused", USERS "workers: ~\n", 2, "'workers' has no value"},
    {"threat_03_section_as_scalar_refused", "relay: yes\n", 1, "'relay' must be a mapping"},
    {"threat_03_section_as_list_refused", "limits: [a]\n", 1, "'limits' must be a mapping"},

    /* types and ranges */
    {"threat_03_realm_too_long_refused",
        "realm: "
        "0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567"
        "8901234567890123456789012345678901234567\n",
        1, "1 to 127 bytes"},
    {"threat_03_realm_empty_refused", "realm: \"\"\n", 1, "1 to 127 bytes"},
    {"threat_03_realm_with_quote_refused", "realm: 'a\"b'\n", 1, "quotes"},
    {"threat_03_realm_with_newline_refused", "realm: \"a\\nb\"\n", 1, "control characters"},
    {"threat_03_realm_list_refused", "realm: [a]\n", 1, "'realm' must be text, not a list"},
    {"threat_03_workers_over_range_refused", "workers: 65\n", 1, "between 0 and 64, not 65"},
    {"threat_03_workers_negative_refused", "workers: -1\n", 1, "whole number"},
    {"threat_03_workers_hex_refused", "workers: 0x2\n", 1, "whole number"},
    {"threat_03_workers_octal_refused", "workers: 010\n", 1, "whole number"},
    {"threat_03_workers_quoted_refused", "workers: \"2\"\n", 1, "whole number without quotes"},
    {"threat_03_workers_fraction_refused", "workers: 1.5\n", 1, "whole number"},
    {"threat_03_workers_overflow_refused", "workers: 18446744073709551617\n", 1, "whole number"},
    {"threat_03_receive_buffer_unit_refused", "receive_buffer: 4MB\n", 1, "4MiB"},
    {"threat_03_receive_buffer_over_range_refused", "receive_buffer: 2GiB\n", 1,
        "between 0 and 1GiB"},
    {"threat_03_receive_buffer_wrap_refused", "receive_buffer: 17179869184GiB\n", 1, "4MiB"},
    {"threat_03_bool_yes_refused", "relay: { software: yes }\n", 1, "true or false, not 'yes'"},
    {"threat_03_bool_quoted_refused", "relay: { software: \"true\" }\n", 1, "true or false"},
    {"threat_03_bool_capital_refused", "auth: { end_on_expiry: True }\n", 1, "true or false"},
    {"threat_03_duration_without_unit_refused", "relay: { max_lifetime: 3600 }\n", 1,
        "with its unit"},
    {"threat_03_duration_unknown_unit_refused", "relay: { max_lifetime: 10m }\n", 1,
        "with its unit"},
    {"threat_03_duration_over_range_refused", "relay: { max_lifetime: 25h }\n", 1,
        "between 10min and 24h, not 25h"},
    {"threat_03_duration_under_range_refused", "auth: { nonce_lifetime: 59s }\n", 1,
        "between 1min and 10min"},
    {"threat_03_default_lifetime_over_max_refused",
        USERS "relay:\n  max_lifetime: 600s\n  default_lifetime: 601s\n", 4,
        "601s is over 'relay.max_lifetime' 600s"},
    {"threat_03_permissions_zero_refused", "relay: { permissions_per_allocation: 0 }\n", 1,
        "between 1 and 4096"},
    {"threat_03_channels_over_range_refused", "relay: { channels_per_allocation: 4097 }\n", 1,
        "between 1 and 4096"},
    {"threat_03_max_allocations_zero_refused", "relay: { max_allocations: 0 }\n", 1, "between 1"},
    {"threat_03_rate_without_period_refused", "limits: { unauthenticated_per_address: 100 }\n", 1,
        "a rate such as"},
    {"threat_03_rate_unknown_period_refused", "limits: { unauthenticated_per_address: 1/day }\n", 1,
        "a rate such as"},
    {"threat_03_rate_absurd_refused", "limits: { unauthenticated_per_prefix: 10000001/s }\n", 1,
        "at most 10000000 as count and as burst, not 10000001/s"},
    {"threat_03_rate_overflow_refused",
        "limits: { unauthenticated_per_prefix: 18446744073709551617/s }\n", 1, "a rate such as"},
    {"threat_03_rate_over_32_bits_refused", "limits: { allocation_rate_per_user: 4294967296/s }\n",
        1, "a rate such as"},
    {"threat_03_shared_rate_over_range_refused", "limits:\n  allocation_rate_per_user: 1000001/s\n",
        2,
        "at most 1000000 as count and as burst, which is what instances can share, not 1000001/s"},
    {"threat_03_shared_burst_over_range_refused",
        "limits:\n  allocation_rate_per_address: 100/s burst 1000001\n", 2,
        "at most 1000000 as count and as burst, which is what instances can share, not 100/s "
        "burst"},
    {"threat_03_guesses_over_what_is_shared_refused", "limits: { guesses_per_user: 1000001/min }\n",
        1, "which is what instances can share"},
    {"threat_03_burst_without_a_rate_refused",
        "limits: { allocation_rate_per_prefix: burst 300 }\n", 1,
        "a rate such as 100/s, 600/min, 10/h or 100/s burst 300, or unlimited, not 'burst 300'"},
    BAD_RATE("threat_03_burst_of_no_limit_refused", "unlimited burst 300"),
    BAD_RATE("threat_03_burst_zero_refused", "1/s burst 0"),
    BAD_RATE("threat_03_burst_without_a_number_refused", "1/s burst"),
    BAD_RATE("threat_03_burst_with_a_unit_refused", "1/s burst 3/s"),
    BAD_RATE("threat_03_burst_misspelt_refused", "1/s brust 3"),
    {"threat_03_burst_of_more_than_a_day_refused",
        "limits:\n  allocation_rate_per_network: 1/h burst 25\n", 2,
        "'limits.allocation_rate_per_network' has a burst that would take longer than a day to "
        "come back: 1/h burst 25"},
    {"threat_03_rate_list_refused", "limits: { allocation_rate_per_user: [1/s] }\n", 1,
        "not a list"},
    {"threat_03_rate_key_for_at_once_refused", USERS "limits: { allocation_per_user: 5/s }\n", 2,
        "did you mean 'allocations_per_user'?"},
    {"threat_03_rate_key_misspelt_refused", USERS "limits: { alocation_rate_per_user: 5/s }\n", 2,
        "did you mean 'allocation_rate_per_user'?"},
    {"threat_03_rate_for_a_number_refused", "limits: { allocations_per_user: 5/s }\n", 1,
        "a whole number, or unlimited"},
    {"threat_03_rate_of_realm_over_range_refused",
        USERS "realms:\n  - { name: b, allocation_rate_per_realm: 1000001/h }\n", 3,
        "'realms[].allocation_rate_per_realm' must have at most 1000000"},
    {"threat_03_rate_of_an_address_in_a_realm_refused",
        USERS "realms:\n  - { name: b, allocation_rate_per_address: 1/s }\n", 3,
        "unknown key 'allocation_rate_per_address' here, did you mean "
        "'limits.allocation_rate_per_address'?"},
    {"threat_03_bandwidth_without_unit_refused", "limits: { bandwidth_per_user: 8000000 }\n", 1,
        "bits a second such as 500kbit, 8mbit or 1gbit, or unlimited, not '8000000'"},
    BAD_BANDWIDTH("threat_03_bandwidth_in_bytes_refused", "1MiB"),
    BAD_BANDWIDTH("threat_03_bandwidth_unknown_unit_refused", "8mbps"),
    BAD_BANDWIDTH("threat_03_bandwidth_fraction_refused", "1.5mbit"),
    BAD_BANDWIDTH("threat_03_bandwidth_zero_of_a_unit_refused", "0mbit"),
    {"threat_03_bandwidth_under_range_refused", "limits: { bandwidth_per_allocation: 7kbit }\n", 1,
        "'limits.bandwidth_per_allocation' must be between 8kbit and 1000gbit, not 7kbit"},
    {"threat_03_bandwidth_over_range_refused", "limits: { bandwidth_per_instance: 1001gbit }\n", 1,
        "between 8kbit and 1000gbit, not 1001gbit"},
    {"threat_03_bandwidth_wrap_refused",
        "limits: { bandwidth_per_realm: 18446744073709551616gbit }\n", 1, "bits a second"},
    {"threat_03_bandwidth_of_realm_refused", "realms: [{ name: b, bandwidth_per_realm: 8 }]\n", 1,
        "'realms[].bandwidth_per_realm' must be bits a second"},
    {"threat_03_bandwidth_burst_under_range_refused", "limits: { bandwidth_burst: 9ms }\n", 1,
        "between 10ms and 10s, not 9ms"},
    {"threat_03_bandwidth_burst_without_unit_refused", "limits: { bandwidth_burst: 500 }\n", 1,
        "such as 500ms"},
    {"threat_03_rate_zero_a_second_refused", "limits: { unauthenticated_per_prefix: 0/s }\n", 1,
        "a rate such as"},
    {"threat_03_limit_word_refused", "limits:\n  allocations_per_user: none\n", 2,
        "a whole number, or unlimited"},
    {"threat_03_limit_over_range_refused", "limits:\n  allocations_per_user: 1000001\n", 2,
        "between 0 and 1000000"},
    {"threat_03_log_level_refused", "log: { level: verbose }\n", 1,
        "error, warn, info or debug, not 'verbose'"},
    {"threat_03_log_format_refused", "log: { format: xml }\n", 1, "text or json"},

    /* addresses and ports */
    {"threat_03_public_ip_name_refused", "public_ip: [example.com]\n", 1, "not 'example.com'"},
    {"threat_03_public_ip_octal_refused", "public_ip: [010.0.0.1]\n", 1, "not '010.0.0.1'"},
    {"threat_03_public_ip_scalar_refused", "public_ip: auto\n", 1, "must be a list: [auto]"},
    {"threat_03_public_ip_empty_refused", "public_ip: []\n", 1, "must not be empty"},
    {"threat_03_public_ip_auto_and_more_refused", "public_ip:\n  - 192.0.2.1\n  - auto\n", 3,
        "auto must stand alone"},
    {"threat_03_public_ip_families_refused", "public_ip: [\"192.0.2.1/2001:db8::1\"]\n", 1,
        "mixes address families"},
    {"threat_03_public_ip_twice_refused", "public_ip: [192.0.2.1,\n  192.0.2.1/10.0.0.1]\n", 2,
        "names an address twice"},
    {"threat_03_public_ip_multicast_refused", "public_ip: [224.0.0.1]\n", 1, "multicast"},
    {"threat_03_public_ip_unspecified_refused", "public_ip: [\"::\"]\n", 1, "no address of a host"},
    {"threat_03_public_ip_mapped_refused", "public_ip: [\"::ffff:192.0.2.1\"]\n", 1,
        "write it as IPv4"},
    {"threat_03_public_ip_nine_refused",
        "public_ip: [192.0.2.1, 192.0.2.2, 192.0.2.3, 192.0.2.4, 192.0.2.5, 192.0.2.6, 192.0.2.7,\n"
        "  192.0.2.8,\n  192.0.2.9]\n",
        3, "more than 8"},
    {"threat_03_listen_empty_refused", "listen: []\n", 1, "at least one entry"},
    {"threat_03_listen_mapping_refused", "listen: { proto: udp, port: 3478 }\n", 1,
        "must be auto, or a list of { proto, addr, port }, not a mapping"},
    {"threat_03_listen_without_proto_refused", "listen:\n  - { port: 3478 }\n", 2,
        "'listen[].proto' is missing"},
    {"threat_03_listen_without_port_refused", "listen:\n  - { proto: udp }\n", 2,
        "'listen[].port' is missing"},
    {"threat_23_admin_on_all_addresses_in_clear_refused",
        USERS "admin: { listen: 0.0.0.0:9641, token: 0123456789abcdef }\n", 2,
        "'admin.listen' 0.0.0.0:9641 is no loopback address: it needs 'admin.tls.cert'"},
    {"threat_23_admin_on_a_network_in_clear_refused",
        USERS "admin:\n  token: 0123456789abcdef\n  listen: \"[2001:db8::1]:9641\"\n", 4,
        "no loopback address: it needs 'admin.tls.cert'"},
    {"threat_23_admin_on_a_network_without_credentials_refused",
        USERS "admin: { listen: 192.0.2.1:9641, tls: { cert: /c, key: /k } }\n", 2,
        "no loopback address: it needs 'admin.token_file' or 'admin.tls.client_ca'"},
    {"threat_23_admin_tls_without_key_refused", USERS "admin:\n  tls:\n    cert: /c\n", 4,
        "'admin.tls.key' is missing"},
    {"threat_23_admin_tls_without_certificate_refused", USERS "admin: { tls: { key: /k } }\n", 2,
        "'admin.tls.cert' is missing"},
    {"threat_23_admin_clients_without_lists_refused",
        USERS "admin: { tls: { cert: /c, key: /k, client_ca: /a } }\n", 2,
        "'admin.tls.client_crl' is missing"},
    {"threat_23_admin_lists_without_authorities_refused",
        USERS "admin: { tls: { cert: /c, key: /k, client_crl: /a } }\n", 2,
        "'admin.tls.client_ca' is missing"},
    {"threat_23_admin_clients_in_clear_refused",
        USERS "admin: { tls: { client_ca: /a, client_crl: /l } }\n", 2,
        "means nothing without 'admin.tls.cert'"},
    {"threat_23_admin_names_without_authorities_refused",
        USERS "admin: { tls: { cert: /c, key: /k, client_names: [a.example] } }\n", 2,
        "means nothing without 'admin.tls.client_ca'"},
    {"threat_23_admin_required_clients_without_authorities_refused",
        USERS "admin: { tls: { cert: /c, key: /k, client_required: true } }\n", 2,
        "means nothing without 'admin.tls.client_ca'"},
    {"threat_23_admin_host_with_port_refused", USERS "admin: { hosts: [\"a.example:9641\"] }\n", 2,
        "is no domain name and no address"},
    {"threat_23_admin_host_for_many_refused", USERS "admin: { hosts: [\"*.example\"] }\n", 2,
        "is no domain name and no address"},
    {"threat_23_admin_host_twice_refused", USERS "admin: { hosts: [a.example, A.example] }\n", 2,
        "says 'A.example' twice"},
    {"threat_23_admin_short_token_refused", "admin: { token: 0123456789abcde }\n", 1,
        "16 to 512 bytes"},
    {"threat_23_admin_token_that_no_header_holds_refused",
        USERS "admin:\n  token: \"0123456789 abcdef\"\n", 3, "travels in a header"},
    {"threat_03_admin_without_port_refused", "admin: { listen: 127.0.0.1 }\n", 1, "auto, none, or"},
    {"threat_03_admin_port_zero_refused", "admin: { listen: 127.0.0.1:0 }\n", 1, "auto, none, or"},
    {"threat_03_admin_relative_socket_refused", "admin: { socket: control.sock }\n", 1,
        "an absolute path"},
    {"threat_03_admin_long_socket_refused",
        "admin: { socket: /0123456789012345678901234567890123456789012345678901234567890123456789"
        "01234567890123456789012345678901234567 }\n",
        1, "at most 107 bytes"},
    {"threat_03_listen_sctp_refused", "listen: [{ proto: sctp, port: 3478 }]\n", 1,
        "must be udp, tcp, tls or dtls, not 'sctp'"},
    {"threat_03_listen_word_refused", "listen: none\n", 1, "must be auto, or a list"},
    {"threat_03_listen_tls_without_certificate_refused",
        USERS "listen:\n  - { proto: tcp, port: 1 }\n  - { proto: tls, port: 2 }\n", 4,
        "a tls listener needs a certificate"},
    {"threat_03_listen_dtls_without_certificate_refused",
        USERS "listen:\n  - { proto: dtls, port: 5349 }\n", 3,
        "a dtls listener needs a certificate"},
    {"threat_03_listen_tcp_and_tls_on_one_port_refused",
        USERS "listen:\n  - { proto: tcp, port: 443 }\n  - { proto: tls, port: 443 }\n", 4,
        "TCP port 443 twice"},
    {"threat_03_listen_udp_and_dtls_on_one_port_refused",
        USERS "listen:\n  - { proto: udp, port: 443 }\n"
              "  - { proto: dtls, addr: 192.0.2.1, port: 443 }\n",
        4, "UDP port 443 twice"},
    {"threat_03_listen_proxy_over_udp_refused",
        "listen:\n  - { proto: udp, port: 1, proxy_from: [10.0.0.1] }\n", 2,
        "PROXY over UDP is not accepted"},
    {"threat_03_listen_proxy_over_dtls_refused",
        "listen:\n  - { proto: dtls, port: 1, proxy_from: [10.0.0.1] }\n", 2,
        "PROXY over UDP is not accepted"},
    {"threat_03_listen_proxy_scalar_refused",
        "listen:\n  - { proto: tcp, port: 1, proxy_from: 10.0.0.1 }\n", 2,
        "must be a list of addresses and prefixes"},
    {"threat_03_listen_proxy_host_bits_refused",
        "listen:\n  - { proto: tcp, port: 1, proxy_from: [10.0.0.1/8] }\n", 2,
        "'10.0.0.1/8': not an address or a prefix, or host bits are set"},
    {"threat_03_listen_proxy_from_everywhere_refused",
        "listen:\n  - proto: tcp\n    port: 1\n    proxy_from: [10.0.0.1,\n      \"::/0\"]\n", 5,
        "would let every client choose its address"},
    {"threat_03_listen_proxy_twice_refused",
        "listen:\n  - { proto: tcp, port: 1, proxy_from: [10.0.0.1, 10.0.0.1/32] }\n", 2, "twice"},
    {"threat_03_listen_plain_on_tcp_refused",
        "listen:\n  - { proto: tcp, port: 1, accept_plain: true }\n", 2,
        "'listen[].accept_plain' is for tls, not for tcp"},
    {"threat_03_listen_client_certificate_on_dtls_refused",
        "listen:\n  - { proto: dtls, port: 1, client_certificate: true }\n", 2,
        "'listen[].client_certificate' is for tls, not for dtls"},
    {"threat_03_listen_client_certificate_without_authority_refused",
        USERS TLS "listen:\n  - proto: tls\n    port: 1\n    client_certificate: true\n", 6,
        "needs 'tls.client_ca'"},
    {"threat_03_listen_plain_past_client_certificates_refused",
        "listen:\n  - { proto: tls, port: 1, client_certificate: true, accept_plain: true }\n", 2,
        "'listen[].accept_plain' would let everybody past 'listen[].client_certificate'"},

    /* certificates and connections */
    {"threat_03_tls_cert_without_key_refused", USERS "tls:\n  cert: /c\n", 3,
        "belong together: 'tls.key' is missing"},
    {"threat_03_tls_key_without_cert_refused", USERS "tls:\n  key: /k\n", 3,
        "belong together: 'tls.cert' is missing"},
    {"threat_03_tls_relative_path_refused", "tls: { cert: c.pem }\n", 1,
        "must be an absolute path, or begin with ${CREDENTIALS_DIRECTORY}"},
    {"threat_03_tls_variable_unset_refused", "tls: { key: \"${CREDENTIALS_DIRECTORY}/k\" }\n", 1,
        "the environment has no CREDENTIALS_DIRECTORY"},
    {"threat_03_tls_certificates_scalar_refused", "tls: { certificates: /c }\n", 1,
        "a list of { cert, key }"},
    {"threat_03_tls_certificates_without_key_refused",
        "tls:\n  certificates:\n    - { cert: /c }\n", 3, "'tls.certificates[].key' is missing"},
    {"threat_03_tls_version_refused", "tls: { min_version: \"1.1\" }\n", 1,
        "must be \"1.2\" or \"1.3\", not '1.1'"},
    {"threat_03_tls_authority_without_crl_refused", USERS "tls:\n  client_ca: /ca\n", 3,
        "needs 'tls.client_crl', unless 'tls.client_crl_check' is false"},
    {"threat_03_tls_crl_without_authority_refused", USERS "tls:\n  client_crl: /crl\n", 3,
        "means nothing without 'tls.client_ca'"},
    {"threat_03_tls_names_without_authority_refused", USERS "tls:\n  client_names: [a]\n", 3,
        "means nothing without 'tls.client_ca'"},
    {"threat_03_tls_name_refused", "tls: { client_names: [\"*.example.com\"] }\n", 1,
        "'*.example.com' is no domain name"},
    {"threat_03_tls_name_twice_refused", "tls: { client_names: [a.example, A.example] }\n", 1,
        "says 'A.example' twice"},
    {"threat_03_streams_timeout_without_unit_refused", "streams: { frame_timeout: 5 }\n", 1,
        "such as 500ms, 5s or 10min"},
    {"threat_03_streams_timeout_under_range_refused", "streams: { frame_timeout: 99ms }\n", 1,
        "between 100ms and 10min, not 99ms"},
    {"threat_03_streams_queue_under_range_refused", "streams: { write_queue: 65535 }\n", 1,
        "between 64KiB and 16MiB"},
    {"threat_03_streams_no_connections_refused", "streams: { max_connections: 0 }\n", 1,
        "between 1 and 1000000"},
    {"threat_03_dtls_idle_over_range_refused", "dtls: { idle_timeout: 25h }\n", 1,
        "between 1s and 24h"},
    {"threat_03_listen_port_zero_refused", "listen: [{ proto: udp, port: 0 }]\n", 1, "a port"},
    {"threat_03_listen_port_65536_refused", "listen: [{ proto: udp, port: 65536 }]\n", 1, "a port"},
    {"threat_03_listen_ports_reversed_refused", "listen: [{ proto: udp, port: 3481-3478 }]\n", 1,
        "a port"},
    {"threat_03_listen_too_many_ports_refused", "listen: [{ proto: udp, port: 1-1000 }]\n", 1,
        "more than 64 ports"},
    {"threat_03_listen_addr_refused", "listen: [{ proto: udp, addr: localhost, port: 1 }]\n", 1,
        "an IP address"},
    {"threat_03_listen_overlap_refused",
        "listen:\n  - { proto: udp, addr: 192.0.2.1, port: 3478-3480 }\n"
        "  - { proto: udp, addr: 192.0.2.1, port: 3480 }\n",
        3, "port 3480 twice"},
    {"threat_03_listen_wildcard_and_address_refused",
        "listen:\n  - { proto: udp, port: 3478 }\n"
        "  - { proto: udp, addr: 192.0.2.1, port: 3478 }\n",
        3, "port 3478 twice"},
    {"threat_03_listen_address_and_wildcard_refused",
        "listen:\n  - { proto: udp, addr: 192.0.2.1, port: 3478 }\n"
        "  - { proto: udp, addr: 0.0.0.0, port: 3478 }\n",
        3, "port 3478 twice"},
    {"threat_03_relay_ports_privileged_refused", "relay: { ports: 1023-2000 }\n", 1,
        "below port 1024"},
    {"threat_03_relay_ports_single_refused", "relay: { ports: 50000 }\n", 1, "at least two ports"},
    {"threat_03_relay_ports_reversed_refused", "relay: { ports: 60000-50000 }\n", 1,
        "a range of ports"},
    {"threat_03_relay_ports_over_range_refused", "relay: { ports: 50000-70000 }\n", 1,
        "a range of ports"},

    /* media */
    {"threat_03_srtp_level_refused", USERS "srtp: strict\n", 2,
        "'srtp' must be off, observe, classify, verify or verify_required, not 'strict'"},
    {"threat_03_srtp_mapping_refused", USERS "srtp: { guard: off }\n", 2, "not a mapping"},
    {"threat_03_srtp_of_a_listener_refused", "listen: [{ proto: udp, port: 1, srtp: on }]\n", 1,
        "'listen[].srtp' must be off, observe"},
    {"threat_03_srtp_of_a_realm_refused", "realms: [{ name: b, srtp: inherit }]\n", 1,
        "'realms[].srtp' must be off, observe"},
    {"threat_03_srtp_replay_refused", "srtp_verify: { replay: pass }\n", 1,
        "must be drop or count, not 'pass'"},
    {"threat_03_usage_redis_without_redis_refused", USERS "usage: { redis: true }\n", 2,
        "'usage.redis' means nothing without 'redis.url'"},
    {"threat_03_usage_file_relative_refused", "usage: { file: usage.jsonl }\n", 1,
        "'usage.file' must be an absolute path"},
    {"threat_03_usage_every_too_short_refused", "usage: { every: 0s }\n", 1, "usage.every"},
    {"threat_03_srtp_window_too_small_refused", "srtp_verify: { window: 127 }\n", 1,
        "between 128 and 16384"},
    {"threat_03_srtp_window_too_large_refused", "srtp_verify: { window: 16385 }\n", 1,
        "between 128 and 16384"},
    {"threat_03_srtp_no_streams_refused", "srtp_verify: { streams: 0 }\n", 1, "between 1 and 1024"},
    {"threat_03_srtp_key_grace_over_range_refused", "srtp_verify: { key_grace: 11min }\n", 1,
        "between 0s and 10min"},

    /* peer rules */
    {"threat_03_deny_host_bits_refused",
        "relay:\n  deny_peers:\n    - recommended\n    - 10.0.0.1/8\n", 4, "'10.0.0.1/8': bits"},
    {"threat_03_deny_not_an_address_refused", "relay: { deny_peers: [recommended, 10.0.0] }\n", 1,
        "not an IP address"},
    {"threat_03_deny_prefix_too_long_refused",
        "relay: { deny_peers: [recommended, 10.0.0.0/33] }\n", 1, "'10.0.0.0/33'"},
    {"threat_03_deny_range_reversed_refused",
        "relay: { deny_peers: [recommended, 10.0.0.9-10.0.0.1] }\n", 1, "ends before it begins"},
    {"threat_03_deny_mixed_range_refused",
        "relay: { deny_peers: [recommended, \"10.0.0.1-2001:db8::1\"] }\n", 1, "families"},
    {"threat_03_deny_port_zero_refused", "relay: { deny_peers: [recommended, \"10.0.0.1:0\"] }\n",
        1, "a port is a number"},
    {"threat_03_deny_empty_refused", "relay: { deny_peers: [] }\n", 1, "must say recommended"},
    {"threat_03_deny_without_recommended_refused", "relay:\n  deny_peers: [203.0.113.0/24]\n", 2,
        "must say recommended, or none"},
    {"threat_03_deny_both_words_refused", "relay: { deny_peers: [recommended, none] }\n", 1,
        "both recommended and none"},
    {"threat_03_deny_word_twice_refused", "relay: { deny_peers: [none, none] }\n", 1, "twice"},
    {"threat_03_deny_rule_twice_refused",
        "relay:\n  deny_peers:\n    - 192.0.2.0/24\n    - recommended\n    - 192.0.2.7\n"
        "    - 192.0.2.0-192.0.2.255\n",
        6, "'192.0.2.0-192.0.2.255' twice"},
    {"threat_03_deny_mapping_refused", "relay: { deny_peers: [{ a: b }] }\n", 1, "texts only"},
    {"threat_03_allow_recommended_refused", "relay: { allow_peers: [recommended] }\n", 1,
        "not an IP address"},
    {"threat_03_allow_scalar_refused", "relay: { allow_peers: 10.0.0.1 }\n", 1, "a list of peer"},
    {"threat_03_allow_twice_refused", "relay: { allow_peers: [10.0.0.1,\n  10.0.0.1] }\n", 2,
        "twice"},
    {"threat_03_nat64_length_refused", "relay: { nat64_prefixes: [\"2001:db8::/33\"] }\n", 1,
        "32, 40, 48, 56, 64 or 96"},
    {"threat_03_nat64_ipv4_refused", "relay: { nat64_prefixes: [10.0.0.0/8] }\n", 1,
        "not an IPv6 prefix"},
    {"threat_03_nat64_host_bits_refused", "relay: { nat64_prefixes: [\"2001:db8::1/64\"] }\n", 1,
        "host bits"},
    {"threat_03_nat64_u_octet_refused", "relay: { nat64_prefixes: [\"2001:db8:0:0:100::/96\"] }\n",
        1, "bits 64 to 71"},
    {"threat_03_nat64_twice_refused",
        "relay: { nat64_prefixes: [\"2001:db8::/96\", \"2001:db8::/96\"] }\n", 1, "twice"},

    /* draining */
    {"threat_03_drain_deadline_over_range_refused", "drain:\n  deadline: 49h\n", 2,
        "between 0s and 48h, not 49h"},
    {"threat_03_alternate_server_name_refused", "drain: { alternate_servers: [turn.example] }\n", 1,
        "must hold addresses"},
    {"threat_03_alternate_server_port_zero_refused",
        "drain:\n  alternate_servers:\n    - \"192.0.2.1:0\"\n", 3, "not 192.0.2.1:0"},
    {"threat_03_alternate_server_unspecified_refused", "drain: { alternate_servers: [\"::\"] }\n",
        1, ":: is no address of a host"},
    {"threat_03_alternate_server_multicast_refused", "drain: { alternate_servers: [224.0.0.1] }\n",
        1, "is a multicast or reserved address"},
    {"threat_03_alternate_server_twice_refused",
        "drain: { alternate_servers: [192.0.2.1, 192.0.2.1] }\n", 1, "names 192.0.2.1 twice"},
    {"threat_03_alternate_servers_too_many_refused",
        "drain: { alternate_servers: [192.0.2.1, 192.0.2.2, 192.0.2.3, 192.0.2.4, 192.0.2.5, "
        "192.0.2.6, 192.0.2.7, 192.0.2.8, 192.0.2.9, 192.0.2.10, 192.0.2.11, 192.0.2.12, "
        "192.0.2.13, 192.0.2.14, 192.0.2.15, 192.0.2.16, 192.0.2.17] }\n",
        1, "must not hold more than 16 addresses"},
    {"threat_03_alternate_servers_text_refused", "drain: { alternate_servers: 192.0.2.1 }\n", 1,
        "a list of addresses"},
    {"threat_03_alternate_domain_label_refused", "drain: { alternate_domain: a..b }\n", 1,
        "a DNS name"},
    {"threat_03_alternate_domain_hyphen_refused", "drain: { alternate_domain: a.-b }\n", 1,
        "a DNS name"},
};

static void threat_03_missing_file_refused(void **state)
{
    struct config c = {0};
    struct config_error error;
    assert_int_equal(config_load(&c, "/nonexistent/a\nb.yaml", &error), -ENOENT);
    assert_string_equal(error.text, "/nonexistent/a\\x0ab.yaml: No such file or directory");
    assert_int_equal(config_load(&c, "/", &error), -EISDIR);
    assert_string_equal(error.text, "/: Is a directory");
    assert_null(c.auth.realms);
}

static void threat_03_file_over_a_mebibyte_refused(void **state)
{
    const size_t len = (1u << 20) + 1;
    struct config c = {0};
    struct config_error error;
    char *text = malloc(len);
    assert_non_null(text);
    memset(text, '#', len);
    assert_int_equal(scratch_load(&scratch, &c, text, len, &error), -EFBIG);
    assert_non_null(strstr(error.text, "turnpike.yaml: too large"));
    memcpy(text, USERS, strlen(USERS));
    assert_int_equal(scratch_load(&scratch, &c, text, len - 1, &error), 0);
    config_deinit(&c);
    free(text);
}

/* The longest path and the longest value together still make one whole line. */
static void threat_03_long_path_and_value_fit_one_line(void **state)
{
    char text[1000] = {0}, path[1200];
    struct config c = {0};
    struct config_error error;
    memset(text, 'k', sizeof(text) - 5);
    memcpy(text + sizeof(text) - 5, ": a", 4);
    assert_int_equal(scratch_write(&scratch, "turnpike.yaml", text, strlen(text)), 0);
    int used = snprintf(path, sizeof(path), "%s", scratch.folder);
    while (used < 1000)
        used += snprintf(path + used, sizeof(path) - (size_t)used, "/.");
    snprintf(path + used, sizeof(path) - (size_t)used, "/turnpike.yaml");
    assert_int_equal(config_load(&c, path, &error), -EINVAL);
    assert_one_line(error.text);
    assert_non_null(strstr(error.text, "/turnpike.yaml:1: unknown key 'kkk"));
}

int main(void)
{
    static const struct CMUnitTest others[] = {
        cmocka_unit_test(threat_03_missing_file_refused),
        cmocka_unit_test(threat_03_file_over_a_mebibyte_refused),
        cmocka_unit_test(threat_03_long_path_and_value_fit_one_line),
    };
    return run_bad("config_errors", cases, sizeof(cases) / sizeof(cases[0]), others,
        sizeof(others) / sizeof(others[0]));
}
