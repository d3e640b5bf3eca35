#!/usr/bin/python3
"""embed.py TEXT C: makes the C source that holds admin/openapi.json in the program. Called by the build."""
import sys

with open(sys.argv[1], "rb") as text, open(sys.argv[2], "w", encoding="ascii") as out:
    out.write('#include "admin/openapi.h"\n\nconst char admin_openapi_text[] = {\n')
    out.write(",\n".join(str(byte) for byte in text.read()))
    out.write("};\nconst size_t admin_openapi_len = sizeof(admin_openapi_text);\n")
