#!/bin/sh
# Rebuilds the two embedded fonts from Debian's fonts-noto-core (20201225-1) with Python's fonttools.
# Latin and Arabic become one font per weight, so shaping never falls back in the middle of a word:
# a fallback there puts brackets and full stops on the wrong side of Arabic words.
# Usage: FONTS=/usr/share/fonts/truetype/noto ./build.sh
set -eu
cd "$(dirname "$0")"
fonts=${FONTS:-/usr/share/fonts/truetype/noto}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
latin="U+0020-007E,U+00A0-017F,U+0192,U+0218-021B,U+02C6,U+02DA,U+02DC,U+2010-2015,U+2018-201E,U+2020-2022,U+2026,U+2030,U+2032,U+2033,U+2039,U+203A,U+2044,U+2066-2069,U+200B-200F,U+202A-202F,U+20AC,U+2116,U+2122,U+2126,U+215B-215E,U+25CA,U+FFFD"
arabic="U+0600-061F,U+0620-065F,U+0660-066F,U+0670-06D5,U+06F0-06FF,U+25CC"
for weight in Regular Bold; do
    pyftsubset "$fonts/NotoSans-$weight.ttf" --unicodes="$latin" --no-hinting --notdef-outline --name-IDs='*' \
        --layout-features=kern,mark,mkmk,ccmp,locl --output-file="$work/latin.ttf"
    pyftsubset "$fonts/NotoSansArabic-$weight.ttf" --unicodes="$arabic" --no-hinting --notdef-outline --name-IDs='*' \
        --layout-features='*' --output-file="$work/arabic.ttf"
    pyftmerge --output-file="$work/merged.ttf" "$work/latin.ttf" "$work/arabic.ttf"
    WEIGHT=$weight IN="$work/merged.ttf" python3 - <<'PY'
import os
from fontTools.ttLib import TTFont
weight = os.environ["WEIGHT"]
font = TTFont(os.environ["IN"], recalcTimestamp=False)
names = {1: "Hanout Receipt", 2: weight, 3: f"HanoutReceipt-{weight}", 4: f"Hanout Receipt {weight}", 6: f"HanoutReceipt-{weight}",
         0: "Copyright 2015-2020 Google LLC. All Rights Reserved. Subset and merge of Noto Sans and Noto Sans Arabic."}
for record in list(font["name"].names):
    if record.nameID in names:
        font["name"].setName(names[record.nameID], record.nameID, record.platformID, record.platEncID, record.langID)
    elif record.nameID > 14:
        font["name"].removeNames(nameID=record.nameID)
font.save(f"HanoutReceipt-{weight}.ttf")
PY
done
