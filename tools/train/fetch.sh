#!/bin/sh
# Install what the pictures and captions come from: fetch.sh DIR puts node_modules into DIR.
# The Debian packages (openclipart-svg, WordNet, rsvg-convert, fonts) are system-wide and need root.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
list() { python3 -c "import json,sys; d=json.load(open('$here/sources.json')); print('\n'.join($1))"; }
mkdir -p "$1"
packages=$(list "d['npm'] + [f'@iconify-json/{s}@{o[\"version\"]}' for s, o in d['iconify'].items()]")
npm install --prefix "$1" --no-audit --no-fund --ignore-scripts $packages
debian=$(list "d['apt']")
missing=$(for p in $debian; do dpkg -s "$p" >/dev/null 2>&1 || echo "$p"; done)
[ -z "$missing" ] || { apt-get update && apt-get install -y --no-install-recommends $missing; }
